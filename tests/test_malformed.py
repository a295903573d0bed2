"""200 generated malformed inputs: each is refused, before training, by a documented error."""

import re
import time
import warnings

import mne
import numpy as np
import pandas as pd
import pytest

from mne_samba import Reader, SambaModel, SambaTranslator, Trainer, make_windows
from mne_samba.baselines import BandPowerRidge

N, T_R, SFREQ, N_FRAMES = 200, 2.0, 64.0, 50


def raw_of(data, sfreq=SFREQ, names=None):
    names = [f"E{i}" for i in range(len(data))] if names is None else names
    return mne.io.RawArray(data, mne.create_info(names, sfreq, "eeg"), verbose="ERROR")


def good(rng):
    raws = [raw_of(rng.standard_normal((4, 6400)) * 1e-5) for _ in range(2)]
    bolds = [rng.standard_normal((N_FRAMES, 3)) for _ in range(2)]
    return {"X": raws, "y": bolds, "params": {"t_r": T_R, "window": 30.0}}


def signal(change):
    """Corrupt the samples of one recording."""

    def corrupt(case, rng, which):
        data = case["X"][which].get_data()
        case["X"][which] = raw_of(change(data, rng, rng.integers(len(data))))

    return corrupt


def at(data, channel, place, value):
    data[channel, place] = value
    return data


def bold(change):
    """Corrupt one array of BOLD."""

    def corrupt(case, rng, which):
        case["y"][which] = change(case["y"][which].copy(), rng)

    return corrupt


def entry(array, rng, value):
    array[rng.integers(len(array)), rng.integers(array.shape[1])] = value
    return array


def replace(what, values):
    """Put something else in the place of one recording or of all."""

    def corrupt(case, rng, which):
        value = values[rng.integers(len(values))]
        if rng.random() < 0.5:
            case[what] = value
        else:
            case[what][which] = value

    return corrupt


def params(name, values):
    def corrupt(case, rng, which):
        case["params"][name] = values[rng.integers(len(values))]

    return corrupt


def drop_one(what):
    def corrupt(case, rng, which):
        del case[what][which]

    return corrupt


CORRUPTIONS = {
    "NaN": signal(lambda d, rng, c: at(d, c, rng.integers(6400), np.nan)),
    "infinity": signal(lambda d, rng, c: at(d, c, rng.integers(6400), -np.inf)),
    "flat": signal(lambda d, rng, c: at(d, c, slice(None), rng.standard_normal())),
    "copied channel": signal(lambda d, rng, c: at(d, c, slice(None), d[(c + 1) % len(d)])),
    "channel lost": signal(lambda d, rng, c: np.delete(d, c, axis=0)),
    "short": signal(lambda d, rng, c: d[:, : rng.integers(2, 1500)]),
    "half as long": signal(lambda d, rng, c: d[:, : rng.integers(2500, 6000)]),
    "huge": signal(lambda d, rng, c: at(d, c, slice(None), 1e300 * d[c] / np.abs(d[c]).max())),
    "other rate": lambda case, rng, which: case["X"].__setitem__(
        which, raw_of(np.tile(case["X"][which].get_data(), 2), sfreq=128.0)
    ),
    "other names": lambda case, rng, which: case["X"].__setitem__(
        which, raw_of(case["X"][which].get_data(), names=list("wxyz"))
    ),
    "all bad": lambda case, rng, which: case["X"][which].info.__setitem__(
        "bads", case["X"][which].ch_names
    ),
    "NaN in a region": bold(lambda y, rng: entry(y, rng, np.nan)),
    "infinite BOLD": bold(lambda y, rng: entry(y, rng, np.inf)),
    "all scrubbed": bold(lambda y, rng: np.full_like(y, np.nan)),
    "too many frames": bold(lambda y, rng: np.tile(y, (rng.integers(2, 5), 1))),
    "no frames": bold(lambda y, rng: y[:0]),
    "no regions": bold(lambda y, rng: y[:, :0]),
    "other regions": bold(lambda y, rng: y[:, : rng.integers(1, 3)]),
    "four dimensions": bold(lambda y, rng: y[None, None]),
    "text": bold(lambda y, rng: y.astype(str).astype(object) + "x"),
    "complex": bold(lambda y, rng: y * 1j),
    "ragged": bold(lambda y, rng: [list(row)[: 1 + i % 3] for i, row in enumerate(y)]),
    "dates": bold(lambda y, rng: np.full(y.shape, np.datetime64("2020-01-01"))),
    "named otherwise": lambda case, rng, which: case.__setitem__(
        "y", [pd.DataFrame(y, columns=list(n)) for y, n in zip(case["y"], ("abc", "abd"),
                                                                strict=True)]
    ),
    "no X": replace("X", [None, "a.fif", 3, {}, b"x", [], np.zeros(3)]),
    "no y": replace("y", [None, "bold.nii", 3, {}, [], object()]),
    "one recording lost": drop_one("X"),
    "one BOLD lost": drop_one("y"),
    "t_r": params("t_r", [0, -2.0, np.nan, np.inf, "2", None, 1e9, [2.0, 2.0]]),
    "first_volume": params("first_volume", [1e9, -50.0, np.nan, "0", None]),
    "n_dummy": params("n_dummy", [-1, 1.5, 10**6, "2", None]),
    "slice_time_ref": params("slice_time_ref", [-0.1, 1.1, np.nan, "middle"]),
    "volume_event": params("volume_event", ["R128", ("STI", 1), 7, ("E0", "x")]),
    "window": params("window", [0, -1.0, 1.0, np.nan, 1e9, "60"]),
    "picks": params("picks", [["no such channel"], "meg", []]),
    "hrf_length": params("hrf_length", [-1.0, np.nan, "30"]),
}  # fmt: skip


