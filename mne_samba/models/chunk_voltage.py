"""The signal between frames as it is, for networks that look at voltages."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..data.power import LowRateGrid, PowerScaler
from .chunk_power import Chunks

# Hundreds of microvolts in a volt.
_PER_VOLT = 1e4


@dataclass(frozen=True)
class ChunkVoltage(Chunks):
    """Samples of the signal between frames, in units of 100 microvolts."""

    _model = "NeuroBOLTModel"

    @classmethod
    def of(cls, t_r: float, seconds: float, rate: float) -> Self:
        """Cut signals at about ``rate`` Hz, a whole number per frame, which sees ``seconds``."""
        n_samples = max(1, round(t_r * rate))
        n_lags = int(np.ceil(seconds * rate / n_samples))
        return cls(n_samples, LowRateGrid(float(t_r), 1, n_lags))

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """One band, all that samples can show."""
        return {"voltage": (0.0, self.n_samples / self.grid.t_r / 2)}

    def by_band(self, gradient: np.ndarray) -> np.ndarray:
        """Refuse to speak of bands: the gradient of a voltage changes sign with its phase."""
        raise ValueError(
            "NeuroBOLTModel sees voltages: gradients by band exist for models of band power "
            "alone (SambaModel, CoreModel, PaperModel)."
        )

    def _seen(self, chunks: np.ndarray) -> np.ndarray:
        """Give samples of chunks in their unit."""
        return chunks * _PER_VOLT


@dataclass(frozen=True)
class VoltageScaler(PowerScaler):
    """No scale but the unit: what is not known is zero."""

    def fit(self, powers, keys, grids=None) -> Self:
        """Refuse signals that are no EEG in volts."""
        spread = np.median([np.nanmedian(np.nanstd(power, axis=(1, 2))) for power in powers])
        if not 1e-3 <= spread <= 1e3:
            raise ValueError(
                "NeuroBOLTModel takes EEG in volts, MNE's unit, and divides it by 100 microvolts; "
                f"channels of X spread by {spread / _PER_VOLT:.2g}. Bring them to volts "
                "(microvolts * 1e-6), and other signals to the scale of EEG."
            )
        return self

    def transform(self, powers, keys, kind, grids=None, overwrite=False) -> list[np.ndarray]:
        """Signals (n_channels, n_samples, n_chunks) as they are, zero where they are not known."""
        return [np.nan_to_num(p, copy=not (overwrite and p.flags.writeable)) for p in powers]
