"""Forms of input that mean the same give the same; frame times, BAD spans, units and order."""

import itertools

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import assemble
from sklearn.base import clone

from mne_samba import make_windows
from mne_samba._checks import as_float_array
from mne_samba.baselines import BandPowerRidge

OPTIONS = {"t_r": 2.0, "corrections": "never", "core": "quick", "random_state": 0}


def translator(**options):
    return assemble(**{**OPTIONS, **options})


def raw_of(data, like):
    return mne.io.RawArray(data, like.info.copy(), verbose="ERROR")


@pytest.fixture(scope="module")
def base(people):
    return translator().fit(people.raws[:2], people.bolds[:2])


@pytest.fixture(scope="module")
def expected(base, people):
    return base.predict(people.raws[2])


def agree(pred, expected, tol=1e-5):
    """Equal to a share ``tol`` of the predictions' spread."""
    spread = np.std(expected, axis=0).max()
    assert spread > 0.1
    np.testing.assert_allclose(pred, expected, rtol=0, atol=tol * spread)


def test_raw_and_arrays_of_the_same_numbers_agree(people, expected):
    arrays = [raw.get_data() for raw in people.raws]
    model = translator(sfreq=people.sfreq).fit(arrays[:2], people.bolds[:2])
    pred = model.predict(arrays[2:])
    assert isinstance(pred, list)
    agree(pred[0], expected)
    packed = np.empty(2, dtype=object)
    packed[:] = arrays[:2]
    agree(clone(model).fit(packed, people.bolds[:2]).predict(arrays[2:])[0], expected)


def test_epochs_lists_of_epochs_and_arrays_agree(windows):
    epochs, y, _ = windows
    model = translator().fit(epochs[:9], y[:9])
    pred = model.predict(epochs[9:12])
    assert pred.shape == (3, 20, 10)
    parts = [epochs[i] for i in range(9)]
    agree(clone(model).fit(parts, y[:9]).predict(epochs[9:12]), pred)
    agree(model.predict([epochs[i] for i in range(9, 12)]), pred)
    # One recording, as in arrays: metadata that names others would scale by recording.
    same = epochs[:9].copy()
    same.metadata = None
    plain = translator().fit(same, y[:9])
    held = epochs[9:12].copy()
    held.metadata = None
    data = epochs.get_data()
    for tmin in (-30.0, None):
        arrays = translator(sfreq=100.0, tmin=tmin).fit(data[:9], y[:9])
        agree(arrays.predict(data[9:12]), plain.predict(held))


def test_epochs_with_more_context_agree(people):
    kwargs = {"t_r": 2.0, "window": 40.0}
    short, y = make_windows(people.raws[:2], people.bolds[:2], context=30.0, **kwargs)
    long, _ = make_windows(people.raws[:2], people.bolds[:2], context=70.0, **kwargs)
    places = [list(zip(e.metadata["recording"], e.metadata["frame"], strict=True))
              for e in (short, long)]  # fmt: skip
    shared = [place in places[1] for place in places[0]]
    assert sum(shared) == len(long) > 10
    model = translator().fit(short, y)
    agree(model.predict(long), model.predict(short)[shared], 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, object])
def test_numbers_are_cast(people, expected, dtype):
    scale = 1e12 if dtype is np.int64 else 1.0  # whole picovolts
    arrays = [(scale * raw.get_data()).astype(dtype) for raw in people.raws]
    bolds = [b.astype(object if dtype is object else np.float32) for b in people.bolds]
    model = translator(sfreq=people.sfreq).fit(arrays[:2], bolds[:2])
    agree(model.predict(arrays[2:])[0], expected, 1e-3)


def test_read_only_and_fortran_arrays(people, expected):
    arrays = [np.asfortranarray(raw.get_data()) for raw in people.raws]
    bolds = [np.asfortranarray(b) for b in people.bolds]
    for array in (*arrays, *bolds):
        array.setflags(write=False)
    model = translator(sfreq=people.sfreq).fit(arrays[:2], bolds[:2])
    agree(model.predict(arrays[2:])[0], expected)


