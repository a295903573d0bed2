"""What golden_old.py and golden_new.py share: inputs, what is collected of a fit, files, comparison.

Uses only what old and new code have alike: the simulator, `make_windows`, method names.
"""
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, os.getcwd())  # the code that is tried lies where this is run

import functools
import tempfile
import time
import traceback
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import numpy as np
import pandas as pd
import torch

torch.set_num_threads(1)
import mne

mne.set_log_level("ERROR")
import mne_samba
from mne_samba import make_windows
from mne_samba.datasets import simulate_paired

FOLDER = Path(__file__).parent / "golden"
T_R, SFREQ = 2.0, 200.0
TOL = 1e-10

# ---------------------------------------------------------------- inputs


@functools.lru_cache
def small():
    """Three people, 400 s, 5 nodes, 4 regions: all cases but those of the latent space."""
    return simulate_paired(
        3, 400.0, t_r=T_R, n_sources=5, n_targets=4, level="source", random_state=0, snr=4.0
    )


@functools.lru_cache
def larger():
    """Three people, 600 s, 6 nodes, 5 regions: enough windows of 24 s for the alignment."""
    return simulate_paired(
        3, 600.0, t_r=T_R, n_sources=6, n_targets=5, level="source", random_state=0, snr=4.0
    )


def raws():
    """Copies, so that no case changes another's input."""
    return [raw.copy() for raw in small().raws]


def bolds():
    return [np.array(bold, float) for bold in small().bolds]


def recordings(named=False):
    """(X, y) of training, (X, y) of test: people 0 and 1, person 2."""
    X, y = raws(), bolds()
    if named:
        y = [pd.DataFrame(v, columns=[f"region {i}" for i in range(v.shape[1])]) for v in y]
    return (X[:2], y[:2]), (X[2:], y[2:])


def windows(window=60.0, of=small, **more):
    """As `recordings`, cut into windows."""
    X, y = of().raws, [np.array(v, float) for v in of().bolds]
    train = make_windows(X[:2], y[:2], t_r=T_R, window=window, subject=["a", "b"], **more)
    test = make_windows(X[2], y[2], t_r=T_R, window=window, subject="c", **more)
    return train, test


def array_recordings():
    (X, y), (Xt, yt) = recordings()
    return ([r.get_data() for r in X], y), ([r.get_data() for r in Xt], yt)


def array_windows():
    """Arrays, and the time of their first sample relative to their first frame."""
    (X, y), (Xt, yt) = windows()
    return (X.get_data(), y), (Xt.get_data(), yt), float(X.tmin)


def missing_region():
    """Person 0 lacks region 1."""
    (X, y), test = recordings(named=True)
    y[0].iloc[:, 1] = np.nan
    return (X, y), test


def bad_scrubbed():
    """A BAD span of 5 s in person 0; rows of NaN in person 1 (5 frames) and in the test."""
    (X, y), (Xt, yt) = recordings()
    X[0].set_annotations(mne.Annotations([100.0], [5.0], ["BAD_motion"]))
    y[1][50:55] = np.nan
    yt[0][80] = np.nan
    return (X, y), (Xt, yt)


def two_people():
    """One person first, then another; predictions for the rest of the second."""
    X, y = raws(), bolds()
    first = [X[0]], [y[0]]
    second = [X[1].copy().crop(0, 200, include_tmax=False)], [y[1][:100]]
    return first, second, ([X[2]], [y[2]])


def late_frames():
    """For first_volume=.4, n_dummy=1, slice_time_ref=.5: y lacks its last two frames."""
    (X, y), (Xt, yt) = recordings()
    return (X, [v[:-2] for v in y]), (Xt, [v[:-2] for v in yt])


def table():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((250, 6))
    y = X @ rng.standard_normal((6, 3)) + rng.standard_normal((250, 3))
    return (X[:200], y[:200]), (X[200:], y[200:])


