"""Losses over frames: one minus the cosine over time, of SAMBA, and squared errors."""

import torch
from torch import nn


class CenteredCosineLoss(nn.Module):
    """1 - cosine similarity over time, averaged over targets.

    Predicted and measured frames are centred per recording, so that neither a mean nor a difference
    between recordings is rewarded; frames whose measurement is NaN (scrubbed) are left out.
    """

    def forward(self, pred: torch.Tensor, target: dict) -> torch.Tensor:
        """Loss of a batch of frames (n_windows, n_frames, n_targets)."""
        bold, recording = target["bold"], target["recording"]
        valid = torch.isfinite(bold)
        bold = torch.where(valid, bold, torch.zeros_like(bold))
        kept = valid.to(pred.dtype)
        pred, bold = (_centre(series, kept, recording) for series in (pred, bold))
        dot = (pred * bold).sum((0, 1))
        norm = pred.square().sum((0, 1)) * bold.square().sum((0, 1))
        # The root's gradient is infinite at zero: a target without variance has no say.
        cosine = torch.where(norm > 0, dot / norm.clamp_min(1e-24).sqrt(), torch.zeros_like(dot))
        return 1.0 - cosine.mean()


class FrameSquaredLoss(nn.Module):
    """Mean squared error of the frames that were measured."""

    def forward(self, pred: torch.Tensor, target: dict) -> torch.Tensor:
        """Loss of a batch of frames (n_windows, n_frames, n_targets)."""
        valid = torch.isfinite(target["bold"])
        return (pred[valid] - target["bold"][valid]).square().mean()


def _centre(series: torch.Tensor, kept: torch.Tensor, recording: torch.Tensor) -> torch.Tensor:
    """Take the mean of kept frames of every recording from (n_windows, n_frames, n_targets)."""
    labels, index = torch.unique(recording, return_inverse=True)
    shape = (len(labels), series.shape[-1])
    total = series.new_zeros(shape).index_add(0, index, (series * kept).sum(1))
    count = series.new_zeros(shape).index_add(0, index, kept.sum(1)).clamp_min(1.0)
    return (series - (total / count)[index].unsqueeze(1)) * kept
