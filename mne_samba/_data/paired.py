"""What fitting sees: standardised band power and BOLD, segment by segment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .lowrate import LowRateGrid


@dataclass(frozen=True)
class PairedData:
    """Standardised band power and BOLD, segment by segment.

    Attributes
    ----------
    powers : list of array, shape (n_channels, n_bands, n_bins)
        Band power, zero mean and unit variance in each recording.
    targets : list of array, shape (n_frames, n_targets)
        BOLD without drift, zero mean and unit variance in each recording; rows of NaN are not to be
        used, columns of NaN are regions that the recording lacks.
    keys : list of tuple
        Recording of each segment.
    table : DataFrame
        Subject, run, recording, onset and frame of each segment.
    kind : "windows" | "recordings" | "features"
        What X was.
    grid : LowRateGrid
        Bins and frames.
    raw : list of array | None
        Band power before it was scaled, where the estimator chooses its scale by the data.
    """

    powers: list[np.ndarray]
    targets: list[np.ndarray]
    keys: list[tuple]
    table: pd.DataFrame
    kind: str
    grid: LowRateGrid
    raw: list[np.ndarray] | None = None

    @property
    def masks(self) -> list[np.ndarray]:
        """True at frames that can be learnt from; regions a recording lacks do not count."""
        return [np.isfinite(target).any(axis=1) for target in self.targets]

    def take(self, index) -> PairedData:
        """Keep some segments."""
        return replace(
            self,
            powers=[self.powers[i] for i in index],
            targets=[self.targets[i] for i in index],
            keys=[self.keys[i] for i in index],
            table=self.table.iloc[list(index)].reset_index(drop=True),
            raw=None if self.raw is None else [self.raw[i] for i in index],
        )

    def of_targets(self, some) -> PairedData:
        """Keep some targets."""
        return replace(self, targets=[target[:, some] for target in self.targets])