@functools.lru_cache
def slow_drives(n):
    """Three recordings of 400 s: drives (n, 4000) at 10 Hz below 0.15 Hz, BOLD (200, 4) at 2 s.

    Region m follows drive m (n=4), or a mixture of all drives; numpy and scipy alone.
    """
    from scipy.signal import lfilter
    from scipy.stats import gamma

    rng = np.random.default_rng(n)
    mixture = np.eye(4) if n == 4 else rng.standard_normal((4, n))
    lag = np.arange(0, 30, 0.1) + 0.05
    kernels = [gamma.pdf(lag, 6, scale=s) - gamma.pdf(lag, 16, scale=s) / 6
               for s in (0.8, 0.95, 1.1, 1.25)]
    found = []
    for _ in range(3):
        spectrum = np.fft.rfft(rng.standard_normal((n, 4400)))
        spectrum[:, np.fft.rfftfreq(4400, 0.1) > 0.15] = 0
        drive = np.fft.irfft(spectrum)
        drive = drive / drive.std() + 3.0
        mixed = mixture @ (drive - 3.0)
        clean = np.stack([np.convolve(d, k)[: d.size] for d, k in zip(mixed, kernels)])
        clean = clean[:, 400::20]  # frame k at 2 k seconds of what is handed out
        noise = lfilter([1], [1, -0.5], rng.standard_normal(clean.shape), axis=1)
        noise *= 0.5 * clean.std(axis=1, keepdims=True) / noise.std(axis=1, keepdims=True)
        drift = np.linspace(0, 1, clean.shape[1]) * clean.std()
        found.append((drive[:, 400:], 100.0 + (clean + noise + drift).T))
    return found


def drives(n=4):
    """Recordings of drives: people 0 and 1, person 2."""
    X, y = ([np.array(part) for part in parts] for parts in zip(*slow_drives(n), strict=True))
    return (X[:2], y[:2]), (X[2:], y[2:])


def drive_windows():
    """Windows: 30 s of history, then 60 s with 30 frames; first person, second person."""
    out = []
    for (drive, bold) in slow_drives(4)[:2]:
        first = range(15, len(bold) - 30 + 1, 30)
        out.append((np.stack([drive[:, 20 * k - 300 : 20 * k + 600] for k in first]),
                    np.stack([bold[k : k + 30] for k in first])))
    return out  # tmin = -30 s


def frame_rows():
    """Drives at lags of 2 to 4 frames, (n_frames, 12), beside BOLD."""
    out = []
    for drive, _ in slow_drives(4):
        frame = drive[:, ::20].T
        out.append(np.concatenate([np.roll(frame, lag, axis=0) for lag in (2, 3, 4)], axis=1))
    y = [bold for _, bold in slow_drives(4)]
    return (out[:2], y[:2]), (out[2:], y[2:])


def frame_row_windows():
    """`frame_rows` of the first and of the third recording in six windows of 30 frames."""
    (X, y), (Xt, yt) = frame_rows()
    return [[part[0][:180].reshape(6, 30, -1) for part in pair] for pair in ((X, y), (Xt, yt))]


BANDS = {"low": (4.0, 8.0), "alpha": (8.0, 13.0), "high": (30.0, 45.0)}
OPTIONS_READ = dict(first_volume=0.4, n_dummy=1, slice_time_ref=0.5, detrend="linear")
OPTIONS_TRAIN = dict(
    lr=1e-3, batch_size=4, max_epochs=2, patience=3, window=40.0, step=10.0,
    validation_fraction=0.25, gap=24.0, dtype="float64",
)
OPTIONS_MODEL = dict(
    power="linear", hrf_length=24.0, map_prior="ard", band_attention=False, target_bands=False,
    graph="cosine", n_neighbors=3, recurrent="gru", n_hidden=16, corrections="always",
)
OPTIONS_BACK = dict(
    bands=BANDS, hrf="fir", hrf_length=24.0, map_prior="gaussian", target_bands=True, n_neighbors=3,
    corrections="always",
)


