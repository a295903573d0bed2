"""Haemodynamic response functions: the double gamma, its gauge, dictionaries and convolutions.

Every response here has six parameters, in the order of :data:`HRF_PARAMS`::

    h(t) = c_r (t/p_r)^{d_r} exp(-(t - p_r)/s_r) - c_u (t/p_u)^{d_u} exp(-(t - p_u)/s_u),   p = d s

for ``t > 0`` and 0 otherwise (SAMBA, arXiv 2409.18462). Only the product of a response and an amplitude
can be observed, so responses are kept at *unit peak* (``max_t h(t) = 1``) and amplitudes elsewhere.
"""

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.special import gammaln
from torch import nn

#: Names of the six parameters of a response, in the order of every ``(..., 6)`` array.
HRF_PARAMS = (
    "response_delay",
    "undershoot_delay",
    "response_dispersion",
    "undershoot_dispersion",
    "response_scale",
    "undershoot_scale",
)

#: Largest undershoot scale as a fraction of the response scale. Below one, so that a unit-peak gauge exists.
MAX_UNDERSHOOT = 0.9

#: Preset -> (lowest, highest) values of the six parameters. The scales' bounds follow from the unit-peak gauge.
HRF_BOUNDS = {
    "human": (
        np.array([1.5, 3.0, 0.1, 0.1, 1.0, 0.0]),
        np.array([20.0, 34.0, 4.0, 4.0, 10.0, 9.0]),
    ),
    "fast": (
        np.array([0.5, 1.0, 0.03, 0.05, 1.0, 0.0]),
        np.array([20.0, 34.0, 2.0, 3.0, 10.0, 9.0]),
    ),
}

# Plausible shapes per preset: peak time, full width at half maximum, undershoot's time after the peak (seconds).
_SHAPES = {
    "human": {"peak": (2.0, 9.0), "fwhm": (2.0, 9.0), "undershoot_lag": (3.0, 15.0)},
    "fast": {"peak": (0.5, 4.0), "fwhm": (0.5, 5.0), "undershoot_lag": (1.0, 8.0)},
}
_MAX_UNDERSHOOT_RATIO = 0.6


def _bounds(bounds):
    """Return (low, high), each (6,), of a preset or of a given pair."""
    if isinstance(bounds, str):
        if bounds not in HRF_BOUNDS:
            raise ValueError(f"bounds must be one of {sorted(HRF_BOUNDS)}, got {bounds!r}.")
        return HRF_BOUNDS[bounds]
    low, high = (np.asarray(b, dtype=float) for b in bounds)
    if low.shape != (6,) or high.shape != (6,) or not np.all(low[:4] < high[:4]):
        raise ValueError(
            "bounds must be a preset or a pair (low, high) of six increasing values in the order of "
            f"{HRF_PARAMS}, got {bounds!r}."
        )
    return low, high


def _shapes(bounds):
    """Plausible peak, width and undershoot ranges that belong to a preset."""
    return _SHAPES[bounds if isinstance(bounds, str) else "human"]


def _gamma_bump(times, delay, dispersion):
    """Unit-peak gamma bump: times (n,) or (..., n), parameters (...) -> (..., n)."""
    peak = (delay * dispersion)[..., None]
    positive = times > 0
    # The double where keeps gradients finite at t <= 0, where the logarithm is not.
    ratio = torch.where(positive, times / peak, torch.ones_like(times / peak))
    bump = torch.exp(delay[..., None] * (torch.log(ratio) - ratio + 1.0))
    return torch.where(positive, bump, torch.zeros_like(bump))


def _double_gamma(times, params):
    d_r, d_u, s_r, s_u, c_r, c_u = params.unbind(-1)
    return c_r[..., None] * _gamma_bump(times, d_r, s_r) - c_u[..., None] * _gamma_bump(
        times, d_u, s_u
    )


