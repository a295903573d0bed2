"""Property-based tests: shapes, rates, missing data, dtypes and names; and what must not matter."""

import warnings

import numpy as np
import pandas as pd
import pytest
from assemble import assemble, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mne_samba import Reader
from mne_samba.baselines import BandPowerRidge
from mne_samba.hrf import convolve_frames
from mne_samba.io._harmonize import resample_bold

FEW = settings(
    max_examples=12, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
MANY = settings(FEW, max_examples=80)
QUICK = {
    "corrections": "never",
    "core": "quick",
    "window": 20.0,
    "random_state": 0,
    "verbose": "ERROR",
}


def paired(seed, n_recordings, n_channels, n_targets, sfreq, t_r, seconds):
    rng = np.random.default_rng(seed)
    n_times = round(seconds * sfreq)
    n_frames = int(n_times / sfreq / t_r + 1e-6)
    X = [1e-5 * rng.standard_normal((n_channels, n_times)) for _ in range(n_recordings)]
    y = [rng.standard_normal((n_frames, n_targets)) for _ in range(n_recordings)]
    return X, y


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.slow
@FEW
@given(
    seed=st.integers(0, 2**31), n_recordings=st.integers(1, 3), n_channels=st.integers(1, 4),
    n_targets=st.integers(1, 4), sfreq=st.sampled_from([40.0, 64.0, 99.7, 128.0]),
    t_r=st.floats(0.5, 4.0), seconds=st.floats(80.0, 130.0),
    scrubbed=st.floats(0.0, 0.6), dtype=st.sampled_from(["float64", "float32", "int16", "object"]),
    columns=st.lists(names, min_size=4, max_size=4, unique=True), lacks=st.booleans(),
)  # fmt: skip
def test_any_reasonable_data_is_learnt_from(
    seed, n_recordings, n_channels, n_targets, sfreq, t_r, seconds, scrubbed, dtype, columns, lacks
):
    X, y = paired(seed, n_recordings, n_channels, n_targets, sfreq, t_r, seconds)
    rng = np.random.default_rng(seed)
    X = [(x * 1e8).astype(dtype) if dtype == "int16" else x.astype(dtype) for x in X]
    for bold in y:
        bold[rng.random(len(bold)) < scrubbed] = np.nan
    if lacks and n_recordings > 1 and n_targets > 1:
        y[0][:, 0] = np.nan
    y = [pd.DataFrame(bold, columns=columns[:n_targets]) for bold in y]
    translator = assemble(t_r=t_r, sfreq=sfreq, **QUICK)
    try:
        translator.fit(X, y)
    except ValueError as error:
        assert any(
            said in str(error)
            for said in ("nothing is left to fit", "No frame is left", "NaN only", "does not vary")
        ), error
        return
    assert translator.target_names_in_ == columns[:n_targets]
    for predicted, bold in zip(translator.predict(X), y, strict=True):
        assert predicted.shape == (len(bold), n_targets) and np.isfinite(predicted).all()
    np.testing.assert_allclose(translator.band_attention_.sum(axis=1), 1.0)
    assert translator.hrf_params_.shape == (n_targets, 6)


@pytest.fixture(scope="module")
def small(people):
    X = [raw.get_data()[:5] for raw in people.raws]
    return X, [bold[:, :4] for bold in people.bolds], people.sfreq


@pytest.fixture(scope="module")
def reference(small):
    X, y, sfreq = small
    return assemble(t_r=2.0, sfreq=sfreq, **QUICK).fit(X, y)


def refit(small, X=None, y=None, **options):
    own_X, own_y, sfreq = small
    translator = assemble(t_r=2.0, sfreq=sfreq, **{**QUICK, **options})
    return translator.fit(own_X if X is None else X, own_y if y is None else y)


def alike(a, b, tolerance=2e-3):
    """Equal up to rounding, in units of the prediction's spread."""
    for one, other in zip(a, b, strict=True):
        assert np.abs(one - other).max() <= tolerance * max(one.std(), 1e-9) + 1e-12


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(order=st.permutations(range(5)))
def test_permuted_channels_permute_attention_and_nothing_else(small, reference, order):
    X = [x[list(order)] for x in small[0]]
    permuted = refit(small, X=X)
    np.testing.assert_allclose(
        permuted.band_attention_, reference.band_attention_[list(order)], atol=2e-3
    )
    alike(permuted.predict(X), reference.predict(small[0]))


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(exponent=st.integers(-8, 8), mantissa=st.floats(1.0, 9.9))
def test_units_of_the_eeg_do_not_matter(small, reference, exponent, mantissa):
    scale = mantissa * 10.0**exponent
    X = [scale * x for x in small[0]]
    alike(refit(small, X=X).predict(X), reference.predict(small[0]))


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(offset=st.floats(-1e4, 1e4), gain=st.floats(0.01, 100.0))
def test_predictions_follow_the_scale_of_bold(small, reference, offset, gain):
    y = [gain * bold + offset for bold in small[1]]
    predicted = refit(small, y=y).predict(small[0])
    alike([(p - offset) / gain for p in predicted], reference.predict(small[0]), 1e-2)


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(order=st.permutations(range(3)))
def test_order_of_recordings_does_not_matter(small, reference, order):
    X, y = ([part[i] for i in order] for part in small[:2])
    alike(refit(small, X=X, y=y).predict(small[0]), reference.predict(small[0]))


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(order=st.permutations(range(4)))
def test_permuted_regions_are_predicted_permuted(small, reference, order):
    y = [bold[:, list(order)] for bold in small[1]]
    predicted = refit(small, y=y).predict(small[0])
    alike(predicted, [p[:, list(order)] for p in reference.predict(small[0])])


@pytest.mark.slow
@settings(FEW, max_examples=3)
@given(offset=st.floats(-1e3, 1e3))
def test_the_baseline_shifts_with_bold(small, offset):
    X, y, sfreq = small
    plain = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=sfreq)).fit(X, y)
    shifted = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=sfreq)).fit(
        X, [bold + offset for bold in y]
    )
    alike([p - offset for p in shifted.predict(X)], plain.predict(X), 1e-3)