def picked():
    """Names of four of the five channels."""
    return list(small().raws[0].ch_names[:4])


def inputs() -> dict:
    """All inputs as arrays: has the simulator, or have the windows, changed?"""
    out = {}
    for name, data in (("small", small()), ("larger", larger())):
        put(out, f"{name}.ele", [raw.get_data() for raw in data.raws])
        put(out, f"{name}.bold", [np.asarray(b) for b in data.bolds])
    (X, y), (Xt, yt) = windows()
    put(out, "windows.ele", [X.get_data(), Xt.get_data()])
    put(out, "windows.bold", [y, yt])
    put(out, "windows.onset", [X.metadata["onset"], Xt.metadata["onset"]])
    for n in (4, 5):
        put(out, f"drives{n}", [part for pair in slow_drives(n) for part in pair])
    (X, y), _ = windows(24.0, larger)
    put(out, "windows24.ele", X.get_data()[:, :, ::20])
    put(out, "windows24.bold", y)
    return out


# ---------------------------------------------------------------- what is collected

ATTRIBUTES = (
    "hrf_params_", "hrf_", "hrf_times_", "hrf_peak_time_", "hrf_fwhm_", "hrf_undershoot_ratio_",
    "hrf_intervals_", "band_attention_", "band_gain_", "band_weights_", "spatial_map_", "patterns_",
    "y_mean_", "y_scale_", "corrections_kept_", "n_parameters_", "power_", "n_targets_",
    "ch_names_in_", "target_names_in_", "coef_", "alpha_", "scale_", "intercept_", "delay_",
    "n_features_in_", "classes_",
)
CORE = (
    "weights", "spatial_map", "hrf_params", "kernel", "intercept", "ar", "noise_variance", "elbo",
    "target_evidence", "map_prior", "hrf", "dt", "step", "map_variance", "extra", "evidence",
)
GRAPH = (
    "source", "target", "source_similarity", "target_similarity", "source_attention",
    "target_attention", "bipartite",
)
LOSSES = ("train_loss", "valid_loss")
# Internal, by the contract private in the new code: no flag where they go.
INTERNAL = {
    "grid_", "kind_", "scaler_", "wavelet_", "n_cycles_", "n_frames_", "window_start_", "sfreq_",
    "n_samples_", "info_", "table_", "frames_first_", "step_", "dt_", "n_lags_", "drive_mean_",
    "drive_scale_", "bank_", "n_columns_",
}
_TRIED: list[str] = []  # what could not be called in this run


def put(out: dict, name: str, value) -> None:
    """Store as float64 (text as text); lists item by item, None not at all."""
    if value is None:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            put(out, f"{name}.{key}", item)
        return
    if isinstance(value, (list, tuple)) and not all(np.ndim(v) == 0 for v in value):
        for i, item in enumerate(value):
            put(out, f"{name}.{i}", item)
        return
    array = np.asarray(value)
    out[name] = array.astype(str) if array.dtype.kind in "OUS" else array.astype(np.float64)


def ask(out: dict, name: str, call) -> None:
    """Store what a call gives; what is not there or refuses is said, and lacks in the file."""
    try:
        put(out, name, call())
    except Exception as error:  # noqa: BLE001
        _TRIED.append(f"{name}: {type(error).__name__}: {str(error)[:160]}")


def attributes(model, prefix="") -> dict:
    """Published attributes, the core's arrays, the graphs, the losses, and all names there are."""
    out = {}
    for name in ATTRIBUTES:
        if hasattr(model, name):
            put(out, prefix + name, getattr(model, name))
    if hasattr(model, "bands_"):
        put(out, prefix + "bands_", {k: np.array(v, float) for k, v in model.bands_.items()})
    core, graph = getattr(model, "core_", None), getattr(model, "graph_", None)
    for name in CORE if core is not None else ():
        put(out, f"{prefix}core_.{name}", getattr(core, name, None))
    for name in GRAPH if graph is not None else ():
        put(out, f"{prefix}graph_.{name}", getattr(graph, name, None))
    for name in ("history_", "alignment_history_"):
        history(out, prefix + name, getattr(model, name, None))
    out[prefix + "all_names"] = np.array(
        sorted(n for n in vars(model) if n.endswith("_") and not n.startswith("_")), dtype=str
    )
    return out


