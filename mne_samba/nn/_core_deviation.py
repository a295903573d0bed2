"""Free coefficients on top of a fitted core: ridge with the penalty that the evidence favours."""

from dataclasses import replace

import torch

from ._core_features import whiten

# Targets with similar responses share one eigendecomposition: this many groups at most.
_MAX_GROUPS = 6
# Nats per target below which free coefficients are not worth their number.
_MIN_GAIN = 3.0


def group_responses(responses):
    """Group targets whose responses are alike.

    Parameters
    ----------
    responses : Tensor of shape (n_targets, n_basis)
        Coordinates of the responses.

    Returns
    -------
    groups : list of Tensor
        Indices of the targets of each group, along the responses' main direction of change.
    """
    centred = responses - responses.mean(0)
    main = torch.linalg.svd(centred, full_matrices=False)[2][0]
    order = torch.argsort(centred @ main, stable=True)
    return list(torch.chunk(order, min(_MAX_GROUPS, len(order))))


def fit_deviation(design, residual, responses, first, rho):
    """Fit what a core leaves over by free coefficients with one learnt variance.

    Coefficients of a target have independent normal priors; their variance relative to the noise is
    common to all targets and maximises the marginal likelihood.

    Parameters
    ----------
    design : Tensor of shape (n_used, n_basis, n_features)
        Features of used frames, convolved with basis responses.
    residual : Tensor of shape (n_used, n_targets)
        What is left over.
    responses : Tensor of shape (n_targets, n_basis)
        Coordinates of the targets' responses.
    first : array of shape (n_used,)
        True where a run of frames begins.
    rho : float
        Autocorrelation of the noise at one frame.

    Returns
    -------
    coefficients : Tensor of shape (n_targets, n_features)
        Posterior means.
    gain : float
        Log marginal likelihood over that without coefficients, in nats.
    """
    n_used = len(design)
    ones = whiten(torch.ones(n_used, 1, dtype=torch.float64), first, rho)[:, 0]
    ones = ones / ones.norm()

    def prepare(x):
        x = whiten(x, first, rho)
        return x - torch.outer(ones.to(x.dtype), ones.to(x.dtype) @ x)

    groups = group_responses(responses)
    y = prepare(residual)
    energy = y.pow(2).sum(0).clamp_min(1e-10)
    spectra = []
    for group in groups:
        response = responses[group].mean(0).to(design.dtype)
        x = prepare(torch.einsum("tbf,b->tf", design, response))
        values, vectors = torch.linalg.eigh(x.T @ x)
        rotated = vectors.T @ (x.T @ y[:, group].to(x.dtype))
        spectra.append((values.double().clamp_min(0), vectors, rotated.double()))
    scale = torch.stack([values.mean() for values, _, _ in spectra]).mean().clamp_min(1e-12)
    frames = max(n_used - 1, 1)
    best_gain, best_penalty = 0.0, None
    for exponent in torch.linspace(-2, 5, 29).tolist():
        penalty = scale * 10.0**exponent
        gain = 0.0
        for group, (values, _, rotated) in zip(groups, spectra, strict=True):
            explained = (rotated**2 / (values + penalty)[:, None]).sum(0) / energy[group]
            left = (1 - explained).clamp_min(1e-6)
            gain -= 0.5 * frames * float(left.log().sum())
            gain -= 0.5 * len(group) * float((1 + values / penalty).log().sum())
        if gain > best_gain:
            best_gain, best_penalty = gain, penalty
    coefficients = residual.new_zeros(residual.shape[1], design.shape[2])
    if best_penalty is not None:
        for group, (values, vectors, rotated) in zip(groups, spectra, strict=True):
            shrunk = rotated / (values + best_penalty)[:, None]
            coefficients[group] = (vectors.double() @ shrunk).T
    return coefficients, best_gain


def _predicted(core, design, responses):
    """Predictions (n_used, n_targets) of a core with responses in coordinates of the design."""
    weights, spatial = torch.from_numpy(core.weights), torch.from_numpy(core.spatial_map)
    nodes = torch.einsum("tbnk,nk->tbn", design, weights.to(design.dtype))
    out = 0.0
    for b in range(design.shape[1]):
        out = out + nodes[:, b].double() @ (spatial * responses[:, b, None]).T
        if core.extra is not None:
            free = torch.from_numpy(core.extra).flatten(1) * responses[:, b, None]
            out = out + (design[:, b].flatten(1) @ free.T.to(design.dtype)).double()
    return out


def adapt(init, core, prior, design, y, first):
    """Move a core of other people towards new data, unless a fit from scratch explains more.

    Parameters
    ----------
    init : Core
        Core of other people.
    core : Core
        Core of the new data; its ``evidence`` is extended.
    prior : ResponsePrior
        Prior whose basis the design is in.
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        Features of used frames.
    y : Tensor of shape (n_used, n_targets)
        Targets of used frames.
    first : array of shape (n_used,)
        True where a run of frames begins.

    Returns
    -------
    core : Core
        The adapted core, or ``core``.
    """
    responses = torch.from_numpy(init.kernel) @ prior.basis.T
    weights, spatial = torch.from_numpy(init.weights), torch.from_numpy(init.spatial_map)
    nodes = torch.einsum("tbnk,nk->tbn", design, weights.to(design.dtype)).double()
    known = _predicted(init, design, responses)
    white, white_y = (whiten(v - v.mean(0), first, core.ar) for v in (known, y))
    # One gain for all targets: people differ in scale; one per target would undo the shrinkage.
    gain = float(((white * white_y).sum() / white.pow(2).sum().clamp_min(1e-12)).clamp(0, 4))
    residual = y - gain * known
    deviation, evidence = fit_deviation(nodes, residual, responses, first, core.ar)
    noise = whiten(residual - residual.mean(0), first, core.ar).pow(2).mean(0).clamp_min(1e-12)
    total = white_y.pow(2).mean(0).clamp_min(1e-12)
    evidence += 0.5 * len(y) * float((total / noise).log().sum())
    core.evidence["init"] = evidence
    if evidence <= core.elbo[-1]:
        return core
    noise = y - gain * known - torch.einsum("tbn,mn,mb->tm", nodes, deviation, responses)
    noise = whiten(noise - noise.mean(0), first, core.ar)
    return replace(
        init,
        spatial_map=(gain * spatial + deviation).numpy(),
        extra=None if init.extra is None else gain * init.extra,
        ar=core.ar,
        noise_variance=noise.pow(2).mean(0).numpy(),
        evidence=core.evidence,
        elbo=core.elbo,
        target_evidence=core.target_evidence,
        state=core.state,
    )


def add_extra(core, prior, design, y, first):
    """Add coefficients of single bands for single targets if the evidence is for them.

    Parameters
    ----------
    core : Core
        Core of the new data, updated in place.
    prior : ResponsePrior
        Prior whose basis the design is in.
    design : Tensor of shape (n_used, n_basis, n_nodes, n_bands)
        Features of used frames.
    y : Tensor of shape (n_used, n_targets)
        Targets of used frames.
    first : array of shape (n_used,)
        True where a run of frames begins.
    """
    n_targets = y.shape[1]
    responses = torch.from_numpy(core.kernel) @ prior.basis.T
    left = y - _predicted(core, design, responses)
    found, gain = fit_deviation(design.flatten(2), left, responses, first, core.ar)
    core.evidence["extra"] = gain
    if gain > _MIN_GAIN * n_targets:
        found = found.reshape(-1, *core.weights.shape).numpy()
        core.extra = found if core.extra is None else core.extra + found
