"""The network: the linear core exactly, causal, trainable everywhere, deterministic."""

import copy

import numpy as np
import pytest
import torch

from mne_samba.core import fit_core
from mne_samba.hrf import double_gamma, glover_params, hrf_dictionary, spm_params
from mne_samba.models.windows import core_of
from mne_samba.nn.loss import CenteredCosineLoss
from mne_samba.nn.recurrent import RECURRENT
from mne_samba.nn.samba import BandAttention, SambaNet

N_CHANNELS, N_BANDS, N_TARGETS, STEP, DT, N_LAGS = 6, 3, 5, 4, 0.5, 60
SIZES = {"step": STEP, "dt": DT, "n_lags": N_LAGS}


def ring(n):
    """Every node attends to itself and the next."""
    eye = np.eye(n, dtype=bool)
    return eye | np.roll(eye, 1, axis=1)


def full_net(seed=0, gate=None, **options):
    """A network with all corrections, at random weights; ``gate`` opens them."""
    torch.manual_seed(seed)
    options = {
        "source_adjacency": ring(N_CHANNELS),
        "target_adjacency": ring(N_TARGETS),
        "recurrent": "lstm",
        "target_bands": True,
        **SIZES,
        **options,
    }
    net = SambaNet(N_CHANNELS, N_BANDS, N_TARGETS, **options).double()
    net.set_core_(**random_core(seed))
    if gate is not None:
        with torch.no_grad():
            for part in net.corrections():
                part.gate.fill_(gate)
    return net


def random_core(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "weights": rng.standard_normal((N_CHANNELS, N_BANDS)),
        "spatial_map": rng.standard_normal((N_TARGETS, N_CHANNELS)),
        "intercept": rng.standard_normal(N_TARGETS),
        "hrf_params": hrf_dictionary(50, random_state=seed)[10 : 10 + N_TARGETS],
        "kernel": rng.standard_normal((N_TARGETS, N_LAGS)),
        "extra": 0.1 * rng.standard_normal((N_TARGETS, N_CHANNELS, N_BANDS)),
    }


def some_power(n_windows=2, n_frames=12, seed=1):
    rng = np.random.default_rng(seed)
    n_bins = N_LAGS + (n_frames - 1) * STEP
    return torch.as_tensor(rng.standard_normal((n_windows, N_CHANNELS, N_BANDS, n_bins)))


def trilinear(core, power, kernel):
    """Frames by the formula of the core, one sum after the other."""
    drive = np.einsum("mn,nk,wnkt->wmt", core["spatial_map"], core["weights"], power)
    drive = drive + np.einsum("mnk,wnkt->wmt", core["extra"], power)
    n_frames = (power.shape[-1] - N_LAGS) // STEP + 1
    out = np.empty((len(power), n_frames, N_TARGETS))
    for k in range(n_frames):
        history = drive[:, :, k * STEP : k * STEP + N_LAGS][..., ::-1]
        out[:, k] = (history * kernel).sum(-1) * DT + core["intercept"]
    return out


@pytest.fixture(scope="module")
def fitted_cores():
    """Cores of every family on a small coupled data set."""
    rng = np.random.default_rng(0)
    power = rng.standard_normal((N_CHANNELS, N_BANDS, N_LAGS + 99 * STEP))
    core = {**random_core(), "extra": np.zeros((N_TARGETS, N_CHANNELS, N_BANDS))}
    kernel = double_gamma((np.arange(N_LAGS) + 0.5) * DT, core["hrf_params"])
    y = trilinear(core, power[None], kernel)[0]
    y = (y - y.mean(0)) / y.std(0) + 0.5 * rng.standard_normal(y.shape)
    mask = np.ones(len(y), bool)
    cores = {
        hrf: fit_core([power], [y], [mask], dt=DT, step=STEP, hrf=hrf, random_state=0)
        for hrf in ("double_gamma", "fir", "canonical")
    }
    return power, cores


@pytest.mark.parametrize("hrf", ["double_gamma", "fir", "canonical"])
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-9), ("float32", 1e-4)])
def test_network_starts_as_the_core_exactly(fitted_cores, hrf, dtype, tol):
    power, cores = fitted_cores
    core = cores[hrf]
    net = full_net(hrf=hrf, target_bands=core.extra is not None).to(getattr(torch, dtype))
    net.set_core_(
        weights=core.weights, spatial_map=core.spatial_map, intercept=core.intercept,
        hrf_params=core.hrf_params, kernel=core.kernel, extra=core.extra,
    )  # fmt: skip
    expected = core.predict([power])[0]
    assert expected.std() > 0.1
    with torch.no_grad():
        frames = net(torch.as_tensor(power[None]).to(getattr(torch, dtype)))[0]
    np.testing.assert_allclose(frames.numpy(), expected, rtol=0, atol=tol)


