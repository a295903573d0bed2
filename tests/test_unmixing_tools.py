"""What is around models, where their channels are unmixed: stacks, corrections, files, reports."""

import mne
import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt

from mne_samba import CoreModel, Reader, SambaModel, SambaTranslator, Trainer, read_samba, viz
from mne_samba.evaluation import attribute, learning_curve_minutes
from mne_samba.hrf import double_gamma, spm_params
from mne_samba.metrics import pearson
from mne_samba.report import add_to_report, what_was_fitted
from mne_samba.wavelets import Precomputed

T_R, SFREQ, N_FRAMES = 2.0, 64.0, 400
BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
MIXING = np.random.default_rng(3).standard_normal((4, 3))


def recording(seed):
    """Signals of four mixed channels, power of their three sources, BOLD, and clean BOLD.

    Every source has a band of its own, and BOLD follows it by another delay.
    """
    rng = np.random.default_rng(seed)
    per_frame, n = round(T_R * SFREQ), round(T_R * SFREQ) * N_FRAMES
    power = np.exp(rng.standard_normal((3, N_FRAMES)))
    sources = []
    for size, band in zip(power, BANDS.values(), strict=True):
        filters = butter(4, band, "bandpass", fs=SFREQ, output="sos")
        rhythm = sosfiltfilt(filters, rng.standard_normal(n))
        sources.append(np.sqrt(np.repeat(size, per_frame)) * rhythm / rhythm.std())
    shape = double_gamma(np.arange(0.0, 30.0, T_R), spm_params())
    late = [np.convolve(p, np.r_[np.zeros(3 * i), shape])[:N_FRAMES] for i, p in enumerate(power)]
    clean = np.stack(late, axis=1) @ np.random.default_rng(9).standard_normal((3, 4))
    clean /= clean.std(axis=0)
    info = mne.create_info(["Fz", "C3", "C4", "Oz"], SFREQ, "eeg")
    raw = mne.io.RawArray(MIXING @ np.array(sources), info, verbose="ERROR")
    raw.set_montage("biosemi64")
    return raw, power[:, None], clean + 0.5 * rng.standard_normal(clean.shape), clean


@pytest.fixture(scope="module")
def train():
    return recording(0)


@pytest.fixture(scope="module")
def mixed(train):
    model = CoreModel(bands=BANDS, unmix="joint", power="linear", target_bands=False)
    translator = SambaTranslator(t_r=T_R, model=model, reader=Reader(slice_time_ref=1.0))
    return translator.set_params(random_state=0).fit(train[0], train[2])


def test_free_responses_of_components(mixed, tmp_path):
    raw, _, _, clean = recording(1)
    assert len(mixed.node_names_) == 3
    assert mixed.stack_weights_.min() > 0.3
    powers, _, grid = mixed._measure(mixed._read(raw))
    core = mixed._fitted.core.predict(powers)[0]
    own = pearson(clean[20:], mixed.predict(raw)[20:]).mean()
    assert own > pearson(clean[20:], core[20:]).mean() + 0.02
    with torch.no_grad():
        frames = mixed._fitted.module_for(grid)(torch.as_tensor(powers[0])[None])[0].numpy()
    np.testing.assert_allclose(frames, mixed._fitted.frames(powers, grid)[0], atol=1e-4)
    gradient = attribute(mixed, raw, method="gradient", n_windows=2, targets=[0])
    assert gradient.shape == (1, 3, 3, grid.n_lags)
    mixed.save(tmp_path / "model.samba")
    again = read_samba(tmp_path / "model.samba")
    np.testing.assert_array_equal(again.predict(raw), mixed.predict(raw))


def test_report_speaks_of_components(mixed):
    words = what_was_fitted(mixed)
    assert words.startswith("4 channels were unmixed into 3 components")
    assert f"{100 * mixed.stack_weights_.mean():.0f} %" in words
    report = mne.Report(verbose="ERROR")
    add_to_report(report, mixed)
    assert "Components" in [element.name for element in report._content]
    text = " ".join(element.html for element in report._content)
    assert "each band of a component contributes" in text
    # Electrodes on a line span no map.
    info = mne.create_info(["Fz", "Cz", "Pz", "Oz"], SFREQ, "eeg").set_montage("biosemi64")
    with pytest.raises(ValueError, match="lie on a line"):
        viz.plot_components(mixed.unmixing_.patterns, info=info)


@pytest.mark.parametrize("input_is", ["signals", "power"])
def test_learning_curves_and_corrections(train, input_is):
    raw, power, bold, _ = train
    raw, power, bold = raw.copy().crop(0, 400, include_tmax=False), power[..., :200], bold[:200]
    options = {"power": "linear", "target_bands": False, "hrf": "canonical"}
    if input_is == "power":
        X = [np.repeat(power, 2, axis=-1)]
        options["bands"], sfreq = Precomputed("linear", bands={"all": (4.0, 30.0)}), 2 / T_R
        reader = Reader(sfreq=sfreq, slice_time_ref=1.0)
    else:
        X, reader = [raw], Reader(slice_time_ref=1.0)
        options |= {"bands": BANDS, "unmix": "joint"}
    X, y = [X[0], X[0]], [bold, bold]
    estimator = SambaTranslator(t_r=T_R, model=CoreModel(**options), reader=reader, random_state=0)
    curve = learning_curve_minutes(estimator, X, y, minutes=[3, 5], cv=2).to_frame()
    assert len(curve) == 2 and np.isfinite(curve.select_dtypes(float).to_numpy()).all()
    trained = SambaTranslator(
        t_r=T_R, model=SambaModel(**options, corrections="always", n_hidden=4),
        trainer=Trainer(max_epochs=1), reader=reader, random_state=0,
    ).fit(X[:1], y[:1])  # fmt: skip
    assert trained.corrections_kept_ and len(trained.node_names_) == 3
    assert "correct it" in what_was_fitted(trained)
    core = estimator.fit(X[:1], y[:1]).predict(X[:1])[0]
    assert pearson(core, trained.predict(X[:1])[0]).min() > 0.5
