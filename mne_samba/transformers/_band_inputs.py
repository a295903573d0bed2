"""Signals for band attention, with or without the frames that go with them."""

from __future__ import annotations

import mne
import pywt

from .._checks import check_number, check_option, check_t_r
from .._data.hemo import Haemodynamics
from .._data.inputs import Electrophysiology, FrameGrid, input_kind, read_inputs


def check_params(estimator) -> None:
    """Refuse parameters that can mean nothing.

    Parameters
    ----------
    estimator : WaveletBandAttention
        As constructed.
    """
    check_number(estimator.n_cycles, "n_cycles", low=0, low_open=True)
    check_number(estimator.rate, "rate", low=0, low_open=True)
    check_number(estimator.hrf_length, "hrf_length", low=0, low_open=True)
    check_option(estimator.output, "output", ("power", "features"))
    check_option(estimator.channels, "channels", ("error", "match", "interpolate"))
    check_option(estimator.hrf_bounds, "hrf_bounds", ("human", "fast"))
    if estimator.level is not None:
        check_number(estimator.level, "level", low=1, integer=True)
    if estimator.t_r is not None:
        check_t_r(estimator.t_r)
    if estimator.wavelet != "morlet" and estimator.wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"wavelet must be 'morlet' or a discrete wavelet that PyWavelets knows ('db5', "
            f"'sym8', ...), got {estimator.wavelet!r}."
        )


def read_plain(estimator, X, ch_names: list[str] | None = None) -> Electrophysiology:
    """Read signals where frames do not matter: one frame at the first sample will do.

    Parameters
    ----------
    estimator : WaveletBandAttention
        Gives sfreq, picks and channels.
    X : Epochs | Raw | list | array
        Signals.
    ch_names : list of str | None
        Channels seen in ``fit``.
    """
    kind, n_samples, _ = input_kind(X)
    grid = FrameGrid(
        t_r=1e-6, sfreq=estimator.sfreq, picks=estimator.picks, channels=estimator.channels
    )
    if kind == "recordings":
        return read_inputs(X, grid, n_frames=[1] * n_samples, ch_names=ch_names)
    # Epochs know their time 0; how many frames they were cut for is not asked.
    X = _around_zero(X)
    return read_inputs(X, grid, n_frames=None if _are_epochs(X) else 1, ch_names=ch_names)


def read_with_frames(estimator, X, hemo: Haemodynamics) -> Electrophysiology:
    """Read signals with the frames of BOLD that belong to them.

    Parameters
    ----------
    estimator : WaveletBandAttention
        Gives the frames' times.
    X : Epochs | Raw | list | array
        Signals.
    hemo : Haemodynamics
        BOLD of every segment.
    """
    grid = FrameGrid(
        t_r=_known_t_r(estimator.t_r, X), sfreq=estimator.sfreq, tmin=estimator.tmin,
        first_volume=estimator.first_volume, n_dummy=estimator.n_dummy,
        slice_time_ref=estimator.slice_time_ref, volume_event=estimator.volume_event,
        picks=estimator.picks, channels=estimator.channels,
    )  # fmt: skip
    recordings = input_kind(X)[0] == "recordings"
    return read_inputs(X, grid, n_frames=hemo.n_frames if recordings else hemo.n_frames[0])


def _known_t_r(t_r, X) -> float:
    if t_r is not None:
        return float(t_r)
    first = X[0] if isinstance(X, (list, tuple)) else X
    metadata = getattr(first, "metadata", None)
    if metadata is not None and "t_r" in metadata:
        return float(metadata["t_r"].iloc[0])
    raise ValueError(
        "y holds time courses, so the seconds between its frames must be known: give t_r (windows "
        "from make_windows carry it)."
    )


def _are_epochs(X) -> bool:
    first = X[0] if isinstance(X, (list, tuple)) and len(X) else X
    return isinstance(first, mne.BaseEpochs)


def _around_zero(X):
    """Move epochs that do not hold time 0: only frames, which do not matter here, refer to it."""
    if not _are_epochs(X):
        return X
    if isinstance(X, (list, tuple)):
        return [_around_zero(epochs) for epochs in X]
    if X.tmin <= 0 <= X.tmax:
        return X
    return X.copy().shift_time(0.0, relative=False)
