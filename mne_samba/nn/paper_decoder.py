"""The published network's recurrent decoder: it is told true frames in training only."""

import torch
from torch import nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class FrameDecoder(nn.Module):
    """Two recurrent layers over frames, of one width for any number of targets.

    The step to frame k reads what graph attention says about frame k, and frame k - 1. In training,
    frame k - 1 may be the measured one (teacher forcing), and all steps run in one call. In
    evaluation it is always the decoder's own; the first frame is never told anything.
    """

    def __init__(self, n_targets: int, kind: str = "lstm", n_hidden: int = 32):
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"recurrent must be one of {tuple(CELLS)}, got {kind!r}.")
        self.encode = nn.Linear(2 * n_targets, n_hidden)
        self.cell = CELLS[kind](n_hidden, n_hidden, num_layers=2, batch_first=True)
        # No bias: the loss is centred, a constant per target would never learn.
        self.decode = nn.Linear(n_hidden, n_targets, bias=False)
        # Begin close to what graph attention says, yet with a gradient in every layer.
        nn.init.normal_(self.decode.weight, std=0.02)

    def forward(self, readout: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        """Decode frames.

        ``readout`` (n_windows, n_frames, n_targets); ``previous`` (n_windows, n_frames,
        n_targets); returns ``frames`` (n_windows, n_frames, n_targets).
        """
        if previous is not None:
            hidden, _ = self.cell(self.encode(torch.cat([readout, previous], dim=-1)))
            return readout + self.decode(hidden)
        frame, state, frames = torch.zeros_like(readout[:, 0]), None, []
        for now in readout.unbind(1):
            hidden, state = self.cell(self.encode(torch.cat([now, frame], -1))[:, None], state)
            frame = now + self.decode(hidden[:, 0])
            frames.append(frame)
        return torch.stack(frames, dim=1)


def earlier_frames(bold: torch.Tensor) -> torch.Tensor:
    """Shift frames by one: zeros before the first, and where a frame was not measured (NaN)."""
    shifted = torch.zeros_like(bold)
    shifted[..., 1:, :] = torch.nan_to_num(bold[..., :-1, :])
    return shifted
