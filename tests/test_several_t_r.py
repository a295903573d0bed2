"""Recordings of several repetition times in one fit."""

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from mne_samba import Reader, SambaModel, SambaTranslator, make_windows, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.core import fit_core
from mne_samba.core.moments import Noise, Runs, at_lags, moments_of
from mne_samba.data.power import LowRateGrid
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate
from mne_samba.hrf import double_gamma, hrf_dictionary
from mne_samba.metrics import pearson
from mne_samba.models import CoreModel

T_RS = (2.0, 0.735)
MODEL = CoreModel(power="linear", target_bands=False, unmix=None)


@pytest.fixture(scope="module")
def world():
    """Two people at 2 s and two at 0.735 s, of one coupling."""
    parts = [
        simulate_paired(
            2, 240.0, t_r=t_r, sfreq=100.0, level="source", n_sources=6, n_targets=5,
            random_state=i, coupling_random_state=5,
        )
        for i, t_r in enumerate(T_RS)
    ]  # fmt: skip
    raws, bolds, clean = [], [], []
    for part in parts:
        raws += part.raws
        bolds += [np.asarray(bold) for bold in part.bolds]
        clean += [np.asarray(bold) for bold in part.truth.clean_bolds]
    return {"raws": raws, "bolds": bolds, "clean": clean, "t_rs": [2.0, 2.0, 0.735, 0.735]}


@pytest.fixture(scope="module")
def mixed(world):
    """Fitted to the first person of either time between frames."""
    translator = SambaTranslator(t_r=list(T_RS), model=MODEL, random_state=0)
    return translator.fit(world["raws"][::2], world["bolds"][::2])


@pytest.mark.parametrize("person", [1, 3])
def test_both_times_are_predicted_better_than_by_a_fit_of_half(world, mixed, person):
    raw, t_r, start = world["raws"][person], world["t_rs"][person], person - 1
    alone = SambaTranslator(t_r=t_r, model=MODEL, random_state=0)
    alone.fit(world["raws"][start], world["bolds"][start])
    clean, skip = world["clean"][person], int(30 / t_r) + 1
    score, single = (
        pearson(clean[skip:], model.predict(raw, t_r=t_r)[skip:]).mean() for model in (mixed, alone)
    )
    assert score > max(0.7, single)
    low, high = mixed.predict_interval(raw, 0.9, t_r=t_r)
    bold = world["bolds"][person]
    assert 0.8 < ((low < bold) & (bold < high))[skip:].mean() < 0.97


def test_noise_of_fast_frames_remembers_more(mixed):
    noise = mixed.core_.noise
    np.testing.assert_array_equal(noise.t_r, sorted(T_RS))
    # Simulated noise has 0.6 ** (t_r / 2); residuals of a fit have a little less.
    np.testing.assert_allclose(noise.ar, 0.6 ** (noise.t_r / 2), atol=0.12)


def test_one_response_read_out_at_two_times_between_frames():
    """The same drive, acquired at two rates, gives the response that made both."""
    rng, params = np.random.default_rng(0), hrf_dictionary(1, "human", 3)
    grids = [LowRateGrid.from_tr(t_r, 30.0) for t_r in T_RS]
    fine = np.repeat(rng.standard_normal((2, 1, 600)), 100, axis=2)  # 10 ms
    powers, targets = [], []
    for grid in grids:
        edges = np.round(np.arange(int(600 / grid.dt)) * grid.dt / 0.01).astype(int)
        powers.append(np.stack([np.add.reduceat(row, edges, axis=-1) for row in fine]))
        powers[-1] = powers[-1] / np.diff([*edges, fine.shape[2]])
        n_frames = (powers[-1].shape[2] - grid.n_lags) // grid.step + 1
        ends = (grid.n_lags + np.arange(n_frames) * grid.step) * grid.dt
        kernel = double_gamma((np.arange(3000) + 0.5) * 0.01, params)[0] * 0.01
        course = np.convolve(fine[0, 0] - 0.5 * fine[1, 0], kernel)
        targets.append(course[np.round(ends / 0.01).astype(int) - 1][:, None])
        powers[-1] = powers[-1][..., : grid.n_bins(n_frames)]
    core = fit_core(
        powers, targets, dt=grids[0].dt, step=grids[0].step, n_lags=grids[0].n_lags, grids=grids
    )
    lags = np.arange(0, 20, 0.1)
    found, truth = (double_gamma(lags, p)[0] for p in (core.hrf_params, params))
    assert abs(lags[found.argmax()] - lags[truth.argmax()]) < 0.15
    for y, pred in zip(targets, core.predict(powers, grids), strict=True):
        assert pearson(y, pred)[0] > 0.995


def test_moments_are_weighted_least_squares_of_both_rates():
    rng, n = np.random.default_rng(1), (30, 50)
    seconds = np.repeat([2.0, 0.7], n)
    first = np.isin(np.arange(sum(n)), [0, n[0]])
    design, y = rng.standard_normal((sum(n), 1, 3, 1)), rng.standard_normal((sum(n), 2))
    noise = Noise(np.array([0.7, 2.0]), np.array([0.8, 0.3]), np.array([0.5, 1.2]))
    moments = moments_of(torch.from_numpy(design), torch.from_numpy(y), Runs(first, seconds), noise)
    blocks = []
    for size, ar, scale in ((n[0], 0.3, 1.2), (n[1], 0.8, 0.5)):
        gap = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        blocks.append(scale**2 * ar**gap / (1 - ar**2))
    inverse = np.zeros((sum(n), sum(n)))
    inverse[: n[0], : n[0]], inverse[n[0] :, n[0] :] = map(np.linalg.inv, blocks)
    full = np.column_stack([design[:, 0, :, 0], np.ones(sum(n))])
    gram = full.T @ inverse @ full
    expected = gram[:3, :3] - np.outer(gram[:3, 3], gram[3, :3]) / gram[3, 3]
    np.testing.assert_allclose(moments.gram[:, 0, 0, 0], expected[np.triu_indices(3)], rtol=1e-10)


