"""NeuroBOLT's model behind the translator: signals in, frames out, nothing from held-out frames."""

import mne
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import butter, filtfilt
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from mne_samba import NeuroBOLTModel, Reader, SambaTranslator, Trainer, make_windows, read_samba
from mne_samba.evaluation import attribute
from mne_samba.models.neurobolt import electrode_rows
from mne_samba.models.paper_training import training_parts

T_R, SFREQ = 2.0, 100.0
SMALL = NeuroBOLTModel(
    depth=1, n_embed=50, n_heads=2, spectrum_depth=1, n_spectrum_heads=2, window=4
)  # fmt: skip


def recording(seed, n_frames):
    """Noise of two channels in volts, whose loudness one of two regions follows after 4 s."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(np.exp(0.7 * rng.standard_normal(n_frames)), int(T_R * SFREQ))
    signal = 2e-5 * rng.standard_normal((2, len(loud)))
    signal[0] *= loud
    bold = np.stack([np.roll(np.log(loud[:: int(T_R * SFREQ)]), 3), rng.standard_normal(n_frames)])
    return signal, bold.T


def smooth_bold(bold):
    return filtfilt(*butter(5, 0.15, fs=1 / T_R), bold, axis=0)


def translator(model=SMALL, **trainer):
    trainer = {"max_epochs": 2, "gap": 4.0, "window": 20.0, "device": "cpu"} | trainer
    return SambaTranslator(
        t_r=T_R, model=model, reader=Reader(sfreq=SFREQ, detrend=None), trainer=Trainer(**trainer),
        random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    return recording(0, 200)


@pytest.fixture(scope="module")
def fitted(pair):
    return translator().fit([pair[0]], [pair[1]])


def test_one_batch_can_be_learnt_by_heart():
    signal, bold = recording(1, 24)
    model = translator(max_epochs=70, lr=6e-3, batch_size=24).fit([signal], [bold])
    assert "valid_loss" not in model.history_[0]  # too few frames to hold some out
    (found,), known = model.predict([signal]), slice(2, None)
    smooth = smooth_bold(bold[known])
    for one, other in zip(found[known].T, smooth.T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.99
    # In the unit of BOLD, not in that of the quantile.
    assert_allclose(found[known].std(axis=0), smooth.std(axis=0), rtol=0.1)


def test_bold_is_smoothed_and_scaled_in_the_training_part_alone(pair, monkeypatch):
    seen, fit = [], NeuroBOLTModel.fit

    def noted(self, data, *given):
        seen.append(data)
        return fit(self, data, *given)

    monkeypatch.setattr(NeuroBOLTModel, "fit", noted)
    model = translator().fit([pair[0]], [pair[1]])
    fitted, (part, held) = model._fitted, training_parts(seen[0], model.trainer)
    (target,) = part.targets
    known = target[np.isfinite(target[:, 0])]
    smooth = smooth_bold(known)
    expected = np.quantile(np.abs(smooth - smooth.mean(axis=0)), 0.95, axis=0)
    assert_allclose(fitted.scale, expected, rtol=1e-6)
    # Residuals are of frames as they were measured.
    assert len(fitted.held.residuals) == held.n_frames


def test_what_is_published(fitted, pair):
    assert fitted.core_ is None and fitted.corrections_kept_ and len(fitted.history_) == 2
    own = sum(p.numel() for p in fitted.net_.module_.parameters())
    assert fitted.n_parameters_ == own
    assert list(fitted.bands_) == ["voltage"] and not hasattr(fitted, "hrf_")
    low, high = fitted.predict_interval([pair[0]], 0.8)
    assert (low[0] < high[0]).all() and fitted.transform([pair[0]]).shape == (1, 4)
    with pytest.raises(ValueError, match="NeuroBOLTModel sees voltages"):
        attribute(fitted, [pair[0]], n_samples=1)


def test_saved_cloned_and_searched(fitted, pair, tmp_path):
    signal, bold = pair
    fitted.save(tmp_path / "model.samba")
    again = read_samba(tmp_path / "model.samba")
    assert_array_equal(again.predict([signal])[0], fitted.predict([signal])[0])
    assert again.model.get_params() == SMALL.get_params()
    assert not [name for name in vars(clone(fitted)) if name.endswith("_")]
    raws, bolds = [signal[:, :8000], signal[:, -8000:]], [bold[:40], bold[-40:]]
    search = GridSearchCV(
        translator(max_epochs=1), {"model__lowpass": [0.1, 0.15], "trainer__lr": [1e-3]},
        cv=KFold(2), error_score="raise",
    )  # fmt: skip
    assert search.fit(raws, bolds).best_params_.keys() == {"model__lowpass", "trainer__lr"}


def test_the_name_brings_the_published_training():
    plain = SambaTranslator(model="neurobolt")
    assert plain.assembly.trainer.get_params() == NeuroBOLTModel.published_trainer().get_params()
    assert plain.assembly.trainer.lr == 3e-4 and plain.trainer is None
    changed = clone(plain).set_params(trainer__max_epochs=3)
    assert changed.trainer.batch_size == 16 and changed.trainer.max_epochs == 3
    assert SambaTranslator().assembly.trainer.get_params() == Trainer().get_params()
    assert SambaTranslator(model=NeuroBOLTModel(depth=3)).assembly.trainer.max_epochs == 20


def test_learning_rates_of_layers_and_epochs(fitted):
    spec = fitted._fitted.network.spec
    rates = dict(NeuroBOLTModel(depth=12)._rates({**spec, "depth": 12}, 1.0))
    for name, layer in {
        "temporal.patches.first.weight": 0, "temporal.cls": 0, "temporal.blocks.0.qkv.weight": 1,
        "temporal.blocks.11.mlp.0.bias": 12, "temporal.norm.weight": 13, "head.weight": 13,
        "spectral.blocks.0.qkv.weight": 13,
    }.items():  # fmt: skip
        assert_allclose(rates[name]["lr"], 0.65 ** (13 - layer))
    free = {name for name, group in rates.items() if not group["weight_decay"]}
    assert {"temporal.cls", "temporal.time_embedding", "temporal.place_embedding"} <= free
    assert "spectral.channel_embedding" in free and "head.bias" in free
    assert "head.weight" not in free and rates["head.weight"]["weight_decay"] == 0.05


def test_a_killed_training_ends_with_the_same_weights(pair, tmp_path, monkeypatch):
    """Rates follow from the epoch, also where another process takes up."""
    from mne_samba.models.accelerated import WarmUpCosine

    signal, bold, seen = *pair, []
    set_rates = WarmUpCosine.on_epoch_begin

    def note(self, net, **kwargs):
        set_rates(self, net, **kwargs)
        seen.append(max(group["lr"] for group in net.optimizer_.param_groups))
        if len(seen) == 3 and not done:
            raise RuntimeError("killed")

    monkeypatch.setattr(WarmUpCosine, "on_epoch_begin", note)
    done = True
    options = {"max_epochs": 4, "lr": 1e-3, "batch_size": 64}
    whole = translator(**options).fit([signal], [bold]).predict([signal])[0]
    assert_allclose(seen, [1e-3, 1e-3, 7.5e-4, 2.5e-4], rtol=5e-3)
    seen.clear()
    done, model = False, translator(**options, checkpoint_dir=tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        model.fit([signal], [bold])
    done = True
    assert_allclose(model.fit([signal], [bold]).predict([signal])[0], whole, rtol=1e-5)


def test_windows_are_predicted_as_recordings_are(pair):
    signal, bold = pair
    raw = mne.io.RawArray(signal, mne.create_info(["Fz", "Pz"], SFREQ, "eeg"), verbose="ERROR")
    epochs, y = make_windows(raw, bold, t_r=T_R, window=20.0, context=8.0)
    model = translator(max_epochs=1).fit(epochs, y)
    at = epochs.metadata["frame"].to_numpy(dtype=int)[3]
    assert_allclose(model.predict(epochs)[3], model.predict(raw)[at : at + y.shape[1]], rtol=1e-4)
    # The same seconds of EEG at another rate.
    other = model.predict(raw.copy().resample(250.0))
    assert np.corrcoef(other[:, 0], model.predict(raw)[:, 0])[0, 1] > 0.99


def test_channels_that_lack_are_inferred(pair):
    signal, bold = pair
    names = ["Fz", "Pz", "Oz"]
    signal = np.vstack([signal, signal.mean(axis=0)])
    raw = mne.io.RawArray(signal, mne.create_info(names, SFREQ, "eeg"), verbose="ERROR")
    model = translator(max_epochs=1).set_params(reader=Reader(channels="infer")).fit(raw, bold)
    full, lost = model.predict(raw), model.predict(raw.copy().drop_channels("Oz"))
    assert_allclose(lost, full, rtol=1e-3)


def test_electrodes_have_rows_of_their_own():
    rows = electrode_rows(["Fp1", "x0", "CZ", "x1"])
    assert rows[0] == 0 and len(set(rows)) == 4 and rows[1:4:2] == [94, 95]
    assert electrode_rows(["cz"]) == [rows[2]]
    assert sorted(electrode_rows([f"c{i}" for i in range(128)])) == list(range(128))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_embed": 60}, "n_embed must be a multiple of 25, of n_heads=2"),
        ({"window": 6}, "window must be a multiple of 4 s"),
        ({"depth": 0}, "depth"),
        ({"lowpass": 0.0}, "lowpass"),
    ],
)
def test_sizes_that_cannot_be(options, message, pair):
    model = translator(clone(SMALL).set_params(**options))
    with pytest.raises(ValueError, match=message):
        model.fit([pair[0]], [pair[1]])


def test_input_that_cannot_be(pair, fitted):
    signal, bold = pair
    with pytest.raises(ValueError, match=r"NeuroBOLTModel takes EEG in volts.*spread by 2\de?"):
        translator().fit([signal * 1e6], [bold])
    table = clone(translator()).set_params(reader=None)
    with pytest.raises(ValueError, match="NeuroBOLTModel looks at EEG itself, but X holds a table"):
        table.fit(bold, bold)
    many = 2e-5 * np.random.default_rng(0).standard_normal((130, signal.shape[1]))
    with pytest.raises(ValueError, match="table of 128 electrodes, but X has 130 channels"):
        translator().fit([many], [bold])
    with pytest.raises(ValueError, match=r"tied to the t_r that it was fitted on \(2 s\)"):
        fitted.predict([signal], t_r=1.0)
