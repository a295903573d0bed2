"""Both modalities as the way back needs them: log band power in bins of one frame, and BOLD."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch.utils.data import Dataset

from ..arrays import array
from ..core.inverse import autocorrelation, expected_columns, fill_frames, shrunk_covariance
from ..data.bold import detrend_segments, recording_scale
from ..data.paired import BoldScale, Paired, standard_targets
from ..data.power import BandPower, LowRateGrid, PowerScaler, full_history
from ..data.recordings import Recordings
from .retrieval import N_ACF
from .trainer import Trainer
from .windows import like, of_one_length

# Seconds of BOLD that the filter sees before and after a bin.
BEFORE, AFTER = 12.0, 18.0
# Segments that are predicted at a time.
_BATCH = 32
# Most dimensions of the latent space.
N_LATENTS = 16


def inverse_grid(t_r: float, hrf_length: float) -> LowRateGrid:
    """Grid of one bin per frame; bin k of a segment's frames lies between frames k and k + 1."""
    return LowRateGrid(t_r, 1, max(1, int(hrf_length / t_r + 1e-6)))


def frames_before(t_r: float) -> int:
    """Frames before a bin that the filter sees."""
    return int(np.ceil(BEFORE / t_r))


def frames_after(t_r: float) -> int:
    """Frames after a bin that hold its response."""
    return int(np.ceil(AFTER / t_r))


def check_long_enough(rec: Recordings, name: str) -> None:
    """Refuse windows and recordings in which no response ends; ``name`` is that of BOLD."""
    if rec.kind == "table":
        raise ValueError(
            "From BOLD to electrophysiology needs windows or recordings, got a table: without "
            "time there is no deconvolution."
        )
    shortest, least = min(rec.n_frames), frames_after(rec.t_r) + 2
    if shortest < least:
        raise ValueError(
            f"{name} has windows or recordings of {shortest} frames ({shortest * rec.t_r:g} s), "
            f"too few for deconvolution: a response lasts {AFTER:g} s, so at least {least} frames "
            "are needed."
        )


def longer(rec: Recordings) -> Recordings:
    """Take one frame more of every segment: bins end where the last frame does."""
    return replace(rec, segments=[replace(s, n_frames=s.n_frames + 1) for s in rec.segments])


def shares_bins(forward: BandPower, inverse: BandPower) -> bool:
    """Whether bins of the way back are whole numbers of bins of the way there."""
    fine, coarse = forward.grid, inverse.grid
    same = isinstance(forward, BandPower) and forward.bank == inverse.bank
    same = same and forward.spatial is None
    return same and fine.t_r == coarse.t_r and fine.n_lags // fine.step == coarse.n_lags


def frame_bins(powers: list[np.ndarray], grid: LowRateGrid) -> list[np.ndarray]:
    """Average bins (n_channels, n_bands, n_bins) of a finer grid over frames."""
    n_lags = grid.n_lags // grid.step
    out = []
    for power in powers:
        fine = power[..., grid.n_lags - n_lags * grid.step :]
        fine = fine.reshape(*fine.shape[:-1], -1, grid.step)
        out.append(fine.mean(axis=-1, dtype=np.float64).astype(np.float32))
    return out


@dataclass(frozen=True)
class InverseScale:
    """What was learnt about both modalities: how more of either is standardised."""

    power: PowerScaler
    bold: BoldScale  # in training
    grid: LowRateGrid  # one bin per frame
    detrend: str | int | None  # slow drift that is removed from both

    def standard_power(self, rec: Recordings, powers: list[np.ndarray]) -> list[np.ndarray]:
        """Log band power without drift, (n_channels, n_bands, n_lags + n_frames)."""
        courses = []
        scaled = self.power.transform(powers, rec.keys, rec.kind)
        for power, raw in zip(scaled, powers, strict=True):
            course = rows(power).astype(np.float64)
            course[np.isnan(raw[0, 0])] = np.nan
            courses.append(course)
        clean = detrend_segments(courses, rec.table, rec.kind, self.grid.t_r, self.detrend)
        return [c.T.reshape(power.shape) for c, power in zip(clean, scaled, strict=True)]

    def standard_targets(self, rec: Recordings, powers: list[np.ndarray]) -> list[np.ndarray]:
        """Log band power without drift at the bins of frames, (n_channels, n_bands, n_frames)."""
        return [power[..., self.grid.n_lags :] for power in self.standard_power(rec, powers)]

    def standard_bold(self, values: list[np.ndarray], kind: str, table=None) -> list[np.ndarray]:
        """Standardise BOLD (n_frames, n_targets) of windows or recordings."""
        # Recordings lose their own drift, mean and scale. Windows are taken in those of training,
        # and lose the drift of their recording where ``table`` says which frames of it they are: a
        # window alone does not tell drift from signal.
        if kind == "recordings" or table is not None:
            values = detrend_segments(values, table, kind, self.grid.t_r, self.detrend)
        else:
            values = [value - self.bold.mean for value in values]
        scales = [self.bold.scale] * len(values)
        if kind == "recordings":
            keys = [(f"X[{i}]",) for i in range(len(values))]
            scales = [scale for _, scale in recording_scale(values, keys).values()]
        return [v / np.where(s > 0, s, 1.0) for v, s in zip(values, scales, strict=True)]


