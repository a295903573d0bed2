"""The paper's network: every part against an independent form, and habits it must not have."""

import numpy as np
import pytest
import pywt
import torch

from mne_samba.hrf import convolve, double_gamma
from mne_samba.nn import paper_response
from mne_samba.nn.graph import GraphAttention, GraphCorrection
from mne_samba.nn.loss import CenteredCosineLoss
from mne_samba.nn.paper import N_LEVELS, PaperNet, chunk_power, level_sizes
from mne_samba.nn.paper_decoder import FrameDecoder, earlier_frames
from mne_samba.wavelets import discrete_bands

N_CHANNELS, N_TARGETS, N_SAMPLES, N_CHUNKS, N_FRAMES, T_R = 5, 7, 40, 6, 8, 2.0
N_COEFS = sum(level_sizes(N_SAMPLES))


def ring(n_nodes):
    """Every node attends to itself and both neighbours."""
    eye = np.eye(n_nodes, dtype=bool)
    return eye | np.roll(eye, 1, axis=0) | np.roll(eye, -1, axis=0)


def network(seed=0, **options):
    torch.manual_seed(seed)
    graphs = {"source_adjacency": ring(N_CHANNELS), "target_adjacency": ring(N_TARGETS)}
    return PaperNet(
        N_CHANNELS, N_TARGETS, n_samples=N_SAMPLES, n_chunks=N_CHUNKS, t_r=T_R, n_hidden=8,
        **{**graphs, **options},
    ).double()  # fmt: skip


