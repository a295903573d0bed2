"""Where training of corrections starts: least squares on what their untrained parts see.

Graph attention and recurrence with random weights see neighbours and the past already. The readouts
that explain most of what a core leaves over are then a ridge regression, whose penalty maximises
the evidence. Random features with readouts by least squares: Rahimi A., Recht B. (2008), NeurIPS;
of recurrent networks: Jaeger H. (2001), GMD Report 148.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from .._regression import shared_penalty, whiten
from ..data.paired import Paired
from ..nn.samba import SambaNet
from .windows import FrameWindows, Windowing, like, without

_GRAPHS = ("source_graph", "target_graph")
# Windows at a time and, evenly spaced, in all; targets that settle the readouts of graphs, which
# all targets share.
_BATCH, _WINDOWS, _TARGETS = 4, 60, 64
# Nats that make evidence clear and, per frame of a target, below which graphs raise correlation by
# next to nothing: a correlation of .3 by .001. Penalties relative to the mean eigenvalue of
# products of features.
_MARGIN, _LEAST = 3.0, 3e-4
_PENALTIES = np.logspace(-5, 3, 17)


@dataclass
class _Piece:
    """Windows that follow each other."""

    power: torch.Tensor  # (1, n_channels, n_bands, n_bins)
    bold: torch.Tensor  # (n_frames, n_targets)
    # Hidden features (n_nodes, n_hidden, n_bins) of graphs, by name, which no readout changes.
    hidden: dict[str, torch.Tensor] = field(default_factory=dict)


def read_out(network: SambaNet, data: Paired, windowing: Windowing, ar: float) -> None:
    """Give corrections the readouts that explain most of what the core leaves over, in place.

    ``ar`` is the autocorrelation of its noise from frame to frame.
    """
    windows = FrameWindows(data, windowing.n_frames, windowing.n_frames, like(network).dtype)
    names = [name for name in _GRAPHS if getattr(network, name) is not None]
    network.eval()
    with torch.no_grad():
        pieces = _pieces(windows, like(network))
        if names:
            _read_out_graphs(network, names, pieces, windows.n_frames, ar)
        if len(names) == 2 and network.source_graph.gate:
            # The graph of targets sees what that of sources adds.
            network.target_graph.gate.zero_()
            _read_out_graphs(network, names[1:], pieces, windows.n_frames, ar)
        used = without(used_of(network), "recurrent")
        frames = torch.cat([used.frames_alone(piece.power, **piece.hidden)[0] for piece in pieces])
        left = torch.cat([piece.bold for piece in pieces]) - frames
        if used.corrections():
            # Hidden features have a mean, of which frames know nothing, and recurrence sees frames.
            mean = torch.as_tensor(_mean(left.cpu().double().numpy())).to(frames)
            network.intercept += mean
            frames, left = frames + mean, left - mean
        if network.recurrent is not None:
            hidden = network.recurrent.hidden(frames.unflatten(0, (-1, windows.n_frames)))
            _read_out_recurrence(network, hidden.flatten(0, 1), left, windows.n_frames, ar)


def used_of(network: SambaNet) -> SambaNet:
    """Leave corrections out of a network which add nothing to it."""
    parts = {name: getattr(network, name) for name in (*_GRAPHS, "recurrent")}
    return without(network, *(name for name, part in parts.items() if part and not part.gate))


def _pieces(windows: FrameWindows, own: torch.Tensor) -> list[_Piece]:
    """Cut data into some windows, on the device and in the precision of a network's ``own``."""
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _WINDOWS)).astype(int)
    index, n_frames, pieces = np.array(windows.index)[chosen], windows.n_frames, []
    follows = (np.diff(index, axis=0) == [0, n_frames]).all(axis=1)
    for run in np.split(index, np.flatnonzero(~follows) + 1):
        for segment, first in run[::_BATCH]:
            stop = min(first + _BATCH * n_frames, run[-1, 1] + n_frames)
            start = first * windows.grid.step
            power = windows.powers[segment][None, ..., start:]
            power = power[..., : windows.grid.n_bins(stop - first)]
            pieces.append(_Piece(power.to(own), windows.targets[segment][first:stop].to(own)))
    return pieces


