"""Free coefficients on top of a fitted core: ridge with the penalty that the evidence favours."""

from dataclasses import replace

import torch

from .._regression import shared_penalty
from .moments import predictions, whiten_and_centre

# Targets with similar responses share one eigendecomposition: this many groups at most.
_MAX_GROUPS = 6
# Nats per target below which free coefficients are not worth their number.
_MIN_GAIN = 3.0
# Powers of ten of the penalties that are tried.
_EXPONENTS = torch.linspace(-2, 5, 29).tolist()


def adapt(init, core, prior, design, y, runs):
    """Move a core of other people towards new data, unless a fit from scratch explains more.

    ``init`` is the core of other people, ``core`` that of the new data. ``design`` (n_used,
    n_basis, n_channels, n_bands) are features in the basis of ``prior``, ``y`` (n_used, n_targets)
    the targets, in `Runs`.
    """
    noise_of = core.noise_of_frames
    responses = torch.from_numpy(init.kernel) @ prior.basis.T
    weights, spatial = torch.from_numpy(init.weights), torch.from_numpy(init.spatial_map)
    channels = torch.einsum("tbnk,nk->tbn", design, weights.to(design.dtype)).double()
    known = _predicted(init, design, responses)
    white, white_y = (runs.whiten(v - v.mean(0), noise_of) for v in (known, y))
    # One gain for all targets: people differ in scale; one per target would undo the shrinkage.
    gain = float(((white * white_y).sum() / white.pow(2).sum().clamp_min(1e-12)).clamp(0, 4))
    residual = y - gain * known
    deviation, evidence = fit_deviation(channels, residual, responses, runs, noise_of)
    noise = runs.whiten(residual - residual.mean(0), noise_of).pow(2).mean(0).clamp_min(1e-12)
    total = white_y.pow(2).mean(0).clamp_min(1e-12)
    evidence += 0.5 * len(y) * float((total / noise).log().sum())
    all_evidence = core.evidence | {"init": evidence}
    if evidence <= core.elbo[-1]:
        return replace(core, evidence=all_evidence)
    noise = y - gain * known - torch.einsum("tbn,mn,mb->tm", channels, deviation, responses)
    noise = runs.whiten(noise - noise.mean(0), noise_of)
    return replace(
        init, spatial_map=(gain * spatial + deviation).numpy(),
        extra=None if init.extra is None else gain * init.extra, ar=core.ar, noise=core.noise,
        noise_variance=noise.pow(2).mean(0).numpy(), evidence=all_evidence, elbo=core.elbo,
        target_evidence=core.target_evidence, state=core.state,
    )  # fmt: skip


def add_extra(core, prior, design, y, runs):
    """Core with coefficients of single bands for single targets, if the evidence is for them.

    Data as in `adapt`.
    """
    responses = torch.from_numpy(core.kernel) @ prior.basis.T
    left = y - _predicted(core, design, responses)
    data = design.flatten(2), left, responses, runs, core.noise_of_frames
    # One response for all says first whether there is anything to find, at a sixth of the time.
    extra, gain = fit_deviation(*data, n_groups=1)
    if gain > _MIN_GAIN * y.shape[1]:
        extra, gain = fit_deviation(*data)
    evidence = core.evidence | {"extra": gain}
    if gain <= _MIN_GAIN * y.shape[1]:
        return replace(core, evidence=evidence)
    extra = extra.reshape(-1, *core.weights.shape).numpy()
    return replace(
        core, evidence=evidence, extra=extra if core.extra is None else core.extra + extra
    )


def fit_deviation(design, residual, responses, runs, noise, n_groups=_MAX_GROUPS):
    """Fit what a core leaves over by free coefficients with one learnt variance.

    Coefficients of a target have independent normal priors; their variance relative to the noise is
    common to all targets and maximises the marginal likelihood. From ``design`` (n_used, n_basis,
    n_features), ``residual`` (n_used, n_targets) and responses in coordinates (n_targets, n_basis),
    of which ``n_groups`` of like ones are averaged: posterior means (n_targets, n_features), and
    the evidence over none of them, in nats.
    """
    groups = _alike(responses, n_groups)
    y = whiten_and_centre(residual, runs, noise)
    energy = y.pow(2).sum(0).clamp_min(1e-10)
    spectra, problems = [], []
    for group in groups:
        response = responses[group].mean(0).to(design.dtype)
        x = whiten_and_centre(torch.einsum("tbf,b->tf", design, response), runs, noise)
        values, vectors = torch.linalg.eigh(x.T @ x)
        rotated = (vectors.T @ (x.T @ y[:, group].to(x.dtype))).double()
        values = values.double().clamp_min(0)
        spectra.append((values, vectors.double(), rotated))
        problems.append((values.numpy(), rotated.T.numpy(), energy[group].numpy()))
    scale = float(torch.stack([values.mean() for values, _, _ in spectra]).mean().clamp_min(1e-12))
    penalties = [scale * 10.0**exponent for exponent in _EXPONENTS]
    penalty, gain = shared_penalty(problems, max(len(design) - 1, 1), penalties)
    coefficients = residual.new_zeros(residual.shape[1], design.shape[2])
    if gain <= 0:
        return coefficients, 0.0
    for group, (values, vectors, rotated) in zip(groups, spectra, strict=True):
        coefficients[group] = (vectors @ (rotated / (values + penalty)[:, None])).T
    return coefficients, gain


def _alike(responses, n_groups):
    """Group targets of like responses (n_targets, n_basis): lists of indices, by main change."""
    centred = responses - responses.mean(0)
    main = torch.linalg.svd(centred, full_matrices=False)[2][0]
    order = torch.argsort(centred @ main, stable=True)
    return list(torch.chunk(order, min(n_groups, len(order))))


def _predicted(core, design, responses):
    """Predictions (n_used, n_targets) of a core with responses in coordinates of the design."""
    weights, spatial = torch.from_numpy(core.weights), torch.from_numpy(core.spatial_map)
    out = predictions(design, weights, spatial, responses)
    if core.extra is not None:
        extra = torch.from_numpy(core.extra).flatten(1)
        for b in range(design.shape[1]):
            free = (extra * responses[:, b, None]).T.to(design.dtype)
            out = out + (design[:, b].flatten(1) @ free).double()
    return out
