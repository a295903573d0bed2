"""The SAMBA translator: electrophysiology to BOLD, as a scikit-learn estimator."""

from __future__ import annotations

import mne
import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state

from ._data.inputs import input_kind, is_features
from ._data.paired import PairedData
from ._fitting.core_choice import previous_core
from ._fitting.graphs import check_graph
from ._fitting.network import NetworkFitter
from ._fitting.options import check_options
from ._fitting.published import activation_patterns, publish_network
from ._fitting.uncertainty import Intervals
from ._paper.variant import PaperVariant, publish_paper
from ._reverse.features import LatentFeatures
from ._reverse.two_way import TwoWay
from ._saving.files import read_samba, save_translator

__all__ = ["SambaTranslator", "read_samba"]


class SambaTranslator(LatentFeatures, TransformerMixin, Intervals, PaperVariant, TwoWay):
    """Translate EEG/MEG into fMRI time courses (SAMBA, arXiv 2409.18462).

    Band power at about 2 Hz is weighted by a softmax attention over frequency bands with a signed
    gain per node, mapped from nodes to regions, passed through a six-parameter haemodynamic
    response per region and sampled at frame times. This linear core is fitted by variational Bayes
    in seconds. Graph attention over nodes and over regions and a recurrent decoder over frames are
    trained on top of it, and kept only if they predict a held-out block of the training data
    better.

    Parameters
    ----------
    t_r : float
        Seconds between frames (volumes).
    direction : "ele_to_hemo" | "hemo_to_ele" | "both"
        Electrophysiology to haemodynamics, the way back (``fit(bold, electrophysiology)``), or both
        through one latent space (``fit(electrophysiology, bold)``).
    output : "bands" | "signal"
        What BOLD is translated into: log band power, one bin per frame, which is what BOLD can
        carry, or waveforms, whose phase it does not carry.
    alignment : "contrastive" | None
        Whether projections into the latent space are trained to bring paired windows together
        (``direction="both"``; kept where held-out windows confirm it).
    sfreq : float | None
        Sampling rate in Hz of input arrays; MNE objects carry their own.
    tmin : float | None
        Time in seconds of the first sample of windows given as arrays, relative to their first
        frame (not positive). None: the last ``n_frames * t_r`` seconds are the window.
    window : float
        Seconds per window that the network sees of whole recordings.
    step : float | None
        Seconds between those windows, at most a window; None takes half a window.
    context : float
        Seconds of history that windows carry; not less than ``hrf_length``.
    first_volume : float
        Seconds from a recording's first sample to its first volume.
    n_dummy : int
        Volumes at the start that are not in y.
    slice_time_ref : float
        Time within a volume that frames stand for, 0 to 1, as in nilearn.
    volume_event : str | tuple | None
        Scanner triggers in recordings, as in `make_windows`.
    picks : str | list | None
        Channels, as in MNE; None takes data channels that are not bad.
    channels : "error" | "match" | "interpolate"
        What to do where recordings differ in their channels.
    bands : dict | None
        Name to (low, high) in Hz; None takes delta to gamma.
    wavelet : "shannon" | "morlet"
        Wavelets of the bands: flat in the band with sharp edges, or complex Morlet wavelets.
    n_cycles : float
        Cycles of the Morlet wavelets.
    power : "auto" | "linear" | "log"
        Scale of band power; "auto" takes the one whose linear core predicts a held-out block of the
        training data better.
    hrf : "double_gamma" | "fir" | "canonical"
        Response: six parameters per region, free, or fixed.
    hrf_length : float
        Seconds that a response lasts.
    hrf_bounds : "human" | "fast"
        Range of the six parameters.
    map_prior : "auto" | "sparse" | "ard" | "gaussian"
        Prior of the spatial map; "auto" takes the one with more evidence in training.
    recurrent : "lstm" | "gru" | "transformer" | None
        Recurrent decoder over frames.
    graph : str | None | array | callable
        Source graph. By name, ``n_neighbors`` neighbours of every node in training data: "knn", the
        largest correlations of band power; "correlation" and "partial_correlation" (shrunk
        precision), the strongest of either sign; "cosine", nodes that correlate with the same
        others; "mutual_information" of all bands (Gaussian copula); "distance", nearest channels
        in space. "dense": all nodes; "learnt": all nodes, with edges that are trained. None: no
        graph. Or an adjacency (n_channels, n_channels), or a function of the correlations that
        returns one.
    n_neighbors : int
        Neighbours of a node, such as 4, 8 or 16.
    band_attention : bool
        False weights all bands alike.
    target_bands : "auto" | bool
        Whether regions have weights of nodes and bands of their own instead of sharing the nodes'
        band weights; "auto" decides by held-out frames, or by evidence below three minutes. A warm
        start keeps what the adapted model has, whatever is asked for here.
    variant : "default" | "paper"
        "paper" is the published network, for comparison: see `mne_samba.nn.paper.PaperNet` and, for
        the way back, `mne_samba.nn.paper_reverse.PaperReverseNet`, which say which part is where.
        All is trained by gradient from a random start. From electrophysiology: signal at full rate,
        db5 wavelets of three levels, a response per *node*, graph attention, a map per target and a
        recurrent decoder. From BOLD: graph attention, a map per node, wavelet coefficients per
        level with skip losses, their inverse, and deconvolution by each node's response. It needs
        signals (no tables) and every region in every recording, and has no linear core:
        ``power``, ``map_prior`` and ``corrections`` do not apply, ``bands``, ``wavelet`` and
        ``n_cycles`` only on the way back, ``recurrent`` only on the way there.
    corrections : "auto" | "always" | "never"
        Keep graph attention and recurrence if they help on a held-out block of training data, in
        any case, or leave them out.
    n_hidden : int
        Width of the recurrence.
    lr : float
        Learning rate.
    batch_size : int
        Windows per training step.
    max_epochs : int
        Most epochs.
    patience : int
        Epochs without improvement on held-out frames before training ends.
    validation_fraction : float
        Share of every training recording, at its end, that is held out inside ``fit``.
    gap : float
        Seconds between training and held-out frames inside ``fit``.
    detrend : "cosine" | "linear" | int | None
        Slow drift removed from BOLD per recording.
    device : "auto" | str
        Where the network runs: "cuda", "mps", "cpu", or the first of them that exists.
    dtype : "float32" | "float64"
        Precision of the network.
    compile : bool
        Run training steps of the network through `torch.compile`, which needs a compiler. For
        accelerators: on the CPU steps are written for its cache, and compilation takes longer than
        most fits.
    mixed_precision : bool
        Compute matrix products of training steps in bfloat16 on an accelerator; transforms, losses,
        weights and predictions stay float32. The CPU ignores it.
    warm_start : bool
        Start from the fitted model, to adapt it to a new person with the same channels and regions.
    checkpoint_dir : str | Path | None
        Folder that keeps the state of the corrections' training (and of ``variant="paper"``) after
        every epoch: a fit that was killed goes on there and ends with the same weights. Files are
        removed when the fit is done.
    memory : str | Path | joblib.Memory | None
        Where to keep band power, which folds and refits then share: one computation per recording.
        It is found again by the samples, bands and frames themselves; scales and all else that is
        learnt are never kept. Not used by ``variant="paper"`` and on the way back.
    random_state : int | RandomState | None
        Seed.
    verbose : bool | str | int | None
        MNE's verbosity.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The network.
    core_ : mne_samba.nn.linear.Core
        The linear core.
    hrf_params_ : DataFrame
        Six parameters per region (``variant="paper"``: per node, as are the responses below).
    hrf_, hrf_times_, hrf_peak_time_ : array
        Responses (n_targets, n_hrf_times), their times, and times to peak in seconds.
    power_ : str
        Scale of band power that is used.
    band_attention_, band_gain_ : array, shape (n_channels, n_bands)
        Attention over bands (rows sum to 1) and signed gain in [-1, 1].
    band_weights_, spatial_map_ : array
        Effective coefficients (n_channels, n_bands) and (n_targets, n_channels).
    patterns_ : array, shape (n_targets, n_channels, n_bands)
        Haufe activation patterns.
    graph_ : Bunch
        Adjacency (``source``, ``target``), what it was built by (``source_similarity``), attention
        where graph attention is used (``source_attention``), and the map (``bipartite``).
    history_ : list of dict
        Losses by epoch of the corrections' training; empty where none was trained.
    corrections_kept_ : bool
        Whether graph attention and recurrence are used.
    n_parameters_ : int
        Learnt numbers.
    ch_names_in_, target_names_in_ : list of str
        Names of channels and regions.

    Notes
    -----
    BOLD tells of changes of band power below about 0.1 Hz, in bands that drive it; not of faster
    ones, and not of phase. Simulated (``benchmarks/reverse.py``: 16 nodes, 32 regions, 30 min, SNR
    4, log power in bins of 2 s), predicted and measured alpha power correlate by .42 to .47 at
    rates below 0.1 Hz, by .20 from 0.1 to 0.15 Hz and by .05 above; delta and theta, which hardly
    drive BOLD there, by .16 at most; waveforms (``output="signal"``) by .00. An oracle that knows
    coupling, responses and noise is ahead by .01.

    Examples
    --------
    >>> from mne_samba import SambaTranslator
    >>> translator = SambaTranslator(t_r=2.0)  # then translator.fit(raws, bolds)
    """

    def __init__(
        self, *, t_r, direction="ele_to_hemo", sfreq=None, tmin=None, window=60.0, step=None,
        context=30.0, first_volume=0.0, n_dummy=0, slice_time_ref=0.0, volume_event=None,
        picks=None, channels="error", bands=None, wavelet="shannon", n_cycles=7.0,
        power="auto", hrf="double_gamma", hrf_length=30.0, hrf_bounds="human", map_prior="auto",
        recurrent="lstm", graph="knn", n_neighbors=8, band_attention=True, target_bands="auto",
        variant="default", corrections="auto", n_hidden=32,
        lr=3e-3, batch_size=8, max_epochs=30, patience=5, validation_fraction=0.2, gap=30.0,
        detrend="cosine", device="auto", dtype="float32", warm_start=False, random_state=None,
        verbose=None, checkpoint_dir=None, output="bands", alignment="contrastive", memory=None,
        compile=False, mixed_precision=False,  # noqa: A002
    ):  # fmt: skip
        self.t_r = t_r
        self.direction = direction
        self.sfreq = sfreq
        self.tmin = tmin
        self.window = window
        self.step = step
        self.context = context
        self.first_volume = first_volume
        self.n_dummy = n_dummy
        self.slice_time_ref = slice_time_ref
        self.volume_event = volume_event
        self.picks = picks
        self.channels = channels
        self.bands = bands
        self.wavelet = wavelet
        self.n_cycles = n_cycles
        self.power = power
        self.hrf = hrf
        self.hrf_length = hrf_length
        self.hrf_bounds = hrf_bounds
        self.map_prior = map_prior
        self.recurrent = recurrent
        self.graph = graph
        self.n_neighbors = n_neighbors
        self.band_attention = band_attention
        self.target_bands = target_bands
        self.variant = variant
        self.corrections = corrections
        self.n_hidden = n_hidden
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.gap = gap
        self.detrend = detrend
        self.device = device
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir
        self.output = output
        self.alignment = alignment
        self.memory = memory
        self.compile = compile
        self.mixed_precision = mixed_precision

    @property
    def _may_lack(self) -> bool:
        return self.variant == "default"

    @property
    def _log_power(self) -> bool:
        return self.power == "log"

    @property
    def _choose_power(self) -> bool:
        return self.power == "auto"

    def _check_params(self) -> None:
        super()._check_params()
        self._check_direction()
        check_options(self)

    def _fit_paired(self, data: PairedData) -> None:
        with mne.use_log_level(self.verbose):
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                if self._is_paper:
                    self._fit_paper(data)
                    return
                previous = previous_core(self, data)
                fitter = NetworkFitter(self)
                check_graph(self, data)
                data, self.scaler_ = fitter.cores.choose(data, self.scaler_, seed, previous)
                self._network = fitter.fit(data, seed, previous)
            self._publish()
            frames = self._network.frames(data.powers, data.grid)
            self.patterns_ = activation_patterns(self.net_.module_, data, frames)
            self._match(data, frames)

    def _publish(self) -> None:
        """Set the fitted attributes that follow from the network."""
        if self._is_paper:
            publish_paper(self)
            return
        publish_network(self)

    def _predict_scaled(self, powers, kind, grid) -> list[np.ndarray]:
        return self._network.frames(powers, grid)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network") or hasattr(self, "_reverse")

    def predict(self, X, return_std: bool = False):
        """Predict BOLD at frame times, or electrophysiology from BOLD (see ``target_from``).

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology as in ``fit``; recordings may be given where windows were fitted and
            the other way round. With ``direction="hemo_to_ele"``, BOLD.
        return_std : bool
            Also return the standard deviation of a measured frame around its prediction: the
            posterior of the map, and what was left unexplained on held-out training frames.

        Returns
        -------
        bold : array or list of array
            (n_windows, n_frames, n_targets) for windows, one (n_frames, n_targets) array per
            recording (a single array for a single `mne.io.Raw`), (n_frames, n_targets) for a
            table; in the mean and scale of the training BOLD.
        std : array or list of array
            Like ``bold``, with ``return_std=True``.

        Raises
        ------
        ValueError
            If X has other channels than in ``fit`` or cannot be read.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        if self.direction == "hemo_to_ele":
            if return_std:
                self._need_forward("return_std")
            return self._predict_ele_from(X)
        bold = super().predict(X)
        return (bold, self._predict_std(X)) if return_std else bold

    def predict_image(self, X, masker):
        """Predict BOLD and put it back into an image.

        Parameters
        ----------
        X : Epochs | Raw | list | array
            Electrophysiology, as in ``predict``.
        masker : nilearn masker
            The fitted masker that the training BOLD came from; volumes and surfaces.

        Returns
        -------
        image : image or list of image
            One per window or recording; a single image for a single `mne.io.Raw`.
        """
        frames = self.predict(X)
        if isinstance(frames, np.ndarray) and frames.ndim == 2:
            return masker.inverse_transform(frames)
        if not is_features(X) and input_kind(X)[2]:
            return masker.inverse_transform(frames)
        return [masker.inverse_transform(frame) for frame in frames]

    def save(self, path, overwrite: bool = False) -> None:
        """Save to one file, which `read_samba` reads.

        Parameters
        ----------
        path : str | Path
            Where.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileExistsError
            If the file exists and ``overwrite`` is False.
        """
        check_is_fitted(self)
        save_translator(self, path, overwrite)