def test_core_equals_its_formula():
    core, power = random_core(), some_power()
    kernel = double_gamma((np.arange(N_LAGS) + 0.5) * DT, core["hrf_params"])
    frames = full_net()(power).detach().numpy()
    np.testing.assert_allclose(frames, trilinear(core, power.numpy(), kernel), atol=1e-9)
    fir = full_net(hrf="fir")(power).detach().numpy()
    np.testing.assert_allclose(fir, trilinear(core, power.numpy(), core["kernel"]), atol=1e-9)


def test_zero_weights_of_a_node_stay_zero():
    core = random_core()
    core["weights"][2] = 0
    core["weights"][3, 1:] = 0
    net = full_net()
    net.set_core_(**core)
    bands = net.bands
    effective = (bands.attention * bands.gain).detach().numpy()
    reached = net.spatial_map.weight.detach().numpy()[:, :, None] * effective
    np.testing.assert_allclose(
        reached, core["spatial_map"][:, :, None] * core["weights"], atol=1e-9
    )


@pytest.mark.parametrize("learn", [True, False])
def test_band_attention_splits_weights_into_attention_gain_and_scale(learn):
    weights = np.random.default_rng(0).standard_normal((N_CHANNELS, N_BANDS))
    bands = BandAttention(N_CHANNELS, N_BANDS, learn).double()
    scale = bands.set_weights_(weights).numpy()
    attention, gain = bands.attention.detach().numpy(), bands.gain.detach().numpy()
    np.testing.assert_allclose(attention.sum(axis=1), 1)
    assert (np.abs(gain) < 1).all() and (attention > 0).all()
    np.testing.assert_allclose(scale[:, None] * attention * gain, weights, atol=1e-9)
    if not learn:
        np.testing.assert_allclose(attention, 1 / N_BANDS)


@pytest.mark.parametrize("hrf", ["double_gamma", "fir"])
@pytest.mark.parametrize("recurrent", RECURRENT)
def test_every_parameter_has_a_gradient_and_moves(hrf, recurrent):
    net = full_net(hrf=hrf, recurrent=recurrent).train()
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    power = some_power(4, 20)
    bold = torch.randn(4, 20, N_TARGETS, dtype=torch.float64)
    target = {"bold": bold, "recording": torch.zeros(4, dtype=torch.long)}
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    gates = {name for name in start if name.endswith("gate")}
    assert len(gates) == 3
    for step in range(3):
        optimiser.zero_grad()
        # The loss ignores a mean; a squared error gives the intercept its say.
        pred = net(power)
        (CenteredCosineLoss()(pred, target) + (pred - bold).square().mean()).backward()
        silent = {n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()}
        behind = {n for n in start if n.split(".")[0] in _CORRECTIONS} - gates
        # Shut gates let no gradient through to what is behind them, in the first step alone.
        assert silent == (behind if step == 0 else set())
        optimiser.step()
    still = [name for name, p in net.named_parameters() if torch.equal(p, start[name])]
    assert still == []


_CORRECTIONS = ("source_graph", "target_graph", "recurrent")


