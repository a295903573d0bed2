"""How power drives BOLD in a simulated brain: responses, band weights and spatial map."""

from dataclasses import dataclass, replace

import numpy as np

from ..hrf import hrf_summary, unit_peak

#: Log frequency (Hz) -> mean weight of that rhythm on BOLD: alpha suppresses, gamma drives.
_WEIGHT_KNOTS = ([2.0, 6.0, 10.0, 20.0, 37.0], [0.3, 0.2, -1.0, -0.4, 0.9])
_WEIGHT_SPREAD = 0.35
#: How far (mm) a target reaches for its sources.
_REACH = 40.0
# Ranges of human response shapes, peaks between 3.5 and 7 s. The undershoot pulls the peak forward
# by at most 0.2 s: room is left below.
_SHAPES = {
    "peak (s)": (3.75, 7.0),
    "dispersion (s)": (0.6, 1.0),
    "lag to undershoot (s)": (5.0, 8.0),
    "dispersion of undershoot (s)": (0.7, 1.0),
    "ratio of undershoot": (0.1, 0.4),
}


@dataclass(frozen=True)
class Coupling:
    """One brain's coupling: BOLD = response * (``weights`` times power, summed).

    Shapes are peak (s) and dispersion (s) of the response, lag (s) from response to undershoot,
    dispersion (s) of the undershoot, and ratio of undershoot to response.
    """

    shapes: np.ndarray  # (n_targets, 5)
    band_weights: np.ndarray  # (n_sources, n_bands), signed, of standardised power
    spatial_map: np.ndarray  # (n_targets, n_sources)
    target_weights: np.ndarray | None = None  # (n_targets, n_bands), factor of each target's own

    @property
    def hrf_params(self):
        """Six parameters per target, unit peak: (n_targets, 6)."""
        return shape_params(self.shapes)

    @property
    def hrf_peak_time(self):
        """Time of the largest response of each target, s: (n_targets,)."""
        return hrf_summary(self.hrf_params)["peak_time"]

    @property
    def weights(self):
        """Full effective weights: (n_targets, n_sources, n_bands)."""
        weights = self.spatial_map[:, :, None] * self.band_weights[None]
        if self.target_weights is not None:
            weights = weights * self.target_weights[:, None]
        return weights

    def scaled(self, factor):
        """Return the coupling with each target's row of the map times its factor (n_targets,)."""
        return replace(self, spatial_map=self.spatial_map * factor[:, None])


def shape_params(shapes):
    """Unit-peak parameters (n, 6), in the order of ``HRF_PARAMS``, of shapes (n, 5)."""
    peak, dispersion, lag, late_dispersion, ratio = np.asarray(shapes, dtype=float).T
    delays = peak / dispersion, (peak + lag) / late_dispersion
    return unit_peak(
        np.column_stack([*delays, dispersion, late_dispersion, np.ones_like(peak), ratio])
    )


def draw_shapes(rng, n_targets):
    """Draw shapes (n_targets, 5) of human responses whose peaks lie between 3.5 and 7 s."""
    return np.column_stack([rng.uniform(*limits, n_targets) for limits in _SHAPES.values()])


def mean_band_weights(bands):
    """Mean weight of each band on BOLD, by its centre: negative near alpha, positive near gamma."""
    centres = [np.sqrt(low * high) for low, high in bands.values()]
    return np.interp(np.log(centres), np.log(_WEIGHT_KNOTS[0]), _WEIGHT_KNOTS[1])


def _affinity(targets, sources):
    distance = np.linalg.norm(targets[:, None] - sources[None], axis=-1)
    # Every distance is taken from the nearest source: a remote target still has a neighbour.
    distance = distance - distance.min(axis=1, keepdims=True)
    return np.exp(-0.5 * (distance / _REACH) ** 2)


def _local_map(rng, affinity, n_per_target):
    """Sparse positive map: near sources are likelier; no source is left out while there is room."""
    n_targets, n_sources = affinity.shape
    spatial_map = np.zeros(affinity.shape)
    for row, near in zip(spatial_map, affinity, strict=True):
        chosen = rng.choice(n_sources, n_per_target, replace=False, p=near / near.sum())
        row[chosen] = rng.uniform(0.5, 1.0, n_per_target)
    wanted = min(2, n_targets * n_per_target // n_sources)
    for source in rng.permutation(n_sources):
        for target in np.argsort(-affinity[:, source]):
            used = (spatial_map > 0).sum(axis=0)
            if used[source] >= wanted:
                break
            spare = np.where(spatial_map[target] > 0, used, 0)
            spare[source] = 0
            if spatial_map[target, source] == 0 and spare.max() > wanted:
                out = spare.argmax()
                spatial_map[target, [source, out]] = spatial_map[target, out], 0.0
    return spatial_map


def draw_coupling(rng, targets, sources, bands, *, spatial_map, band_weights, n_per_target):
    """Draw a brain's coupling; rows of its map have unit norm."""
    # A "local" map is sparse, positive and near (``n_per_target`` sources); a "dense" one holds
    # every source with a signed weight. "shared" band weights are the band's mean plus the node's
    # deviation; "independent" ones know no band mean; "target" adds a factor of every target and
    # band.
    shapes = draw_shapes(rng, len(targets))
    deviations = rng.standard_normal((len(sources), len(bands)))
    if band_weights == "independent":
        weights = deviations
    else:
        weights = mean_band_weights(bands) + _WEIGHT_SPREAD * deviations
    if spatial_map == "dense":
        rows = rng.standard_normal((len(targets), len(sources)))
    else:
        rows = _local_map(rng, _affinity(targets, sources), n_per_target)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    own = rng.lognormal(0.0, 0.7, (len(targets), len(bands))) if band_weights == "target" else None
    return Coupling(shapes, weights, rows, own)


def mix_couplings(rng, shared, own, amount):
    """Blend the coupling of all people with one person's own (``amount`` 1: shared alone)."""
    # Response shapes are interpolated; weights keep their variance; each target takes its whole row
    # of the map from the group with probability ``amount``.
    if amount == 1:
        return shared
    keep = rng.random(len(shared.spatial_map)) < amount
    rest = np.sqrt(1 - amount**2)
    centre = shared.band_weights.mean(axis=0)
    weights = centre + amount * (shared.band_weights - centre)
    weights += rest * (own.band_weights - own.band_weights.mean(axis=0))
    factors = shared.target_weights
    if factors is not None:
        factors = np.where(keep[:, None], factors, own.target_weights)
    return Coupling(
        amount * shared.shapes + (1 - amount) * own.shapes,
        weights,
        np.where(keep[:, None], shared.spatial_map, own.spatial_map),
        factors,
    )
