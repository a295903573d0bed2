"""The double gamma: its equation, bounds, unit-peak gauge and canonical parameters."""

from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammaln

#: Names of the six parameters of a response, in the order of every ``(..., 6)`` array.
HRF_PARAMS = (
    "response_delay",
    "undershoot_delay",
    "response_dispersion",
    "undershoot_dispersion",
    "response_scale",
    "undershoot_scale",
)

#: Largest undershoot scale, relative to the response's: below 1, so that a unit-peak gauge exists.
MAX_UNDERSHOOT = 0.9

#: Preset -> (lowest, highest) parameters. The scales' bounds follow from the unit-peak gauge.
HRF_BOUNDS = {
    "human": (
        np.array([1.5, 3.0, 0.1, 0.1, 1.0, 0.0]),
        np.array([20.0, 34.0, 4.0, 4.0, 10.0, 9.0]),
    ),
    # Of haemoglobin: peaks of the deoxygenated may come seconds after those of the oxygenated.
    "fnirs": (
        np.array([1.5, 3.0, 0.1, 0.1, 1.0, 0.0]),
        np.array([20.0, 34.0, 4.0, 4.0, 10.0, 9.0]),
    ),
    "fast": (
        np.array([0.5, 1.0, 0.03, 0.05, 1.0, 0.0]),
        np.array([20.0, 34.0, 2.0, 3.0, 10.0, 9.0]),
    ),
}


def check_bounds(bounds, name: str = "bounds"):
    """Return (low, high), each (6,), of a preset or of a given pair."""
    if isinstance(bounds, str) and bounds in HRF_BOUNDS:
        return HRF_BOUNDS[bounds]
    try:
        low, high = (np.asarray(b, dtype=float) for b in bounds)
        valid = low.shape == high.shape == (6,) and np.all(low[:4] < high[:4])
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"{name} must be one of {sorted(HRF_BOUNDS)}, or a pair (low, high) of six numbers "
            f"each, low below high, in the order of {HRF_PARAMS}; got {bounds!r:.200}."
        )
    return low, high


def at_bounds(params, bounds):
    """Which responses (n, 6) are held back by a bound of their parameters, (n,)."""
    # Delay or dispersion lie within one per cent of their range from a bound; those of the
    # undershoot count where there is one.
    low, high = check_bounds(bounds)
    params = np.asarray(params, dtype=float)
    place = np.log(params[:, :4] / low[:4]) / np.log(high[:4] / low[:4])
    hit = (place < 0.01) | (place > 0.99)
    ratio = params[:, 5] / params[:, 4]
    deep = (ratio > 0.05)[:, None]
    return (hit & (np.array([True, False, True, False]) | deep)).any(axis=1) | (
        ratio > 0.99 * MAX_UNDERSHOOT
    )


def preset_of(bounds):
    """Name the preset that bounds belong to: explicit ones are taken as human."""
    return bounds if isinstance(bounds, str) else "human"


def _gamma_bump(times, delay, dispersion):
    """Unit-peak gamma bump: times (n,) or (..., n), parameters (...) -> (..., n)."""
    peak = (delay * dispersion)[..., None]
    ratio = times / peak
    positive = times > 0
    if bool(positive.all()):
        return torch.exp(delay[..., None] * (torch.log(ratio) - ratio + 1.0))
    # The double where keeps gradients finite at t <= 0, where the logarithm is not.
    ratio = torch.where(positive, ratio, torch.ones_like(ratio))
    bump = torch.exp(delay[..., None] * (torch.log(ratio) - ratio + 1.0))
    return torch.where(positive, bump, torch.zeros_like(bump))


def double_gamma_at(times, params):
    """Evaluate at times (n,) or (..., n), Tensors in and out."""
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
        return double_gamma_at(times, params)
    times = torch.as_tensor(np.asarray(times, dtype=float))
    return double_gamma_at(times, torch.as_tensor(np.array(params, dtype=float))).numpy()


