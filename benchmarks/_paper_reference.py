"""Competent plain PyTorch forms of what the package computes, for speed and error beside it.

Every form is what one would write with ``torch.nn.functional`` alone: strided convolutions, FFT
over whole tensors, masked dense attention in a batch, a loop over recurrent cells. Parameters are
shared with the package's modules, so that outputs and gradients can be compared.
"""

from __future__ import annotations

import pywt
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def conv_bank(signal, wavelet="db5", level=3):
    """Periodised wavelet transform by strided convolutions: (..., n) to side-by-side levels."""
    filters = pywt.Wavelet(wavelet)
    bank = torch.tensor([filters.dec_lo[::-1], filters.dec_hi[::-1]]).to(signal)[:, None]
    length = filters.dec_len
    rest, details = signal.reshape(-1, 1, signal.shape[-1]), []
    for _ in range(level):
        if rest.shape[-1] % 2:
            rest = functional.pad(rest, (0, 1), mode="replicate")
        # PyWavelets' phase of a periodised transform.
        wrapped = functional.pad(rest, (length // 2 - 1, length // 2), mode="circular")
        both = functional.conv1d(wrapped, bank, stride=2)[..., : rest.shape[-1] // 2]
        rest, detail = both[:, :1], both[:, 1:]
        details.append(detail)
    flat = torch.cat([rest, *details[::-1]], dim=-1)
    return flat.view(*signal.shape[:-1], -1)


def grouped_convolution(drive, kernel):
    """Causal convolution of every region by ``conv1d`` with groups."""
    n_regions, n_lags = kernel.shape
    padded = functional.pad(drive, (n_lags - 1, 0))
    return functional.conv1d(padded, kernel.flip(-1)[:, None], groups=n_regions)


def tap_loop(drive, kernel, taps):
    """Causal convolution, one tap after the other; ``taps`` are those to run."""
    out = torch.zeros_like(drive)
    n_times = drive.shape[-1]
    for j in taps:
        out[..., j:] += kernel[:, j, None] * drive[..., : n_times - j]
    return out


def dense_attention(layer, x, mask):
    """GATv2 (..., n_nodes, n_in) over all pairs of nodes, edges chosen by a mask."""
    heads = (*x.shape[:-1], layer.n_heads, layer.n_out)
    sent, received = layer.source(x).view(heads), layer.target(x).view(heads)
    energy = functional.leaky_relu(
        received.unsqueeze(-3) + sent.unsqueeze(-4), layer.negative_slope
    )
    logits = torch.einsum("...ijhd,hd->...ijh", energy, layer.attention)
    alpha = logits.masked_fill(~mask[..., None], float("-inf")).softmax(dim=-2)
    return torch.einsum("...ijh,...jhd->...ihd", alpha, sent).flatten(-2) + layer.bias


def dense_in_parts(layer, x, mask, part=4):
    """The same over many graphs; energies of all at once would take tens of gigabytes."""
    pieces = [
        checkpoint(dense_attention, layer, some, mask, use_reentrant=False)
        for some in x.split(part)
    ]
    return torch.cat(pieces)


def mask_of(layer):
    """Boolean adjacency of a graph attention layer."""
    n_nodes = len(layer.neighbours)
    mask = torch.zeros(n_nodes, n_nodes, dtype=torch.bool, device=layer.neighbours.device)
    rows = torch.arange(n_nodes, device=mask.device)[:, None].expand_as(layer.neighbours)
    mask[rows[layer.valid], layer.neighbours[layer.valid]] = True
    return mask


def cell_loop(lstm, x):
    """Outputs of a two-layer LSTM, one cell call per frame and layer."""
    states = [None] * lstm.num_layers
    out = []
    for frame in x.unbind(1):
        for layer in range(lstm.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(lstm, f"{name}_l{layer}") for name in names]
            if states[layer] is None:
                zeros = frame.new_zeros(len(frame), lstm.hidden_size)
                states[layer] = (zeros, zeros)
            states[layer] = torch.lstm_cell(frame, states[layer], *weights)
            frame = states[layer][0]
        out.append(frame)
    return torch.stack(out, dim=1)


def plain_step(net, chunks, previous):
    """Frames of `PaperNet` in training (all windows told the previous frame) in plain form."""
    power = conv_bank(chunks).square()
    n_windows, n_channels, n_all, _ = power.shape
    n_frames, hidden = n_all - net.n_lags + 1, 0.0
    attention = net.attention
    for level, part in enumerate(power.split(net.sizes, dim=-1)):
        size = part.shape[-1]
        n_times, n_lags = n_all * size, (net.n_lags - 1) * size + 1
        lags = (torch.arange(n_lags).to(part) + 0.5) * (net.dt / size)
        kernel = net.hrf(lags) * (net.dt / size)
        drive = part.reshape(n_windows, n_channels, n_times)
        n_fft = n_times + n_lags - 1
        spectrum = torch.fft.rfft(drive, n_fft) * torch.fft.rfft(kernel, n_fft)
        bold = torch.fft.irfft(spectrum, n_fft)[..., n_lags - 1 : n_times]
        bold = bold.reshape(n_windows, n_channels, n_frames, size) @ net.levels[level]
        hidden = hidden + attention[:, level, None, None] * bold
    nodes = (hidden + net.level_bias).transpose(1, 2).flatten(0, 1)
    nodes = nodes + functional.elu(
        dense_in_parts(net.source_graph, nodes, mask_of(net.source_graph))
    )
    targets = torch.einsum("mn,gnd->gmd", net.spatial_map, nodes)
    targets = torch.einsum("med,gmd->gme", net.mixing, targets) + net.mixing_bias[..., 0]
    targets = targets + functional.elu(
        dense_in_parts(net.target_graph, targets, mask_of(net.target_graph))
    )
    readout = torch.einsum("md,gmd->gm", net.readout[:, 0], targets)
    readout = readout.view(n_windows, n_frames, -1)
    decoder = net.decoder
    states = cell_loop(decoder.cell, decoder.encode(torch.cat([readout, previous], dim=-1)))
    return readout + decoder.decode(states)
