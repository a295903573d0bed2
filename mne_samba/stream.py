"""Predictions while a recording goes on: samples in, frames with intervals out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import mne
import numpy as np
from mne.utils import warn
from sklearn.utils.validation import check_is_fitted

from ._checks import check_t_r, several_t_r
from .models.intervals import check_coverage
from .translator import SambaTranslator
from .wavelets import Morlet, Shannon

__all__ = ["SambaStream", "StreamedFrames", "predict_stream"]

# Seconds by which the time of a chunk may jump: what comes through a network jitters. Clocks that
# run faster or slower are followed by this share of a jump, and named from so many seconds on.
_JITTER, _FOLLOWED, _DRIFT = 0.05, 0.05, 0.1
# Seconds of samples that are taken at once: memory stays small whatever is pushed.
_AT_ONCE = 10.0
# Seconds of signal, at least, that say how large power is.
_CALIBRATION = 30.0
# Seconds between two looks for new samples.
_PAUSE = 0.02


@dataclass(frozen=True)
class StreamedFrames:
    """Frames that became known with a chunk of samples.

    Attributes
    ----------
    times : ndarray of shape (n_frames,)
        When they were acquired, in seconds on the stream's clock.
    bold : ndarray of shape (n_frames, n_targets)
        Predictions, in the mean and scale of the training BOLD.
    low, high : ndarray of shape (n_frames, n_targets)
        Interval that holds a measured frame with the stream's coverage.
    known : bool ndarray of shape (n_frames,)
        Whether all samples came that the prediction depends on: bins of power that lost ones reach
        are taken as average.
    """

    times: np.ndarray
    bold: np.ndarray
    low: np.ndarray
    high: np.ndarray
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.times)


class SambaStream:
    """Predict BOLD while electrophysiology is recorded.

    Band power is measured once per chunk, of samples that a short buffer holds, and kept for as
    long as a response lasts: time per frame and memory do not grow. A frame is given once all the
    samples are there that its power depends on: zero-phase wavelets look ahead by `delay` seconds,
    those of ``bands=Morlet(causal=True)`` do not.

    Parameters
    ----------
    translator : SambaTranslator
        Fitted, with a ``SambaModel`` or ``CoreModel``.
    t_r : float | None
        Seconds between frames that are predicted; None takes that of ``fit``.
    first_frame : float | None
        When the first frame is acquired, in seconds on the stream's clock; None takes the time of
        the first sample. No frame is given before it, nor without a whole history. Where slices
        are acquired one after the other, the time that a frame stands for (``Reader(
        slice_time_ref=...)``) is later than its trigger.
    calibration : Raw | array of shape (n_channels, n_times) | None
        Minutes of the same person and session before the stream, whose power's mean and scale are
        taken. None takes those of the training recordings, which another cap's impedances may miss.
    coverage : float
        Share of measured frames that the intervals shall hold.

    Attributes
    ----------
    ch_names : list of str
        Channels that chunks must have, in order.
    sfreq : float
        Their sampling rate in Hz.
    delay : float
        Seconds from a frame to the last sample that its prediction depends on.
    lost_ : list of tuple
        Start and end, in seconds, of spans whose samples never came.
    drift_ : float
        Seconds by which the stream's clock has moved against the samples so far.

    See Also
    --------
    SambaTranslator.predict : The same from a whole recording.

    Notes
    -----
    Frames equal those that ``predict`` gives of windows of the same signal, which are scaled by
    what training saw, not by a whole recording that is not there yet.

    Examples
    --------
    >>> from mne_samba import CoreModel, SambaTranslator, SambaStream
    >>> from mne_samba.datasets import simulate_paired
    >>> data = simulate_paired(1, 240.0, sfreq=100.0, n_sources=4, n_targets=2, level="source")
    >>> model = SambaTranslator(t_r=2.0, model=CoreModel(power="linear"), random_state=0)
    >>> stream = SambaStream(model.fit(data.raws, data.bolds))
    >>> signal = data.raws[0].get_data()
    >>> frames = [stream.push(signal[:, i : i + 100], i / 100) for i in range(0, 6000, 100)]
    >>> sum(len(frame) for frame in frames)
    14
    """

    ch_names: list[str]
    sfreq: float
    delay: float
    lost_: list[tuple]
    drift_: float

    def __init__(
        self,
        translator: SambaTranslator,
        *,
        t_r: float | None = None,
        first_frame: float | None = None,
        calibration: mne.io.BaseRaw | np.ndarray | None = None,
        coverage: float = 0.9,
    ) -> None:
        if not isinstance(translator, SambaTranslator):
            raise TypeError(f"A stream needs a SambaTranslator, got a {type(translator).__name__}.")
        check_is_fitted(translator)
        features = translator._fitted_input.features
        bank = getattr(features, "bank", None)
        if not isinstance(bank, Shannon | Morlet):
            raise TypeError(
                "A stream needs a translator with a SambaModel or CoreModel that was fitted to "
                "signals with Shannon or Morlet bands; this one measures "
                f"{type(features if bank is None else bank).__name__}."
            )
        inputs, self._fitted = translator._fitted_input, translator._fitted
        layout = inputs.layout
        if inputs.physiology is not None:
            raise ValueError(
                "A stream predicts from electrophysiology alone, but the translator was fitted "
                "with physiology: fit it with Reader(physiology=None)."
            )
        if t_r is None and layout.t_rs is not None:
            raise ValueError(
                f"fit saw {several_t_r(layout.t_rs)}: say at which frames shall be predicted, "
                "SambaStream(translator, t_r=...)."
            )
        self.coverage = check_coverage(coverage)
        self.ch_names, self.sfreq = list(layout.ch_names), layout.sfreq
        self._features = features.at(layout.t_r if t_r is None else check_t_r(t_r))
        self._grid, self._scale = self._features.grid, inputs.scale
        # A correction that looks at neighbouring frames was trained on windows of so many.
        kept = self._fitted.network.module.recurrent is not None
        self._n_window = self._fitted.windowing.n_frames if kept else 1
        # Half of an interval's width, in standard deviations.
        self._quantile = self._fitted.quantile(self.coverage, self._grid.t_r)
        self._past, self._future = bank.reach(self.sfreq)
        self.delay = self._future / self.sfreq
        scaler = self._fitted.scaler
        self._scaler = scaler.without_drift(scaler.detrend, self._grid)
        if calibration is not None:
            self._scaler = self._calibrated(calibration)
        self._given_first_frame = first_frame
        nothing = np.empty((0, len(self._scale.mean)))
        self._none = (np.empty(0), nothing, nothing, nothing, np.empty(0, dtype=bool))
        self.reset()

    def reset(self) -> None:
        """Forget all samples, as before the first chunk."""
        shape = (len(self._fitted.core.weights), len(self._features.bands), 0)
        self._chunks: list[np.ndarray] = []  # samples that later bins need
        self._power, self._lost = np.empty(shape, np.float32), np.empty(0, bool)
        # Numbers of the first sample and the first bin that are held, and of what comes next.
        self._first_sample = self._first_bin = 0
        self._stop = self._next_bin = self._next_frame = 0
        self._start: float | None = None  # time of sample 0 on the stream's clock
        self._first_frame = self._given_first_frame
        self.lost_: list[tuple[float, float]] = []
        # The same, with all that the power of a bin reaches; those that bins to come may touch.
        self._gaps: list[tuple[float, float]] = []
        self.drift_, self._told_drift = 0.0, False

    def push(self, samples, t=None) -> StreamedFrames:
        """Take the next samples; give the frames that they make known.

        Parameters
        ----------
        samples : array of shape (n_channels, n_times)
            In the unit of training (volts), any number of them.
        t : float | None
            Time of the first of them in seconds. None: they follow the last ones.

        Returns
        -------
        StreamedFrames
            None, one or more of them, in order.

        Raises
        ------
        ValueError
            If there are other channels than in ``fit``, or values that are not finite.
        """
        # A copy: what delivers samples may fill the same array again.
        samples = np.array(samples, dtype=np.float64)
        if samples.ndim != 2 or len(samples) != len(self.ch_names):
            raise ValueError(
                f"A chunk must have shape ({len(self.ch_names)} channels, n_times), the channels "
                f"of fit in their order (stream.ch_names), got {samples.shape}."
            )
        broken = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(broken):
            raise ValueError(
                f"Samples of channels {[self.ch_names[c] for c in broken[:8]]} are not finite. Do "
                "not push what was not received: the time of the next chunk says what is missing."
            )
        samples = self._in_time(samples, t)
        found, size = [], max(1, int(_AT_ONCE * self.sfreq))
        for first in range(0, max(1, samples.shape[1]), size):
            part = samples[:, first : first + size]
            self._chunks.append(part)
            self._stop += part.shape[1]
            self._measure()
            found.append(self._predict())
        if len(found) == 1:
            return StreamedFrames(*found[0])
        return StreamedFrames(*map(np.concatenate, zip(*found, strict=True)))

    def _in_time(self, samples: np.ndarray, t) -> np.ndarray:
        """Bring samples (n_channels, n_times) to follow the last ones; bridge what is missing."""
        if self._start is None:
            self._start = 0.0 if t is None else float(t)
            if self._first_frame is None:
                self._first_frame = self._start
            self._begin(0)
        step = 0.0 if t is None else float(t) - self._time(self._stop)
        if abs(step) <= _JITTER:
            self.drift_ += _FOLLOWED * step
            if abs(self.drift_) > _DRIFT and not self._told_drift:
                self._told_drift = True
                seconds = self._stop / self.sfreq
                warn(
                    f"The stream's clock has moved by {self.drift_:.2g} s against samples at "
                    f"{self.sfreq:g} Hz in {seconds:.0f} s: frames follow the clock."
                )
            return samples
        n_missing = round(step * self.sfreq)
        if step < -self._grid.n_lags * self._grid.dt:
            raise ValueError(
                f"A chunk at {t:.3f} s begins {-step:.3g} s before the last one ended: has the "
                "device begun anew? Then call stream.reset()."
            )
        if n_missing < 0:
            warn(
                f"A chunk at {t:.3f} s begins {-step:.3f} s before the last one ended: its first "
                f"{min(-n_missing, samples.shape[1])} samples are left out."
            )
            return samples[:, -n_missing:]
        self.lost_.append((self._time(self._stop), float(t)))
        warn(
            f"Samples from {self.lost_[-1][0]:.3f} to {t:.3f} s did not come: frames that depend "
            "on them are marked (known=False), or left out where nothing of their history is left."
        )
        if step > self._grid.n_lags * self._grid.dt:
            self._begin(self._stop + n_missing)
            return samples
        begin, end = self.lost_[-1]
        self._gaps.append((begin - self.delay, end + self._past / self.sfreq))
        before = next((c[:, -1:] for c in self._chunks[::-1] if c.size), samples[:, :1])
        part = np.arange(1, n_missing + 1) / (n_missing + 1)
        return np.concatenate([before * (1 - part) + samples[:, :1] * part, samples], axis=1)

    def _begin(self, sample: int) -> None:
        """Begin with this sample: nothing before it is known."""
        self._chunks, self._first_sample, self._stop = [], sample, sample
        self._power, self._lost = self._power[..., :0], self._lost[:0]
        self._next_bin = max(self._next_bin, int(np.ceil(self._bin_of(sample) - 1e-6)))
        self._first_bin = self._next_bin
        ready = self._first_bin / self._grid.step + self._n_window - 1
        self._next_frame = max(self._next_frame, int(np.ceil(ready)))

    def _time(self, sample: int) -> float:
        """Time of a sample on the stream's clock."""
        return self._start + self.drift_ + sample / self.sfreq

    def _bin_of(self, sample: int) -> float:
        """Place of a sample among bins; frame k follows bin ``k * step + n_lags - 1``."""
        return (self._time(sample) - self._first_frame) / self._grid.dt + self._grid.n_lags

    def _measure(self) -> None:
        """Measure the bins of frames whose samples are there; forget samples that no bin needs."""
        grid, ready = self._grid, int(np.floor(self._bin_of(self._stop - self._future) + 1e-6))
        # Bins of a frame together: each call transforms all that their wavelets reach.
        n_bins = ready - (ready - grid.n_lags) % grid.step - self._next_bin
        width = grid.dt * self.sfreq
        start = (self._next_bin - self._bin_of(self._first_sample)) * width
        unused = int(np.floor(start + max(n_bins, 0) * width)) - self._past
        if n_bins <= 0 and unused < _AT_ONCE * self.sfreq:
            return
        signal = np.concatenate(self._chunks, axis=1)
        if n_bins > 0:
            power = _power_of(self._features, signal, self.sfreq, start, width, n_bins)
            edges = np.arange(self._next_bin, self._next_bin + n_bins + 1) - grid.n_lags
            edges = self._first_frame + edges * grid.dt
            lost = np.zeros(n_bins, dtype=bool)
            for low, high in self._gaps:
                lost |= (edges[1:] > low) & (edges[:-1] < high)
            self._gaps = [gap for gap in self._gaps if gap[1] > edges[-1]]
            self._power = np.concatenate([self._power, power], axis=-1)
            self._lost = np.concatenate([self._lost, lost])
            self._next_bin += n_bins
        unused = min(max(unused, 0), signal.shape[1])
        self._chunks, self._first_sample = [signal[:, unused:]], self._first_sample + unused

    def _predict(self) -> tuple[np.ndarray, ...]:
        """Frames whose bins are all there: times, bold, low, high, known; forget older bins."""
        grid, size = self._grid, self._grid.n_bins(self._n_window)
        last = (self._next_bin - grid.n_lags) // grid.step
        numbers = np.arange(self._next_frame, last + 1)
        if not len(numbers):
            return self._none
        begin = (numbers - self._n_window + 1) * grid.step - self._first_bin
        missing = [self._lost[first : first + size] for first in begin]
        powers = [
            np.where(lost, np.nan, self._power[..., first : first + size])
            for first, lost in zip(begin, missing, strict=True)
        ]
        # Windows, as which they are scaled, take what training saw of everybody.
        scaled = self._scaler.transform(powers, [("",)] * len(powers), "windows")
        frames = np.stack([frame[-1] for frame in self._fitted.frames(scaled, grid)])
        spread = np.stack([std[-1] for std in self._fitted.std(scaled, grid)])
        self._next_frame = last + 1
        unused = (self._next_frame - self._n_window + 1) * grid.step - self._first_bin
        if unused > 0:
            self._power, self._lost = self._power[..., unused:], self._lost[unused:]
            self._first_bin += unused
        (bold,) = self._scale.unscale([frames])
        half = spread * self._scale.scale * self._quantile
        known = np.array([not lost.any() for lost in missing], dtype=bool)
        return self._first_frame + numbers * grid.t_r, bold, bold - half, bold + half, known

    def _calibrated(self, calibration):
        """Scaler of power that knows the mean and scale of one recording."""
        if isinstance(calibration, mne.io.BaseRaw):
            lacking = [name for name in self.ch_names if name not in calibration.ch_names]
            if lacking or calibration.info["sfreq"] != self.sfreq:
                raise ValueError(
                    f"calibration must have the channels and the rate of fit, {self.sfreq:g} Hz; "
                    f"it lacks {lacking[:8]} and has {calibration.info['sfreq']:g} Hz."
                )
            calibration = calibration.get_data(picks=self.ch_names)
        signal = np.asarray(calibration, dtype=np.float64)
        if signal.ndim != 2 or len(signal) != len(self.ch_names):
            raise ValueError(
                f"calibration must be a Raw, or have shape ({len(self.ch_names)} channels, "
                f"n_times), got {signal.shape}."
            )
        if signal.shape[1] < _CALIBRATION * self.sfreq:
            raise ValueError(
                f"calibration lasts {signal.shape[1] / self.sfreq:.3g} s: give {_CALIBRATION:g} s "
                "or more, or None."
            )
        width = self._grid.dt * self.sfreq
        n_bins = int(signal.shape[1] / width)
        power = _power_of(self._features, signal, self.sfreq, 0.0, width, n_bins)
        return self._scaler.fit([power], [("calibration",)])


