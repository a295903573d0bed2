"""Drives that differ in their delays have free responses, beside a model or in `LearnableHRF`."""

import mne
import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from mne_samba import CoreModel, LearnableHRF, Reader, SambaTranslator, make_windows, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import attribute
from mne_samba.hrf import double_gamma, spm_params
from mne_samba.metrics import pearson
from mne_samba.report import what_was_fitted
from mne_samba.wavelets import Precomputed

T_R = 2.0
SHAPE = double_gamma(np.arange(0.0, 30.0, T_R), spm_params())


def world(alike, seed=0, n_frames=600, n_bands=3, n_targets=4):
    """Log power of bands (1, n_bands, n_times), one value per frame, and BOLD that follows it.

    Each band has another delay; or they are ``alike``, and targets share the weights of bands.
    """
    rng = np.random.default_rng(seed)
    power = lfilter([1], [1, -0.6], rng.standard_normal((n_bands, n_frames)), axis=1)
    late = [0] * n_bands if alike else range(0, 3 * n_bands, 3)
    shapes = [np.concatenate([np.zeros(k), SHAPE]) for k in late]
    seen = [np.convolve(p, h)[:n_frames] for p, h in zip(power, shapes, strict=True)]
    weights = np.random.default_rng(9).standard_normal((n_bands, n_targets))
    if alike:
        weights = np.outer(weights[:, 0], weights[0])
    clean = np.stack(seen, axis=1) @ weights
    bold = clean / clean.std(axis=0) + rng.standard_normal(clean.shape)
    return power[None], bold, clean


@pytest.mark.parametrize("n_frames", [1, 2])
def test_windows_of_a_frame_or_two_have_no_correlation_of_their_own(n_frames):
    noise = np.random.default_rng(0).standard_normal((3, 64 * 600))
    raw = mne.io.RawArray(1e-5 * noise, mne.create_info(3, 64.0, "eeg"), verbose="ERROR")
    bold = world(True, n_targets=2)[1][:300]
    windows = make_windows(raw, bold, t_r=T_R, window=n_frames * T_R, context=20.0)
    model = CoreModel(target_bands=False, hrf="canonical", hrf_length=20.0, map_prior="gaussian")
    translator = SambaTranslator(t_r=T_R, model=model, random_state=0).fit(*windows)
    assert np.isfinite(translator.predict(windows[0])).all()


@pytest.fixture(scope="module")
def differing():
    train, test = world(False), world(False, seed=1)
    model = CoreModel(bands=Precomputed("log"), target_bands=False)
    translator = SambaTranslator(
        t_r=T_R, model=model, reader=Reader(sfreq=1 / T_R, slice_time_ref=1.0), random_state=0
    )
    return translator.fit([train[0]], [train[1]]), train, test


def held_out(model, test):
    return pearson(test[2][20:], model.predict([test[0]])[0][20:]).mean()


def test_ridge_carries_what_one_response_cannot(differing):
    translator, train, test = differing
    assert translator.stack_weights_.min() > 0.5
    ridge = BandPowerRidge(
        t_r=T_R, hrf="fir", bands=Precomputed("log"), reader=translator.reader
    ).fit([train[0]], [train[1]])
    own = held_out(translator, test)
    assert own > held_out(ridge, test) - 0.003
    alone, stack = translator._fitted, translator._fitted.stack
    powers, _, _ = translator._measure(translator._read([test[0]]))
    core = pearson(test[2][20:], alone.core.predict(powers)[0][20:]).mean()
    assert own > core + 0.05
    assert f"{100 * stack.share.mean():.0f} %" in what_was_fitted(translator)


def test_nothing_is_stacked_where_the_model_is_right():
    train = world(True)
    model = CoreModel(bands=Precomputed("log"), target_bands=False)
    translator = SambaTranslator(
        t_r=T_R, model=model, reader=Reader(sfreq=1 / T_R, slice_time_ref=1.0), random_state=0
    )
    translator.fit([train[0]], [train[1]])
    assert translator.stack_weights_.max() == 0.0
    assert held_out(translator, world(True, seed=1)) > 0.9


def test_the_network_that_is_explained_is_the_prediction(differing):
    """What `attribute` differentiates gives the frames, at the rate of the fit and at others."""
    translator, _, test = differing
    fitted = translator._fitted
    powers, _, grid = translator._measure(translator._read([test[0]]))
    module = fitted.module_for(grid)
    with torch.no_grad():
        frames = module(torch.as_tensor(powers[0])[None])[0].numpy()
    np.testing.assert_allclose(frames, fitted.frames(powers, grid)[0], atol=1e-4)
    gradient = attribute(translator, [test[0]], method="gradient", n_windows=2, targets=[0])
    assert gradient.shape == (1, 1, 3, grid.n_lags)
    # Late bands act late.
    centre = (np.abs(gradient[0, 0]) * np.arange(grid.n_lags)).sum(1) / np.abs(gradient[0, 0]).sum(
        1
    )
    assert centre[2] > centre[0]


def test_stacks_are_saved(differing, tmp_path):
    translator, _, test = differing
    translator.save(tmp_path / "model.samba")
    again = read_samba(tmp_path / "model.samba")
    np.testing.assert_array_equal(again.stack_weights_, translator.stack_weights_)
    np.testing.assert_array_equal(again.predict([test[0]])[0], translator.predict([test[0]])[0])


def test_intervals_are_those_of_the_mixture(differing):
    translator, _, test = differing
    low, high = translator.predict_interval([test[0]], 0.9)
    inside = (test[1] >= low[0]) & (test[1] <= high[0])
    assert 0.85 < inside[20:].mean() < 0.95


def test_drives_of_one_region_may_have_their_own_responses(differing):
    _, train, test = differing
    reader = Reader(sfreq=1 / T_R, slice_time_ref=1.0)
    models = [
        LearnableHRF(t_r=T_R, hrf=hrf, reader=reader, verbose=False) for hrf in ("auto", "fir")
    ]
    for model in models:
        model.fit([train[0][0]], [train[1]])
    own, common = (pearson(test[2][20:], m.predict([test[0][0]])[0][20:]).mean() for m in models)
    assert own > common + 0.05 and models[1].drive_hrf_ is None
    peaks = models[0].hrf_times_[np.abs(models[0].drive_hrf_).argmax(axis=2)].mean(axis=0)
    # Six seconds lie between bands.
    np.testing.assert_allclose(np.diff(peaks), 6.0, atol=2.0)
