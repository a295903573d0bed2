"""Where training of corrections starts: least squares on what their untrained parts see.

Graph attention and recurrence with random weights see neighbours and the past already. The readouts
that explain most of what a core leaves over are then a ridge regression, whose penalty maximises
the evidence. Random features with readouts by least squares: Rahimi A., Recht B. (2008), NeurIPS;
of recurrent networks: Jaeger H. (2001), GMD Report 148.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .._regression import shared_penalty, whiten
from ..data.paired import Paired
from ..nn.samba import SambaNet
from .windows import FrameWindows, Windowing, like, without

_GRAPHS = ("source_graph", "target_graph")
# Windows at a time and, evenly spaced, in all; targets that settle the readouts of graphs, which
# all targets share.
_BATCH, _WINDOWS, _TARGETS = 4, 200, 64
# Nats that make evidence clear, and penalties relative to the mean eigenvalue of products of
# features.
_MARGIN = 3.0
_PENALTIES = np.logspace(-5, 3, 17)


def read_out(network: SambaNet, data: Paired, windowing: Windowing, ar: float) -> None:
    """Give corrections the readouts that explain most of what the core leaves over, in place.

    ``ar`` is the autocorrelation of its noise from frame to frame.
    """
    windows = FrameWindows(data, windowing.n_frames, windowing.n_frames, like(network).dtype)
    names = [name for name in _GRAPHS if getattr(network, name) is not None]
    network.eval()
    with torch.no_grad():
        if names:
            _read_out_graphs(network, names, windows, ar)
        if len(names) == 2 and network.source_graph.gate:
            # The graph of targets sees what that of sources adds.
            network.target_graph.gate.zero_()
            _read_out_graphs(network, names[1:], windows, ar)
        frames = without(used_of(network), "recurrent")
        if frames.corrections():
            # Hidden features have a mean, of which frames know nothing, and recurrence sees frames.
            _, left, _ = _rows(network, windows, lambda power, bold: (bold, bold - frames(power)))
            network.intercept += torch.as_tensor(_mean(left)).to(network.intercept)
        if network.recurrent is not None:
            _read_out_recurrence(used_of(network), windows, ar)


def used_of(network: SambaNet) -> SambaNet:
    """Leave graphs out of a network which add nothing to it."""
    parts = {name: getattr(network, name) for name in _GRAPHS}
    return without(network, *(name for name, part in parts.items() if part and not part.gate))


def _read_out_graphs(network: SambaNet, names: list[str], windows: FrameWindows, ar: float) -> None:
    """Fit the readouts of graphs, by name, which are those of all nodes."""
    n_targets, used = len(network.intercept), without(used_of(network), "recurrent")
    # What adds nothing need not be computed: the graph of targets sees what that of sources adds.
    seen = network if used.source_graph is not None else without(network, "source_graph")
    views = {"source_graph": network, "target_graph": seen}
    some = torch.linspace(0, n_targets - 1, min(n_targets, _TARGETS)).long()

    def look(power, bold):
        hidden = torch.cat([views[name].graph_frames(power, some, name) for name in names])
        return hidden.permute(1, 3, 0, 2), (bold - used(power))[..., some]

    x, y, first = _rows(network, windows, look)
    known = np.isfinite(y)
    x = np.where(known[:, None], x, np.nan)
    x, y = (np.nan_to_num(whiten(v - _mean(v), first, ar)) for v in (x, y))
    x = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
    coef = torch.as_tensor(_ridge(x.T, y.reshape(-1, 1))[0])
    for graph in (getattr(network, name) for name in names):
        own, coef = coef.split([graph.readout.in_features, len(coef) - graph.readout.in_features])
        if own.any():
            graph.readout.weight.copy_(own)
            graph.readout.bias.zero_()
            graph.gate.fill_(1.0)


def _read_out_recurrence(network: SambaNet, windows: FrameWindows, ar: float) -> None:
    """Fit the readout of the recurrence, which every target has one of."""

    def look(power, bold):
        frames = network.linear_frames(power)
        return network.recurrent.hidden(frames), bold - frames

    hidden, left, first = _rows(network, windows, look)
    x, y = (np.nan_to_num(whiten(v - _mean(v), first, ar)) for v in (hidden, left))
    coef = _ridge(x, y)
    if coef.any():
        # The mean is its own: it sees frames, whose intercept must stay.
        network.recurrent.decode.weight.copy_(torch.as_tensor(coef))
        network.recurrent.decode.bias.copy_(torch.as_tensor(_mean(left - hidden @ coef.T)))
        network.recurrent.gate.fill_(1.0)


def _rows(
    network: SambaNet, windows: FrameWindows, look: Callable
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n_rows, ...) of frames and what is left of them (n_rows, n_targets), by ``look``.

    Frames that were not measured are left out; also whether a run of frames begins, (n_rows,).
    """
    own, found = like(network), []
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _WINDOWS)).astype(int)
    for begin in range(0, len(chosen), _BATCH):
        some = [windows[i] for i in chosen[begin : begin + _BATCH]]
        power = torch.stack([power for power, _ in some]).to(own)
        bold = torch.stack([target["bold"] for _, target in some]).to(own)
        found.append([v.flatten(0, 1).cpu().double().numpy() for v in look(power, bold)])
    x, y = (np.concatenate(v) for v in zip(*found, strict=True))
    kept = np.isfinite(y).any(axis=1)
    first = np.arange(len(y)) % windows.n_frames == 0
    first[1:] |= ~kept[:-1]
    return x[kept], y[kept], first[kept]


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows (n_rows, ...) that are known, 0 where none is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients (n_targets, n_features), zero where the evidence is not clearly for any.

    From ``x`` (n_rows, n_features) and ``y`` (n_rows, n_targets).
    """
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 0.0)
    rotated, power = y.T @ x @ vectors, (y**2).sum(axis=0)
    penalty, evidence = 1.0, 0.0
    if values.any() and power.any():
        problem = values, rotated, power
        penalty, evidence = shared_penalty([problem], len(y), _PENALTIES * values.mean())
    return (evidence >= _MARGIN) * rotated / (values + penalty) @ vectors.T
