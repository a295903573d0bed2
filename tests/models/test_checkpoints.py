"""Which fit a checkpoint belongs to, whatever process asks."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from mne_samba.models import Trainer
from mne_samba.models.checkpoint import Checkpoints, fingerprint


class Model(BaseEstimator):
    """A model with one parameter."""

    def __init__(self, graph=None):
        self.graph = graph


def by_name(similarity):
    """Graph that a user gives as a function."""
    return similarity > 0.5


def above(threshold):
    return lambda similarity: similarity > threshold


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import test_checkpoints as here
print(here.fingerprint(here.Model(here.by_name)))
print(here.fingerprint(here.above(0.3)))
"""


def test_functions_have_the_same_key_in_every_process():
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [fingerprint(Model(by_name)), fingerprint(above(0.3))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2000), np.eye(1, 2000, 1000)[0]),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(4), np.zeros(4, np.float32)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (above(0.3), above(0.4)),
        (lambda x: x + 1, lambda x: x - 1),
        (partial(max, 1), partial(max, 2)),
        (Model(1), Model(1.0)),
        (["ab", "c"], ["a", "bc"]),
        (pd.DataFrame({"frame": [0]}), pd.DataFrame({"frame": [1]})),
    ],
)
def test_what_differs_has_another_key(one, other):
    assert fingerprint(one) != fingerprint(other)


def opened(folder, seed, model=None, **trainer):
    trainer = Trainer(checkpoint_dir=folder, **trainer)
    return Checkpoints(trainer, model or Model(), [np.arange(3.0)], seed)


def test_keys_know_what_decides_the_weights(tmp_path):
    first = opened(tmp_path, 3)
    assert first.key == opened(tmp_path / "moved", 3, device="cpu", compile=True).key
    others = [
        opened(tmp_path, 4), opened(tmp_path, None), opened(tmp_path, 3, Model("dense")),
        opened(tmp_path, 3, lr=0.1), opened(tmp_path, 3, dtype="float64"),
    ]  # fmt: skip
    assert len({first.key, *(other.key for other in others)}) == 6


def test_without_a_seed_the_next_process_takes_that_of_the_first(tmp_path):
    first = opened(tmp_path, None)
    assert opened(tmp_path, None).seed == first.seed
    with first.seeded():
        pass
    assert not list(tmp_path.iterdir())
    assert opened(tmp_path, None).seed != first.seed, "a finished fit leaves nothing"
    assert opened(None, None).seed != opened(None, None).seed
    assert opened(None, 7).seed == 7


def test_seeds_follow_numpy_where_nothing_is_kept():
    np.random.seed(0)  # noqa: NPY002
    first = opened(None, None).seed
    np.random.seed(0)  # noqa: NPY002
    assert opened(None, None).seed == first
