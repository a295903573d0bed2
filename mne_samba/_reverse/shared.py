"""The space that both modalities share: latents, and which windows belong together."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from .._base import BoldRegressor
from .._checks import check_option
from .._data.hemo import detrend_segments, read_hemo
from .._data.inputs import input_kind
from .._data.paired import PairedData
from .._data.segments import Electrophysiology
from .data import read_bold, read_targets
from .latents import courses
from .retrieval import MatchedFilter, retrieval_summary


class SharedSpace(BoldRegressor):
    """Latents and retrieval of a translator."""

    def _need_reverse(self, what: str) -> None:
        check_is_fitted(self)
        if not hasattr(self, "_reverse"):
            raise ValueError(
                f'{what} needs a translator that was trained on BOLD as input: set direction="both"'
                f' or "hemo_to_ele" and fit again; this one has direction="{self.direction}".'
            )

    def _need_forward(self, what: str) -> None:
        check_is_fitted(self)
        if not hasattr(self, "_network"):
            raise ValueError(
                f"{what} needs a translator that was trained on electrophysiology as input: set "
                f'direction="both" or "ele_to_hemo" and fit again; this one has direction='
                f'"{self.direction}".'
            )

    def _read_ele(self, X, n_frames=None) -> Electrophysiology:
        self._need_forward("Reading electrophysiology to predict BOLD")
        return super()._read_ele(X, n_frames)

    def latents(self, X, modality: str | None = None) -> np.ndarray | list[np.ndarray]:
        """Time courses in the latent space, one value per frame.

        The space holds the directions of log band power that BOLD sees, each as large as its
        signal-to-noise ratio there. BOLD is brought into it by deconvolution, so that both
        modalities share the clock of the electrophysiology.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology or BOLD.
        modality : "ele" | "hemo" | None
            What X is; None takes the input that the translator was made for.

        Returns
        -------
        courses : array, shape (n_windows, n_latents, n_frames), or list of array
            One (n_latents, n_frames) array per recording in a list.

        Raises
        ------
        ValueError
            If the modality is unknown, or X is not of it.
        """
        self._need_reverse("The shared latent space")
        if modality is None:
            modality = "hemo" if self.direction == "hemo_to_ele" else "ele"
        check_option(modality, "modality", ("ele", "hemo"))
        reading = self._reverse.reading
        if modality == "hemo":
            kind, bold, _ = read_bold(self, X, reading)
            powers = self._reverse.predict(bold)
        else:
            ele, powers = read_targets(self, X, reading)
            kind = ele.kind
        out = courses(self._space, powers, modality)
        return np.stack(out) if kind == "windows" else out

    def _latent_rows(self, X, modality=None) -> np.ndarray:
        """Mean and spread over time of every latent, (n_samples, 2 * n_latents)."""
        found = self.latents(X, modality)
        return np.stack([np.concatenate([c.mean(axis=1), c.std(axis=1)]) for c in found])

    def _latent_names(self) -> np.ndarray:
        self._need_reverse("The shared latent space")
        n_latents = len(self._space.ele)
        return np.array([f"latent{i:02d}_{s}" for s in ("mean", "std") for i in range(n_latents)])

    def retrieval_score(self, X, y, k=(1, 5, 10)) -> Bunch:
        """Find the BOLD window that belongs to each window of electrophysiology.

        BOLD is predicted from every window; all measured windows are ranked by their likelihood
        given the prediction, relative to their likelihood without one.

        Parameters
        ----------
        X : Epochs | array
            Windows of electrophysiology.
        y : array, shape (n_windows, n_frames, n_targets)
            Measured BOLD of the same windows: the candidates.
        k : tuple of int
            Sizes of the short lists.

        Returns
        -------
        summary : Bunch
            ``top`` and ``chance`` (dicts from k to a share of windows), ``median_rank``,
            ``chance_rank``, ``n_candidates``, ``ranks`` (n_windows,).

        Raises
        ------
        ValueError
            If X is not windows, holds fewer than two, or the translator does not predict BOLD.
        """
        self._need_forward("retrieval_score")
        kind, n_windows, _ = input_kind(X)
        if kind != "windows" or n_windows < 2:
            raise ValueError(
                f"retrieval_score needs at least two windows, got {n_windows} {kind}: cut "
                "recordings with make_windows."
            )
        pred, bold = self._paired_frames(X, y)
        return retrieval_summary(self._matched.scores(pred, bold), k)

    def _paired_frames(self, X, y) -> tuple[np.ndarray, np.ndarray]:
        """Standardised prediction and measurement of windows, both without drift."""
        hemo = read_hemo(y, "windows", input_kind(X)[1])
        ele = self._read_ele(X, n_frames=hemo.n_frames[0])
        pred = self._predict_ele(ele)
        out = []
        for values in (pred, hemo.values):
            clean = detrend_segments(values, ele.table, "windows", float(self.t_r), self.detrend)
            scale = np.where(self.y_scale_ > 0, self.y_scale_, 1.0)
            out.append(np.nan_to_num(np.stack(clean) / scale))
        return out[0], out[1]

    def _match(self, data: PairedData, frames: list[np.ndarray]) -> None:
        """Keep what retrieval needs from training: how residuals and BOLD covary."""
        if data.kind != "features":
            seen = zip(data.targets, data.masks, strict=True)
            # Regions that a recording lacks stand at their mean.
            targets = [np.where(m[:, None], np.nan_to_num(t), np.nan) for t, m in seen]
            self._matched = MatchedFilter.fit(targets, frames)