def history(out: dict, name: str, rows) -> None:
    if rows:
        for loss in LOSSES:
            if loss in rows[0]:
                put(out, f"{name}.{loss}", [float(row[loss]) for row in rows])


def forward_seen(model, X, y, std=True) -> dict:
    """Everything of a model from electrophysiology to BOLD."""
    out = attributes(model)
    put(out, "predict", model.predict(X))
    if std:
        ask(out, "std", lambda: model.predict(X, return_std=True)[1])
        ask(out, "low", lambda: model.predict_interval(X, 0.9)[0])
        ask(out, "high", lambda: model.predict_interval(X, 0.9)[1])
        ask(out, "transform", lambda: model.transform(X))
        ask(out, "names_out", lambda: list(model.get_feature_names_out()))
    for metric in ("spearman", "pearson", "r2"):
        ask(out, f"score_targets.{metric}", lambda m=metric: model.score_targets(X, y, metric=m))
    ask(out, "score", lambda: model.score(X, y))
    return out


def inverse_seen(model, bold, ele) -> dict:
    """Everything of a model from BOLD to electrophysiology."""
    out = attributes(model)
    put(out, "predict", model.predict(bold))
    ask(out, "target_from", lambda: model.target_from(ele))
    ask(out, "score_targets", lambda: model.score_targets(bold, ele))
    ask(out, "score_targets.pearson", lambda: model.score_targets(bold, ele, metric="pearson"))
    ask(out, "score", lambda: model.score(bold, ele))
    ask(out, "transform", lambda: model.transform(bold))
    ask(out, "names_out", lambda: list(model.get_feature_names_out()))
    ask(out, "latents", lambda: model.latents(bold))
    ask(out, "latents.ele", lambda: model.latents(ele, "ele"))
    return out


def latent_seen(model, X, bold) -> dict:
    """Everything of a model of both ways but the attributes of its parts."""
    out = {}
    put(out, "predict", model.predict(X))
    ask(out, "std", lambda: model.predict(X, return_std=True)[1])
    ask(out, "low", lambda: model.predict_interval(X, 0.9)[0])
    ask(out, "high", lambda: model.predict_interval(X, 0.9)[1])
    ask(out, "translate.ele", lambda: model.translate(bold, to="ele"))
    ask(out, "translate.hemo", lambda: model.translate(X, to="hemo"))
    ask(out, "target_from", lambda: model.target_from(X))
    ask(out, "latents", lambda: model.latents(X))
    ask(out, "latents.hemo", lambda: model.latents(bold, "hemo"))
    ask(out, "transform", lambda: model.transform(X))
    ask(out, "transform.hemo", lambda: model.transform(bold, "hemo"))
    ask(out, "names_out", lambda: list(model.get_feature_names_out()))
    ask(out, "score", lambda: model.score(X, bold))
    ask(out, "score_targets", lambda: model.score_targets(X, bold))
    ask(out, "retrieval.ranks", lambda: model.retrieval_score(X, bold, k=(1, 5)).ranks)
    ask(out, "retrieval.top", lambda: dict(model.retrieval_score(X, bold, k=(1, 5)).top))
    ask(out, "retrieval.median", lambda: model.retrieval_score(X, bold).median_rank)
    return out


def classifier_seen(model, X) -> dict:
    out = {}
    for name in ("predict", "predict_proba", "transform"):
        ask(out, name, lambda n=name: getattr(model, n)(X))
    put(out, "classes_", model.classes_)
    return out


