import functools
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mne_samba import SambaTranslator, read_samba
from mne_samba._fitting.checkpoint import Checkpoint, Checkpoints
from mne_samba.datasets import simulate_paired

T_R = 2.0
OPTIONS = {
    "t_r": T_R, "window": 30.0, "corrections": "always", "max_epochs": 4, "n_hidden": 4,
    "random_state": 3, "verbose": "ERROR", "target_bands": False, "power": "linear",
}  # fmt: skip

SCRIPT = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import test_checkpoint as here

write, left = here.Checkpoint.on_epoch_end, [{epochs}]

def die(self, net, **kwargs):
    write(self, net, **kwargs)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

here.Checkpoint.on_epoch_end = die
here.fit({folder!r}, {variant!r})
"""


@functools.cache
def pairs():
    return simulate_paired(
        2, 240.0, sfreq=64.0, level="source", n_sources=4, n_targets=3, snr=4.0, random_state=0,
        bands={"theta": (4, 8), "alpha": (8, 13)},
    )  # fmt: skip


def fit(folder, variant="default", **options):
    data = pairs()
    options = {**OPTIONS, "variant": variant, "checkpoint_dir": folder, **options}
    if variant == "paper":
        options["target_bands"] = "auto"
    return SambaTranslator(**options).fit(data.raws, data.bolds), data


def weights(translator):
    return {k: v.clone() for k, v in translator.net_.module_.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "epochs"), [("default", 2), ("default", 5), ("paper", 2)])
def test_a_killed_fit_goes_on_and_ends_with_the_same_weights(tmp_path, variant, epochs):
    from pathlib import Path

    folder = tmp_path / "checkpoints"
    script = SCRIPT.format(
        tests=str(Path(__file__).parent), epochs=epochs, folder=str(folder), variant=variant
    )
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, env=one_thread
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    files = sorted(folder.glob("*.checkpoint"))
    assert len(files) == (2 if epochs == 5 else 1)
    expected, data = fit(None, variant)
    started = []
    original = Checkpoint._restore

    def restore(self, net):
        started.append(len(self.state["history"]))
        original(self, net)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "_restore", restore)
        resumed, _ = fit(folder, variant)
    assert started == ([4, 1] if epochs == 5 else [2])
    assert weights(resumed).keys() == weights(expected).keys()
    for name, tensor in weights(expected).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    assert resumed.history_ == expected.history_
    np.testing.assert_array_equal(resumed.predict(data.raws[0]), expected.predict(data.raws[0]))
    assert not list(folder.iterdir())


def test_checkpoints_do_not_change_a_fit(tmp_path):
    kept, _ = fit(tmp_path, max_epochs=2)
    plain, _ = fit(None, max_epochs=2)
    for name, tensor in weights(plain).items():
        assert torch.equal(tensor, weights(kept)[name]), name
    assert not list(tmp_path.iterdir())
    kept.save(tmp_path / "model.samba")
    assert read_samba(tmp_path / "model.samba").checkpoint_dir is None


def test_a_damaged_checkpoint_costs_one_training(tmp_path, monkeypatch):
    def stop(self, net, **kwargs):
        self._write(net, finished=False)
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", stop)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(tmp_path, max_epochs=2)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:300])
    fitted, _ = fit(tmp_path, max_epochs=2)
    expected, _ = fit(None, max_epochs=2)
    for name, tensor in weights(expected).items():
        assert torch.equal(tensor, weights(fitted)[name]), name


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "x.checkpoint"
    torch.save({"format": 1, "history": "[]", "evil": Evil()}, path)
    assert Checkpoint(path)._read() is None
    assert not (tmp_path / "ran").exists()


def test_another_graph_is_another_fit(tmp_path):
    """The text of arrays of more than a thousand numbers is cut short."""
    graph = np.ones((40, 40))
    other = graph.copy()
    other[20, 10] = 0
    data = SimpleNamespace(powers=[np.zeros((2, 1, 5))], targets=[np.zeros((3, 2))])
    keys = {
        Checkpoints(tmp_path, SambaTranslator(t_r=2.0, graph=value), data, 0).key
        for value in (graph, other, graph.copy())
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("variant", "direction"),
    [("default", "ele_to_hemo"), ("paper", "ele_to_hemo"), ("paper", "hemo_to_ele")],
)
def test_another_start_is_another_fit(tmp_path, monkeypatch, variant, direction):
    """A warm fit that was killed must not go on from the state of another model's."""
    options = {"variant": variant, "direction": direction, "max_epochs": 1, "warm_start": True}
    (raw, other), bolds = pairs().raws, pairs().bolds
    options |= {"target_bands": "auto"} if variant == "paper" else {}
    side = 1 if direction == "ele_to_hemo" else -1
    models = []
    for pair in ((raw, bolds[0]), (other, bolds[1])):
        models.append(SambaTranslator(**(OPTIONS | options)).fit(*pair[::side]))
    names = {}

    def stop(self, net, **kwargs):
        names[len(names)] = self.path.name
        raise RuntimeError("power cut")

    monkeypatch.setattr(Checkpoint, "on_epoch_end", stop)
    for model in (models[0], models[1], models[0]):
        model.set_params(checkpoint_dir=tmp_path)
        with pytest.raises(RuntimeError, match="power cut"):
            model.fit(*(raw, bolds[0])[::side])
    assert names[0] == names[2] != names[1]