def test_frames_of_another_rate_are_whitened_as_those_of_the_nearest():
    noise = Noise(np.array([0.7, 2.0]), np.array([0.8, 0.36]), np.array([0.5, 1.2]))
    x, first = torch.randn(40, 2, generator=torch.manual_seed(0)), np.arange(40) == 0
    found = noise.whiten(x, first, np.full(40, 1.5))
    expected = (x[1:] - 0.36**0.75 * x[:-1]) / 1.2
    torch.testing.assert_close(found[1:], expected.to(x.dtype))


def test_responses_at_other_lags_are_the_same_curves():
    params = hrf_dictionary(20, "human", 0)
    rows = double_gamma((np.arange(60) + 0.5) * 0.5, params)
    expected = double_gamma((np.arange(40) + 0.5) * 0.735, params)
    assert np.abs(at_lags(rows, 40, 0.735, 0.5) - expected).max() < 0.01


def test_lists_cross_validation_and_files(world, mixed, tmp_path):
    raws, bolds, t_rs = (world[name] for name in ("raws", "bolds", "t_rs"))
    frames = mixed.predict(raws, t_r=t_rs)
    assert [len(f) for f in frames] == [len(b) for b in bolds]
    # Side by side in one batch, sums in single precision may end otherwise.
    np.testing.assert_allclose(frames[2], mixed.predict(raws[2], t_r=0.735), atol=1e-5)
    mixed.save(tmp_path / "mixed.samba")
    again = read_samba(tmp_path / "mixed.samba")
    np.testing.assert_array_equal(again.predict(raws, t_r=t_rs)[2], frames[2])
    assert again.t_r == list(T_RS) and again.core_.noise.t_r.tolist() == sorted(T_RS)
    # Recordings that carry their time between frames can be split.
    tables = [pd.DataFrame(bold).add_prefix("region ") for bold in bolds]
    marked = []
    for raw, table, t_r in zip(raws, tables, t_rs, strict=True):
        table.attrs["t_r"] = t_r
        onsets = np.arange(len(table)) * t_r
        marked.append(raw.copy().set_annotations(mne.Annotations(onsets, 0, ["R"] * len(onsets))))
    people, told = [0, 1, 0, 1], SambaTranslator(model=MODEL, random_state=0)
    options = {"groups": people, "cv": LeaveOneGroupOut(), "error_score": "raise"}
    by_table = cross_val_score(told, raws, tables, **options)
    by_trigger = cross_val_score(
        SambaTranslator(model=MODEL, random_state=0, reader=Reader(volume_event="R")),
        marked, bolds, **options,
    )  # fmt: skip
    assert by_table.min() > 0.4
    np.testing.assert_allclose(by_trigger, by_table, atol=1e-6)
    result = evaluate(
        told, raws, tables, people, t_r=t_rs, baselines=[], nulls=("circular_shift",), n_shifts=19
    )
    score = result.target_scores(metric="spearman").mean()
    assert score == pytest.approx(by_table.mean(), abs=0.02)


def test_windows_say_theirs(world):
    parts = [
        make_windows(world["raws"][i], world["bolds"][i], t_r=t_r, window=20 * t_r, subject=str(i))
        for i, t_r in ((0, 2.0), (2, 0.735))
    ]
    epochs, y = [part[0] for part in parts], np.concatenate([part[1] for part in parts])
    model = SambaTranslator(model=MODEL, random_state=0).fit(epochs, y)
    assert model.core_.noise is not None and model.predict(epochs).shape == y.shape
    assert model.score(epochs, y) > 0.5


def test_what_needs_one_time_between_frames_says_so(world, mixed):
    raws, bolds = world["raws"][::2], world["bolds"][::2]
    with pytest.raises(ValueError, match=r"t_r has 2 values for 1 recordings.*predict\(X, t_r"):
        mixed.predict(raws[0])
    for t_rs in ([2.0, 0.735, 2.0], [2.0, 2.0, 2.0]):
        with pytest.raises(ValueError, match=r"t_r has 3 values for 2 recordings: .* by position"):
            SambaTranslator(t_r=t_rs, model=MODEL).fit(raws, bolds)
    with pytest.raises(ValueError, match=r"t_r has 2 values.*cross-validation.*attrs"):
        cross_val_score(mixed, world["raws"], world["bolds"], cv=4, error_score="raise")
    always = SambaModel(corrections="always", unmix=None)
    with pytest.raises(ValueError, match=r'0.735, 2 s.*corrections="auto".*harmonize'):
        SambaTranslator(t_r=list(T_RS), model=always).fit(raws, bolds)
    with pytest.raises(ValueError, match=r"t_r of 0.735, 2 s, but one t_r is needed"):
        SambaTranslator(t_r=list(T_RS), model="paper").fit(raws, bolds)
    tables = [pd.DataFrame(bold).add_prefix("region ") for bold in bolds]
    for table, t_r in zip(tables, T_RS, strict=True):
        table.attrs["t_r"] = t_r
    with pytest.raises(ValueError, match=r"one t_r is needed here.*SambaTranslator"):
        BandPowerRidge().fit(raws, tables)
    told = SambaTranslator(model=MODEL, random_state=0).fit(raws, tables)
    with pytest.raises(ValueError, match=r"fit saw t_r of 0.735, 2 s, so give t_r"):
        told.predict(raws[0])
