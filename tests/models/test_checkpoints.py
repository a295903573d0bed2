"""Which fit a checkpoint belongs to, whatever process asks."""

from functools import partial

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


def above(threshold):
    return lambda similarity: similarity > threshold


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
