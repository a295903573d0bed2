"""modality_contributions: shares add up, and are of those that know."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mne_samba import CoreModel, Reader, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import modality_contributions


@pytest.fixture(scope="module")
def two():
    """EEG of four sources that drive BOLD, ECoG of one of them, and MEG of noise."""
    data = simulate_paired(
        2, 400.0, level="source", n_sources=4, n_targets=4, snr=4.0, sfreq=100.0, random_state=0
    )
    rng = np.random.default_rng(0)
    for i, raw in enumerate(data.raws):
        own = raw.get_data()
        noise = rng.standard_normal((2, own.shape[1])) * own.std()
        kinds = ["eeg"] * 4 + ["ecog"] + ["mag"] * 2
        info = mne.create_info([f"{kind}{k}" for k, kind in enumerate(kinds)], 100.0, kinds)
        signal = np.concatenate([own, own[:1] + 0.1 * noise[:1], noise])
        data.raws[i] = mne.io.RawArray(signal, info, verbose="ERROR")
    core = CoreModel(power="linear", target_bands=False, hrf="canonical", unmix=None)
    model = SambaTranslator(t_r=2.0, model=core, reader=Reader(channels="infer"), random_state=0)
    return model.fit(data.raws[:1], data.bolds[:1]), data


def test_shares_add_up_and_are_of_those_that_know(two):
    model, data = two
    X, y = data.raws[1:], data.bolds[1:]
    found = modality_contributions(model, X, y)
    table = found.table
    assert list(table.index) == ["eeg", "ecog", "mag"] and list(table["n_channels"]) == [4, 1, 2]
    assert_allclose(found.score, model.score(X, y))
    assert_allclose(table["share"].sum(), found.score)
    assert_allclose(found.targets.sum(axis=1), model.score_targets(X, y))
    assert table.loc["eeg", "low"] > 0 and table.loc["eeg", "share"] > table.loc["ecog", "share"]
    assert table.loc["mag", "low"] < 0.02 and abs(table.loc["mag", "share"]) < 0.05
    assert (table["low"] < table["share"]).all() and (table["share"] < table["high"]).all()
    # What it shows, EEG shows as well.
    assert table.loc["ecog", "without"] > found.score - 0.02
    alone = data.raws[1].copy().pick("ecog")
    assert_allclose(table.loc["ecog", "alone"], model.score([alone], y))
    assert table["alone"]["ecog"] > 0.1


def test_groups_and_what_cannot_be(two):
    model, data = two
    X, y, names = data.raws[1:], data.bolds[1:], data.raws[1].ch_names
    halves = {"one": names[:2], "other": names[2:4]}
    found = modality_contributions(model, X, y, halves, metric="pearson")
    assert found.table.shape == (2, 6) and found.score > found.table["share"].sum()
    for groups, message in (
        ({"one": names[:2]}, "two or more"),
        ({"one": names[:2], "other": names[1:3]}, "one of them only"),
        ({"one": ["Cz"], "other": names[:2]}, "fit did not see: ..Cz"),
    ):
        with pytest.raises(ValueError, match=message):
            modality_contributions(model, X, y, groups)
    strict = BandPowerRidge(t_r=2.0).fit(data.raws[:1], data.bolds[:1])
    with pytest.raises(ValueError, match="cannot do without channels"):
        modality_contributions(strict, X, y)
    with pytest.raises(TypeError, match="must predict BOLD"):
        modality_contributions(None, X, y)
