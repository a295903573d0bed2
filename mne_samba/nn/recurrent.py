"""Recurrent decoders of fixed width: what the sequence of frames adds to each frame."""

import torch
from torch import nn

RECURRENT = ("lstm", "gru", "transformer")
_N_LAYERS = 2


def _causal_mask(n_frames: int, device) -> torch.Tensor:
    """Mark (n_frames, n_frames) where a frame must not look."""
    return torch.ones(n_frames, n_frames, dtype=torch.bool, device=device).triu(1)


class RecurrentCorrection(nn.Module):
    """A recurrent residual over frames, of the same width for any number of targets."""

    def __init__(self, n_targets: int, kind: str = "lstm", n_hidden: int = 32):
        super().__init__()
        if kind not in RECURRENT:
            raise ValueError(f"recurrent must be one of {RECURRENT}, got {kind!r}.")
        self.kind = kind
        self.encode = nn.Linear(n_targets, n_hidden)
        if kind == "transformer":
            layer = nn.TransformerEncoderLayer(
                n_hidden, nhead=4, dim_feedforward=2 * n_hidden, dropout=0.0, batch_first=True
            )
            self.cell = nn.TransformerEncoder(layer, _N_LAYERS, enable_nested_tensor=False)
        else:
            cell = nn.LSTM if kind == "lstm" else nn.GRU
            self.cell = cell(n_hidden, n_hidden, num_layers=_N_LAYERS, batch_first=True)
        self.decode = nn.Linear(n_hidden, n_targets)
        # A zero gate keeps the linear core exact until training finds something to add.
        self.gate = nn.Parameter(torch.zeros(()))

    def hidden(self, frames: torch.Tensor) -> torch.Tensor:
        """Hidden states (n_windows, n_frames, n_hidden) of (n_windows, n_frames, n_targets)."""
        x = self.encode(frames)
        if self.kind == "transformer":
            return self.cell(x, mask=_causal_mask(x.shape[1], x.device))
        return self.cell(x)[0]

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Additions to frames, both (n_windows, n_frames, n_targets)."""
        return self.gate * self.decode(self.hidden(frames))
