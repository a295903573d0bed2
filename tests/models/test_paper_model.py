"""The published network behind the translator: signals in, frames out, no table, no leak."""

import dataclasses
import pickle

import mne
import numpy as np
import pytest
import torch
from driven_nodes import N_FRAMES, SFREQ, T_R, person
from sklearn.base import clone

from mne_samba import PaperModel, Reader, SambaTranslator, Trainer, make_windows, read_samba
from mne_samba.evaluation import attribute
from mne_samba.hrf import HRF_PARAMS


@pytest.fixture(scope="module")
def pair():
    return person(0), person(1)


ENOUGH = Trainer(max_epochs=12, lr=6e-3)


def translator(sfreq=SFREQ, trainer=ENOUGH, warm_start=False, **options):
    return SambaTranslator(
        t_r=T_R, model=PaperModel(**({"n_hidden": 8} | options)), reader=Reader(sfreq=sfreq),
        trainer=trainer, warm_start=warm_start, random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted(pair):
    (signal, bold), _ = pair
    return translator().fit([signal], [bold])


def test_power_of_a_new_person_predicts_their_bold(fitted, pair):
    _, (signal, bold) = pair
    true = fitted.score([signal], [bold])
    shifted = fitted.score([signal], [np.roll(bold, N_FRAMES // 2, axis=0)])
    assert true > 0.6 and abs(shifted) < 0.2
    assert fitted.score_targets([signal], [bold], "r2").min() > 0.4


def test_predictions_follow_the_signal(fitted, pair):
    signal = pair[1][0]
    louder = signal.copy()
    louder[:, signal.shape[1] // 2 :] *= 1.5
    now, then = fitted.predict([signal])[0], fitted.predict([louder])[0]
    assert now.std(axis=0).min() > 0.2 * fitted.y_scale_.min()
    assert np.abs(then - now)[N_FRAMES // 2 + 5 :].mean() > 0.1 * now.std()


def test_same_seed_same_predictions(fitted, pair):
    (signal, bold), (new, _) = pair
    first, again = fitted.predict([new])[0], fitted.predict([new])[0]
    np.testing.assert_array_equal(first, again)
    short = translator(trainer=Trainer(max_epochs=2))
    one, other = (clone(short).fit([signal], [bold]).predict([new])[0] for _ in range(2))
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_published_attributes(fitted):
    params = fitted.hrf_params_
    assert list(params.columns) == list(HRF_PARAMS) and list(params.index) == fitted.ch_names_in_
    assert fitted.hrf_.shape == (4, len(fitted.hrf_times_))
    np.testing.assert_allclose(fitted.hrf_.max(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(
        fitted.hrf_times_[fitted.hrf_.argmax(axis=1)], fitted.hrf_peak_time_, atol=0.06
    )
    assert params.std().max() > 0  # responses were trained, not left at their start
    assert list(fitted.bands_) == ["A3", "D3", "D2", "D1"]
    assert fitted.bands_["D1"] == (SFREQ / 4, SFREQ / 2)
    np.testing.assert_allclose(fitted.band_attention_.sum(axis=1), 1, rtol=1e-6)  # float32
    assert fitted.patterns_.shape == (3, 4, 4) and fitted.spatial_map_.shape == (3, 4)
    own = np.abs(fitted.patterns_.mean(axis=2))
    assert (own.argmax(axis=1) == np.arange(3)).all()
    assert fitted.n_parameters_ == sum(p.numel() for p in fitted.net_.module_.parameters())
    assert {"epoch", "train_loss", "valid_loss"} == set(fitted.history_[0])
    assert fitted.core_ is None and fitted.graph_.source.shape == (4, 4)


def test_saved_pickled_and_cloned(fitted, pair, tmp_path):
    new = pair[1][0]
    expected = fitted.predict([new])[0]
    fitted.save(tmp_path / "model.samba")
    for copy in (read_samba(tmp_path / "model.samba"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.predict([new])[0], expected)
        np.testing.assert_array_equal(
            copy.predict([new], return_std=True)[1], fitted.predict([new], return_std=True)[1]
        )
        assert copy.hrf_params_.equals(fitted.hrf_params_)
    assert not [name for name in vars(clone(fitted)) if name.endswith("_")]


def test_windows_are_predicted_as_recordings_are(pair):
    (signal, bold), _ = pair
    info = mne.create_info([f"n{i}" for i in range(4)], SFREQ, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    epochs, y = make_windows(raw, bold, t_r=T_R, window=40.0)
    model = translator(trainer=Trainer(window=40.0, max_epochs=3), recurrent=None).fit(epochs, y)
    pred = model.predict(epochs)
    assert pred.shape == y.shape
    at = epochs.metadata["frame"].to_numpy(dtype=int)[3]
    # A recording is scaled by its own power, windows by that of training: the same here.
    whole = model.predict(raw)[at : at + y.shape[1]]
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(pred[3].T, whole.T, strict=True)) > 0.95


def test_latents_intervals_and_more_training(fitted, pair):
    (signal, bold), (new, _) = pair
    assert fitted.transform([new]).shape == (1, 6)
    low, high = fitted.predict_interval([new], 0.8)
    assert (low[0] <= high[0]).all()
    model = translator(warm_start=True, trainer=Trainer(max_epochs=1)).fit([signal], [bold])
    once = model.history_[-1]["train_loss"]
    assert model.fit([signal], [bold]).history_[-1]["train_loss"] < once
    with pytest.raises(ValueError, match="regions differ"):
        model.fit([signal], [bold[:, :2]])


@pytest.mark.parametrize("graph", ["learnt", None, lambda alike: alike > 0.1])
def test_graphs_are_those_of_other_models(graph, pair):
    (signal, bold), (new, _) = pair
    model = translator(trainer=Trainer(max_epochs=1), graph=graph).fit([signal], [bold])
    assert np.isfinite(model.predict([new])[0]).all()
    if graph is None:
        assert model.graph_.source is None and model.graph_.source_attention is None
        return
    np.testing.assert_allclose(model.graph_.source_attention.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.graph_.target_attention.sum(axis=1), 1, atol=1e-5)
    if graph == "learnt":
        assert model.net_.module_.source_graph.gives.detach().abs().max() > 0
    else:
        expected = (model.graph_.source_similarity > 0.1) | np.eye(4, dtype=bool)
        np.testing.assert_array_equal(model.graph_.source, expected)


def test_fitted_parts_cannot_be_changed(fitted):
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted._fitted.slope = np.ones(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted._fitted.scaler.log = True


def test_a_network_for_gradients_predicts_as_the_model_does(fitted, pair):
    model = fitted._fitted
    powers, _, grid = fitted._measure(fitted._read([pair[1][0]]))
    part = powers[0][..., : grid.n_bins(20)]
    with torch.no_grad():
        (frames,) = model.module_for(grid)(torch.as_tensor(part)[None]).numpy()
    assert frames.shape == (20, 3)
    np.testing.assert_allclose(
        (frames - model.mean) * model.slope, model.frames([part], grid)[0], atol=1e-6
    )


def test_attribution_finds_the_node_and_the_delay_of_its_response(fitted, pair):
    found = attribute(fitted, [pair[1][0]], n_samples=4)
    assert found.shape == (3, 4, 4, 15)
    # Broadband power drives BOLD: levels of a node add up.
    nodes = found.sum(axis=2)
    for target, of_target in enumerate(nodes):
        node, lag = np.unravel_index(of_target.argmax(), of_target.shape)
        assert node == target and 4 < (lag + 0.5) * T_R < 7
    shuffled = attribute(fitted, [pair[1][0]], n_samples=4, randomise=True)
    assert abs(np.corrcoef(found.ravel(), shuffled.ravel())[0, 1]) < 0.5


def test_half_a_training_is_taken_up(pair, tmp_path, monkeypatch):
    (signal, bold), (new, _) = pair
    expected = translator(trainer=Trainer(max_epochs=3)).fit([signal], [bold]).predict([new])[0]
    model = translator(trainer=Trainer(max_epochs=3, checkpoint_dir=tmp_path))
    with monkeypatch.context() as patch:
        from mne_samba.models.resume import Checkpoint

        write, calls = Checkpoint._write, []

        def stop(self, net, finished):
            write(self, net, finished)
            calls.append(finished)
            if len(calls) == 2:
                raise RuntimeError("killed")

        patch.setattr(Checkpoint, "_write", stop)
        with pytest.raises(RuntimeError, match="killed"):
            model.fit([signal], [bold])
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_allclose(
        model.fit([signal], [bold]).predict([new])[0], expected, rtol=1e-6, atol=1e-7
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hrf": "fir"}, "hrf must be one of 'double_gamma', 'canonical'"),
        ({"recurrent": "transformer", "n_hidden": 8}, "recurrent must be one of"),
        ({"n_hidden": 6}, "multiple of 4"),
        ({"sfreq": 4.0}, "at least 16"),
        ({"graph": "distance"}, "places of channels"),
        ({"graph": np.eye(3)}, "graph must be a finite adjacency"),
    ],
)
def test_what_it_cannot_do_is_said_before_training(options, message, pair, monkeypatch):
    signal, bold = pair[0]
    if "sfreq" in options:
        signal = signal[:, :: int(SFREQ / options["sfreq"])]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", lambda *_: pytest.fail("something was trained"))
        with pytest.raises(ValueError, match=message):
            translator(**options).fit([signal], [bold])


def test_tables_and_other_frame_rates_are_refused(fitted, pair):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"PaperModel .* table of shape .*100, 4"):
        translator().set_params(reader=None).fit(
            rng.standard_normal((100, 4)), rng.standard_normal((100, 3))
        )
    other = pickle.loads(pickle.dumps(fitted)).set_params(t_r=1.0)
    with pytest.raises(ValueError, match="tied to the t_r"):
        other.predict([pair[1][0]])


def test_a_broken_channel_is_named(fitted, pair):
    signal = pair[1][0].copy()
    signal[2, 1000] = np.nan
    with pytest.raises(ValueError, match="ch002"):
        fitted.predict([signal])
