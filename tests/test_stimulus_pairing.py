import numpy as np
import pandas as pd
import pytest

from mne_samba import SambaTranslator
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson
from mne_samba.windows import pair_by_stimulus

T_R = 2.0


@pytest.fixture(scope="module")
def world():
    """SIMULATED people who have the same stimuli, each in their own order."""
    return simulate_paired(
        4, 480.0, sfreq=64.0, level="source", n_sources=6, n_targets=5, snr=8.0,
        n_stimuli=8, stimulus_variance=0.8, random_state=0, bands={"alpha": (8, 13)},
    )  # fmt: skip


def tables(world, people):
    columns = ["onset", "duration", "label"]
    return [world.stimuli.loc[world.stimuli["recording"] == i, columns] for i in people]


def test_frames_are_those_of_the_same_stimulus():
    """BOLD that says which stimulus and how far into it, at another order and distance."""
    labels, durations = list("abc"), [20.0, 30.0, 24.0]
    eeg = pd.DataFrame({"onset": [4.0, 34.0, 64.0], "duration": durations, "label": labels})
    fmri = pd.DataFrame(
        {"onset": [0.0, 40.0, 74.0], "duration": durations[::-1], "label": labels[::-1]}
    )
    times = T_R * np.arange(60)
    bold = np.zeros((60, 2))
    for row in fmri.itertuples():
        inside = (times >= row.onset) & (times < row.onset + row.duration + 2)
        bold[inside] = np.column_stack(
            [np.full(inside.sum(), labels.index(row.label)), times[inside] - row.onset]
        )
    import mne

    info = mne.create_info(["a"], 10.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).standard_normal((1, 1000)), info, verbose=False)
    raws, bolds, pairs = pair_by_stimulus([raw], [bold], [eeg], [fmri], t_r=T_R, average=False)
    assert raws == [raw] and len(bolds[0]) == 50
    mine = T_R * np.arange(50)
    for k, row in enumerate(eeg.itertuples()):
        inside = (mine >= row.onset) & (mine < row.onset + row.duration)
        np.testing.assert_allclose(bolds[0].to_numpy()[inside, 0], k, atol=1e-9)
        np.testing.assert_allclose(bolds[0].to_numpy()[inside, 1], mine[inside] - row.onset)
    covered = np.zeros(50, bool)
    for row in eeg.itertuples():
        covered |= (mine >= row.onset) & (mine < row.onset + row.duration)
    np.testing.assert_array_equal(bolds[0].isna().all(axis=1), ~covered)
    assert pairs["n_runs"].tolist() == [1, 1, 1]


def test_borrowed_bold_resembles_ones_own(world):
    eeg, fmri = [0, 1], [2, 3]
    raws, bolds, pairs = pair_by_stimulus(
        [world.raws[i] for i in eeg], [world.bolds[i] for i in fmri], tables(world, eeg),
        tables(world, fmri), t_r=T_R, lead_in=12.0,
    )  # fmt: skip
    assert (pairs["n_runs"] == 2).all()
    for raw_index, bold in zip(eeg, bolds, strict=True):
        own = pearson(world.bolds[raw_index], bold.to_numpy())
        turned = pearson(np.roll(world.bolds[raw_index], 60, axis=0), bold.to_numpy())
        assert own.mean() > 0.5 > 2 * abs(turned.mean())
    translator = SambaTranslator(t_r=T_R, model="core", random_state=0, verbose="ERROR")
    translator.fit(raws, bolds)
    assert translator.score([world.raws[2]], [world.bolds[2]]) > 0.4


def test_scrubbed_frames_are_not_averaged(world):
    bolds = [world.bolds[2].copy(), world.bolds[3].copy()]
    bolds[0][:] = np.where(np.arange(240)[:, None] < 120, np.nan, bolds[0])
    with_gap = pair_by_stimulus(
        world.raws[:1], bolds, tables(world, [0]), tables(world, [2, 3]), t_r=T_R
    )[1][0]
    assert np.isfinite(with_gap).all(axis=None)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"raws": []}, ValueError, "At least one recording"),
        ({"raws": ["a.vhdr"]}, TypeError, "raws must hold"),
        ({"stimuli": []}, ValueError, "One table of stimuli"),
        ({"stimuli": [None]}, TypeError, r"stimuli\[0\] must be a DataFrame"),
        ({"stimuli": [pd.DataFrame({"onset": [1.0]})]}, ValueError, "lacks the columns"),
        (
            {"stimuli": [pd.DataFrame({"onset": [1.0], "duration": [-1.0], "label": "x"})]},
            ValueError, "positive durations",
        ),
        (
            {"stimuli": [pd.DataFrame({"onset": [1.0], "duration": [9.0], "label": ["x"]})]},
            ValueError, "No recording shares a stimulus",
        ),
        ({"t_r": 0}, ValueError, "t_r"),
        ({"lead_in": -1}, ValueError, "lead_in"),
    ],
)  # fmt: skip
def test_what_cannot_be_paired_is_refused(world, change, error, said):
    call = {
        "raws": world.raws[:1], "bolds": world.bolds[2:3], "stimuli": tables(world, [0]),
        "bold_stimuli": tables(world, [2]), "t_r": T_R,
    }  # fmt: skip
    with pytest.raises(error, match=said):
        pair_by_stimulus(**(call | change))
