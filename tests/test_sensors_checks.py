"""scikit-learn's own checks of Unmixing and SourceParcels, without exceptions.

Its checks hand over tables. Here, and here alone, a table is a recording whose columns are
channels and whose rows are instants; what is left to the transformers is all that they do.
"""

import mne
import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from mne_samba import Reader, SourceParcels, Unmixing

FLOATS = {"dtype": [np.float64, np.float32]}
FIT = {**FLOATS, "ensure_min_samples": 5, "ensure_min_features": 2}


class OfTables:
    """Tables as recordings."""

    def fit(self, X, y=None):
        X = validate_data(self, X, **FIT)
        super().fit(self._recordings(X))
        # A fit forgets what an earlier one has set.
        validate_data(self, X, **FIT)
        return self

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X)

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **FLOATS)
        (out,) = super().transform(self._recordings(X))
        return (out if isinstance(out, np.ndarray) else out.get_data()).T

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


class UnmixingOfTables(OfTables, Unmixing):
    def _recordings(self, X):
        return [X.T]


class ParcelsOfTables(OfTables, SourceParcels):
    def _recordings(self, X):
        montage = mne.channels.make_standard_montage("biosemi64")
        info = mne.create_info(montage.ch_names[: X.shape[1]], 100.0, "eeg").set_montage(montage)
        return [mne.io.RawArray(X.T, info)]


@parametrize_with_checks(
    [
        UnmixingOfTables({"fast": (10.0, 40.0)}, segment=0.05, reader=Reader(sfreq=100.0)),
        ParcelsOfTables(atlas=[[-40.0, 0.0, 40.0], [40.0, 0.0, 40.0]], reg=0.1, verbose=False),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