def double_gamma(times, params):
    """Evaluate double-gamma responses.

    Parameters
    ----------
    times : array or Tensor of shape (n_times,)
        Seconds after the neural event.
    params : array or Tensor of shape (..., 6)
        Parameters in the order of :data:`HRF_PARAMS`.

    Returns
    -------
    hrf : array or Tensor of shape (..., n_times)
        Responses, 0 for ``t <= 0``. A Tensor if ``params`` or ``times`` is one; an array otherwise.
    """
    if torch.is_tensor(params) or torch.is_tensor(times):
        params = torch.as_tensor(params)
        times = torch.as_tensor(times, dtype=params.dtype, device=params.device)
        return _double_gamma(times, params)
    times = torch.as_tensor(np.asarray(times, dtype=float))
    return _double_gamma(times, torch.as_tensor(np.array(params, dtype=float))).numpy()


def _peak(params):
    """Time and height of the highest point of each response, (...), differentiable in the height."""
    d_r, d_u, s_r, s_u, c_r, c_u = params.detach().unbind(-1)
    p_r = (d_r * s_r)[..., None]
    spacing = 0.02
    # The undershoot moves the peak by a fraction of p_r: a grid relative to p_r resolves every shape alike.
    grid = spacing * torch.arange(1, 151, dtype=params.dtype, device=params.device) * p_r
    first = _double_gamma(grid, params.detach()).argmax(-1, keepdim=True)
    time = grid.gather(-1, first)
    low, high = time - spacing * p_r, time + spacing * p_r
    for _ in range(3):
        slope, curvature = 0.0, 0.0
        for d, s, c in ((d_r, s_r, c_r), (d_u, s_u, -c_u)):
            d, s, c = d[..., None], s[..., None], c[..., None]
            bump = c * _gamma_bump(time, d[..., 0], s[..., 0])
            rate = d / time - 1.0 / s
            slope = slope + bump * rate
            curvature = curvature + bump * (rate**2 - d / time**2)
        step = torch.where(curvature < 0, slope / curvature, torch.zeros_like(slope))
        time = torch.maximum(torch.minimum(time - step, high), low)
    # Envelope theorem: the height's gradient needs none through the time of the peak.
    return time[..., 0], _double_gamma(time, params)[..., 0]


def unit_peak(params):
    """Scale responses to a maximum of one.

    Parameters
    ----------
    params : array or Tensor of shape (..., 6)
        Parameters in the order of :data:`HRF_PARAMS`.

    Returns
    -------
    params : array or Tensor of shape (..., 6)
        The same responses with ``response_scale`` and ``undershoot_scale`` divided by their maximum.
    """
    tensor = params if torch.is_tensor(params) else torch.as_tensor(np.array(params, dtype=float))
    _, height = _peak(tensor)
    tensor = torch.cat([tensor[..., :4], tensor[..., 4:] / height[..., None]], dim=-1)
    return tensor if torch.is_tensor(params) else tensor.numpy()


def _from_densities(delay, undershoot, dispersion, u_dispersion, ratio):
    """Map a difference of gamma densities (nilearn, SPM) to the six parameters, at unit peak.

    A gamma density with shape a = delay / dispersion is the bump with d = a - 1; its height at the peak
    is d^d exp(-d) / (Gamma(d + 1) dispersion), so a ratio of areas becomes a ratio of scales.
    """
    d = np.array([delay / dispersion, undershoot / u_dispersion]) - 1.0
    s = np.array([dispersion, u_dispersion], dtype=float)
    height = np.exp(d * np.log(d) - d - gammaln(d + 1.0)) / s
    return unit_peak(np.array([d[0], d[1], s[0], s[1], height[0], ratio * height[1]]))


