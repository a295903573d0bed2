"""One latent space for two modalities: projections that bring paired windows together."""

import math

import torch
from torch import nn


def info_nce(first: torch.Tensor, second: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE of paired rows: each must find its partner among all.

    ``first, second`` (n_pairs, n_features).

    van den Oord et al. (2018), arXiv 1807.03748; Radford et al. (2021), arXiv 2103.00020.
    """
    first = nn.functional.normalize(first, dim=1)
    second = nn.functional.normalize(second, dim=1)
    logits = log_scale.exp() * first @ second.T
    own = torch.arange(len(first), device=first.device)
    cross = nn.functional.cross_entropy
    return 0.5 * (cross(logits, own) + cross(logits.T, own))


class LatentSpace(nn.Module):
    """Projections (n_latents, n_features) of electrophysiology and of what BOLD tells of it."""

    def __init__(self, projection):
        super().__init__()
        start = torch.as_tensor(projection)
        self.ele = nn.Parameter(start.clone())
        self.hemo = nn.Parameter(start.clone())
        self.log_scale = nn.Parameter(torch.tensor(2.0, dtype=start.dtype))

    def forward(self, features: torch.Tensor, modality: str) -> torch.Tensor:
        """Features (..., n_features, n_times) -> latents (..., n_latents, n_times)."""
        weights = self.ele if modality == "ele" else self.hemo
        return torch.einsum("...ft,rf->...rt", features, weights)

    def loss(self, ele, hemo, cycled, cycle: float = 0.1) -> torch.Tensor:
        """InfoNCE of paired windows plus the cycle electrophysiology - BOLD - electrophysiology."""
        first, second, back = self(ele, "ele"), self(hemo, "hemo"), self(cycled, "hemo")
        size = first.detach().square().mean().clamp_min(1e-12)
        around = (back - first).square().mean() / size
        return info_nce(first.flatten(1), second.flatten(1), self.log_scale) + cycle * around


def align(
    space: LatentSpace, train: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor, torch.Tensor], *, max_epochs: int, patience: int,
    lr: float,
) -> list[dict]:  # fmt: skip
    """Train both projections; keep them where held-out windows find each other better."""
    size = float(space.ele.detach().abs().mean())
    groups = [
        {"params": [space.ele, space.hemo], "lr": lr * size},
        {"params": [space.log_scale], "lr": 0.05},
    ]
    optimizer = torch.optim.Adam(groups)
    # The temperature alone first: it must not pass for a better space.
    for _ in range(20):
        optimizer.zero_grad()
        loss = space.loss(*train)
        loss.backward()
        space.ele.grad = space.hemo.grad = None
        optimizer.step()
    best, state, waited, history = math.inf, None, 0, []
    for epoch in range(max_epochs + 1):
        optimizer.zero_grad()
        loss = space.loss(*train)
        with torch.no_grad():
            valid = float(space.loss(*held))
        history.append({"epoch": epoch, "train_loss": float(loss.detach()), "valid_loss": valid})
        if valid < best - 1e-4:
            best, waited = valid, 0
            state = {name: value.clone() for name, value in space.state_dict().items()}
        else:
            waited += 1
        if waited >= patience:
            break
        loss.backward()
        optimizer.step()
    space.load_state_dict(state)
    return history