def response_and_slopes(times, coordinates):
    """Responses of unit response scale and their derivatives: (n, n_times), (n, 5, n_times).

    By coordinates (n, 5): log d_r, log d_u, log s_r, log s_u, c_u / c_r.
    """
    (d_r, d_u), (s_r, s_u) = np.exp(coordinates[:, :4]).T.reshape(2, 2, -1, 1)
    ratio = coordinates[:, 4:]
    first, by_d_r, by_s_r = _bump_and_slopes(times, d_r, s_r)
    second, by_d_u, by_s_u = _bump_and_slopes(times, d_u, s_u)
    slopes = np.stack([by_d_r, -ratio * by_d_u, by_s_r, -ratio * by_s_u, -second], axis=1)
    return first - ratio * second, slopes


def _bump_and_slopes(times, delay, dispersion):
    """Unit-peak gamma bumps and their derivatives by log delay and log dispersion.

    ``times`` (n_times,), parameters (n, 1); all (n, n_times).
    """
    positive = times > 0
    ratio = np.where(positive, times, 1.0) / (delay * dispersion)
    logarithm = np.log(ratio)
    bump = np.where(positive, np.exp(delay * (logarithm - ratio + 1.0)), 0.0)
    return bump, delay * logarithm * bump, delay * (ratio - 1.0) * bump


def find_peak(params):
    """Time and height of the highest point of each response, (...); the height has gradients."""
    d_r, d_u, s_r, s_u, c_r, c_u = params.detach().unbind(-1)
    p_r = (d_r * s_r)[..., None]
    spacing = 0.02
    # The undershoot moves the peak by a fraction of p_r: a relative grid resolves all shapes alike.
    grid = spacing * torch.arange(1, 151, dtype=params.dtype, device=params.device) * p_r
    first = double_gamma_at(grid, params.detach()).argmax(-1, keepdim=True)
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
    return time[..., 0], double_gamma_at(time, params)[..., 0]


def unit_peak(params):
    """Scale responses to a maximum of one.

    Parameters
    ----------
    params : array or Tensor of shape (..., 6)
        Parameters in the order of :data:`HRF_PARAMS`.

    Returns
    -------
    params : array or Tensor of shape (..., 6)
        The same responses, ``response_scale`` and ``undershoot_scale`` divided by their maximum.
    """
    tensor = params if torch.is_tensor(params) else torch.as_tensor(np.array(params, dtype=float))
    _, height = find_peak(tensor)
    tensor = torch.cat([tensor[..., :4], tensor[..., 4:] / height[..., None]], dim=-1)
    return tensor if torch.is_tensor(params) else tensor.numpy()


@lru_cache(maxsize=32)
def _from_densities(delay, undershoot, dispersion, u_dispersion, ratio):
    """Map a difference of gamma densities (nilearn, SPM) to the six parameters, at unit peak."""
    # A density with shape a = delay / dispersion is the bump with d = a - 1; its height at the peak
    # is d^d exp(-d) / (Gamma(d + 1) dispersion), so a ratio of areas becomes one of scales.
    d = np.array([delay / dispersion, undershoot / u_dispersion]) - 1.0
    s = np.array([dispersion, u_dispersion], dtype=float)
    height = np.exp(d * np.log(d) - d - gammaln(d + 1.0)) / s
    return tuple(unit_peak(np.array([*d, *s, height[0], ratio * height[1]])).tolist())


def glover_params(delay=6.0, undershoot=12.0, dispersion=0.9, u_dispersion=0.9, ratio=0.48):
    """Parameters of the Glover response as nilearn defines it.

    :func:`nilearn.glm.first_level.glover_hrf` is a difference of gamma densities (``ratio`` is one
    of areas) shifted by one sample: these parameters give it exactly, up to its unit sum.

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
    return np.array(_from_densities(delay, undershoot, dispersion, u_dispersion, ratio))


def spm_params():
    """Parameters of SPM's canonical response as nilearn defines it.

    Returns
    -------
    params : array of shape (6,)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    return glover_params(6.0, 16.0, 1.0, 1.0, 0.167)


def canonical_params(bounds="human"):
    """Return a preset's reference: Glover's, compressed in time three-fold for ``"fast"``.

    Parameters
    ----------
    bounds : {"human", "fnirs", "fast"} or pair of arrays
        Preset (or explicit bounds, which are taken as human).

    Returns
    -------
    params : array of shape (6,)
        Unit-peak parameters in the order of :data:`HRF_PARAMS`.
    """
    params = glover_params()
    if preset_of(bounds) == "fast":
        params[2:4] /= 3.0
    return params
