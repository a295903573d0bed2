"""The default models: a structured linear core, and network corrections where confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .._checks import check_number, check_option
from .._typing import (
    Corrections,
    Graph,
    HrfBounds,
    HrfFamily,
    Loss,
    MapPrior,
    Power,
    TargetBands,
    Unmix,
)
from ..core.robust import LOSSES
from ..data.paired import Paired
from ..data.power import BandPower, LowRateGrid, PowerScaler, TableRows, bank_for
from ..data.recordings import Recordings
from ..wavelets import Precomputed, as_bank
from ..wavelets.banks import Bands
from .core_based import CoreBased
from .graphs import check_graph_option, is_about_channels
from .unmix_choice import UNMIX

if TYPE_CHECKING:
    from .samba_fit import FittedSamba
    from .trainer import Trainer


class CoreModel(CoreBased):
    """A structured linear core from band power to BOLD, by variational Bayes: no network.

    Band power is weighted per node with signed weights, mapped from nodes to regions and passed
    through a haemodynamic response per region.

    Parameters
    ----------
    bands, unmix, power, loss, hrf, hrf_length, hrf_bounds, map_prior, band_attention, target_bands
        As in `SambaModel`.

    See Also
    --------
    SambaModel : With network corrections on top.

    Examples
    --------
    >>> from mne_samba import SambaTranslator
    >>> from mne_samba.models import CoreModel
    >>> translator = SambaTranslator(t_r=2.0, model=CoreModel(hrf="fir"))
    """

    def __init__(
        self,
        *,
        bands: Bands = None,
        unmix: Unmix = "auto",
        power: Power = "auto",
        loss: Loss = "auto",
        hrf: HrfFamily = "auto",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        map_prior: MapPrior = "auto",
        band_attention: bool = True,
        target_bands: TargetBands = "auto",
    ) -> None:
        self.bands = bands
        self.unmix = unmix
        self.power = power
        self.loss = loss
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.band_attention = band_attention
        self.target_bands = target_bands

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        super().check()
        check_option(self.unmix, "unmix", UNMIX)
        check_option(self.power, "power", ("auto", "linear", "log"))
        check_option(self.loss, "loss", LOSSES)

    def features(self, rec: Recordings) -> BandPower | TableRows:
        """Choose what is measured of recordings."""
        if rec.kind == "table":
            return TableRows()
        bank = bank_for(self.bands, rec)
        t_rs = np.atleast_1d(rec.t_rs)
        grids = [LowRateGrid.from_tr(float(t_r), float(self.hrf_length), bank.rate) for t_r in t_rs]
        return BandPower(bank, min(grids, key=lambda grid: grid.dt))

    @property
    def unmix_of_nodes(self) -> str | None:
        """Which spatial filter nodes come from, or that it is to be chosen."""
        return self.unmix

    def scaler(self) -> PowerScaler:
        """Give the scale of band power that fits begin with."""
        return PowerScaler(log=self.scale_of_power == "log")

    @property
    def chooses_scale(self) -> bool:
        """Whether fits may take another scale than they begin with."""
        return self.scale_of_power == "auto"

    @property
    def scale_of_power(self) -> str:
        """Scale of band power, or that it is to be chosen: a logarithm of the user's stays."""
        bank = as_bank(self.bands)
        if self.power == "auto" and isinstance(bank, Precomputed) and bank.scale != "linear":
            return "log"
        return self.power

    def fit(self, data: Paired, trainer: Trainer, seed: int | None, start=None) -> FittedSamba:
        """Fit to paired data; what the model asks for is judged on what the trainer holds out."""
        from .samba_fit import fit_samba  # loads torch, which takes seconds

        return fit_samba(self, data, trainer, seed, start)


