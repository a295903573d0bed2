"""Scale: many targets and many people in little memory, and on two workers."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager

import numpy as np
import torch
from _speed_steps import N_LAGS, STEP, T_R
from _timing import exponent, peak, reset_peak, seconds
from joblib import parallel_config

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


def whole_fits(quick):
    """Whole default fits of very many targets, and of very many people pooled."""
    if quick:
        return [*voxels((5, 20), [250, 500, 1000]), *pooled([2, 4, 8])]
    return [*voxels((20, 300), [5000, 10000, 20000]), *pooled([25, 50, 100])]


def voxels(size, counts):
    """Fit minutes of so many channels to more and more voxels of 250 regions, SNR 1 each."""
    minutes, n_channels = size
    sim = simulate_paired(
        1, 60.0 * minutes, n_sources=n_channels, n_targets=250, level="source", random_state=41
    )
    clean, rng = sim.truth.clean_bolds[0], np.random.default_rng(0)
    clean = (clean - clean.mean(axis=0)) / clean.std(axis=0)
    bold = np.tile(clean, max(counts) // 250)
    bold += rng.standard_normal(bold.shape)
    name = f"whole default fit, {minutes} min, {n_channels} channels"
    works = [(n, sim.raws, [bold[:, :n]]) for n in counts]
    return grown(works, sim.t_r, lambda n: f"{name} -> {n} targets", "targets")


def pooled(counts):
    """Fit ten minutes each of more and more people together."""
    sim = simulate_paired(
        max(counts), 600.0, n_sources=32, n_targets=48, level="source", random_state=42
    )
    works = [(n, sim.raws[:n], sim.bolds[:n]) for n in counts]
    return grown(works, sim.t_r, lambda n: f"whole default fit, {n} people x 10 min", "people")


def grown(works, t_r, named, unit):
    """Rows of fits of growing size, the exponent of their seconds with the last."""
    rows = []
    for n, raws, bolds in works:
        gc.collect()
        reset_peak()
        model = SambaTranslator(t_r=t_r, random_state=0)
        spent = seconds(lambda model=model, raws=raws, bolds=bolds: model.fit(raws, bolds))
        rows.append({"scale": named(n), "seconds": spent, "resident_gb": peak() / 1e9,
                     "goal": "< 16 GB"})  # fmt: skip
    power = exponent([n for n, _, _ in works], [row["seconds"] for row in rows])
    rows[-1]["note"] = f"grows as {unit}^{power:.2f}"
    return rows


def two_workers(quick):
    """Leave people out by one and by two workers of joblib."""
    return people_left_out(quick, "two workers", lambda n: parallel_config(n_jobs=n))


def dask_workers(quick):
    """Leave people out on dask clusters of one and of two workers, people as tasks."""
    return people_left_out(quick, "two workers of dask.distributed", dask_cluster)


@contextmanager
def dask_cluster(n_workers):
    """Run on a cluster of its own: joblib takes all workers of one, whatever ``n_jobs`` is."""
    import dask
    from dask.distributed import Client, LocalCluster

    # As the page about trouble advises.
    dask.config.get("distributed.nanny.pre-spawn-environ").pop("MALLOC_TRIM_THRESHOLD_", None)
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), parallel_config(backend="dask"):
        yield


def people_left_out(quick, name, workers):
    """Leave one of 24 people out where ``workers(n)`` run fits: wall-clock and scores."""
    n_people, duration = (4, 240.0) if quick else (24, 600.0)
    data = simulate_paired(
        n_people, duration, n_sources=32, n_targets=48, level="source", random_state=40
    )
    model = SambaTranslator(t_r=data.t_r, model="core", random_state=0)
    tables, wall = [], []
    for n in (1, 2):
        with workers(n):
            start = time.perf_counter()
            result = evaluate(
                model, data.raws, data.bolds, groups=data.subjects, baselines=(), nulls=(),
                verbose=False,
            )  # fmt: skip
            wall.append(time.perf_counter() - start)
        tables.append(result.to_frame())
    row = {"scale": f"leave one of {n_people} people out, {name}", "seconds": wall[1]}
    row |= {"one_worker_s": wall[0], "ratio": wall[0] / wall[1], "goal": ">= 1.7"}
    row["note"] = "scores identical" if tables[0].equals(tables[1]) else "SCORES DIFFER"
    return [row]