def _read_out_graphs(
    network: SambaNet, names: list[str], pieces: list[_Piece], n_frames: int, ar: float
) -> None:
    """Fit the readouts of graphs, by name, which are those of all nodes."""
    n_targets, used = len(network.intercept), without(used_of(network), "recurrent")
    some = torch.linspace(0, n_targets - 1, min(n_targets, _TARGETS)).long()
    features, left = [], []
    for piece in pieces:
        drive = used.drive(piece.power, **piece.hidden)
        drives = [drive[:, some]]
        if "source_graph" in names:
            hidden = network.source_graph.hidden(piece.power.transpose(-1, -2))
            piece.hidden["source_graph"] = hidden
            drives += [torch.einsum("njg,mn->jmg", hidden, network.spatial_map.weight[some])]
        if "target_graph" in names:
            hidden = network.target_graph.hidden(drive.unsqueeze(-1), some)
            if len(some) == n_targets:
                piece.hidden["target_graph"] = hidden
            drives += [hidden.transpose(0, 1)]
        frames = network.convolved(torch.cat(drives), some).permute(2, 0, 1)
        features.append(frames[:, 1:])
        left.append(piece.bold[:, some] - frames[:, 0] - network.intercept[some])
    x, y, first = _measured(torch.cat(features), torch.cat(left), n_frames)
    products = 0.0
    for own, target in zip(x.transpose(2, 0, 1), y.T, strict=True):
        both = np.column_stack([own, target])
        both[np.isnan(target)] = np.nan
        both = np.nan_to_num(whiten(both - _mean(both), first, ar))
        products = products + both.T @ both
    gram, cross, power = products[:-1, :-1], products[-1:, :-1], products[-1, -1:]
    coef = torch.as_tensor(_ridge(gram, cross, power, y.size, _LEAST * y.size)[0])
    for graph in (getattr(network, name) for name in names):
        own, coef = coef.split([graph.readout.in_features, len(coef) - graph.readout.in_features])
        if own.any():
            graph.readout.weight.copy_(own)
            graph.readout.bias.zero_()
            graph.gate.fill_(1.0)


def _read_out_recurrence(
    network: SambaNet, hidden: torch.Tensor, left: torch.Tensor, n_frames: int, ar: float
) -> None:
    """Fit the readout of the recurrence, which every target has one of."""
    hidden, left, first = _measured(hidden.double(), left, n_frames)
    x, y = (np.nan_to_num(whiten(v - _mean(v), first, ar)) for v in (hidden, left))
    coef = _ridge(x.T @ x, y.T @ x, (y**2).sum(axis=0), len(y))
    if coef.any():
        # The mean is its own: it sees frames, whose intercept must stay.
        network.recurrent.decode.weight.copy_(torch.as_tensor(coef))
        network.recurrent.decode.bias.copy_(torch.as_tensor(_mean(left - hidden @ coef.T)))
        network.recurrent.gate.fill_(1.0)


def _measured(x: torch.Tensor, y: torch.Tensor, n_frames: int) -> tuple[np.ndarray, ...]:
    """Rows of features (n_rows, ...) and of targets (n_rows, n_targets) that were measured.

    Also whether a run of frames begins, (n_rows,), as it does with every window of ``n_frames``.
    Features are as precise as they came, and copied only where rows are left out.
    """
    x, y = x.cpu().numpy(), y.cpu().double().numpy()
    kept = np.isfinite(y).any(axis=1)
    first = np.arange(len(y)) % n_frames == 0
    first[1:] |= ~kept[:-1]
    return (x, y, first) if kept.all() else (x[kept], y[kept], first[kept])


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over rows (n_rows, ...) that are known, 0 where none is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _ridge(
    gram: np.ndarray, cross: np.ndarray, power: np.ndarray, n_rows: int, least: float = 0.0
) -> np.ndarray:
    """Coefficients (n_targets, n_features), zero where the evidence is not clearly for any.

    From products of features (n_features, n_features), of these with targets (n_targets,
    n_features), and of targets with themselves (n_targets,). Clear are ``least`` nats, too.
    """
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    rotated, penalty, evidence = cross @ vectors, 1.0, 0.0
    if values.any() and power.any():
        problem = values, rotated, power
        penalty, evidence = shared_penalty([problem], n_rows, _PENALTIES * values.mean())
    return (evidence >= max(_MARGIN, least)) * rotated / (values + penalty) @ vectors.T
