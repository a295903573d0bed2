"""Volumes that come irregularly keep their own times, in recordings, windows and drives."""

import pickle

import mne
import numpy as np
import pytest

from mne_samba import LearnableHRF, Reader, SambaTranslator, WaveletBandAttention, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.windows import frame_times

SFREQ, N = 100.0, 240


def gated(half, seed=0):
    """Starts of volumes 2 s apart, give or take ``half`` seconds, and their mean spacing."""
    starts = 10 + np.cumsum(np.random.default_rng(seed).uniform(2 - half, 2 + half, N))
    return starts, float(np.polyfit(np.arange(N), starts, 1)[0])


def recording(starts):
    """Amplitude-modulated 10 Hz; BOLD is the modulation 5 s before each volume, exactly then."""
    t = np.arange(0, starts[-1] + 12, 1 / SFREQ)
    rng = np.random.default_rng(1)
    slow = sum(
        np.sin(2 * np.pi * f * t + p)
        for f, p in zip(rng.uniform(0.05, 0.2, 12), rng.uniform(0, 6.3, 12), strict=True)
    )
    carrier = np.sin(2 * np.pi * 10 * t)
    data = np.vstack([(4 + slow) * carrier, rng.standard_normal(len(t))])
    data = 1e-6 * (data + 0.1 * rng.standard_normal(data.shape))
    raw = mne.io.RawArray(data, mne.create_info(["Oz", "Fz"], SFREQ, "eeg"), verbose=False)
    raw.set_annotations(mne.Annotations(starts, 0.0, "R128"))
    return raw, np.interp(starts - 5.0, t, slow)[:, np.newaxis]


@pytest.fixture(scope="module")
def irregular():
    starts, t_r = gated(0.15)
    return *recording(starts), starts, t_r


READER = Reader(volume_event="R128", detrend=None)


def test_recordings_keep_the_times_of_their_frames(irregular):
    raw, _, starts, t_r = irregular
    (segment,) = READER.read(raw, t_r).segments
    np.testing.assert_allclose(segment.frame_times, starts, atol=1e-9)
    np.testing.assert_allclose(frame_times(raw, N, t_r=t_r, volume_event="R128"), starts)
    line = segment.frame_start + segment.frame_step * np.arange(N)
    assert np.abs(line - starts).max() > 0.5


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # MNE's reader under pandas 3.1
def test_windows_carry_the_times_of_their_frames(irregular, tmp_path):
    raw, bold, starts, t_r = irregular
    epochs, y = make_windows(raw, bold, t_r=t_r, window=20.0, context=10.0, reader=READER)
    epochs.save(tmp_path / "w-epo.fif", verbose=False)
    read = mne.read_epochs(tmp_path / "w-epo.fif", verbose=False)
    for same in (epochs, pickle.loads(pickle.dumps(epochs)), read, epochs[3:]):
        rec = Reader().read_pair(same, y[-len(same) :], t_r)
        for segment, (onset, frame) in zip(
            rec.segments, same.metadata[["onset", "frame"]].to_numpy(), strict=True
        ):
            k = int(frame) + np.arange(y.shape[1])
            mine = onset + segment.frame_times - segment.frame_start
            np.testing.assert_allclose(mine, starts[k], atol=2e-6)


@pytest.mark.parametrize("kind", ["recordings", "windows"])
@pytest.mark.parametrize("model", ["ridge", "core"])
def test_what_depends_on_time_is_found_as_on_a_regular_grid(irregular, kind, model):
    scores = {}
    for name, (starts, t_r) in {"even": gated(0.0), "gated": gated(0.15)}.items():
        raw, bold = recording(starts)
        X, y, reader = [raw], [bold], READER
        if kind == "windows":
            X, y = make_windows(raw, bold, t_r=t_r, window=40.0, reader=READER)
            reader = Reader(detrend=None)
        if model == "ridge":
            est = BandPowerRidge(t_r=t_r, hrf="fir", reader=reader)
        else:
            est = SambaTranslator(t_r=t_r, model="core", reader=reader, random_state=0)
        scores[name] = est.fit(X, y).score(X, y)
    assert scores["gated"] > 0.97 * scores["even"] > 0.8


@pytest.mark.filterwarnings("ignore:Frames of BOLD lie on a regular grid")
def test_a_line_would_lose_it(irregular):
    raw, bold, starts, t_r = irregular
    reader = Reader(first_volume=float(starts[0]), detrend=None)
    line = BandPowerRidge(t_r=t_r, hrf="fir", reader=reader).fit([raw], [bold])
    own = BandPowerRidge(t_r=t_r, hrf="fir", reader=READER).fit([raw], [bold])
    left = [1 - est.score([raw], [bold]) ** 2 for est in (own, line)]
    assert left[0] < 0.7 * left[1]


def test_drives_hand_the_times_on(irregular):
    raw, bold, starts, t_r = irregular
    drive = WaveletBandAttention(t_r=t_r, reader=READER).fit([raw], [bold]).transform([raw])
    rec = Reader().read_pair(drive, [bold], t_r)
    np.testing.assert_allclose(rec.segments[0].frame_times, starts, atol=1e-9)
    epochs, y = make_windows(raw, bold, t_r=t_r, window=40.0, reader=READER)
    drive = WaveletBandAttention(t_r=t_r).fit(epochs, y).transform(epochs)
    late = np.stack(epochs.metadata["late"])
    np.testing.assert_array_equal(drive[2:].late, late[2:])
    fitted = LearnableHRF(t_r=t_r, reader=Reader(detrend=None)).fit(drive, y)
    assert fitted.score(drive, y) > 0.8


def test_cached_power_knows_irregular_frames(irregular, tmp_path):
    raw, bold, _, t_r = irregular
    kept = Reader(volume_event="R128", detrend=None, memory=tmp_path)
    straight = raw.copy().set_annotations(mne.Annotations(gated(0.0)[0], 0.0, "R128"))
    for one, spacing in ((straight, 2.0), (raw, t_r)):
        plain = BandPowerRidge(t_r=spacing, reader=READER).fit([one], [bold])
        cached = BandPowerRidge(t_r=spacing, reader=kept).fit([one], [bold])
        np.testing.assert_array_equal(cached.coef_, plain.coef_)


def test_windows_that_outgrow_their_signal_are_refused():
    starts = 10 + np.r_[0, np.cumsum(np.repeat([1.85, 2.15], N // 2))]
    raw, bold = recording(starts)
    with pytest.raises(ValueError, match="use shorter windows"):
        make_windows(raw, bold, t_r=2.0, window=60.0, reader=READER)