@pytest.mark.parametrize("factor", [1e6, 1e-8])
def test_units_of_the_signal_do_not_matter(people, expected, factor):
    raws = [raw_of(factor * raw.get_data(), raw) for raw in people.raws]
    agree(translator().fit(raws[:2], people.bolds[:2]).predict(raws[2]), expected, 1e-3)


def test_scale_and_offset_of_bold_return_in_predictions(people, expected):
    bolds = [100 + 5 * b for b in people.bolds]
    pred = translator().fit(people.raws[:2], bolds[:2]).predict(people.raws[2])
    agree(pred, 100 + 5 * expected)


def test_a_constant_added_to_bold_shifts_predictions(people, expected):
    shift = np.arange(10.0) * 3
    pred = translator().fit(people.raws[:2], [b + shift for b in people.bolds[:2]])
    agree(pred.predict(people.raws[2]), expected + shift)


def test_offset_of_the_signal_does_not_matter(people, expected):
    raws = [raw_of(raw.get_data() + 1e-3, raw) for raw in people.raws]
    agree(translator().fit(raws[:2], people.bolds[:2]).predict(raws[2]), expected, 1e-3)


def test_permuting_channels_permutes_what_is_learnt(base, people, expected):
    order = np.random.default_rng(0).permutation(8)
    names = [people.raws[0].ch_names[i] for i in order]
    moved = [raw.copy().reorder_channels(names) for raw in people.raws]
    model = translator().fit(moved[:2], people.bolds[:2])
    assert model.ch_names_in_ == names
    np.testing.assert_allclose(model.band_attention_, base.band_attention_[order], atol=1e-4)
    np.testing.assert_allclose(model.band_gain_, base.band_gain_[order], atol=1e-4)
    agree(model.predict(moved[2]), expected, 1e-4)
    # A fitted model finds its channels by name, wherever they are.
    agree(base.predict(moved[2]), expected, 1e-6)


def test_permuting_regions_permutes_predictions(people, expected):
    order = np.random.default_rng(1).permutation(10)
    model = translator().fit(people.raws[:2], [b[:, order] for b in people.bolds[:2]])
    agree(model.predict(people.raws[2]), expected[:, order], 1e-3)


def test_order_of_recordings_does_not_matter(people, expected):
    model = translator().fit(people.raws[1::-1], people.bolds[1::-1])
    agree(model.predict(people.raws[2]), expected, 1e-3)


def test_bad_channels_and_other_types_are_left_out(base, people, expected):
    raws = []
    for raw in people.raws:
        raw = raw.copy()
        info = mne.create_info(["broken", "ECG"], raw.info["sfreq"], ["eeg", "ecg"])
        extra = mne.io.RawArray(np.zeros((2, raw.n_times)), info, verbose="ERROR")
        raw.add_channels([extra], force_update_info=True)
        raw.info["bads"] = ["broken"]
        raws.append(raw)
    model = translator().fit(raws[:2], people.bolds[:2])
    assert model.ch_names_in_ == base.ch_names_in_
    agree(model.predict(raws[2]), expected, 1e-6)


def test_picks_choose_channels(people):
    names = people.raws[0].ch_names[2:5]
    model = translator(picks=names).fit(people.raws[:2], people.bolds[:2])
    assert model.ch_names_in_ == names and model.band_attention_.shape == (3, 5)
    alone = [raw.copy().pick(names) for raw in people.raws]
    direct = translator().fit(alone[:2], people.bolds[:2])
    agree(model.predict(people.raws[2]), direct.predict(alone[2]), 1e-6)


def test_matching_keeps_common_channels(people):
    raws = [people.raws[0].copy().drop_channels(people.raws[0].ch_names[0]), people.raws[1]]
    model = translator(channels="match").fit(raws, people.bolds[:2])
    assert model.ch_names_in_ == people.raws[0].ch_names[1:]
    assert model.predict(people.raws[2]).shape == (200, 10)