def test_fixed_parts_are_not_learnt():
    net = full_net(hrf="canonical", band_attention=False)
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"bands.logits", "hrf.raw"}


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_an_impulse_changes_nothing_before_it(recurrent):
    net = full_net(gate=0.7, recurrent=recurrent).eval()
    power = some_power(1, 12)
    n_bins = power.shape[-1]
    base = net(power)
    for bin_ in (N_LAGS - 1, N_LAGS, N_LAGS + 2 * STEP + 1, n_bins - 1):
        changed = power.clone()
        changed[..., bin_] += 5.0
        moved = (net(changed) - base).abs().amax(dim=(0, 2)).detach().numpy()
        # Frame k sees the bins before k * STEP + N_LAGS.
        first = max(0, -(-(bin_ + 1 - N_LAGS) // STEP))
        assert (moved[:first] < 1e-12).all()
        assert (moved[first:] > 1e-9).any()


def test_response_starts_at_zero_lag_and_has_unit_peak():
    net = full_net()
    np.testing.assert_allclose(net.lags.numpy(), (np.arange(N_LAGS) + 0.5) * DT)
    fine = net.hrf(torch.linspace(-2, 30, 32001, dtype=torch.float64)).detach().numpy()
    assert (fine[:, :2000] == 0).all()
    np.testing.assert_allclose(fine.max(axis=1), 1, atol=1e-6)


def test_evaluation_is_deterministic_and_depends_on_the_input():
    net = full_net(gate=0.7).eval()
    power = some_power()
    with torch.no_grad():
        first, second = net(power), net(power)
        other = net(some_power(seed=5))
        assert torch.equal(first, second)
        assert (first - other).abs().amax(dim=1).min() > 1e-3
        for channel in range(N_CHANNELS):
            for band in range(N_BANDS):
                changed = power.clone()
                changed[:, channel, band] *= 1.5
                assert (net(changed) - first).abs().max() > 1e-6


def test_windows_are_independent():
    net = full_net(gate=0.7).eval()
    power = some_power(3)
    torch.testing.assert_close(net(power)[1], net(power[1:2])[0])


def test_corrections_can_be_left_out():
    net = full_net(gate=0.7)
    power = some_power()
    core = full_net()(power)
    assert (net(power) - core).abs().max() > 1e-2
    torch.testing.assert_close(core_of(net)(power), core, rtol=0, atol=0)


@pytest.mark.parametrize("part", ["source_adjacency", "target_adjacency", "recurrent"])
def test_each_correction_can_be_left_out(part):
    net = full_net(**{part: None})
    assert len(net.corrections()) == 2
    torch.testing.assert_close(net(some_power()), full_net()(some_power()))


def test_another_frame_grid_keeps_responses_in_seconds():
    net = full_net()
    moved = copy.deepcopy(net)
    moved.set_grid_(step=2, dt=0.75)
    assert moved.n_lags == 40 and moved.step == 2
    expected = net.hrf((torch.arange(40, dtype=torch.float64) + 0.5) * 0.75)
    torch.testing.assert_close(moved.response(), expected)
    # Slow power, whatever its bins: 24 s after the same onset the frames agree.
    level = np.random.default_rng(0).standard_normal((1, N_CHANNELS, N_BANDS, 1))

    def ramp(n_bins, dt):
        return torch.as_tensor(level * np.sin(0.05 * (np.arange(n_bins) + 0.5) * dt))

    # Histories of 30 s end at 30 and at 54 s in both.
    fine = net(ramp(N_LAGS + 12 * STEP, DT)).detach()[0]
    coarse = moved(ramp(40 + 16 * 2, 0.75)).detach()[0]
    torch.testing.assert_close(coarse[0], fine[0], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(coarse[-1], fine[-1], rtol=1e-2, atol=1e-2)


def test_free_responses_move_to_other_grids():
    """A smooth response between the centres of bins is nearly a straight line."""
    net = full_net(hrf="fir")
    smooth = torch.exp(-0.5 * ((net.lags - 6) / 2.5) ** 2).expand(N_TARGETS, -1)
    with torch.no_grad():
        net.kernel.copy_(smooth)
    moved = copy.deepcopy(net)
    moved.set_grid_(step=2, dt=0.75)
    expected = torch.exp(-0.5 * ((moved.lags - 6) / 2.5) ** 2).expand(N_TARGETS, -1)
    torch.testing.assert_close(moved.response(), expected, rtol=0, atol=0.01)
    net.set_grid_(step=8, dt=DT)
    torch.testing.assert_close(net.response(), smooth)
    assert net(some_power(1, 13)).shape == (1, 7, N_TARGETS)


def test_rows_without_history_need_no_response():
    torch.manual_seed(0)
    net = SambaNet(N_CHANNELS, 1, N_TARGETS, step=1, dt=1.0, n_lags=1, recurrent=None).double()
    core = random_core()
    weights = core["weights"][:, :1]
    net.set_core_(weights=weights, spatial_map=core["spatial_map"], intercept=core["intercept"])
    rows = np.random.default_rng(0).standard_normal((7, N_CHANNELS))
    frames = net(torch.as_tensor(rows.T[None, :, None, :])).detach().numpy()[0]
    expected = rows @ (core["spatial_map"] * weights[:, 0]).T + core["intercept"]
    np.testing.assert_allclose(frames, expected, atol=1e-9)


@pytest.mark.parametrize("params", [glover_params(), spm_params()])
def test_known_responses_survive_the_network(params):
    core = {**random_core(), "hrf_params": np.repeat(params[None], N_TARGETS, axis=0)}
    net = full_net()
    net.set_core_(**core)
    expected = double_gamma((np.arange(N_LAGS) + 0.5) * DT, params)
    np.testing.assert_allclose(net.response().detach().numpy()[0], expected, atol=1e-9)
