"""How networks are trained: Ctrl-C, windows of frames, refusals."""

import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import cross_val_score
from torch.utils.data import Dataset

from mne_samba.models import Trainer


class Windows(Dataset):
    """Two numbers in, their sum out; asking for a late one may be Ctrl-C."""

    def __init__(self, interrupt=None):
        self.interrupt, self.asked = interrupt, 0

    def __len__(self):
        return 16

    def __getitem__(self, i):
        self.asked += 1
        if self.interrupt is not None and self.asked > self.interrupt:
            raise KeyboardInterrupt
        x = torch.tensor([float(i), 1.0]) / 16
        return x, x.sum(dim=0, keepdim=True)


def built(trainer, valid=None, max_epochs=5):
    """Net of one linear layer."""
    torch.manual_seed(0)
    return trainer.build(
        torch.nn.Linear(2, 1), criterion=torch.nn.MSELoss, weight_decay=0.0, max_epochs=max_epochs,
        valid=valid,
    )  # fmt: skip


@pytest.mark.parametrize("valid", [None, Windows()], ids=["plain", "early stopping"])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "train"])
def test_ctrl_c_is_never_swallowed(method, valid):
    trainer = Trainer(device="cpu")
    net = built(trainer, valid)
    with pytest.raises(KeyboardInterrupt):
        if method == "train":
            trainer.train(net, Windows(interrupt=20))
        else:
            getattr(net, method)(Windows(interrupt=20), None)
    assert len([row for row in net.history if "train_loss" in row]) == 1


def test_early_stopping_is_no_ctrl_c():
    trainer = Trainer(device="cpu", lr=1e-12, patience=2)
    net = built(trainer, Windows(), max_epochs=30)
    trainer.train(net, Windows())
    assert len(net.history) == 3


class Trained(BaseEstimator):
    """Estimator whose fit trains a net that Ctrl-C stops."""

    def fit(self, X, y):
        trainer = Trainer(device="cpu")
        trainer.train(built(trainer), Windows(interrupt=3))
        return self

    def score(self, X, y):
        return 1.0


def test_ctrl_c_stops_cross_validation():
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(Trained(), [[0.0]] * 6, [0.0] * 6, cv=3)


def test_frames_of_a_window():
    assert Trainer(window=60).frames(2.0) == (30, 15)
    assert Trainer(window=60, step=10).frames(2.0) == (30, 5)
    assert Trainer(window=60, step=500).frames(2.0) == (30, 30), "frames between are predicted"
    assert Trainer(window=0.3 * 3).frames(0.3) == (3, 1), "as many as fit, rounding aside"
    assert Trainer(window=60).frames(2.0, n_frames=12) == (12, 6)
    with pytest.raises(ValueError, match=r"window=1 s holds no frame at t_r=2 s"):
        Trainer(window=1).frames(2.0)


def test_learning_rates_of_groups():
    trainer = Trainer(device="cpu", lr=0.01)
    net = trainer.build(
        torch.nn.Linear(2, 1), criterion=torch.nn.MSELoss, weight_decay=0.1, max_epochs=1,
        groups={"wei*": 0.1, "absent": 5.0},
    ).initialize()  # fmt: skip
    assert sorted(group["lr"] for group in net.optimizer_.param_groups) == [0.001, 0.01]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lr": 0}, "lr must be above 0"),
        ({"max_epochs": 0}, "max_epochs must be at least 1"),
        ({"validation_fraction": 0.9}, "validation_fraction must be at most 0.5"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"device": "meta"}, "holds no numbers"),
        ({"device": "nowhere"}, "device must be"),
        ({"mixed_precision": True, "dtype": "float64"}, 'needs dtype="float32"'),
    ],
)
def test_refusals(params, message):
    with pytest.raises(ValueError, match=message):
        clone(Trainer(**params)).check()
    with pytest.raises(TypeError, match="checkpoint_dir must be a folder"):
        Trainer(checkpoint_dir=3).check()