@MANY
@given(
    seconds=st.floats(50.0, 300.0), t_r=st.floats(0.3, 5.0), sfreq=st.sampled_from([20.0, 51.2]),
    window=st.floats(5.0, 60.0), context=st.floats(0.0, 40.0), first=st.floats(0.0, 20.0),
    n_dummy=st.integers(0, 4), reference=st.floats(0.0, 1.0),
)  # fmt: skip
def test_windows_lie_where_they_say(
    seconds, t_r, sfreq, window, context, first, n_dummy, reference
):
    import mne

    n_times = int(seconds * sfreq)
    ramp = np.arange(n_times) / sfreq
    info = mne.create_info(["t", "n"], sfreq, "eeg")
    noise = np.random.default_rng(0).standard_normal(n_times)
    raw = mne.io.RawArray(np.vstack([ramp, noise]), info, verbose="ERROR")
    n_frames = int((seconds - first) / t_r) - n_dummy - 1
    bold = np.arange(max(n_frames, 0), dtype=float)[:, None]
    options = {
        "t_r": t_r, "window": window, "context": context, "first_volume": first,
        "n_dummy": n_dummy, "slice_time_ref": reference,
    }  # fmt: skip
    try:
        epochs, y = windows(raw, bold, **options)
    except ValueError as error:
        said = str(error)
        assert any(w in said for w in ("shorter than one", "is empty", "transpose", "holds no"))
        return
    table = epochs.metadata
    times = first + (n_dummy + table["frame"] + reference) * t_r
    np.testing.assert_allclose(table["onset"], times, atol=1e-9)
    np.testing.assert_array_equal(y[:, 0, 0], table["frame"])
    assert (np.diff(y[..., 0], axis=1) == 1).all()
    # Time 0 of an epoch is the sample nearest to its first frame.
    zero = int(np.argmin(np.abs(epochs.times)))
    np.testing.assert_allclose(epochs.get_data()[:, 0, zero], times, atol=0.5 / sfreq + 1e-9)
    assert (table["onset"] >= context - 1 / sfreq).all()


@MANY
@given(
    n_frames=st.integers(8, 80), old=st.floats(0.5, 4.0), ratio=st.floats(0.4, 2.5),
    lost=st.sets(st.integers(0, 79), max_size=10),
)  # fmt: skip
def test_resampled_bold_keeps_time_and_gaps(n_frames, old, ratio, lost):
    times = 3.0 + old * np.arange(n_frames)
    values = np.column_stack([np.full(n_frames, 7.0), times])
    lost = [i for i in lost if i < n_frames]
    values[lost] = np.nan
    if n_frames - len(lost) < 4:
        with pytest.raises(ValueError, match="too few to resample"):
            resample_bold(values, times, ratio * old)
        return
    new_times, out = resample_bold(values, times, ratio * old)
    assert new_times[0] == times[0] and new_times[-1] <= times[-1] + 1e-6
    kept = np.isfinite(out).all(axis=1)
    np.testing.assert_allclose(out[kept, 0], 7.0, rtol=1e-6)
    for time, good in zip(new_times, kept, strict=True):
        near = np.flatnonzero(np.abs(times - time) < old * (1 - 1e-5))
        assert good == (not set(near) & set(lost))


@MANY
@given(
    seed=st.integers(0, 1000), n_lags=st.integers(1, 12), n_frames=st.integers(1, 10),
    step=st.integers(1, 5), n_regions=st.integers(1, 3),
)  # fmt: skip
def test_convolution_is_the_sum_it_says(seed, n_lags, n_frames, step, n_regions):
    import torch

    rng = np.random.default_rng(seed)
    drive = rng.standard_normal((n_regions, n_lags + (n_frames - 1) * step))
    kernel = rng.standard_normal((n_regions, n_lags))
    out = convolve_frames(torch.as_tensor(drive), torch.as_tensor(kernel), step, 0.5).numpy()
    assert out.shape == (n_regions, n_frames)
    for k in range(n_frames):
        history = drive[:, k * step : k * step + n_lags][:, ::-1]
        np.testing.assert_allclose(out[:, k], 0.5 * (kernel * history).sum(axis=1), atol=1e-9)


@MANY
@given(data=st.binary(max_size=400))
def test_any_bytes_as_a_model_file_are_refused(data, tmp_path_factory):
    from mne_samba import read_samba

    path = tmp_path_factory.mktemp("bytes") / "model.samba"
    path.write_bytes(data)
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"model\.samba"):
        warnings.simplefilter("ignore")
        read_samba(path)
    assert [p.name for p in path.parent.iterdir()] == ["model.samba"]