def pair_inverse(
    rec: Recordings, powers: list[np.ndarray], grid: LowRateGrid, detrend,
    bands: dict | None = None,
) -> tuple[Paired, InverseScale]:  # fmt: skip
    """Standardise both; ``powers`` are (n_channels, n_bands, n_lags + n_frames)."""
    keys, kind = rec.keys, rec.kind
    clean = detrend_segments(rec.bold, rec.table, kind, grid.t_r, detrend)
    scales = recording_scale(clean, keys)
    detrend = detrend if isinstance(detrend, str | None) else int(detrend)
    scale = InverseScale(
        PowerScaler(log=True).fit(powers, keys),
        BoldScale.of(recording_scale(rec.bold, keys), scales), grid, detrend,
    )  # fmt: skip
    # The last bin follows the last frame.
    seen = [full_history(power[..., :-1], grid) for power in powers]
    targets = standard_targets(clean, scales, keys, seen, grid)
    used = [power[..., :-1] for power in scale.standard_power(rec, powers)]
    data = Paired(
        used, targets, keys, rec.table, kind, grid, scale.power, scale.bold, list(rec.ch_names),
        list(rec.target_names), rec.info, bands=bands,
    )  # fmt: skip
    return data, scale


def inner_bins(power: np.ndarray, n_frames: int, n_lags: int) -> np.ndarray:
    """Bins of the frames themselves (n_channels, n_bands, n_frames), the last one unknown."""
    out = np.full((*power.shape[:2], n_frames), np.nan)
    inside = power[..., n_lags:]
    out[..., : inside.shape[-1]] = inside
    return out


def measured_bins(data: Paired) -> list[np.ndarray]:
    """Band power (n_channels, n_bands, n_frames) at the bins of frames of every segment."""
    pairs = zip(data.powers, data.targets, strict=True)
    return [inner_bins(power, len(target), data.grid.n_lags) for power, target in pairs]


def rows(power: np.ndarray) -> np.ndarray:
    """Bins (n_bins, n_channel_bands) of (n_channels, n_bands, n_bins)."""
    return power.reshape(-1, power.shape[-1]).T


def judged_rows(
    powers: list[np.ndarray], data: Paired
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predicted and measured bins, (n_bins, n_channel_bands), but those whose response is cut."""
    found, measured, n_after = [], [], frames_after(data.grid.t_r)
    for power, bins in zip(powers, measured_bins(data), strict=True):
        full = slice(0, max(1, bins.shape[-1] - n_after))
        found.append(rows(power[..., full]))
        measured.append(rows(bins[..., full]))
    return found, measured


def known(data: Paired) -> Paired:
    """Band power that is unknown stands at its mean."""
    return replace(data, powers=[np.nan_to_num(power) for power in data.powers])


def window_frames(data: Paired, trainer: Trainer) -> tuple[int, int]:
    """Frames of a training window, which holds a whole response, and between windows."""
    n_frames, step = trainer.frames_of(data)
    if data.kind == "windows":
        return n_frames, step
    return trainer.frames(data.grid.t_r, max(frames_after(data.grid.t_r) + 2, n_frames))


@dataclass(frozen=True)
class BoldProcess:
    """How BOLD goes on in time and between regions: what is missing is expected from the rest."""

    acf: np.ndarray = array("n_acf")  # from frame to frame
    covariance: np.ndarray = array("n_targets", "n_targets")

    @classmethod
    def of(cls, data: Paired) -> Self:
        """Measure training frames."""
        frames = [t[mask] for t, mask in zip(data.targets, data.masks, strict=True)]
        return cls(
            autocorrelation([t.T for t in data.targets], N_ACF),
            shrunk_covariance(np.concatenate(frames)),
        )

    def filled(self, bold: np.ndarray, n_before: int = 0, n_after: int = 0) -> np.ndarray:
        """Fill scrubbed frames and missing regions of BOLD (n_frames, n_targets), add margins."""
        return fill_frames(expected_columns(bold, self.covariance), self.acf, n_before, n_after)


class InverseWindows(Dataset):
    """Windows of BOLD, filled up by ``fill``, and the band power that they are to give back."""

    def __init__(self, data: Paired, fill, n_frames: int, step: int, dtype: torch.dtype):
        self.items = []
        n_frames = min([n_frames, *[len(t) for t in data.targets]])
        n_after = min(frames_after(data.grid.t_r), n_frames - 1)
        for i, truth in enumerate(measured_bins(data)):
            for first in range(0, truth.shape[-1] - n_frames + 1, step):
                bold = data.targets[i][first : first + n_frames]
                wanted = truth[..., first : first + n_frames].copy()
                # A bin whose response is cut off by the window teaches little but noise.
                wanted[..., n_frames - n_after :] = np.nan
                if np.isfinite(bold).any() and np.isfinite(wanted).any():
                    history = data.powers[i][..., first : first + data.grid.n_bins(n_frames)]
                    parts = fill(bold), wanted, np.nan_to_num(history)
                    parts = [torch.as_tensor(part).to(dtype) for part in parts]
                    self.items.append(self._item(*parts, data.keys.index(data.keys[i])))

    @staticmethod
    def _item(bold, wanted, history, recording: int):
        """Give what a network takes, and what it is compared with."""
        return bold, wanted

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def predict_segments(module: torch.nn.Module, bold: list[np.ndarray]) -> list[np.ndarray]:
    """Run a network over ``bold`` (n_frames with margins, n_targets), equal lengths together."""
    out: list = [None] * len(bold)
    with torch.inference_mode():
        for some in of_one_length([len(value) for value in bold], _BATCH):
            batch = torch.as_tensor(np.stack([bold[i] for i in some])).to(like(module))
            for i, found in zip(some, module(batch).cpu().double().numpy(), strict=True):
                out[i] = found
    return out
