"""Generated inputs: right shapes out, or an error of a documented kind; nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mne_samba import SambaTranslator
from mne_samba.baselines import BandPowerRidge

CORRUPTIONS = (
    "none", "none", "nan", "inf", "flat", "copy", "nan cell", "scrub", "swap", "short bold",
    "long bold", "text", "complex", "fewer", "empty", "one dimension", "objects", "float16",
)  # fmt: skip


@st.composite
def worlds(draw):
    """Recordings and BOLD of any size, and what is wrong with them."""
    return {
        "n_recordings": draw(st.integers(1, 3)),
        "n_channels": draw(st.integers(1, 5)),
        "n_targets": draw(st.integers(1, 6)),
        "sfreq": draw(st.floats(12.0, 250.0)),
        "t_r": draw(st.floats(0.3, 6.0)),
        "duration": draw(st.floats(20.0, 150.0)),
        "window": draw(st.sampled_from([10.0, 60.0])),
        "corruption": draw(st.sampled_from(CORRUPTIONS)),
        "seed": draw(st.integers(0, 10**6)),
    }


def corrupt(kind, X, y, rng):
    """The same lists, with something wrong in one item."""
    i = rng.integers(len(X))
    if kind == "nan":
        X[i][rng.integers(len(X[i])), rng.integers(X[i].shape[1])] = np.nan
    elif kind == "inf":
        X[i][0, -1] = -np.inf
    elif kind == "flat":
        X[i][rng.integers(len(X[i]))] = 2.0
    elif kind == "copy":
        X[i] = np.repeat(X[i][:1], max(2, len(X[i])), axis=0)
    elif kind == "nan cell":
        y[i][rng.integers(len(y[i])), 0] = np.nan
    elif kind == "scrub":
        y[i][rng.random(len(y[i])) < 0.3] = np.nan
    elif kind == "swap":
        y[i] = y[i].T
    elif kind == "short bold":
        y[i] = y[i][: rng.integers(1, len(y[i]) + 1)]
    elif kind == "long bold":
        y[i] = np.vstack([y[i], y[i]])
    elif kind == "text":
        y[i] = y[i].astype(str)
    elif kind == "complex":
        X[i] = X[i] + 1j
    elif kind == "fewer":
        X = X[:-1]
    elif kind == "empty":
        X[i] = X[i][:, :0]
    elif kind == "one dimension":
        X[i] = X[i][0]
    elif kind == "objects":
        X[i] = X[i].astype(object)
    elif kind == "float16":
        X = [x.astype(np.float16) for x in X]
    return X, y


@settings(max_examples=120, deadline=None, derandomize=True)
@given(worlds())
def test_any_input_is_used_or_refused(world):
    rng = np.random.default_rng(world["seed"])
    n_times = int(world["duration"] * world["sfreq"])
    n_frames = max(1, int(n_times / world["sfreq"] / world["t_r"]))
    X = [rng.standard_normal((world["n_channels"], n_times)) for _ in range(world["n_recordings"])]
    y = [rng.standard_normal((n_frames, world["n_targets"])) for _ in X]
    X, y = corrupt(world["corruption"], X, y, rng)
    model = BandPowerRidge(
        t_r=world["t_r"], sfreq=world["sfreq"], window=world["window"], gap=0.0, n_folds=2
    )
    try:
        model.fit(X, y)
    except (ValueError, TypeError) as error:
        assert len(str(error)) > 15
        return
    assert world["corruption"] in ("none", "scrub", "objects", "float16", "short bold", "swap")
    frames = model.predict(X)
    assert [len(f) for f in frames] == [n_frames] * len(X)
    assert all(np.isfinite(f).all() and f.shape[1] == world["n_targets"] for f in frames)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    t_r=st.floats(0.5, 4.0),
    sfreq=st.sampled_from([100.0, 128.0, 250.0]),
    timing=st.tuples(st.floats(0, 5), st.integers(0, 3), st.floats(0, 1)),
    scale=st.floats(1e-9, 1e6),
    shift=st.floats(-1e3, 1e3),
)
def test_units_and_offsets_never_matter(t_r, sfreq, timing, scale, shift):
    rng = np.random.default_rng(0)
    first, dummies, reference = timing
    duration = 120.0 + first + dummies * t_r
    X = rng.standard_normal((1, 3, int(duration * sfreq)))
    n_frames = int((X.shape[-1] / sfreq - first) / t_r - dummies)
    y = rng.standard_normal((1, n_frames, 2))
    options = {
        "t_r": t_r, "sfreq": sfreq, "first_volume": first, "n_dummy": dummies,
        "slice_time_ref": reference, "hrf": "canonical", "map_prior": "gaussian",
        "corrections": "never", "random_state": 0,
    }  # fmt: skip
    plain = SambaTranslator(**options).fit(list(X), list(y)).predict(list(X))[0]
    other = SambaTranslator(**options).fit(list(scale * X), list(y + shift))
    moved = other.predict(list(scale * X))[0]
    assert plain.shape == (n_frames, 2)
    np.testing.assert_allclose(moved - shift, plain, atol=2e-2 * plain.std() + 1e-6 * abs(shift))


@pytest.mark.parametrize("names", [["a", "a.1"], ["é", "日本"], ["x" * 500, ""], ["0", "1"]])
def test_any_region_names_are_kept(names, tmp_path):
    import pandas as pd

    from mne_samba import read_samba

    rng = np.random.default_rng(0)
    X = [rng.standard_normal((3, 12000))]
    y = [pd.DataFrame(rng.standard_normal((60, 2)), columns=names)]
    model = SambaTranslator(
        t_r=2.0, sfreq=100.0, hrf="canonical", corrections="never", random_state=0
    ).fit(X, y)
    model.save(tmp_path / "model")
    assert read_samba(tmp_path / "model").target_names_in_ == names
