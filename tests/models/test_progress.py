"""Fits say what they are trying, and in the end what was chosen, and why."""

import re

import numpy as np
import pytest
from mne.utils import catch_logging

from mne_samba import CoreModel, SambaModel, SambaTranslator, Trainer
from mne_samba.datasets import simulate_paired


@pytest.fixture(scope="module")
def data():
    return simulate_paired(1, 420.0, sfreq=100.0, n_sources=6, n_targets=5, random_state=0)


def told(data, verbose="info", **options):
    translator = SambaTranslator(t_r=2.0, random_state=0, verbose=verbose, **options)
    with catch_logging() as log:
        translator.fit(data.raws, data.bolds)
    return translator, log.getvalue().splitlines()


def test_what_is_tried_comes_in_order_and_what_was_chosen_last(data):
    translator, lines = told(data, model="core")
    tried = [line.split(":")[0] for line in lines if line.startswith(("Trying", "Fitting"))]
    n = len([line for line in tried if line == "Trying unmixing"])
    assert n >= 2 and len(set(tried[:n])) == 1
    assert tried[n:] == [
        "Trying linear and log power.", "Trying band weights of every region's own.",
        "Trying responses", "Fitting the core to all 195 frames.",
    ]  # fmt: skip
    power, bands, response, prior, *_ = lines[-1].removeprefix("Chosen: ").split("; ")
    assert power.startswith(f"{translator.power_} power (held-out correlation ")
    chosen, other = map(float, re.findall(r"-?\d\.\d+", power))
    assert chosen > other
    change, error = map(float, re.search(r"by ([+-]\d\.\d+) ± (\d\.\d+)", bands).groups())
    # Of less than 300 frames own bands have to be clearly better.
    assert bands.startswith("shared") == (change <= 2 * error)
    family = {"six parameters": "double_gamma", "free": "fir", "canonical": "canonical"}
    assert {f for word, f in family.items() if word in response.split("(")[0]} == {
        translator.hrf_family_
    }
    assert prior.startswith(f"{translator.core_.map_prior} map (")


def test_what_was_asked_for_is_not_explained(data):
    model = CoreModel(
        power="log", target_bands=False, unmix=None, hrf="canonical", map_prior="ard"
    )  # fmt: skip
    _, lines = told(data, model=model)
    assert not [line for line in lines if line.startswith("Trying")]
    assert lines[-1] == (
        "Chosen: log power (as asked); shared band weights (as asked); the canonical response "
        "(as asked); ard map (as asked)."
    )


def test_corrections_say_what_they_changed(data):
    model = SambaModel(
        power="linear", target_bands=False, unmix=None, hrf="canonical", corrections="always",
        n_hidden=4,
    )  # fmt: skip
    translator, lines = told(data, model=model, trainer=Trainer(max_epochs=1, device="cpu"))
    assert any(line.startswith("Training graph attention and recurrence") for line in lines)
    assert re.search(r"corrections kept \([+-]\d\.\d+ ± \d\.\d+\)", lines[-1])
    assert translator.corrections_kept_


def test_silence_where_it_is_asked_for(data):
    model = CoreModel(power="linear", target_bands=False, unmix=None)
    assert told(data, verbose=False, model=model)[1] == []


def test_of_a_table_there_is_a_map_to_choose(data):
    frames = data.bolds[0]
    with catch_logging() as log:
        SambaTranslator(t_r=2.0, model="core", verbose="info").fit(frames, frames[:, :2])
    assert re.fullmatch(r"Chosen: \w+ map \(.*\)\.", log.getvalue().splitlines()[-1])


@pytest.mark.parametrize(
    ("noise", "said"),
    [(1.0, r"gaussian map \(evidence \+\d\.\d nats per region\)"),
     (3.0, r"sparse map \(evidence -\d\.\d nats per region, too few for a normal one\)")],
)  # fmt: skip
def test_a_sparse_map_with_less_evidence_is_explained(noise, said):
    rng = np.random.default_rng(0)
    columns, weights = rng.standard_normal((40, 30)), rng.standard_normal((30, 3))
    bold = columns @ weights + noise * rng.standard_normal((40, 3))
    with catch_logging() as log:
        SambaTranslator(t_r=2.0, model="core", verbose="info").fit(columns, bold)
    assert re.fullmatch(f"Chosen: {said}\\.", log.getvalue().splitlines()[-1])