def batch(n_windows=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shape = (n_windows, N_CHANNELS, N_COEFS, N_CHUNKS + N_FRAMES - 1)
    power = torch.randn(shape, generator=rng, dtype=torch.float64)
    bold = torch.randn(n_windows, N_FRAMES, N_TARGETS, generator=rng, dtype=torch.float64)
    return power, bold


@pytest.mark.parametrize("graphs", ["both", "none"])
@pytest.mark.parametrize("recurrent", ["lstm", "gru", None])
def test_every_parameter_learns(recurrent, graphs):
    options = {"source_adjacency": None, "target_adjacency": None} if graphs == "none" else {}
    net, (power, bold) = network(recurrent=recurrent, **options), batch()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        loss = CenteredCosineLoss()(
            net(power, earlier_frames(bold)), {"bold": bold, "recording": torch.zeros(3)}
        )
        loss.backward()
        learnt = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
        for name, parameter in learnt:
            # Far above rounding: a gradient that is zero by symmetry is none.
            assert parameter.grad is not None and parameter.grad.norm() > 1e-10, name
        optimizer.step()
    assert (
        {n for n, _ in net.named_parameters()} - {n for n, _ in learnt}
        <= {"level_bias", "mixing_bias"}
        if graphs == "none" and recurrent is None
        else len(learnt) == len(before)
    )
    still = [n for n, p in learnt if torch.equal(p, before[n])]
    assert not still


def test_chunk_power_is_that_of_pywavelets():
    chunks = torch.randn(2, 3, 160, dtype=torch.float64)
    theirs = pywt.wavedec(chunks.numpy(), "db5", "periodization", 3, axis=-1)
    np.testing.assert_allclose(chunk_power(chunks), np.concatenate(theirs, -1) ** 2, atol=1e-12)


def test_a_rhythm_lands_in_the_level_that_names_its_frequency():
    sfreq = 200.0
    times = np.arange(400) / sfreq
    sizes = level_sizes(400)
    for i, (low, high) in enumerate(discrete_bands(sfreq, N_LEVELS).values()):
        tone = torch.as_tensor(np.sin(2 * np.pi * 0.5 * (low + high) * times))
        energy = [float(part.sum()) for part in chunk_power(tone).split(sizes)]
        assert np.argmax(energy) == i


def test_response_is_a_causal_convolution_of_power():
    """Hidden features against numpy.convolve, level by level."""
    net, (power, _) = network(source_adjacency=None), batch(1)
    with torch.no_grad():
        net.hrf.raw.add_(0.5 * torch.randn_like(net.hrf.raw))
        net.logits.copy_(torch.randn_like(net.logits))
        net.level_bias.normal_()
    hidden = net.hidden(power).detach().view(N_CHANNELS, 8, N_FRAMES)
    params, start = net.hrf.params().detach().numpy(), 0
    expected = np.zeros((N_CHANNELS, 8, N_FRAMES)) + net.level_bias.detach().numpy()[:, None]
    for level, size in enumerate(level_sizes(N_SAMPLES)):
        dt = T_R / size
        lags = (np.arange((N_CHUNKS - 1) * size + 1) + 0.5) * dt
        part = power[0, :, start : start + size].transpose(1, 2).reshape(N_CHANNELS, -1).numpy()
        start += size
        for node in range(N_CHANNELS):
            bold = dt * np.convolve(part[node], double_gamma(lags, params[node]))
            bold = bold[: part.shape[1]].reshape(-1, size)[N_CHUNKS - 1 :]
            weight = net.levels[level].detach().numpy()
            expected[node] += float(net.attention[node, level].detach()) * (bold @ weight).T
    np.testing.assert_allclose(hidden, expected, atol=1e-10)


def test_some_nodes_at_a_time_are_all_nodes_at_once(monkeypatch):
    net, (power, _) = network(), batch(2)
    power, kernels = power.transpose(2, 3), [k.detach() for k in net.kernels()]
    maps = list(net.levels)
    whole = paper_response.node_features(power, N_CHUNKS, kernels, maps)
    monkeypatch.setattr(paper_response, "_NODES", 2)
    torch.testing.assert_close(paper_response.node_features(power, N_CHUNKS, kernels, maps), whole)


def test_gradients_of_responses_are_those_of_small_changes():
    net, (power, _) = network(), batch(2)
    power, maps = power.transpose(2, 3).requires_grad_(), [m.detach() for m in net.levels]
    kernels = [kernel.detach().requires_grad_() for kernel in net.kernels()]

    def features(power, *kernels):
        return paper_response.node_features(power, N_CHUNKS, kernels, maps)

    assert torch.autograd.gradcheck(features, (power, *kernels), fast_mode=True)


@pytest.mark.parametrize("recurrent", ["lstm", None])
def test_frames_see_only_signal_before_them(recurrent):
    net, (power, _) = network(recurrent=recurrent).eval(), batch(1)
    now = net(power)
    for frame in (0, 3):
        later = power.clone()
        # The chunk after a frame's own is its future.
        later[..., N_CHUNKS + frame :] += 1.0
        changed = (net(later) - now).abs().amax(dim=(0, 2))
        assert changed[: frame + 1].max() < 1e-12 and changed[frame + 1 :].min() > 1e-6
        own = power.clone()
        own[..., N_CHUNKS - 1 + frame] += 1.0
        assert (net(own) - now)[:, frame].abs().min() > 1e-9


def test_a_rhythm_survives_the_response_because_power_is_taken_first():
    """Voltage through a response leaves nothing of 10 Hz; its power drives the prediction."""
    sfreq, n_samples = 200.0, 400
    n_all = N_CHUNKS + N_FRAMES - 1
    times = np.arange(90 * int(sfreq)) / sfreq
    envelope = 1 + 0.8 * np.sin(2 * np.pi * 0.05 * times)
    rhythm = envelope * np.sin(2 * np.pi * 10 * times)
    lags = (np.arange(30 * int(sfreq)) + 0.5) / sfreq
    response = double_gamma(lags, np.array([6.0, 12.0, 0.9, 0.9, 1.0, 0.35]))
    voltage, power = (
        np.convolve(drive, response)[len(lags) : len(times)] / sfreq
        for drive in (rhythm, rhythm**2)
    )
    assert voltage.std() < 1e-6 * power.std()

    rhythm, envelope = rhythm[: n_all * n_samples], envelope[: n_all * n_samples]
    torch.manual_seed(0)
    net = PaperNet(1, 3, n_samples=n_samples, n_chunks=N_CHUNKS, t_r=T_R, n_hidden=8).double()
    chunks = torch.as_tensor(rhythm).view(1, 1, n_all, n_samples)
    steady = torch.as_tensor(rhythm / envelope).view(1, 1, n_all, n_samples)
    with torch.no_grad():
        net.eval()
        modulated, flat = (net(chunk_power(x).transpose(2, 3)) for x in (chunks, steady))
    assert modulated.std(dim=1).min() > 5 * flat[:, 1:].std(dim=1).min()
    assert (modulated - flat).abs().max() > 0.05 * modulated.abs().max()


def test_map_of_a_target_is_one_layer_from_all_nodes():
    """The factorised map against the dense block (hidden, nodes * hidden) that it stands for."""
    net, (power, _) = network(source_adjacency=None, target_adjacency=None, recurrent=None), batch()
    with torch.no_grad():
        net.mixing_bias.normal_()
    nodes = net.hidden(power).detach()
    frames = []
    for m in range(N_TARGETS):
        block = torch.kron(net.spatial_map[m][None], net.mixing[m])
        target = block @ nodes.flatten(0, 1) + net.mixing_bias[m]
        frames.append(net.readout[m] @ target)
    expected = torch.cat(frames).view(N_TARGETS, 3, N_FRAMES).permute(1, 2, 0)
    torch.testing.assert_close(net(power), expected)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_decoder_told_its_own_frames_says_them_again(kind):
    torch.manual_seed(0)
    decoder = FrameDecoder(N_TARGETS, kind, 8).double()
    torch.nn.init.normal_(decoder.decode.weight)
    readout = batch()[1]
    free = decoder(readout)
    torch.testing.assert_close(decoder(readout, earlier_frames(free)), free)
    told = decoder(readout, earlier_frames(free + 1.0))
    torch.testing.assert_close(told[:, 0], free[:, 0])
    assert (told[:, 1:] - free[:, 1:]).abs().min() > 1e-9


def test_earlier_frames_never_tell_the_first_nor_a_later_one():
    bold = batch()[1]
    bold[0, 3] = torch.nan
    earlier = earlier_frames(bold)
    assert (earlier[:, 0] == 0).all() and (earlier[0, 4] == 0).all()
    torch.testing.assert_close(earlier[1:, 1:], bold[1:, :-1])


def test_truth_is_told_in_training_only():
    net, (power, bold) = network(forcing=1.0), batch()
    truth = earlier_frames(bold)
    assert (net(power, truth) - net(power, -truth)).abs().max() > 1e-6
    net.eval()
    told, free = net(power, truth), net(power)
    assert torch.equal(told, free) and torch.equal(free, net(power))


def test_a_window_without_forcing_reads_its_own_readout():
    net, (power, bold) = network(forcing=0.0), batch()
    torch.testing.assert_close(net(power, bold), net(power, torch.zeros_like(bold)))


def test_attention_starts_equal_sums_to_one_and_can_be_fixed():
    net = network(band_attention=False, learn_hrf=False)
    torch.testing.assert_close(net.attention, torch.full_like(net.attention, 0.25))
    assert not net.logits.requires_grad and not net.hrf.raw.requires_grad
    free = network()
    torch.nn.init.normal_(free.logits)
    torch.testing.assert_close(free.attention.sum(1), torch.ones(N_CHANNELS).double())


def test_parameters_of_the_map_grow_with_nodes_plus_features():
    sizes = {"n_samples": N_SAMPLES, "n_chunks": N_CHUNKS, "t_r": T_R, "recurrent": None}
    count = [
        sum(p.numel() for p in PaperNet(n, 20, n_hidden=8, **sizes).parameters()) for n in (10, 20)
    ]
    per_node = 20 + 5 + 4  # one weight per target, five of the response, four of attention
    assert count[1] - count[0] == 10 * per_node


def test_heads_and_cells_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="multiple of 4 heads"):
        PaperNet(2, 2, n_samples=40, n_chunks=2, t_r=2.0, n_hidden=6, source_adjacency=np.eye(2))
    with pytest.raises(ValueError, match="recurrent must be one of"):
        network(recurrent="transformer")