def test_region_names_travel(people):
    frames = [pd.DataFrame(b, columns=people.target_names) for b in people.bolds]
    model = translator().fit(people.raws[:2], frames[:2])
    assert model.target_names_in_ == list(people.target_names)
    assert list(model.hrf_params_.index) == list(people.target_names)
    epochs, y = make_windows(people.raws[0], frames[0], t_r=2.0, window=40.0)
    assert translator().fit(epochs, y).target_names_in_ == list(people.target_names)


def delayed(raw, seconds):
    """The recording, some seconds of its end before it."""
    data = raw.get_data()
    return raw_of(np.hstack([data[:, -round(seconds * raw.info["sfreq"]) :], data]), raw)


@pytest.mark.parametrize(
    "timing",
    [{"first_volume": 7.0}, {"n_dummy": 4}, {"slice_time_ref": 0.5},
     {"first_volume": 2.5, "n_dummy": 2, "slice_time_ref": 0.25}],
)  # fmt: skip
def test_frame_times_shift_with_volumes_dummies_and_slices(base, people, timing):
    """An equally delayed recording gives identical predictions."""
    parts = {"first_volume": 1.0, "n_dummy": 2.0, "slice_time_ref": 2.0}
    shift = sum(parts[name] * value for name, value in timing.items())
    late = delayed(people.raws[2], shift)
    told = translator(**timing)
    vars(told).update({k: v for k, v in vars(base).items() if k.endswith("_") or k[0] == "_"})
    pred = told.predict(late)
    known = slice(15, 199)
    # The other start changes the recording's own scale, and what the filters see before it.
    r = [
        np.corrcoef(a, b)[0, 1]
        for a, b in zip(pred[known].T, base.predict(people.raws[2])[known].T, strict=True)
    ]
    assert min(r) > 0.995
    missed = base.predict(late)[known]
    if shift >= 1:
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(pred[known].T, missed.T, strict=True)]
        assert max(r) < 0.99


def test_triggers_say_the_same_as_first_volume(base, people):
    late = [delayed(raw, 6.0) for raw in people.raws]
    marked = [raw.copy() for raw in late]
    for raw in marked:
        raw.set_annotations(mne.Annotations(6.0 + 2.0 * np.arange(200), 0.0, "volume"))
    by_time = translator(first_volume=6.0).fit(late[:2], people.bolds[:2])
    by_event = translator(volume_event="volume").fit(marked[:2], people.bolds[:2])
    agree(by_event.predict(marked[2]), by_time.predict(late[2]), 1e-4)


@pytest.mark.parametrize("how", ["zeros", "artefact", "nan"])
@pytest.mark.parametrize("cropped", [False, True])
def test_what_bad_spans_hold_does_not_matter(people, how, cropped):
    spans = [(100.0, 3.0), (250.5, 0.25), (0.0, 1.0), (395.0, 5.0)]
    rng = np.random.default_rng(0)
    clean, spoilt = [], []
    for raw in people.raws:
        raw = raw.copy()
        data = raw.get_data()
        for onset, duration in spans:
            where = slice(round(onset * 100), round((onset + duration) * 100))
            size = data[:, where].shape
            data[:, where] = {
                "zeros": 0.0, "artefact": rng.normal(0, 1e-2, size), "nan": np.nan
            }[how]  # fmt: skip
        other = raw_of(data, raw)
        for one in (raw, other):
            one.set_annotations(mne.Annotations(*zip(*spans, strict=True), "BAD_artefact"))
        if cropped:  # annotations stay in the time of the measurement
            raw, other = raw.crop(20.0, None), other.crop(20.0, None)
        clean.append(raw)
        spoilt.append(other)
    bolds = [b[10:] if cropped else b for b in people.bolds]
    models = [translator().fit(raws[:2], bolds[:2]) for raws in (clean, spoilt)]
    np.testing.assert_array_equal(models[0].core_.weights, models[1].core_.weights)
    pred = [m.predict(raws[2]) for m, raws in zip(models, (clean, spoilt), strict=True)]
    np.testing.assert_array_equal(pred[0], pred[1])
    assert np.isfinite(pred[0]).all()