def malformed(seed):
    rng = np.random.default_rng(seed)
    name = list(CORRUPTIONS)[seed % len(CORRUPTIONS)]
    case = good(rng)
    CORRUPTIONS[name](case, rng, rng.integers(2))
    return name, case


def parts(params):
    """Parameters of a case: the window, the length of responses, t_r, and the reader."""
    reader = {k: v for k, v in params.items() if k not in ("t_r", "window", "hrf_length")}
    length = {"hrf_length": params["hrf_length"]} if "hrf_length" in params else {}
    return params["t_r"], params["window"], length, Reader(**reader)


def fit_translator(case):
    t_r, window, length, reader = parts(case["params"])
    translator = SambaTranslator(
        t_r=t_r, model=SambaModel(**length), reader=reader, trainer=Trainer(window=window)
    )
    return translator.fit(case["X"], case["y"])


def fit_ridge(case):
    t_r, _, length, reader = parts(case["params"])
    return BandPowerRidge(t_r=t_r, reader=reader, **length).fit(case["X"], case["y"])


def cut_windows(case):
    t_r, window, length, reader = parts(case["params"])
    context = {"context": length["hrf_length"]} if length else {}
    return make_windows(case["X"], case["y"], t_r=t_r, window=window, reader=reader, **context)


class Trained(Exception):
    """Training was reached."""


@pytest.fixture
def no_training(monkeypatch):
    def train(self, *args):
        raise Trained

    monkeypatch.setattr(SambaModel, "fit", train)
    monkeypatch.setattr(BandPowerRidge, "_fit", train)


def refuse(call, name):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, about what is refused
        with pytest.raises((ValueError, TypeError)) as error:
            call()
    assert len(str(error.value)) > 15, name
    # Errors speak of the input, not of an index in the library's insides.
    assert not re.search(r"object has no attribute|out of bounds|not subscriptable|broadcast",
                         str(error.value)), (name, str(error.value))  # fmt: skip
    assert time.perf_counter() - start < 20, name


def test_there_are_two_hundred_of_every_kind():
    names = [list(CORRUPTIONS)[seed % len(CORRUPTIONS)] for seed in range(N)]
    assert len(names) == 200 and set(names) == set(CORRUPTIONS) and len(CORRUPTIONS) >= 35


@pytest.mark.parametrize("chunk", range(10))
def test_malformed_input_is_refused(no_training, chunk):
    for seed in range(chunk * N // 10, (chunk + 1) * N // 10):
        name, case = malformed(seed)
        # A ridge has no windows of training.
        fit = fit_ridge if seed % 5 == 0 and name != "window" else fit_translator
        refuse(lambda c=case, f=fit: f(c), f"{name} ({seed})")


def test_good_input_is_not_refused(no_training):
    for fit in (fit_translator, fit_ridge):
        with pytest.raises(Trained):
            fit(good(np.random.default_rng(0)))
    cut_windows(good(np.random.default_rng(0)))


@pytest.mark.parametrize("chunk", range(4))
def test_windows_of_malformed_input_are_refused(chunk):
    for seed in range(chunk * 18, (chunk + 1) * 18):
        name, case = malformed(seed)
        # A sample that no window holds does no harm; size is judged in fit.
        if name not in ("huge", "NaN", "infinity"):
            refuse(lambda c=case: cut_windows(c), f"{name} ({seed})")
