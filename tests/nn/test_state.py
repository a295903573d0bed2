"""Numbers that do not belong to a network are refused before it is built."""

import numpy as np
import pytest
import torch

from mne_samba.nn.inverse import InverseNet
from mne_samba.nn.inverse_paper import InversePaperNet
from mne_samba.nn.paper import PaperNet
from mne_samba.nn.samba import SambaNet
from mne_samba.nn.state import check_state

NODES = np.eye(4, dtype=bool) | np.eye(4, k=1, dtype=bool)
TARGETS = np.eye(3, dtype=bool)
SAMBA = {
    "n_channels": 4, "n_bands": 5, "n_targets": 3, "step": 4, "dt": 0.5, "n_lags": 60,
    "source_adjacency": NODES, "target_adjacency": TARGETS, "target_bands": True,
    "learn_edges": True,
}  # fmt: skip
SPECS = [
    *((SambaNet, {**SAMBA, "recurrent": kind}) for kind in ("lstm", "gru", "transformer", None)),
    *((SambaNet, {**SAMBA, "hrf": kind}) for kind in ("fir", "canonical")),
    (PaperNet, {"n_channels": 4, "n_targets": 3, "n_samples": 200, "n_chunks": 15, "t_r": 2.0,
                "source_adjacency": NODES, "target_adjacency": TARGETS}),
    (InverseNet, {"n_targets": 3, "n_channels": 4, "n_bands": 5, "n_before": 3, "n_after": 9,
                  "t_r": 2.0, "n_lags": 15, "level": 3, "target_adjacency": TARGETS,
                  "down_adjacency": np.ones((4, 3), dtype=bool)}),
    (InversePaperNet, {"n_targets": 3, "n_channels": 4, "n_bands": 5, "n_frames": 30, "t_r": 2.0,
                       "n_lags": 15, "target_adjacency": TARGETS, "source_adjacency": NODES}),
]  # fmt: skip


def state_of(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("kind, spec", SPECS)
def test_a_network_fits_its_own_numbers_and_no_others(kind, spec):
    state = state_of(kind(**spec))
    before = torch.get_rng_state()
    check_state(lambda: kind(**spec), state)
    assert torch.equal(torch.get_rng_state(), before)
    name = next(name for name, array in state.items() if array.ndim)
    with pytest.raises(ValueError, match=rf"{name} of the network has shape .*, expected"):
        check_state(lambda: kind(**spec), {**state, name: state[name][:-1]})
    with pytest.raises(ValueError, match=f"{name} of the network is missing"):
        check_state(lambda: kind(**spec), {k: v for k, v in state.items() if k != name})
    with pytest.raises(ValueError, match=r"more of the network has shape .*, belongs to no part"):
        check_state(lambda: kind(**spec), {**state, "more": np.zeros(2)})


@pytest.mark.parametrize("n_hidden", [256, 16, 10**5, 10**9, 10**30, -3, "x", None])
def test_claimed_sizes_cost_nothing(n_hidden):
    state = state_of(SambaNet(**SAMBA, n_hidden=256))

    def build():
        return SambaNet(**SAMBA, n_hidden=n_hidden)

    if n_hidden == 256:
        return check_state(build, state)
    with pytest.raises(ValueError, match="network"):
        check_state(build, state)