class SambaModel(CoreModel):
    """The linear core of `CoreModel`, and network corrections where held-out frames confirm them.

    Graph attention over nodes and over regions and a recurrence over frames come on top of the
    core. Before any training, with random weights, they see neighbours and the past already: least
    squares read out what of this explains BOLD. Only where that predicts a held-out block of the
    training data better are they trained, from there on; what training adds is used only if it
    predicts the block better still, and all of it only if it clearly beats the core.

    Parameters
    ----------
    bands : dict | Shannon | Morlet | Discrete | Precomputed | None
        Frequency bands, name to (low, high) in Hz, or a bank of `mne_samba.wavelets`
        (`Precomputed` where X is power); None takes the canonical bands below half the sampling
        rate.
    unmix : "auto" | "joint" | "underdetermined" | "whiten" | None
        Spatial filter that channels go through before power, learnt from the electrophysiology of
        the training data alone (`mne_samba.Unmixing`): jointly diagonalised covariances of bands
        over time, beamformers of sources that may be more than channels, whitened channels, or
        channels as they are. "auto" takes what predicts held-out training frames better; it leaves
        channels alone where they hardly correlate, where there are fewer than 120 frames, where X
        holds no signals, and where ``graph`` is about them.
    power : "auto" | "linear" | "log"
        Scale of band power; "auto" takes what predicts held-out frames better, and leaves power
        that comes as a logarithm (`mne_samba.wavelets.Precomputed`) as it is.
    loss : "auto" | "squared" | "robust"
        Squares, or Huber's loss and then Tukey's biweight, which frames far from their prediction
        do not rule; "auto" takes these where tails of residuals are heavy and held-out frames
        are predicted better.
    hrf : "auto" | "double_gamma" | "fir" | "canonical"
        Family of responses: six parameters, free smooth courses, or one that is fixed; "auto" takes
        six parameters unless held-out frames prefer another.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : "human" | "fnirs" | "fast"
        Preset of bounds of the six parameters. "fnirs": peaks to 12 s, for haemoglobin, of which
        the deoxygenated may follow seconds after the oxygenated [1]_; "fast": peaks after 0.5 to
        4 s, as in rodents.
    map_prior : "auto" | "sparse" | "ard" | "gaussian"
        Prior of the map from nodes to regions.
    band_attention : bool
        Weigh bands per node; False takes their mean.
    target_bands : "auto" | bool
        Whether regions have band weights of their own.
    graph : str | array, shape (n_channels, n_channels) | callable | None
        Who attends to whom among nodes: "knn" (largest correlations of band power),
        "correlation", "cosine", "partial_correlation", "mutual_information", "distance" (places of
        channels), "dense" (all), "learnt" (all, with learnt edges), an adjacency, a function of
        the correlation that gives one, or None for no graph attention.
    n_neighbors : int
        Nodes (regions) that a node (region) attends to.
    recurrent : "lstm" | "gru" | "transformer" | None
        The recurrence over frames.
    n_hidden : int
        Hidden units of the recurrence.
    corrections : "auto" | "always"
        Keep graph attention and recurrence where held-out frames confirm them, or train and keep
        them in any case. They take 10 minutes to learn from: where less is left beside what is held
        out (of some 13 minutes in all), "auto" leaves them out.

    See Also
    --------
    CoreModel : The linear core alone.
    PaperModel : The published network.

    References
    ----------
    .. [1] Huppert T. J. et al. A temporal comparison of BOLD, ASL, and NIRS hemodynamic responses
       to motor stimuli in adult humans. NeuroImage 29 (2006).

    Examples
    --------
    >>> from mne_samba import SambaModel, SambaTranslator
    >>> model = SambaModel(graph="distance", recurrent="gru")
    >>> translator = SambaTranslator(t_r=2.0, model=model)
    """

    def __init__(
        self,
        *,
        bands: Bands = None,
        unmix: Unmix = "auto",
        power: Power = "auto",
        loss: Loss = "auto",
        hrf: HrfFamily = "auto",
        hrf_length: float = 30.0,
        hrf_bounds: HrfBounds = "human",
        map_prior: MapPrior = "auto",
        band_attention: bool = True,
        target_bands: TargetBands = "auto",
        graph: Graph = "knn",
        n_neighbors: int = 8,
        recurrent: Literal["lstm", "gru", "transformer"] | None = "lstm",
        n_hidden: int = 32,
        corrections: Corrections = "auto",
    ) -> None:
        super().__init__(
            bands=bands, unmix=unmix, power=power, loss=loss, hrf=hrf, hrf_length=hrf_length,
            hrf_bounds=hrf_bounds, map_prior=map_prior, band_attention=band_attention,
            target_bands=target_bands,
        )  # fmt: skip
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.recurrent = recurrent
        self.n_hidden = n_hidden
        self.corrections = corrections

    def check(self) -> None:
        """Refuse parameters that do not exist or are out of range."""
        from ..nn.recurrent import RECURRENT

        super().check()
        check_graph_option(self.graph)
        check_number(self.n_neighbors, "n_neighbors", low=1, integer=True)
        check_option(self.recurrent, "recurrent", (*RECURRENT, None))
        check_number(self.n_hidden, "n_hidden", low=1, integer=True)
        if self.recurrent == "transformer" and self.n_hidden % 4:
            raise ValueError(
                'n_hidden must be a multiple of 4 for recurrent="transformer", got '
                f"{self.n_hidden}."
            )
        check_option(self.corrections, "corrections", ("auto", "always"))
        if self.unmix in ("joint", "underdetermined") and is_about_channels(self.graph):
            raise ValueError(
                "This graph is about channels, their places or edges between them, but "
                f'unmix={self.unmix!r} makes components of them: set unmix=None or "whiten", or '
                "another graph."
            )

    @property
    def unmix_of_nodes(self) -> str | None:
        """Which spatial filter nodes come from; channels stay where a graph is about them."""
        keeps = self.unmix == "auto" and is_about_channels(self.graph)
        return None if keeps else self.unmix