def uneven(n_nodes):
    adjacency = ring(n_nodes)
    adjacency[0] = np.eye(n_nodes)[0]
    adjacency[1] = True
    return adjacency


@pytest.mark.parametrize("n_in", [5, 1])
def test_many_graphs_at_once_are_the_same_graphs(n_in):
    """Graphs along vectors against graphs one at a time, with gradients; one feature is special."""
    torch.manual_seed(0)
    layer = GraphAttention(uneven(9), n_in, 3, 4).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(9, n_in, 70, dtype=torch.float64)
    probe = torch.randn(9, 12, 70, dtype=torch.float64)
    results = []
    for one_by_one in (True, False):
        layer.zero_grad()
        given = x.clone().requires_grad_()
        if one_by_one:
            out = torch.stack([layer(given[..., i]) for i in range(70)], dim=-1)
        else:
            out = layer.columns(given)
        (out * probe).sum().backward()
        results.append([out.detach(), given.grad, *(p.grad.clone() for p in layer.parameters())])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("n_in", [5, 1])
@pytest.mark.parametrize("learn_edges", [False, True])
def test_some_nodes_attend_as_among_all(n_in, learn_edges):
    torch.manual_seed(0)
    layer = GraphAttention(uneven(9), n_in, 3, 4, learn_edges=learn_edges).double()
    if learn_edges:
        torch.nn.init.normal_(layer.gives)
    x, some = torch.randn(9, n_in, 70, dtype=torch.float64), torch.tensor([7, 2])
    found, expected = layer.columns(x, some), layer.columns(x)[some]
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out.square().sum(), [*layer.parameters()])
                 for out in (found, expected)]  # fmt: skip
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("n_in", [5, 1])
def test_gradients_may_be_part_of_a_graph(n_in):
    """As trainers of others ask for them; they are no function of features a second time."""
    layer, x = GraphAttention(uneven(6), n_in, 3, 4), torch.randn(6, n_in, 70, requires_grad=True)
    value = layer.columns(x).square().sum()
    plain, kept = (torch.autograd.grad(value, x, create_graph=kept, retain_graph=True)[0]
                   for kept in (False, True))  # fmt: skip
    torch.testing.assert_close(kept, plain)


