"""Trained networks are data: they come back as they were, and refuse numbers of others."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import paired

from mne_samba.models import SambaModel, Trainer
from mne_samba.models.network import Network
from mne_samba.nn.samba import SambaNet

SPEC = {"n_channels": 3, "n_bands": 2, "n_targets": 4, "step": 4, "dt": 0.5, "n_lags": 12,
        "source_adjacency": np.eye(3, dtype=bool)}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network.of(SambaNet(**SPEC).double(), SPEC, "cpu")


def test_a_network_comes_back_in_its_precision(network):
    assert (network.kind, network.dtype) == ("SambaNet", "float64")
    power = torch.randn(2, 3, 2, 40, dtype=torch.float64)
    again = pickle.loads(pickle.dumps(network))
    assert "module" not in vars(again), "a module follows from the numbers"
    with torch.no_grad():
        torch.testing.assert_close(again.module(power), network.module(power), rtol=0, atol=0)
    assert not network.module.training and network.module is network.module


def test_building_takes_no_random_numbers_of_others(network):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    pickle.loads(pickle.dumps(network)).module  # noqa: B018
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Evil"}, "kind must be one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"device": "gpu"}, "torch knows no device 'gpu'"),
        ({"device": "cuda:first"}, "torch knows no device"),
        ({"spec": {**SPEC, "n_targets": 5}}, "network has shape"),
        ({"state": {}}, "network is missing"),
    ],
)
def test_numbers_of_another_network_are_refused(network, change, message):
    network.check()
    with pytest.raises(ValueError, match=message):
        replace(network, **change).check()


def test_the_published_net_is_the_network_and_shows_its_training():
    data = paired()
    model = SambaModel(power="linear", target_bands=False, n_hidden=4, corrections="always")
    fitted = model.fit(data, Trainer(device="cpu", max_epochs=2, window=40.0), 0)
    from mne_samba.data.recordings import Layout

    layout = Layout("recordings", 2.0, 100.0, data.ch_names, data.target_names, 20, 20.0)
    found = fitted.describe(layout)
    assert fitted.net.module_ is fitted.network.module
    assert [row["train_loss"] for row in fitted.net.history] == [
        row["train_loss"] for row in found["history_"]
    ]
    trained = sum(p.numel() for p in fitted.net.module_.parameters() if p.requires_grad)
    assert found["n_parameters_"] == trained


def test_seeds_make_fits_again_and_leave_the_global_state_alone():
    data, trainer = paired(), Trainer(device="cpu", max_epochs=1, window=40.0)
    model = SambaModel(power="linear", target_bands=False, n_hidden=4, corrections="always")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (model.fit(data, trainer, 2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.network.state.items():
        np.testing.assert_array_equal(value, other.network.state[name])
    third = model.fit(data, trainer, 3)
    assert any((one.network.state[n] != v).any() for n, v in third.network.state.items())