def glover_params(delay=6.0, undershoot=12.0, dispersion=0.9, u_dispersion=0.9, ratio=0.48):
    """Parameters of the Glover response as nilearn defines it.

    :func:`nilearn.glm.first_level.glover_hrf` is a difference of gamma densities (``ratio`` is one of
    areas) shifted by one sample: these parameters give it exactly, up to its normalisation to unit sum.

    Parameters
    ----------
    delay, undershoot : float
        Delays of the two gamma densities, in seconds.
    dispersion, u_dispersion : float
        Their dispersions.
    ratio : float
        Area of the undershoot over the area of the response.

    Returns
    -------
    params : array of shape (6,)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.

    References
    ----------
    Glover G. H. (1999). Deconvolution of impulse response in event-related BOLD fMRI. NeuroImage 9.
    """
    return _from_densities(delay, undershoot, dispersion, u_dispersion, ratio)


def spm_params(delay=6.0, undershoot=16.0, dispersion=1.0, u_dispersion=1.0, ratio=0.167):
    """Parameters of SPM's canonical response as nilearn defines it.

    Parameters
    ----------
    delay, undershoot : float
        Delays of the two gamma densities, in seconds.
    dispersion, u_dispersion : float
        Their dispersions.
    ratio : float
        Area of the undershoot over the area of the response.

    Returns
    -------
    params : array of shape (6,)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    return _from_densities(delay, undershoot, dispersion, u_dispersion, ratio)


def canonical_params(bounds="human"):
    """Reference response of a preset: Glover's, compressed in time three-fold for ``"fast"``.

    Parameters
    ----------
    bounds : {"human", "fast"} or pair of arrays
        Preset (or explicit bounds, which are taken as human).

    Returns
    -------
    params : array of shape (6,)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    params = glover_params()
    if isinstance(bounds, str) and bounds == "fast":
        params[2:4] /= 3.0
    return params


def summarise_response(times, hrf):
    """Peak time, width and undershoot of sampled responses.

    Parameters
    ----------
    times : array of shape (n_times,)
        Regular times in seconds.
    hrf : array of shape (..., n_times)
        Responses whose largest value is positive.

    Returns
    -------
    summary : dict of arrays of shape (...)
        ``peak_time`` and ``fwhm`` in seconds, ``undershoot_ratio`` = depth after the peak over the peak.
    """
    times = np.asarray(times, dtype=float)
    flat = np.asarray(hrf, dtype=float).reshape(-1, times.size)
    dt = times[1] - times[0]
    rows = np.arange(len(flat))
    top = flat.argmax(1)
    inner = np.clip(top, 1, times.size - 2)
    left, mid, right = (flat[rows, inner + k] for k in (-1, 0, 1))
    curvature = left - 2 * mid + right
    shift = np.where(
        (curvature < 0) & (inner == top), 0.5 * (left - right) / np.minimum(curvature, -1e-300), 0
    )
    shift = np.clip(shift, -1, 1)
    peak = mid - 0.25 * (left - right) * shift
    peak = np.where(inner == top, peak, flat[rows, top])
    index = np.arange(times.size)
    half = 0.5 * peak[:, None]
    below = flat < half
    before = np.where(below & (index < top[:, None]), index, -1).max(1)
    after = np.where(below & (index > top[:, None]), index, times.size).min(1)

    def cross(a, b):
        """Time at which the line through samples a and b reaches the half maximum."""
        a, b = np.clip(a, 0, times.size - 1), np.clip(b, 0, times.size - 1)
        rise = flat[rows, b] - flat[rows, a]
        part = np.where(rise != 0, (half[:, 0] - flat[rows, a]) / np.where(rise == 0, 1, rise), 0)
        return times[a] + np.clip(part, 0, 1) * (times[b] - times[a])

    fwhm = cross(after - 1, after) - cross(before, before + 1)
    tail = np.where(index > top[:, None], flat, np.inf).min(1)
    depth = np.maximum(0.0, -np.where(np.isfinite(tail), tail, 0.0))
    shape = np.shape(hrf)[:-1]
    return {
        "peak_time": (times[inner] + shift * dt).reshape(shape),
        "fwhm": fwhm.reshape(shape),
        "undershoot_ratio": (depth / np.where(peak > 0, peak, np.inf)).reshape(shape),
    }