def test_one_feature_is_averaged_in_full_precision_where_products_are_not():
    torch.manual_seed(0)
    layer, x = GraphAttention(uneven(6), 1, 3, 4), torch.randn(6, 1, 300).bfloat16()
    results = []
    for mixed in (False, True):
        given = x.clone().requires_grad_() if mixed else x.float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = layer.columns(given)
            gradients = torch.autograd.grad(out.float().square().sum(), [given, layer.attention])
        results.append([out, *gradients])
    for full, mixed in zip(*results, strict=True):
        assert (full - mixed).norm() < 0.01 * full.norm()


@pytest.mark.parametrize("n_in", [4, 1])
def test_spans_of_graphs_do_not_change_attention(monkeypatch, n_in):
    from mne_samba.nn import _graph_columns

    torch.manual_seed(0)
    layer = GraphAttention(uneven(6), n_in, 2, 4).double()
    x = torch.randn(6, n_in, 50, dtype=torch.float64, requires_grad=True)
    whole = layer.columns(x)
    (grad,) = torch.autograd.grad(whole.square().sum(), x)
    monkeypatch.setattr(_graph_columns, "_BLOCK", 1)
    parts = layer.columns(x)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), x)[0], grad)
    assert torch.autograd.gradcheck(layer.columns, (x[..., :3].detach().requires_grad_(),))


def test_long_signals_of_many_regions_are_convolved_alike():
    """Large inputs take a region at a time; numpy.convolve knows no such thing."""
    rng = np.random.default_rng(0)
    drive, kernel = rng.standard_normal((3, 40, 10000)), rng.standard_normal((40, 600))
    ours = convolve(torch.as_tensor(drive), torch.as_tensor(kernel), dt=0.1).numpy()
    for window, region in ((0, 0), (2, 17), (1, 39)):
        expected = 0.1 * np.convolve(drive[window, region], kernel[region])[:10000]
        np.testing.assert_allclose(ours[window, region], expected, atol=1e-10)


def test_a_correction_over_many_times_is_that_of_each_time():
    """Many times take the form along vectors, few the plain one."""
    torch.manual_seed(0)
    part = GraphCorrection(uneven(6), 3).double()
    torch.nn.init.ones_(part.gate)
    features = torch.randn(2, 6, 50, 3, dtype=torch.float64)
    few = torch.cat([part(features[:, :, i : i + 10]) for i in range(0, 50, 10)], dim=-1)
    torch.testing.assert_close(part(features), few)
