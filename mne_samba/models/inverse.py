"""The way back: an encoding core, its inverse as a filter, corrections where confirmed."""

from .._checks import check_number, check_option
from .._typing import Corrections, HrfBounds, HrfFamily, MapPrior, TargetBands
from ..data.paired import Paired
from ..data.power import BandPower, bank_for
from ..data.recordings import Recordings
from ..wavelets.banks import Bands
from .core_based import CoreBased
from .inverse_data import inverse_grid
from .inverse_fit import FittedInverse, fit_inverse
from .trainer import Trainer


class InverseCoreModel(CoreBased):
    """Band power from BOLD by one filter: a linear encoding core, inverted by Bayes.

    Parameters
    ----------
    bands, hrf, hrf_length, hrf_bounds, map_prior, band_attention, target_bands
        Of the encoding core, as in `mne_samba.SambaModel`.

    See Also
    --------
    InverseSambaModel : With deconvolution, graphs and heads on top.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> from mne_samba.models import InverseCoreModel
    >>> translator = InverseTranslator(t_r=2.0, model=InverseCoreModel(hrf="canonical"))
    """

    def __init__(
        self,
        *,
        bands: Bands = None,
        hrf: HrfFamily = "double_gamma",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        map_prior: MapPrior = "auto",
        band_attention: bool = True,
        target_bands: TargetBands = "auto",
    ) -> None:
        self.bands = bands
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands

    def features(self, rec: Recordings) -> BandPower:
        """Choose what is measured of recordings: their bands, in bins of one frame."""
        return BandPower(bank_for(self.bands, rec), inverse_grid(rec.t_r, float(self.hrf_length)))

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedInverse:
        """Fit to paired data; what the model asks for is judged on what the trainer holds out."""
        return fit_inverse(self, data, trainer, seed, start)


class InverseSambaModel(InverseCoreModel):
    """Band power from BOLD: the filter of `InverseCoreModel`, and corrections where confirmed.

    Deconvolution of every region by its own response, attention over regions and from regions to
    nodes, and heads that write wavelet coefficients over frames are trained on top of the filter.

    Parameters
    ----------
    bands, hrf, hrf_length, hrf_bounds, map_prior, band_attention, target_bands
        Of the encoding core, as in `mne_samba.SambaModel`.
    n_neighbors : int
        Regions that a region, and a node, attends to.
    corrections : "auto" | "always"
        Keep corrections where held-out frames confirm them, or in any case.

    See Also
    --------
    InverseCoreModel : The filter alone.

    Examples
    --------
    >>> from mne_samba import InverseTranslator
    >>> from mne_samba.models import InverseSambaModel
    >>> translator = InverseTranslator(t_r=2.0, model=InverseSambaModel(n_neighbors=4))
    """

    def __init__(
        self,
        *,
        bands: Bands = None,
        hrf: HrfFamily = "double_gamma",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        map_prior: MapPrior = "auto",
        band_attention: bool = True,
        target_bands: TargetBands = "auto",
        n_neighbors: int = 8,
        corrections: Corrections = "auto",
    ) -> None:
        super().__init__(
            bands=bands, hrf=hrf, hrf_length=hrf_length, hrf_bounds=hrf_bounds,
            map_prior=map_prior, band_attention=band_attention, target_bands=target_bands,
        )  # fmt: skip
        self.n_neighbors = n_neighbors
        self.corrections = corrections

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        super().check()
        check_number(self.n_neighbors, "n_neighbors", low=1, integer=True)
        check_option(self.corrections, "corrections", ("auto", "always"))
