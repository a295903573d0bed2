"""Readouts of corrections by least squares: what they add, beside plain ridge regression."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from small_data import paired

from mne_samba.models import CoreModel, SambaModel, Trainer
from mne_samba.models.corrections import Corrections
from mne_samba.models.readouts import _ridge, read_out
from mne_samba.models.windows import FrameWindows, core_of, without

FAST = {"power": "linear", "target_bands": False, "map_prior": "gaussian", "hrf_length": 20.0}
TRAINER = Trainer(device="cpu", max_epochs=2, window=40.0, dtype="float64")


def network_of(data, **options):
    """Network around a core that was fitted to data, and how it sees windows."""
    core = CoreModel(**FAST).fit(data, TRAINER, 0).core
    model = SambaModel(**FAST, n_hidden=8, corrections="always", **options)
    corrections = Corrections.of(model, TRAINER, data)
    torch.manual_seed(0)
    network, _ = corrections.build(core, corrections.graphs(data))
    return network, corrections.windowing


def with_frames(data, module, windowing, gain=1.0, noise=0.0):
    """Data whose frames a network predicts, with noise."""
    rng = np.random.default_rng(1)
    frames = windowing.predict(module, data.powers)
    base = windowing.predict(core_of(module), data.powers)
    frames = [b + gain * (f - b) for f, b in zip(frames, base, strict=True)]
    frames = [f + noise * rng.standard_normal(f.shape) for f in frames]
    return data.without_tails(frames)


@pytest.mark.parametrize("part", ["source_graph", "target_graph"])
def test_what_a_graph_adds_is_found(part):
    data = paired()
    network, windowing = network_of(data, recurrent=None)
    readout = getattr(network, part).readout
    truth = torch.randn_like(readout.weight) * 3
    with torch.no_grad():
        readout.weight.copy_(truth)
        readout.bias.zero_()
        getattr(network, part).gate.fill_(1.0)
    made = with_frames(data, network, windowing)
    frames = np.concatenate(windowing.predict(network, data.powers))
    for graph in (network.source_graph, network.target_graph):
        torch.nn.init.zeros_(graph.gate)
    before = np.concatenate(windowing.predict(network, data.powers))
    read_out(network, made, windowing, 0.0)
    after = np.concatenate(windowing.predict(network, data.powers))
    left = [((x - frames) - (x - frames).mean(0)).std() for x in (before, after)]
    assert left[1] < 0.1 * left[0]


def test_recurrence_sees_the_frames_that_it_was_read_out_of():
    data = paired()
    network, windowing = network_of(data)
    # Graphs whose hidden features have a mean, and what a recurrence alone can follow.
    with torch.no_grad():
        network.source_graph.readout.weight.fill_(5.0)
        network.source_graph.gate.fill_(1.0)
    made = windowing.predict(without(network, "recurrent"), data.powers)[0]
    torch.nn.init.zeros_(network.source_graph.gate)
    ramp = np.minimum(np.arange(len(made)) % windowing.n_frames, 4.0)[:, None]
    noise = np.random.default_rng(0).standard_normal(made.shape)
    data = data.without_tails([made - made.mean(axis=0) + ramp + 0.3 * noise])
    read_out(network, data, windowing, 0.0)
    assert network.source_graph.gate == network.recurrent.gate == 1.0
    windows = FrameWindows(data, windowing.n_frames, windowing.n_frames, torch.float64)
    with torch.no_grad():
        left = np.stack([target["bold"] - network(power[None])[0] for power, target in windows])
    assert_allclose(left.mean(axis=(0, 1)), 0.0, atol=1e-9)
    assert left.std() < 0.5 * np.hypot(ramp.std(), 0.3)


def test_long_segments_are_the_mean_over_windows():
    data = paired()
    network, windowing = network_of(data)
    with torch.no_grad():
        for part in network.corrections():
            part.gate.fill_(1.0)
    power, grid = torch.as_tensor(data.powers[0]), data.grid
    (frames,) = windowing.predict(network, [data.powers[0]])
    total, n_frames = len(frames), windowing.n_frames
    summed, count = np.zeros(frames.shape), np.zeros((total, 1))
    for first in sorted({*range(0, total - n_frames + 1, windowing.step), total - n_frames}):
        bins = slice(first * grid.step, first * grid.step + grid.n_bins(n_frames))
        with torch.no_grad():
            summed[first : first + n_frames] += network(power[None, ..., bins].double())[0].numpy()
        count[first : first + n_frames] += 1
    assert count.max() > 1
    assert_allclose(frames, summed / count, atol=1e-9)


def test_noise_is_read_out_as_nothing():
    data = paired()
    network, windowing = network_of(data)
    rng = np.random.default_rng(3)
    base = windowing.predict(network, data.powers)
    made = data.without_tails([f + rng.standard_normal(f.shape) for f in base])
    read_out(network, made, windowing, 0.0)
    assert [part.gate.item() for part in network.corrections()] == [0.0, 0.0, 0.0]


def _of(x, y, **how):
    """Coefficients of targets (n_rows, n_targets) on features (n_rows, n_features)."""
    return _ridge(x.T @ x, y.T @ x, (y**2).sum(axis=0), len(y), **how)


def test_readouts_are_ridge_regressions():
    rng = np.random.default_rng(0)
    x, truth = rng.standard_normal((200, 5)), rng.standard_normal((3, 5))
    y = x @ truth.T + 0.5 * rng.standard_normal((200, 3))
    found = _of(x, y)
    alphas = np.logspace(-5, 3, 17) * np.linalg.eigvalsh(x.T @ x).mean()
    fits = [Ridge(alpha=a, fit_intercept=False).fit(x, y).coef_ for a in alphas]
    np.testing.assert_allclose(found, min(fits, key=lambda c: abs(c - found).max()), atol=1e-10)
    assert abs(found - truth).max() < 0.2
    assert not _of(x, rng.standard_normal((200, 3))).any()
    assert not _of(x, y, least=1e4).any(), "evidence that is too little is none"


def test_frames_that_were_not_measured_say_nothing():
    data = paired()
    results = []
    for fill in (np.nan, 1e3):
        network, windowing = network_of(data)
        targets = [target.copy() for target in data.targets]
        targets[0][10:14] = np.nan
        if np.isfinite(fill):
            targets = [np.where(np.isfinite(t), t, np.nan) for t in targets]
        read_out(network, data.without_tails(targets), windowing, 0.4)
        results.append(np.concatenate(windowing.predict(network, data.powers)))
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(*results)
