"""The way back of the default model: the closed form, corrections, checkpoints, warm starts."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from inverse_small import GRID, N_BANDS, N_CHANNELS, N_TARGETS, T_R, World, paired
from sklearn.base import clone

from mne_samba.data.power import BandPower
from mne_samba.data.recordings import Layout
from mne_samba.model_file import classes_of, pack, unpack
from mne_samba.models import InverseCoreModel, InverseSambaModel, Trainer, inverse_fit
from mne_samba.models.inverse_data import InverseWindows, frames_after, frames_before
from mne_samba.models.inverse_fit import FittedInverse
from mne_samba.models.resume import Checkpoint
from mne_samba.nn.inverse import frame_level
from mne_samba.wavelets import Shannon

OPTIONS = {"map_prior": "gaussian", "target_bands": False, "hrf_length": 20.0}
QUICK = {"device": "cpu", "window": 60.0, "max_epochs": 3, "dtype": "float64"}


@dataclass(frozen=True)
class Input:
    """What a warm start knows of the input of the fit before."""

    layout: Layout
    features: BandPower

    @property
    def node_names(self):
        return self.layout.ch_names


def layout_of(data):
    return Layout(data.kind, data.grid.t_r, 100.0, data.ch_names, data.target_names, 30, 0.0)


@pytest.fixture(scope="module")
def world():
    return World.of()


@pytest.fixture(scope="module")
def data(world):
    return paired(world)


@pytest.fixture(scope="module")
def core(data):
    return InverseCoreModel(**OPTIONS).fit(data, Trainer(**QUICK), 0)


@pytest.fixture(scope="module")
def trained(data):
    model = InverseSambaModel(corrections="always", **OPTIONS)
    return model.fit(data, Trainer(**QUICK, lr=0.1), 0)


def correlation(found, true):
    """Mean over nodes and bands, without the bins whose response is cut off."""
    inside = slice(0, true.shape[-1] - frames_after(T_R))
    pairs = zip(found.reshape(-1, true.shape[-1]), true.reshape(-1, true.shape[-1]), strict=True)
    return np.mean([np.corrcoef(a[inside], b[inside])[0, 1] for a, b in pairs])


def test_new_power_is_found_as_well_as_one_can_who_knows_the_world(world, core):
    """Against the posterior mean under the true coefficients, response and noise."""
    power, bold = world.person(seed=7)
    (found,) = core.predict([(bold - bold.mean(axis=0)) / bold.std(axis=0)])
    true = power[..., GRID.n_lags :]
    best = correlation(world.posterior(bold - bold.mean(axis=0)), true)
    assert best > 0.4
    assert correlation(found, true) > best - 0.05


def test_core_is_a_filter_over_frames_and_nothing_else(data, core):
    assert core.network.module.branch is None
    assert not core.judgement.kept
    bold = data.targets[0][:80]
    before, after = frames_before(T_R), frames_after(T_R)
    padded = core.bold.filled(bold, before, after)
    taps = core.network.state["filter.weight"]
    expected = sum(padded[i : i + 80] @ taps[:, :, i].T for i in range(before + after + 1)).T
    (found,) = core.predict([bold])
    np.testing.assert_allclose(found.reshape(-1, 80), expected, atol=1e-9)


def test_inner_frames_of_a_long_recording_are_those_of_a_window(data, trained):
    """Heads were trained on the levels of a window: a longer recording has no others."""
    module = trained.network.module
    assert module.level == frame_level(30)
    assert module.branch.gate.abs() > 1e-3
    bold = np.random.default_rng(3).standard_normal((400, N_TARGETS))
    before, after = frames_before(T_R), frames_after(T_R)
    # Coefficients of a window lie where those of the recording do.
    first = 4 * 2**module.level * 2
    with torch.no_grad():
        whole = module(torch.as_tensor(bold)[None])[0].numpy()
        part = module(torch.as_tensor(bold[first : first + 200])[None])[0].numpy()
        alone = torch.nn.functional.conv1d(
            torch.as_tensor(bold.T)[None], module.filter.weight, module.filter.bias
        )
    corrected = whole - alone[0].unflatten(0, whole.shape[:2]).numpy()
    whole = whole[..., first : first + 200 - before - after]
    inner = slice(60, -60)
    error = np.abs(whole - part)[..., inner].max()
    assert error < 0.02 * np.abs(corrected).max()


def test_corrections_have_what_the_core_has_not(data, trained):
    found = trained.describe(layout_of(data))
    assert found["corrections_kept_"]
    assert [row["epoch"] for row in found["history_"]] == [1, 2, 3]
    assert found["graph_"].target.shape == (N_TARGETS, N_TARGETS)
    assert found["graph_"].bipartite.shape == (N_CHANNELS, N_TARGETS)
    assert found["band_weights_"].shape == (N_CHANNELS, N_BANDS)
    assert found["hrf_params_"].shape == (N_TARGETS, 6)
    assert len(trained.net.history) == 3
    own, given = trained.net.module_.state_dict(), trained.network.state
    for name, tensor in own.items():
        np.testing.assert_array_equal(tensor.numpy(), given[name])


def test_parameters_are_those_that_matter():
    corrections = {"n_neighbors", "corrections"}
    names = set(InverseSambaModel().get_params())
    assert names - set(InverseCoreModel().get_params()) == corrections
    assert clone(InverseSambaModel(n_neighbors=3)).n_neighbors == 3


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"corrections": "never"}, "corrections must be one of"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1"),
        ({"hrf": "gamma"}, "hrf must be one of"),
        ({"hrf_length": -1.0}, "hrf_length must be above 0"),
    ],
)
def test_impossible_parameters_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        InverseSambaModel(**wrong).check()


def test_same_seed_same_weights_whatever_torch_drew_before(data, trained):
    torch.manual_seed(99)
    torch.randn(5)
    model = InverseSambaModel(corrections="always", **OPTIONS)
    again = model.fit(data, Trainer(**QUICK, lr=0.1), 0)
    for name, value in trained.network.state.items():
        np.testing.assert_array_equal(again.network.state[name], value)


@pytest.mark.parametrize("epochs", [2, 4], ids=["while judged", "on all data"])
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    data, trained, tmp_path, monkeypatch, epochs
):
    model = InverseSambaModel(corrections="always", **OPTIONS)
    trainer = Trainer(**QUICK, lr=0.1, checkpoint_dir=tmp_path)
    write, done = Checkpoint.on_epoch_end, []

    def killed(self, net, **kwargs):
        write(self, net, **kwargs)
        done.append(net)
        if len(done) == epochs:
            raise MemoryError

    monkeypatch.setattr(Checkpoint, "on_epoch_end", killed)
    with pytest.raises(MemoryError):
        model.fit(data, trainer, 0)
    assert len(list(tmp_path.glob("*inverse-judged*"))) == 1
    assert len(list(tmp_path.glob("*inverse-whole*"))) == (epochs > 3)
    again = model.fit(data, trainer, 0)
    # No epoch was trained twice.
    assert len(done) == 3 + trained.judgement.epochs
    for name, value in trained.network.state.items():
        np.testing.assert_array_equal(again.network.state[name], value)
    assert list(tmp_path.iterdir()) == []


def test_warm_start_takes_over_corrections_and_refuses_other_names(world, data, trained):
    other = paired(world, 120, seed=5, name="b")
    start = trained, Input(layout_of(data), BandPower(Shannon(data.bands), GRID))
    model = InverseSambaModel(corrections="always", **OPTIONS)
    still = Trainer(**QUICK | {"max_epochs": 1}, lr=1e-12)
    found = model.fit(other, still, 0, start)
    gate = trained.network.state["branch.gate"]
    assert found.network.state["branch.gate"] == pytest.approx(gate, rel=1e-6)
    names = other.target_names[::-1]
    with pytest.raises(ValueError, match="regions come in another order"):
        model.fit(replace(other, target_names=names), still, 0, start)


def test_what_was_fitted_goes_into_a_file_by_its_fields(data, trained):
    tree, arrays, classes = pack(trained)
    assert set(classes) <= set(classes_of(FittedInverse))
    read = unpack(tree, arrays, classes_of(FittedInverse))
    bold = [data.targets[0][:50], data.targets[0][50:90]]
    for a, b in zip(read.predict(bold), trained.predict(bold), strict=True):
        np.testing.assert_array_equal(a, b)


def test_missing_regions_and_scrubbed_frames_are_expected_from_the_rest(data, core):
    bold = data.targets[0].copy()
    bold[40:43] = np.nan
    bold[:, 2] = np.nan
    (found,), (whole,) = core.predict([bold]), core.predict(data.targets)
    assert np.isfinite(found).all()
    assert np.corrcoef(found.ravel(), whole.ravel())[0, 1] > 0.9


def test_corrections_that_nothing_can_stop_are_trained_to_the_end(data, monkeypatch):
    """Where no window is held out, as where there is no held-out part at all."""

    def none_held(data, fill, n_frames, step, dtype):
        windows = InverseWindows(data, fill, n_frames, step, dtype)
        if step == n_frames:
            windows.items = []
        return windows

    model = InverseSambaModel(corrections="always", **OPTIONS)
    whole = model.fit(data, Trainer(**QUICK, validation_fraction=0.05), 0)
    monkeypatch.setattr(inverse_fit, "InverseWindows", none_held)
    part = model.fit(data, Trainer(**QUICK), 0)
    assert len(whole.judgement.history) == len(part.judgement.history) == 3
