"""Scale: many targets in little memory, many people on two workers."""

from __future__ import annotations

import gc
import time

import numpy as np
import torch
from _speed_steps import N_LAGS, STEP, T_R
from _timing import peak, reset_peak, seconds

from mne_samba import SambaTranslator
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate
from mne_samba.nn.loss import CenteredCosineLoss
from mne_samba.nn.samba import SambaNet
from mne_samba.wavelets import CANONICAL_BANDS


def ring(n_nodes, k):
    """Every node and its k followers: a graph without an array of all similarities."""
    adjacency = np.zeros((n_nodes, n_nodes), dtype=bool)
    columns = (np.arange(n_nodes)[:, None] + np.arange(k + 1)) % n_nodes
    np.put_along_axis(adjacency, columns, True, axis=1)
    return adjacency


def many_targets(quick):
    """One training step of the default network from 306 sensors to very many targets."""
    n_channels, n_targets, n_frames = (64, 2000, 30) if quick else (306, 20000, 30)
    torch.manual_seed(0)
    net = SambaNet(
        n_channels, len(CANONICAL_BANDS), n_targets, step=STEP, dt=T_R / STEP, n_lags=N_LAGS,
        source_adjacency=ring(n_channels, 8), target_adjacency=ring(n_targets, 8),
    )  # fmt: skip
    for part in net.corrections():
        torch.nn.init.ones_(part.gate)
    power = torch.randn(1, n_channels, len(CANONICAL_BANDS), N_LAGS + (n_frames - 1) * STEP)
    target = {"bold": torch.randn(1, n_frames, n_targets), "recording": torch.zeros(1)}
    loss, optimiser = CenteredCosineLoss(), torch.optim.Adam(net.parameters())

    def step():
        optimiser.zero_grad()
        loss(net(power), target).backward()
        optimiser.step()

    gc.collect()
    reset_peak()
    row = {"scale": f"training step, batch 1, {n_channels} -> {n_targets}"}
    row |= {"seconds": seconds(step), "resident_gb": peak() / 1e9, "goal": "< 6 GB"}
    return [row]


def two_workers(quick):
    """Leave one of 24 people out with one and with two workers: wall-clock and scores."""
    n_people, duration = (4, 240.0) if quick else (24, 600.0)
    data = simulate_paired(
        n_people, duration, n_sources=32, n_targets=48, level="source", random_state=40
    )
    model = SambaTranslator(t_r=data.t_r, model="core", random_state=0)
    tables, wall = [], []
    for n_jobs in (1, 2):
        start = time.perf_counter()
        result = evaluate(
            model, data.raws, data.bolds, groups=data.subjects, baselines=(), nulls=(),
            n_jobs=n_jobs, verbose=False,
        )  # fmt: skip
        wall.append(time.perf_counter() - start)
        tables.append(result.to_frame())
    row = {"scale": f"leave one of {n_people} people out, two workers", "seconds": wall[1]}
    row |= {"one_worker_s": wall[0], "ratio": wall[0] / wall[1], "goal": ">= 1.7"}
    row["note"] = "scores identical" if tables[0].equals(tables[1]) else "SCORES DIFFER"
    return [row]
