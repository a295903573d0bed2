"""Band attention on a table: columns are band features that were computed elsewhere."""

import numpy as np
from sklearn.utils import check_array

from ..data.recordings import Recordings
from ._band_evidence import band_weights
from ._band_targets import sample_targets


class TableAttention:
    """Attention of a table (n_samples, n_features): columns are channels with a single band."""

    def _fit_table(self, rec: Recordings, y) -> None:
        X = check_array(rec.rows, ensure_min_samples=2)
        self.bank_ = None
        self.bands_ = {"all": (np.nan, np.nan)}
        self.delay_ = np.zeros(1)
        self._mean = X.mean(0, dtype=np.float64)
        scale = X.std(0, dtype=np.float64)
        self._scale = np.where(scale > 1e-12 * np.maximum(np.abs(self._mean), 1e-300), scale, 1.0)
        self.band_attention_ = np.ones((X.shape[1], 1))
        self.band_gain_ = np.ones((X.shape[1], 1))
        if y is not None:
            columns, classes = sample_targets(y, len(X))
            if classes is not None:
                self.classes_ = classes
            design = ((X - self._mean) / self._scale)[:, :, None, None]
            self._set_weights(band_weights(design, columns, None, np.ones(1)))

    def _transform_table(self, rec: Recordings) -> np.ndarray:
        return (rec.rows - self._mean) / self._scale * self.band_gain_[:, 0]
