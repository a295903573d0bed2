import mne
import numpy as np
import pytest
from assemble import assemble
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from mne_samba.datasets._bids_tree import CHANNELS, write_bids_tree
from mne_samba.io import harmonize, read_bids_pair
from mne_samba.io._harmonize import resample_bold
from mne_samba.windows import frame_times


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Three people: other t_r, sampling rates and channels."""
    root = tmp_path_factory.mktemp("mixed") / "ds"
    tree = write_bids_tree(
        root, 3, t_r=[2.0, 1.5, 2.0], sfreq=[100.0, 128.0, 100.0],
        channels=[CHANNELS, CHANNELS[::-1], CHANNELS[:-1]],
    )  # fmt: skip
    return [
        read_bids_pair(root, s, "rest", masker=tree.atlas, confounds=None) for s in tree.subjects
    ]


def slow(times):
    return np.column_stack([np.sin(2 * np.pi * f * times) for f in (0.01, 0.03, 0.08)])


@pytest.mark.parametrize(("old", "new"), [(2.0, 2.5), (1.0, 2.0), (3.0, 2.0), (0.72, 2.0)])
def test_resampling_keeps_slow_fluctuations(old, new):
    times = 7.0 + old * np.arange(int(400 / old))
    new_times, values = resample_bold(slow(times), times, new)
    assert new_times[0] == times[0] and new_times[-1] <= times[-1] + 1e-9
    np.testing.assert_allclose(np.diff(new_times), new)
    inside = slice(10, -10)
    np.testing.assert_allclose(values[inside], slow(new_times)[inside], atol=0.06)


def test_resampling_does_not_alias():
    times = np.arange(400) * 1.0
    fast = np.sin(2 * np.pi * 0.4 * times)[:, None]
    _, values = resample_bold(fast, times, 2.0)
    # Without a filter, every second frame would show 0.1 Hz at full amplitude.
    assert np.abs(values[20:-20]).max() < 0.05


def test_resampling_keeps_what_was_not_measured():
    times = np.arange(100) * 2.0
    values = slow(times)
    values[40:43] = np.nan
    values[:, 1] = np.nan
    new_times, out = resample_bold(values, times, 2.5)
    assert np.isnan(out[:, 1]).all()
    lost = np.isnan(out[:, 0])
    np.testing.assert_array_equal(lost, (new_times > 78.0) & (new_times < 86.0))


def test_mixed_people_come_to_one_rate(mixed):
    pairs = harmonize(mixed)
    assert {p.t_r for p in pairs} == {2.0} and {p.raw.info["sfreq"] for p in pairs} == {100.0}
    for pair, before in zip(pairs, mixed, strict=True):
        times = frame_times(
            pair.raw, len(pair.bold), t_r=pair.t_r, volume_event=pair.reader.volume_event
        )
        np.testing.assert_allclose(times, pair.frame_times, atol=1e-3)
        assert pair.frame_times[0] == before.frame_times[0]
        assert pair.bold.attrs["t_r"] == 2.0 and before.bold.attrs["t_r"] == before.t_r
    assert pairs[1].provenance["resampled_from_t_r"] == 1.5
    assert pairs[1].provenance["resampled_from_sfreq"] == 128.0
    assert pairs[0].raw is mixed[0].raw and mixed[1].t_r == 1.5


@pytest.mark.parametrize("channels", ["match", "interpolate"])
def test_a_model_of_mixed_people_predicts_each_at_their_own_rate(mixed, channels):
    pairs = harmonize(mixed)
    raws, bolds = [p.raw for p in pairs], [p.bold for p in pairs]
    translator = assemble(
        channels=channels,
        corrections="never",
        core="quick",
        random_state=0,
        t_r=pairs[0].t_r,
        volume_event=pairs[0].reader.volume_event,
    )
    with mne.utils.catch_logging() as log, mne.use_log_level("INFO"):
        translator.fit(raws[1:], bolds[1:])
    said = "7 channels are shared and kept" if channels == "match" else "Interpolated channels"
    assert said in log.getvalue()
    assert translator.score(raws[:1], bolds[:1]) > 0.15
    # At the repetition time of a scanner that training did not see.
    translator.set_params(t_r=1.5)
    own = mixed[1].raw.copy().load_data().resample(100.0)
    predicted = translator.predict(own)
    assert predicted.shape == mixed[1].bold.shape
    assert translator.score([own], [mixed[1].bold]) > 0.15


def test_it_survives_the_splitters_of_sklearn(mixed):
    pairs = harmonize(mixed)
    translator = assemble(
        channels="interpolate",
        corrections="never",
        core="quick",
        random_state=0,
        t_r=pairs[0].t_r,
        volume_event=pairs[0].reader.volume_event,
    )
    scores = cross_val_score(
        translator, [p.raw for p in pairs], [p.bold for p in pairs], cv=LeaveOneGroupOut(),
        groups=[p.subject for p in pairs],
    )  # fmt: skip
    assert scores.shape == (3,) and scores.mean() > 0.15


def test_frames_are_not_invented(mixed):
    with pytest.raises(ValueError, match=r"^t_r=0\.002 s is less than a tenth of the 2 s.*seconds"):
        harmonize(mixed, t_r=0.002)


def test_nothing_to_harmonize():
    with pytest.raises(ValueError, match="pairs is empty"):
        harmonize([])


def test_channels_and_regions_that_all_share(mixed):
    with mne.utils.catch_logging() as log, mne.use_log_level("INFO"):
        pairs = harmonize(mixed, channels="match", sfreq=64.0)
    assert "7 channels kept, dropped ['O2']" in log.getvalue()
    assert all(p.raw.ch_names == mixed[2].raw.ch_names for p in pairs)
    lacking = [mixed[0], mixed[2]]
    lacking[1] = type(mixed[2])(**{
        **vars(mixed[2]),
        "bold": mixed[2].bold.iloc[:, 1:],
    })  # fmt: skip
    first, second = harmonize(lacking)
    assert list(first.bold.columns) == list(second.bold.columns)
    assert second.bold.iloc[:, 0].isna().all() and not first.bold.isna().any(axis=None)
