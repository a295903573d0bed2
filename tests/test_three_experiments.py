"""What was put in is found: frequencies, features across graphs, the response of one region."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve, lfilter

from mne_samba import LearnableHRF, Reader, WaveletBandAttention
from mne_samba.hrf import double_gamma, glover_params, hrf_summary, unit_peak
from mne_samba.models.graphs import nearest
from mne_samba.nn.bipartite import BipartiteAttention

SFREQ, T_R = 100.0, 2.0


def noise_between(rng, low, high, n_series, n_times, sfreq=SFREQ):
    """Gaussian noise between two frequencies, unit variance."""
    freqs = np.fft.rfftfreq(2 * n_times, 1 / sfreq)
    spectrum = np.fft.rfft(rng.standard_normal((n_series, 2 * n_times)))
    noise = np.fft.irfft(spectrum * ((freqs > low) & (freqs < high)))[:, :n_times]
    return noise / noise.std(axis=1, keepdims=True)


def measured(rng, clean):
    """As much autocorrelated noise as signal."""
    noise = lfilter([1], [1, -0.6], rng.standard_normal(clean.shape), axis=0)
    return clean / clean.std(axis=0) + noise / noise.std(axis=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_attention_finds_known_frequencies(seed):
    """Every node has a rhythm in every band; region n follows one band of node n."""
    rng = np.random.default_rng(seed)
    n_times, bands = 60000, {f"{low}": (low, low + 4) for low in range(4, 36, 4)}
    order = rng.permutation(8)
    signals, drive = np.zeros((8, n_times)), np.zeros((8, n_times))
    for band, (low, high) in enumerate(bands.values()):
        amplitude = np.exp(0.5 * noise_between(rng, 0.01, 0.1, 8, n_times))
        signals += amplitude * noise_between(rng, low + 0.5, high - 0.5, 8, n_times)
        node = int(np.flatnonzero(order == band)[0])
        drive[node] = amplitude[node] ** 2
    response = double_gamma(np.arange(0, 32, 1 / SFREQ), glover_params())
    drive -= drive.mean(axis=1, keepdims=True)
    clean = fftconvolve(drive, response[None], axes=1)[:, : n_times : int(T_R * SFREQ)].T
    attention = WaveletBandAttention(t_r=T_R, reader=Reader(sfreq=SFREQ), bands=bands)
    attention.fit([signals], [measured(rng, clean)])
    np.testing.assert_array_equal(attention.band_attention_.argmax(axis=1), order)
    assert attention.band_attention_.max(axis=1).mean() > 0.7


@pytest.mark.parametrize(("n_from", "n_to"), [(40, 100), (100, 40)])
def test_graph_attention_transfers_features_between_graphs_of_different_size(
    error_of_transfer, n_from, n_to
):
    """The true map averages five neighbours; which of ten candidates they are is learnt."""
    rng = np.random.default_rng(0)
    senders, receivers = (rng.standard_normal((n, 2)) for n in (n_from, n_to))
    closeness = 1 / np.linalg.norm(receivers[:, None] - senders, axis=-1)
    average = torch.as_tensor(nearest(closeness, 5) / 5, dtype=torch.float32)
    torch.manual_seed(0)
    layer = BipartiteAttention(nearest(closeness, 10), 1, 4, n_heads=2)
    assert error_of_transfer(layer, average, lr=0.05) < 0.05
    alpha, _ = layer.weights(torch.randn(1, n_from, 1))
    # The five wanted senders hold nearly all of the attention.
    wanted = average.gather(1, layer.neighbours) > 0
    assert (alpha[0] * wanted[..., None]).sum(dim=1).mean() > 0.9


@pytest.mark.parametrize("delay", [5.0, 6.0, 7.5])
def test_response_of_a_single_region_is_recovered(delay):
    errors, shapes = [], []
    truth = unit_peak(np.array([[delay, 14.0, 0.85, 0.9, 1.0, 0.3]]))
    lags = np.arange(0, 30, 0.1)
    for seed in range(5):
        rng = np.random.default_rng((seed, int(10 * delay)))
        drive = noise_between(rng, 0.008, 0.12, 1, 6000, 10.0)
        clean = fftconvolve(drive, double_gamma(np.arange(0, 32, 0.1), truth), axes=1)
        bold = measured(rng, clean[:, : 6000 : int(10 * T_R)].T)
        model = LearnableHRF(t_r=T_R, random_state=0, reader=Reader(sfreq=10.0)).fit(
            [drive], [bold]
        )
        errors.append(model.hrf_peak_time_[0] - hrf_summary(truth)["peak_time"][0])
        found = double_gamma(lags, model.hrf_params_.to_numpy())[0]
        shapes.append(np.corrcoef(found, double_gamma(lags, truth)[0])[0, 1])
    assert np.mean(np.abs(errors)) < 0.35
    assert np.mean(shapes) > 0.97
