"""The latent representation as features: one row per sample, for decoders in Pipelines."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._data.inputs import is_features


class LatentFeatures:
    """``transform`` of translators, whichever way they translate."""

    def transform(self, X, modality: str | None = None) -> np.ndarray:
        """Latent representation: mean and spread over time of every region's neural drive.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``; BOLD for ``modality="hemo"``.
        modality : "ele" | "hemo" | None
            What X is; None takes the input of ``predict``.

        Returns
        -------
        latents : array, shape (n_samples, 2 * n_targets)
            One row per window or recording (of a table: n_targets columns, the drive alone). Of a
            translator that goes back or both ways, mean and spread of its ``latents``.
        """
        check_is_fitted(self)
        if self.direction != "ele_to_hemo" or modality == "hemo":
            return self._latent_rows(X, modality)
        if is_features(X):
            rows = self._predict_rows(X)
            return rows[:, np.newaxis] if rows.ndim == 1 else rows
        ele = self._read_ele(X)
        powers, _ = self._scaled_power(ele)
        drives = self._network.drives(powers, self._grid_of(ele))
        return np.stack([np.concatenate([d.mean(axis=1), d.std(axis=1)]) for d in drives])

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names of the columns of ``transform``.

        Parameters
        ----------
        input_features : None
            Not used, as scikit-learn passes it.

        Returns
        -------
        names : array of str, shape (n_columns,)
            Mean and standard deviation over time of every region (or latent); regions for tables.
        """
        check_is_fitted(self)
        if self.direction != "ele_to_hemo":
            return self._latent_names()
        names = self.target_names_in_
        if self.kind_ == "features":
            return np.array(names, dtype=object)
        return np.array([f"{n}_{s}" for s in ("mean", "std") for n in names], dtype=object)