def labels(n: int) -> np.ndarray:
    """Two labels in blocks of three windows."""
    return (np.arange(n) // 3) % 2


def through_file(model, read):
    """The model, saved and read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.samba"
        model.save(path)
        return read(path)


# ---------------------------------------------------------------- files and comparison


def run(cases: dict, finish) -> None:
    """Run the cases that are named on the command line, or all of them."""
    print("mne_samba of", Path(mne_samba.__file__).parent, "torch", torch.__version__, "numpy",
          np.__version__, "mne", mne.__version__, flush=True)
    names = [n for n in sys.argv[1:] if not n.startswith("-")] or ["inputs", *cases]
    unknown = set(names) - {"inputs", *cases}
    if unknown:
        raise SystemExit(f"no such case: {sorted(unknown)}; there are {['inputs', *cases]}")
    for name in names:
        _TRIED.clear()
        start = time.perf_counter()
        try:
            found = inputs() if name == "inputs" else cases[name]()
        except Exception as error:  # noqa: BLE001
            print(f"{name:26s} FAILED {type(error).__name__}: {str(error)[:300]}", flush=True)
            if "-v" in sys.argv:
                traceback.print_exc()
            continue
        finish(name, found, time.perf_counter() - start)
        for line in _TRIED:
            print(f"    refused {line}", flush=True)


def store(name: str, found: dict, seconds: float) -> None:
    FOLDER.mkdir(exist_ok=True)
    np.savez(FOLDER / f"{name}.npz", **found)
    print(f"{name:26s} {len(found):3d} arrays {seconds:6.1f} s", flush=True)


def compare(name: str, found: dict, seconds: float) -> None:
    """Print the largest differences of a case, and each array that differs.

    Scores count apart ("n SCORES", not in the largest differences): the rule of scoring may change
    on purpose (commit 41e6b3f: cosines and a cubic leave a run), the predictions scored may not.
    """
    with np.load(FOLDER / f"{name}.npz") as file:
        stored = {key: file[key] for key in file.files}
    flags, scores, largest, relative, where = [], [], 0.0, 0.0, ""
    for key, old in stored.items():
        if key not in found:
            flags.append(f"missing     {key}")
            continue
        new = found[key]
        if key.endswith("all_names"):
            gone = sorted({*old.tolist()} - {*new.tolist()} - INTERNAL)
            more = sorted({*new.tolist()} - {*old.tolist()})
            if gone or more:
                flags.append(f"names       {key}: gone {gone}, additional {more}")
            continue
        if old.dtype.kind == "U" or new.dtype.kind == "U":
            if old.shape != new.shape or (old != new).any():
                flags.append(f"text        {key}: {old.tolist()} -> {new.tolist()}"[:300])
            continue
        if old.shape != new.shape:
            flags.append(f"shape       {key}: {old.shape} -> {new.shape}")
            continue
        if (np.isfinite(old) != np.isfinite(new)).any():
            flags.append(f"NaN         {key}: {np.isnan(old).sum()} -> {np.isnan(new).sum()}")
            continue
        kept = np.isfinite(old)
        if not kept.any():
            continue
        off, scale = np.abs(old - new)[kept].max(), np.abs(old[kept]).max()
        share = off / scale if scale > 0 else off
        if not key.startswith("score"):
            largest = max(largest, off)
            if share > relative:
                relative, where = share, key
        if not share <= TOL:
            line = f"{key}: {off:.2e} of {scale:.2e} ({share:.1e})"
            (scores if key.startswith("score") else flags).append("differs     " + line)
    additional = sorted(set(found) - set(stored))
    if additional:
        flags.append(f"additional  {additional}")
    sign = "ok" if not flags else f"{len(flags)} FLAGS"
    if scores:
        sign += f" + {len(scores)} SCORES"
    print(f"{name:26s} {sign:20s} {len(stored):3d} arrays, largest absolute {largest:.1e}, relative "
          f"{relative:.1e} {where} ({seconds:.1f} s)", flush=True)
    for flag in flags:
        print("    " + flag, flush=True)
    for line in scores:
        print("    score " + line, flush=True)