def test_frames_after_bad_spans_have_no_weight(people):
    raws = [raw.copy() for raw in people.raws[:2]]
    for raw in raws:
        raw.set_annotations(mne.Annotations(100.0, 10.0, "BAD"))
    # Their 30 s of history overlap 100 to 110 s; before 30 s there is no history at all.
    touched = np.r_[0:15, 51:70]
    wild = [b.copy() for b in people.bolds[:2]]
    for b in wild:
        b[touched] = 1e3 * np.random.default_rng(0).standard_normal((len(touched), 10))
    plain, same = (translator().fit(raws, y) for y in (people.bolds[:2], wild))
    np.testing.assert_array_equal(plain.y_scale_, same.y_scale_)
    np.testing.assert_array_equal(plain.predict(people.raws[2]), same.predict(people.raws[2]))
    assert plain.score(raws, people.bolds[:2]) == same.score(raws, wild)
    # One frame more, and they differ.
    wild[0][70] = 1e3
    other = translator().fit(raws, wild)
    assert not np.array_equal(plain.predict(people.raws[2]), other.predict(people.raws[2]))


def test_scrubbed_frames_have_no_weight(people, expected):
    scrubbed = [b.copy() for b in people.bolds[:2]]
    for i, b in enumerate(scrubbed):
        b[40 + i : 46] = np.nan
    model = translator().fit(people.raws[:2], scrubbed)
    pred = model.predict(people.raws[2])
    r = [np.corrcoef(x, z)[0, 1] for x, z in zip(pred.T, expected.T, strict=True)]
    assert min(r) > 0.97 and not np.array_equal(pred, expected)
    # The score leaves them out, whatever is predicted there: others count in full.
    scores = model.score_targets(people.raws[:2], scrubbed)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(
        scores, model.score_targets(people.raws[:2], people.bolds[:2]), atol=0.05
    )


def test_volumes_before_steady_state_do_no_harm(people, expected):
    bolds = [b.copy() for b in people.bolds[:2]]
    for b in bolds:
        b[:3] += [[400.0], [100.0], [30.0]]
    model = translator().fit(people.raws[:2], bolds)
    np.testing.assert_array_equal(model.predict(people.raws[2]), expected)


def test_windows_and_recordings_predict_the_same_frames(people):
    model = translator().fit(people.raws[:2], people.bolds[:2])
    raw = people.raws[0]
    epochs, _ = make_windows(raw, people.bolds[0], t_r=2.0, window=40.0, context=40.0)
    whole = model.predict(raw)
    pieces = model.predict(epochs)
    for frame, piece in zip(epochs.metadata["frame"], pieces, strict=True):
        part = whole[frame : frame + 20]
        # Windows of a recording that is new by name are scaled by what training saw of all, and
        # the filters at their ends see less: time courses agree, not every digit.
        r = [np.corrcoef(x, z)[0, 1] for x, z in zip(part.T, piece.T, strict=True)]
        assert np.median(r) > 0.98


def test_windows_of_any_overlap_predict_the_same(people):
    apart, y = make_windows(people.raws[:2], people.bolds[:2], t_r=2.0, window=40.0)
    model = translator().fit(apart, y)
    dense, _ = make_windows(people.raws[2], people.bolds[2], t_r=2.0, window=40.0, step=20.0)
    pred = model.predict(dense)
    for first, second in itertools.pairwise(pred):
        r = [np.corrcoef(x, z)[0, 1] for x, z in zip(first[10:].T, second[:10].T, strict=True)]
        assert np.median(r) > 0.98


