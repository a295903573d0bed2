"""Power of wavelet coefficients between frames: what it is, where it is unknown, how it scales."""

import numpy as np
import pandas as pd
import pytest

from mne_samba.data.power import LowRateGrid
from mne_samba.data.recordings import Recordings
from mne_samba.data.segments import Segment
from mne_samba.models.chunk_power import ChunkPower, LevelScaler, samples_of
from mne_samba.nn.paper import level_sizes

T_R = 2.0


def recording(signal, sfreq, start, n_frames, bad=None):
    """One recording whose first frame comes ``start`` s after its first sample."""
    bad = np.empty((0, 2)) if bad is None else np.asarray(bad)
    segment = Segment(lambda a, b: signal[:, a:b], signal.shape[1], start, T_R, n_frames, bad)
    table = pd.DataFrame({"subject": ["a"], "run": "", "recording": 0, "onset": 0.0, "frame": 0})
    names = [f"ch{i}" for i in range(len(signal))]
    return Recordings("recordings", [segment], sfreq, names, None, table, T_R)


@pytest.mark.parametrize("sfreq", [200.0, 250.0, 1000.0])
def test_power_of_levels_does_not_depend_on_the_sampling_rate(sfreq):
    """A tone of 9 Hz keeps its power and level when it was sampled faster."""
    n_chunks = 6
    times = np.arange(int(n_chunks * T_R * sfreq) + 7) / sfreq
    signal = np.sin(2 * np.pi * 9 * times)[None]
    rec = recording(signal, sfreq, 2 * T_R, n_chunks - 1)
    (power,) = ChunkPower(400, LowRateGrid(T_R, 1, 2)).measure(rec)
    assert power.shape == (1, 400, n_chunks)
    inner = power[0, :, 1:-1]
    # Half the squared amplitude per sample; nine tenths of it below 12.5 Hz.
    np.testing.assert_allclose(inner.sum(axis=0), 0.5 * 400, rtol=0.005)
    np.testing.assert_allclose(inner[:50].sum(axis=0) / inner.sum(axis=0), 0.918, atol=0.005)


def test_chunks_without_signal_and_bad_spans_are_left_out():
    signal = np.random.default_rng(0).standard_normal((2, 2000))
    rec = recording(signal, 100.0, 2.0, 8, bad=[[9.0, 9.5]])
    (power,) = ChunkPower(200, LowRateGrid(T_R, 1, 3)).measure(rec)
    missing = np.isnan(power).all(axis=(0, 1))
    np.testing.assert_array_equal(np.flatnonzero(missing), [0, 1, 6])
    assert np.isfinite(power[..., ~missing]).all()


def test_power_is_kept_and_found_again(tmp_path, monkeypatch):
    signal = np.random.default_rng(0).standard_normal((2, 2000))
    rec = recording(signal, 100.0, 4.0, 8)
    chunks = ChunkPower.of(100.0, T_R, 4.0)
    (first,) = chunks.measure(rec, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ChunkPower, "_of_segment", lambda *_: pytest.fail("measured again"))
        (again,) = chunks.measure(rec, tmp_path)
    np.testing.assert_array_equal(first, again)
    louder = recording(2 * signal, 100.0, 4.0, 8)
    np.testing.assert_allclose(chunks.measure(louder, tmp_path)[0], 4 * first, rtol=1e-6)


def test_chunks_are_tied_to_frames_and_long_enough():
    chunks = ChunkPower.of(1000.0, T_R, 30.0)
    # The paper's 200 Hz, by a whole factor.
    assert chunks.n_samples == 400 and chunks.grid == LowRateGrid(T_R, 1, 15)
    assert chunks.at(T_R) is chunks
    assert chunks.bands["A3"] == (0.0, 12.5) and chunks.bands["D1"] == (50.0, 100.0)
    with pytest.raises(ValueError, match="tied to the t_r"):
        chunks.at(1.0)
    with pytest.raises(ValueError, match="needs at least 16"):
        ChunkPower.of(4.0, T_R, 30.0)


@pytest.mark.parametrize("n_samples", range(16, 60))
def test_counts_of_samples_follow_from_those_of_coefficients(n_samples):
    sizes = level_sizes(n_samples)
    assert level_sizes(samples_of(sum(sizes))) == sizes


def test_a_level_has_the_spread_of_its_mean():
    rng = np.random.default_rng(0)
    sizes = level_sizes(32)
    level = np.repeat(np.arange(4), sizes)
    slow = 1 + 0.2 * rng.standard_normal((2, 4, 500))
    power = (slow[:, level] * rng.chisquare(1, (2, 32, 500))).astype(np.float32)
    scaler = LevelScaler().fit([power], [("a",)])
    (scaled,) = scaler.transform([power], [("a",)], "recordings")
    for i in range(4):
        mean = scaled[:, level == i].mean(axis=1)
        np.testing.assert_allclose(mean.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(mean.std(axis=1), 1, rtol=1e-4)
        # Coefficients of a level share its mean and spread.
        assert np.ptp(scaler.mean[:, :, level == i], axis=-1).max() == 0
    windows = scaler.transform([power], [("a",)], "windows")
    np.testing.assert_array_equal(windows[0], scaled)


def test_gradients_of_levels_are_sums_over_their_coefficients():
    chunks = ChunkPower(32, LowRateGrid(T_R, 1, 3))
    gradient = np.random.default_rng(0).standard_normal((5, 2, 32, 3))
    level = np.repeat(np.arange(4), level_sizes(32))
    found = chunks.by_band(gradient)
    assert found.shape == (5, 2, 4, 3)
    np.testing.assert_allclose(found[..., 1, :], gradient[..., level == 1, :].sum(axis=-2))
