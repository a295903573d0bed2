import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from assemble import assemble

from mne_samba import SambaModel, read_samba
from mne_samba.datasets import simulate_paired
from mne_samba.models.checkpoint import fingerprint
from mne_samba.models.resume import Checkpoint

T_R = 2.0
OPTIONS = {
    "t_r": T_R, "window": 30.0, "corrections": "always", "max_epochs": 3, "n_hidden": 4,
    "random_state": 3, "verbose": "ERROR", "target_bands": False, "power": "linear",
    "map_prior": "gaussian", "hrf": "canonical",
}  # fmt: skip
# Which fit, and after how many epochs it is killed: after three begins the second training.
KILLED = [
    ("default", "ele_to_hemo", 2), ("default", "ele_to_hemo", 4), ("paper", "ele_to_hemo", 2),
    ("default", "hemo_to_ele", 2), ("paper", "hemo_to_ele", 2),
]  # fmt: skip
# What trains is loaded before the process forks: every child would load it once more.
SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
import skorch, torch._dynamo
import test_checkpoint as here
here.torch.set_num_threads(1)
here.pairs()
print(*here.keys(), flush=True)
for case in range(len(here.KILLED)):
    child = os.fork()
    if not child:
        here.fit_and_die({folder!r}, case)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@functools.cache
def pairs():
    return simulate_paired(
        2, 240.0, sfreq=64.0, level="source", n_sources=4, n_targets=3, snr=4.0, random_state=0,
        bands={"theta": (4, 8), "alpha": (8, 13)},
    )  # fmt: skip


def fit(folder, variant="default", direction="ele_to_hemo", **options):
    options = {**OPTIONS, "checkpoint_dir": folder, **options}
    return assemble(**of_variant(options, variant, direction)).fit(*sides(direction))


@functools.cache
def plain(*kind, **options):
    """A fit without checkpoints."""
    return fit(None, *kind, **options)


def fit_and_die(folder, case):
    """Fit one of `KILLED` in this process, which does not survive it."""
    *kind, epochs = KILLED[case]
    write, done = Checkpoint.on_epoch_end, []

    def die(self, net, **kwargs):
        write(self, net, **kwargs)
        done.append(net)
        if len(done) == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoint.on_epoch_end = die
    fit(os.path.join(folder, str(case)), *kind)


def by_name(similarity):
    """Graph that a user gives as a function."""
    return similarity > 0.5


def above(threshold):
    return lambda similarity: similarity > threshold


def keys():
    """Keys of a model with a function that is found by name, and of one that is not."""
    return [fingerprint(SambaModel(graph=by_name)), fingerprint(above(0.3))]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Checkpoints of every case in a folder of its own, and keys, of another process.

    One for all: importing takes longer than a fit.
    """
    folder = tmp_path_factory.mktemp("killed")
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, *ended = run.stdout.splitlines()
    assert ended == [str(-signal.SIGKILL)] * len(KILLED), run.stderr[-2000:]
    return folder, first.split()


def sides(direction):
    """X and y of a direction."""
    pair = [pairs().raws, pairs().bolds]
    return pair if direction == "ele_to_hemo" else pair[::-1]


def of_variant(options, variant, direction="ele_to_hemo"):
    """Options that a variant has."""
    lost = ("corrections", "target_bands", "power", "map_prior") if variant == "paper" else ()
    lost += ("n_hidden", "power") if (variant, direction) == ("default", "hemo_to_ele") else ()
    options = {name: value for name, value in options.items() if name not in lost}
    return options | {"variant": variant, "direction": direction}


def weights(translator):
    return {k: v.clone() for k, v in translator.net_.module_.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(KILLED)), ids=[" ".join(map(str, k)) for k in KILLED])
def test_a_killed_fit_goes_on_and_ends_with_the_same_weights(elsewhere, case):
    variant, direction, epochs = KILLED[case]
    folder = elsewhere[0] / str(case)
    assert len(list(folder.glob("*.checkpoint"))) == (2 if epochs == 4 else 1)
    expected = plain(variant, direction)
    started = []
    original = Checkpoint._restore

    def restore(self, net):
        started.append(len(self.state["history"]))
        original(self, net)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "_restore", restore)
        resumed = fit(folder, variant, direction)
    assert started == ([3, 1] if epochs == 4 else [2])
    assert weights(resumed).keys() == weights(expected).keys()
    for name, tensor in weights(expected).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    assert resumed.history_ == expected.history_
    ask = sides(direction)[0][0]
    np.testing.assert_array_equal(resumed.predict(ask), expected.predict(ask))
    assert not list(folder.iterdir())


def test_functions_have_the_same_key_in_every_process(elsewhere):
    assert elsewhere[1] == keys()


def test_checkpoints_do_not_change_a_fit(tmp_path):
    kept = fit(tmp_path, max_epochs=2)
    for name, tensor in weights(plain(max_epochs=2)).items():
        assert torch.equal(tensor, weights(kept)[name]), name
    assert not list(tmp_path.iterdir())
    kept.save(tmp_path / "model.samba")
    assert read_samba(tmp_path / "model.samba").trainer.checkpoint_dir is None


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
    fitted = fit(tmp_path, max_epochs=2)
    for name, tensor in weights(plain(max_epochs=2)).items():
        assert torch.equal(tensor, weights(fitted)[name]), name


@pytest.mark.parametrize("direction", ["ele_to_hemo", "hemo_to_ele"])
def test_without_a_seed_a_killed_fit_goes_on_with_its_own(tmp_path, monkeypatch, direction):
    names = []

    def stop(self, net, **kwargs):
        self._write(net, finished=False)
        names.append(self.path.name)
        if len(names) < 3:
            raise RuntimeError("power cut")

    monkeypatch.setattr(Checkpoint, "on_epoch_end", stop)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="power cut"):
            fit(tmp_path, direction=direction, max_epochs=3, random_state=None)
    assert names[0] == names[1]
    fit(tmp_path, direction=direction, max_epochs=3, random_state=None)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "x.checkpoint"
    torch.save({"format": 1, "history": "[]", "evil": Evil()}, path)
    assert Checkpoint(path)._read() is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("variant", "direction"),
    [(v, d) for v in ("default", "paper") for d in ("ele_to_hemo", "hemo_to_ele")],
)
def test_another_start_is_another_fit(tmp_path, monkeypatch, variant, direction):
    """A warm fit that was killed must not go on from the state of another model's."""
    options = of_variant(OPTIONS | {"max_epochs": 1, "warm_start": True}, variant, direction)
    (raw, other), bolds = pairs().raws, pairs().bolds
    side = 1 if direction == "ele_to_hemo" else -1
    models = []
    for pair in ((raw, bolds[0]), (other, bolds[1])):
        models.append(assemble(**options).fit(*pair[::side]))
    names = {}

    def stop(self, net, **kwargs):
        names[len(names)] = self.path.name
        raise RuntimeError("power cut")

    monkeypatch.setattr(Checkpoint, "on_epoch_end", stop)
    for model in (models[0], models[1], models[0]):
        model.set_params(trainer__checkpoint_dir=tmp_path)
        with pytest.raises(RuntimeError, match="power cut"):
            model.fit(*(raw, bolds[0])[::side])
    assert names[0] == names[2] != names[1]