@pytest.mark.parametrize("named", [True, False])
def test_onsets_place_windows_whose_frames_are_not_told(people, named):
    """Overlapping windows out of order, from a pipeline that knows seconds alone."""
    epochs, y = make_windows(people.raws[0], people.bolds[0], t_r=2.0, window=40.0, step=20.0)
    expected = BandPowerRidge(t_r=2.0).fit(epochs, y)
    order = np.random.default_rng(0).permutation(len(y))
    epochs, y = epochs[order], y[order]
    epochs.metadata = epochs.metadata[["subject", "onset"] if named else ["onset"]]
    found = BandPowerRidge(t_r=2.0).fit(epochs, y)
    agree(found.coef_, expected.coef_, 1e-6)
    assert found.score(epochs, y) == pytest.approx(expected.score(epochs, y), abs=0.01)


def test_what_is_masked_is_not_read(people, expected):
    """Masked frames are scrubbed frames; NumPy would hand out what lies below the mask."""
    scrubbed = [bold.copy() for bold in people.bolds[:2]]
    scrubbed[0][30:34] = np.nan
    masked = np.ma.masked_invalid(scrubbed[0])
    masked.data[30:34] = 1e5
    pred = translator().fit(people.raws[:2], [masked, scrubbed[1]]).predict(people.raws[2])
    agree(pred, translator().fit(people.raws[:2], scrubbed).predict(people.raws[2]))
    masked[50, 0] = np.ma.masked
    with pytest.raises(ValueError, match=r"y\[0\] has NaN in some regions of frames \[50\]"):
        translator().fit(people.raws[:2], [masked, scrubbed[1]])
    signal = np.ma.array(people.raws[0].get_data())
    signal[1, 500:600] = np.ma.masked
    with pytest.raises(ValueError, match=r"X\[0\] contains NaN.* in channels \['ch001'\]"):
        translator(sfreq=people.sfreq).fit([signal], people.bolds[:1])
    windows = [np.ma.array(np.zeros((2, 2))), np.ma.masked_all((2, 2))]
    assert np.isnan(as_float_array(windows, "y")).sum() == 4


def test_missing_values_of_pandas_are_scrubbed_frames(people):
    scrubbed = [bold.copy() for bold in people.bolds[:2]]
    scrubbed[0][30:34] = np.nan
    tables = [pd.DataFrame(bold).convert_dtypes() for bold in scrubbed]
    assert tables[0].iloc[30, 0] is pd.NA
    pred = translator().fit(people.raws[:2], tables).predict(people.raws[2])
    agree(pred, translator().fit(people.raws[:2], scrubbed).predict(people.raws[2]))


@pytest.mark.parametrize(
    ("X", "y", "error", "said"),
    [
        (None, [np.array([[10**400], [1]], dtype=object)], ValueError, "beyond what a float"),
        ([np.zeros((0, 24000))], None, ValueError, r"X\[0\] is empty: its shape is \(0, 24000\)"),
        ([np.zeros((24000, 6))], [np.zeros((120, 2))], ValueError,
         r"shape \(24000, 6\).* Expected \(n_channels, n_times\): transpose it"),
        (mne.EvokedArray(np.zeros((1, 9)), mne.create_info(1, 9.0)), None, TypeError,
         "X must be mne.Epochs.*; got EvokedArray of MNE"),
    ],
)  # fmt: skip
def test_strangers_are_refused_by_name(people, X, y, error, said):
    X = people.raws[:1] if X is None else X
    with pytest.raises(error, match=said):
        translator(sfreq=100.0).fit(X, people.bolds[:1] if y is None else y)


def test_windows_in_other_units_are_noticed(people):
    """Windows keep the scale of training: microvolts after volts would predict 1e12 times BOLD."""
    cut = {"t_r": 2.0, "window": 40.0}
    model = translator().fit(*make_windows(people.raws[0], people.bolds[0], **cut))
    micro = raw_of(1e6 * people.raws[1].get_data(), people.raws[1])
    windows, _ = make_windows(micro, people.bolds[1], subject="b", **cut)
    with pytest.warns(RuntimeWarning, match=r"about 1e\+12 times that of training.*volts"):
        model.predict(windows)
