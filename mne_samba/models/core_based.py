"""The parameters that models with a linear core share, in either direction."""

from sklearn.base import BaseEstimator

from .._checks import check_number, check_option
from ..wavelets import as_bank

# Families of responses, of which "auto" takes one.
FAMILIES = ("double_gamma", "fir", "canonical")


class CoreBased(BaseEstimator):
    """What models with a linear core share, in either direction."""

    #: Whether recordings may lack regions.
    may_lack = True

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        from ..hrf import HRF_BOUNDS  # loads torch, which takes seconds

        as_bank(self.bands)
        check_option(self.hrf, "hrf", ("auto", *FAMILIES))
        check_number(self.hrf_length, "hrf_length", low=0, low_open=True)
        check_option(self.hrf_bounds, "hrf_bounds", tuple(HRF_BOUNDS))
        check_option(self.map_prior, "map_prior", ("auto", "sparse", "ard", "gaussian"))
        check_option(self.band_attention, "band_attention", (True, False))
        check_option(self.target_bands, "target_bands", ("auto", True, False))
