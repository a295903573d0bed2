"""``mne_samba bench``: tables and a figure of a BIDS folder, and of recordings that ship along."""

from unittest.mock import patch

import pandas as pd
import pytest
from assemble import hurry, quick

pytest.importorskip("mne_bids")
pytest.importorskip("pybv")

from mne_samba import CoreModel, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.cli import _bench, main
from mne_samba.datasets import load_eeg_fmri_sleep
from mne_samba.datasets._bids_tree import write_bids_tree


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    hurry(monkeypatch, BandPowerRidge)
    monkeypatch.setattr(
        _bench, "SambaTranslator",
        lambda *, model, **options: SambaTranslator(model=quick(CoreModel), **options),
    )  # fmt: skip


def test_a_bids_folder(tmp_path, capsys):
    tree = write_bids_tree(tmp_path / "ds", 2, 200.0, n_targets=2)
    out = tmp_path / "out"
    args = ["bench", str(tree.root), "--task", "rest", "--atlas", str(tree.atlas)]
    args += ["--out", str(out)]
    assert main([*args, "--protocol", "blocked", "people", "--n-shifts", "9"]) == 0
    table = pd.read_csv(out / "bench.csv")
    assert set(table["protocol"]) == {"blocked", "people"}
    assert set(table["model"]) == {"core", "ridge_canonical", "ridge_fir", "time"}
    assert list(pd.read_csv(out / "inflation.csv")["protocol"].unique()) == ["people"]
    assert (out / "inflation.png").stat().st_size > 10_000
    assert "people left out" in capsys.readouterr().out


def test_the_recording_that_ships_along(tmp_path):
    data = load_eeg_fmri_sleep()
    few = data | {
        "power": [power[..., :300] for power in data.power[:2]],
        "states": [states[:300] for states in data.states[:2]],
        "subjects": data.subjects[:2],
    }  # fmt: skip
    args = ["bench", "eeg_fmri_sleep", "--out", str(tmp_path), "--quiet", "--n-shifts", "9"]
    with patch.object(_bench, "load_eeg_fmri_sleep", lambda: type(data)(**few)):
        with patch.object(_bench, "SambaTranslator", SambaTranslator):
            core = lambda bands: quick(CoreModel, bands=bands)  # noqa: E731
            with patch.object(_bench, "CoreModel", core):
                assert main([*args, "--protocol", "people"]) == 0
    assert len(pd.read_csv(tmp_path / "bench.csv")) == 4
    assert not (tmp_path / "inflation.csv").exists()  # nothing to compare with


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "DATA is neither a BIDS folder nor 'eeg_fmri_sleep': nowhere"),
        (["."], "A BIDS folder needs --task and --atlas"),
        (["eeg_fmri_sleep", "--model", "neurobolt"], "is band power, which neurobolt cannot take"),
    ],
)
def test_what_cannot_be_benched(args, message, tmp_path, capsys):
    assert main(["bench", *args, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