def hrf_summary(params, duration=40.0):
    """Peak time, width and undershoot of double-gamma responses.

    Parameters
    ----------
    params : array or Tensor of shape (..., 6)
        Parameters in the order of :data:`HRF_PARAMS`.
    duration : float
        Seconds after the event that are looked at.

    Returns
    -------
    summary : dict of arrays of shape (...)
        ``peak_time`` and ``fwhm`` (seconds), ``undershoot_ratio`` (depth over peak, 0 without undershoot).
    """
    if torch.is_tensor(params):
        params = params.detach().cpu().double().numpy()
    params = np.asarray(params, dtype=float)
    times = np.linspace(0.0, duration, int(round(duration / 0.05)) + 1)
    summary = summarise_response(times, double_gamma(times, params))
    exact, _ = _peak(torch.as_tensor(params))
    summary["peak_time"] = np.where(exact.numpy() < duration, exact.numpy(), summary["peak_time"])
    return summary


def hrf_dictionary(n, bounds="human", random_state=0):
    """Draw random, physiologically plausible double-gamma responses.

    Shapes rise to one peak (2 to 9 s for people, 0.5 to 4 s for ``"fast"``), have a plausible width, and
    an undershoot of at most 0.6 of the peak; within that they are as different as the bounds allow.

    Parameters
    ----------
    n : int
        Number of responses.
    bounds : {"human", "fast"} or pair of arrays of shape (6,)
        Bounds of the parameters.
    random_state : int or numpy.random.Generator
        Seed.

    Returns
    -------
    params : array of shape (n, 6)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    low, high = _bounds(bounds)
    shapes = _shapes(bounds)
    rng = np.random.default_rng(random_state)
    kept, n_kept = [], 0
    for _ in range(1000):
        m = 4 * n + 64
        peak = rng.uniform(0.9 * shapes["peak"][0], 1.15 * shapes["peak"][1], m)
        d_r = np.exp(rng.uniform(*np.log([low[0], high[0]]), m))
        p_u = peak + rng.uniform(*shapes["undershoot_lag"], m)
        d_u = np.exp(rng.uniform(*np.log([low[1], high[1]]), m))
        ratio = rng.uniform(0.0, _MAX_UNDERSHOOT_RATIO, m) * (rng.random(m) < 0.9)
        params = np.stack([d_r, d_u, peak / d_r, p_u / d_u, np.ones(m), ratio], axis=1)
        params = params[np.all((params[:, :4] >= low[:4]) & (params[:, :4] <= high[:4]), axis=1)]
        params = unit_peak(params)
        params = params[_plausible(params, shapes)]
        kept.append(params)
        n_kept += len(params)
        if n_kept >= n:
            return np.concatenate(kept)[:n]
    raise ValueError(f"No plausible response lies within bounds {bounds!r}: widen them.")


def _plausible(params, shapes):
    """Whether each response rises to one peak in range, with a plausible width and undershoot."""
    summary = hrf_summary(params)
    good = summary["undershoot_ratio"] <= _MAX_UNDERSHOOT_RATIO
    for key, name in (("peak_time", "peak"), ("fwhm", "fwhm")):
        good &= (summary[key] >= shapes[name][0]) & (summary[key] <= shapes[name][1])
    fraction = np.linspace(0.02, 1.0, 30)
    times = torch.as_tensor(fraction * summary["peak_time"][:, None])
    early = _double_gamma(times, torch.as_tensor(params)).numpy()
    return good & np.all(np.diff(early, axis=1) > -1e-3, axis=1)


def hrf_basis(times, n_basis=8, *, bounds="human", n_dictionary=2000, random_state=0):
    """Orthonormal responses that span the plausible ones: principal components of a dictionary.

    Parameters
    ----------
    times : array of shape (n_times,)
        Seconds.
    n_basis : int
        Number of components.
    bounds : {"human", "fast"} or pair of arrays of shape (6,)
        Bounds of the dictionary.
    n_dictionary : int
        Number of random responses.
    random_state : int or numpy.random.Generator
        Seed.

    Returns
    -------
    basis : array of shape (n_basis, n_times)
        Orthonormal rows, the first one positive on average (uncentred components).
    """
    times = np.asarray(times, dtype=float)
    if not 1 <= n_basis <= times.size:
        raise ValueError(f"n_basis must be between 1 and n_times = {times.size}, got {n_basis}.")
    responses = double_gamma(times, hrf_dictionary(n_dictionary, bounds, random_state))
    basis = np.linalg.eigh(responses.T @ responses)[1][:, ::-1][:, :n_basis].T
    signs = np.where(basis[np.arange(n_basis), np.abs(basis).argmax(1)] < 0, -1.0, 1.0)
    return np.ascontiguousarray(basis * signs[:, None])


class DoubleGammaHRF(nn.Module):
    """Learnable unit-peak double-gamma responses, one per region, within physiological bounds.

    Delays and dispersions move on a logarithmic scale between their bounds and the undershoot's scale
    between 0 and :data:`MAX_UNDERSHOOT` of the response's, through a sigmoid. The response's scale follows
    from the unit-peak gauge, so five numbers per region are free.

    Parameters
    ----------
    n_regions : int
        Number of responses.
    bounds : {"human", "fast"} or pair of arrays of shape (6,)
        Bounds of the parameters.
    params : array of shape (6,) or (n_regions, 6), optional
        Initial parameters; the preset's canonical response by default.

    Attributes
    ----------
    raw : Parameter of shape (n_regions, 5)
        Unbounded coordinates of (d_r, d_u, s_r, s_u, c_u / c_r).
    """

    def __init__(self, n_regions, bounds="human", params=None):
        super().__init__()
        low, high = _bounds(bounds)
        low = np.concatenate([np.log(low[:4]), [0.0]])
        high = np.concatenate([np.log(high[:4]), [MAX_UNDERSHOOT]])
        self.n_regions = n_regions
        dtype = torch.get_default_dtype()
        self.register_buffer("low", torch.as_tensor(low, dtype=dtype))
        self.register_buffer("high", torch.as_tensor(high, dtype=dtype))
        self.raw = nn.Parameter(torch.zeros(n_regions, 5))
        self.set_params_(canonical_params(bounds) if params is None else params)

    @torch.no_grad()
    def set_params_(self, params):
        """Start from given parameters, moved inside the bounds where they lie outside.

        Parameters
        ----------
        params : array or Tensor of shape (6,) or (n_regions, 6)
            Parameters in the order of :data:`HRF_PARAMS`; their overall scale is ignored.

        Returns
        -------
        self : DoubleGammaHRF
            The module.
        """
        params = torch.as_tensor(params).to(self.raw)
        if params.shape not in {(6,), (self.n_regions, 6)}:
            raise ValueError(
                f"params must have shape (6,) or ({self.n_regions}, 6), got {tuple(params.shape)}."
            )
        params = params.expand(self.n_regions, 6)
        values = torch.cat([params[:, :4].log(), (params[:, 5] / params[:, 4])[:, None]], dim=1)
        # Strictly inside: at a bound the sigmoid's gradient vanishes and the parameter could never move.
        unit = ((values - self.low) / (self.high - self.low)).clamp(0.003, 0.997)
        self.raw.copy_(torch.logit(unit))
        return self

    def params(self):
        """Return the physical, unit-peak parameters.

        Returns
        -------
        params : Tensor of shape (n_regions, 6)
            In the order of :data:`HRF_PARAMS`, differentiable in ``raw``.
        """
        values = self.low + (self.high - self.low) * torch.sigmoid(self.raw)
        ratio = values[:, 4:]
        return unit_peak(
            torch.cat([values[:, :4].exp(), torch.ones_like(ratio), ratio], dim=1),
        )

    def forward(self, lags):
        """Evaluate the responses.

        Parameters
        ----------
        lags : Tensor or array of shape (n_lags,)
            Seconds after the neural event.

        Returns
        -------
        kernels : Tensor of shape (n_regions, n_lags)
            Unit-peak responses.
        """
        return double_gamma(torch.as_tensor(lags).to(self.raw), self.params())


def lag_times(hrf_length, dt):
    """Centres of the lag bins of a frame's history.

    Parameters
    ----------
    hrf_length : float
        Length of the response in seconds.
    dt : float
        Width of a bin in seconds.

    Returns
    -------
    lags : array of shape (ceil(hrf_length / dt),)
        ``(j + 0.5) * dt``, most recent first.
    """
    n_lags = int(np.ceil(round(hrf_length / dt, 9)))
    return (np.arange(n_lags) + 0.5) * dt


def convolve_frames(drive, kernel, step=1, dt=1.0):
    """Convolve causally and sample at frames: ``bold[k] = dt sum_j kernel[j] drive[k step + n_lags - 1 - j]``.

    Frame k follows bin ``k * step + n_lags - 1`` and sees the ``n_lags`` bins before it, the most recent
    one at lag index 0.

    Parameters
    ----------
    drive : Tensor of shape (..., n_regions, n_bins)
        Neural drive per bin, ``n_bins >= n_lags``.
    kernel : Tensor of shape (n_regions, n_lags) or (n_lags,)
        Responses, most recent lag first.
    step : int
        Bins per frame.
    dt : float
        Width of a bin, multiplies the sum.

    Returns
    -------
    bold : Tensor of shape (..., n_regions, n_frames)
        With ``n_frames = (n_bins - n_lags) // step + 1``; differentiable in both inputs.
    """
    n_bins, n_lags = drive.shape[-1], kernel.shape[-1]
    if n_bins < n_lags:
        raise ValueError(
            f"drive has {n_bins} bins, fewer than the {n_lags} lags of the response: give a longer history."
        )
    n_frames = (n_bins - n_lags) // step + 1
    # Reversed: a dot product with a slice of the past in time order is a convolution.
    if n_frames * n_lags <= _DIRECT_WORK:
        past = drive.unfold(-1, n_lags, step)
        return (past @ (kernel.flip(-1) * dt)[..., None])[..., 0]
    size = next_fast_len(n_bins, real=True)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    # Circular wrap-around only reaches outputs before n_lags - 1, which are not frames.
    full = torch.fft.irfft(spectrum, size)
    return full[..., n_lags - 1 : n_lags + (n_frames - 1) * step : step]


# Products per region below which gathering the past of each frame beats three transforms.
_DIRECT_WORK = 2000


def convolve(drive, kernel, dt=1.0):
    """Convolve causally at full rate: ``out[t] = dt sum_j kernel[j] drive[t - j]`` by FFT.

    Parameters
    ----------
    drive : Tensor of shape (..., n_times)
        Signal; zero before its first sample.
    kernel : Tensor of shape (..., n_lags)
        Response, most recent lag first; leading axes broadcast against the drive's.
    dt : float
        Sampling interval, multiplies the sum.

    Returns
    -------
    out : Tensor of shape (..., n_times)
        Same length as the drive; no sample depends on a later one.
    """
    n_times = drive.shape[-1]
    kernel = kernel[..., :n_times]
    size = next_fast_len(n_times + kernel.shape[-1] - 1, real=True)
    spectrum = torch.fft.rfft(drive, size) * torch.fft.rfft(kernel * dt, size)
    return torch.fft.irfft(spectrum, size)[..., :n_times]
