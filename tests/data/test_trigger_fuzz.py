"""Tables of events as they should not be: frames within 10 ms of the truth, or refused."""

import mne
import numpy as np
import pytest

from mne_samba.windows import frame_times

SFREQ = 250.0


def rounded(times):
    return np.rint(np.asarray(times) * SFREQ) / SFREQ


def draw(rng):
    """A scan: repetition time, true starts of its volumes, and the markers that tell of them."""
    t_r = rng.choice([0.8, 1.0, 1.5, 2.0, 2.16, 3.0])
    n, first = int(rng.integers(30, 120)), rng.uniform(0.5, 20)
    drift = 1 + rng.uniform(-5e-5, 5e-5)
    true = first + drift * t_r * np.arange(n)
    return t_r, true, list(rounded(true))


def missing(rng, t_r, true, marks):
    for _ in range(rng.integers(1, 4)):
        marks.pop(rng.integers(len(marks)))
    return true, marks


def a_run_missing(rng, t_r, true, marks):
    at = rng.integers(1, len(marks) - 8)
    del marks[at : at + rng.integers(2, 7)]
    return true, marks


def doubled(rng, t_r, true, marks):
    at = rng.integers(len(marks))
    return true, sorted([*marks, marks[at] + rng.choice([0.0, 0.004, 0.3 * t_r, 0.5 * t_r])])


def one_astray(rng, t_r, true, marks):
    marks[rng.integers(len(marks))] += rng.uniform(-0.45, 0.45) * t_r
    return true, sorted(marks)


def a_few_late(rng, t_r, true, marks):
    for at in rng.choice(len(marks), size=max(1, len(marks) // 15), replace=False):
        marks[at] += rng.uniform(0, 0.09) * t_r
    return true, sorted(marks)


def gated(rng, t_r, true, marks):
    steps = rng.uniform(0.96, 1.04, len(true) - 1)
    true = true[0] + t_r * np.r_[0, np.cumsum(steps / steps.mean())]
    return true, list(rounded(true))


def samples_lost(rng, t_r, true, marks):
    """From some volume on the recording's clock is late by less than a tenth of t_r."""
    true = true - np.where(np.arange(len(true)) > rng.integers(3, len(true) - 3), 0.06 * t_r, 0)
    return true, list(rounded(true))


def paused(rng, t_r, true, marks):
    true = true + np.where(np.arange(len(true)) > rng.integers(3, len(true) - 3),
                           rng.uniform(0.2, 30), 0)  # fmt: skip
    return true, list(rounded(true))


def slices(rng, t_r, true, marks):
    n = int(rng.integers(3, 20))
    every = np.linspace(0, rng.uniform(0.3, 1.0) * t_r, n, endpoint=False)
    return true, list(rounded((np.asarray(true)[:, np.newaxis] + every).ravel()))


def heartbeats(rng, t_r, true, marks):
    beats = np.arange(0.3, true[-1], rng.choice([0.5, 0.9, 1.0, 2.0, 5.0]))
    return true, sorted([*marks, *rounded(beats)])


def units(rng, t_r, true, marks):
    return true, list(np.asarray(marks) * rng.choice([SFREQ, 1000.0, 1e-3]))


def as_it_should_be(rng, t_r, true, marks):
    return true, marks


KINDS = (
    missing, a_run_missing, doubled, one_astray, a_few_late, gated, samples_lost, paused, slices,
    heartbeats, units, as_it_should_be,
)  # fmt: skip
PER_KIND = 42  # 504 tables


def read(rng, kind):
    """Times of frames and true ones; None where the table is refused."""
    t_r, true, marks = draw(rng)
    true, marks = kind(rng, t_r, np.asarray(true), marks)
    length = int((true[-1] + 1.5 * t_r) * SFREQ)
    raw = mne.io.RawArray(np.zeros((1, length)), mne.create_info(1, SFREQ, "eeg"), verbose=False)
    inside = [m for m in marks if 0 <= m < length / SFREQ]
    raw.set_annotations(mne.Annotations(inside, 0.0, ["R128"] * len(inside)))
    try:
        return frame_times(raw, len(true), t_r=t_r, volume_event="R128"), true
    except ValueError:
        return None, true


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_wrong_time_is_never_accepted(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    accepted = 0
    for _ in range(PER_KIND):
        times, true = read(rng, kind)
        if times is not None:
            accepted += 1
            assert np.abs(times - true).max() < 0.01
    # Not by refusing all that comes.
    if kind in (as_it_should_be, a_few_late, gated):
        assert accepted > 0.8 * PER_KIND