def _power_of(features, signal, sfreq, start, width, n_bins) -> np.ndarray:
    """Power (n_nodes, n_bands, n_bins) of samples (n_channels, n_times), from sample ``start``."""

    def read(first, stop):
        part = signal[:, first:stop]
        return part if features.spatial is None else features.spatial.filters @ part

    return features.bank.power(
        read, signal.shape[1], sfreq, start=start, width=width, n_bins=n_bins
    )


def predict_stream(
    stream: SambaStream, source, *, duration: float | None = None, timeout: float = 10.0
) -> Iterator[StreamedFrames]:
    """Predict frames while a Lab Streaming Layer stream goes on.

    Parameters
    ----------
    stream : SambaStream
        Around a fitted translator; it goes on from what it has seen, see `SambaStream.reset`.
    source : mne_lsl.stream.StreamLSL
        Connected; it has the channels of ``fit``, in any order and among others, at their rate.
        Volts, or what its units say (microvolts are converted).
    duration : float | None
        Seconds after which to end. None: with the stream.
    timeout : float
        Seconds without a sample after which the stream is taken to have ended.

    Yields
    ------
    frames : StreamedFrames
        One or more frames, as soon as they are known; their times are on the clock of the stream.

    Raises
    ------
    ValueError
        If channels are missing, the rate is another, the source is not connected, or its clock
        goes back.

    Notes
    -----
    Samples that the source's buffer lost, because they were not fetched in time, are seen by their
    time stamps: ``stream.lost_`` has the spans. Connect with ``processing_flags="all"``, which
    removes the jitter of time stamps.

    Examples
    --------
    >>> from mne_lsl.stream import StreamLSL  # doctest: +SKIP
    >>> source = StreamLSL(10.0, name="EEG").connect(processing_flags="all")  # doctest: +SKIP
    >>> for frames in predict_stream(SambaStream(model), source):  # doctest: +SKIP
    ...     print(frames.times, frames.bold)
    """
    if not source.connected:
        raise ValueError("The source is not connected: call source.connect() first.")
    lacking = [name for name in stream.ch_names if name not in source.ch_names]
    if lacking:
        raise ValueError(
            f"The stream lacks {len(lacking)} of {len(stream.ch_names)} channels of fit: "
            f"{lacking[:8]}. It has {source.ch_names[:8]}...; source.rename_channels(...) gives "
            "them the names of fit."
        )
    if not np.isclose(source.info["sfreq"], stream.sfreq):
        raise ValueError(
            f"The stream has {source.info['sfreq']:g} Hz, fit had {stream.sfreq:g} Hz: fit to "
            "recordings that were resampled to the stream's rate."
        )
    rows = [source.ch_names.index(name) for name in stream.ch_names]
    # Powers of ten to volts; what has no unit is volts already.
    powers = np.array([max(int(power), -12) for _, power in source.get_channel_units()])[rows]
    begun = heard = time.monotonic()
    last = -np.inf
    while source.connected and (duration is None or time.monotonic() - begun < duration):
        if not source.n_new_samples:
            if time.monotonic() - heard > timeout:
                return
            time.sleep(_PAUSE)
            continue
        samples, times = source.get_data(picks="all")
        # The buffer begins with zeros, and may have been read while it was filled.
        new = (times > last) & (times > 0)
        if not new.any():
            if times[-1] < last:
                raise ValueError(
                    f"The source's clock went back from {last:.3f} to {times[-1]:.3f} s: has the "
                    "device begun anew? Then connect again and call stream.reset()."
                )
            time.sleep(_PAUSE)
            continue
        samples, times = samples[rows][:, new] * 10.0 ** powers[:, None], times[new]
        heard, last = time.monotonic(), times[-1]
        # What was lost on the way lies between two samples.
        for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > _JITTER) + 1):
            frames = stream.push(samples[:, part], times[part[0]])
            if len(frames):
                yield frames
