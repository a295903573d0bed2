"""The latent space: where it starts, and when it moves."""

from dataclasses import dataclass

import numpy as np
import pytest
from inverse_small import GRID, World, paired

from mne_samba.model_file import classes_of, pack, unpack
from mne_samba.models import Trainer
from mne_samba.models.latents import FittedLatents, fit_latents

N_FEATURES = 6


@dataclass
class Turned:
    """A way back that gives a mixture of band power, plus noise; it ignores BOLD."""

    powers: list
    mixing: np.ndarray
    latents: FittedLatents
    n_frames: int = 6

    def predict(self, bold):
        rng = np.random.default_rng(0)
        out = []
        for frames in bold:
            first = 0 if len(frames) > 100 else 300 - len(frames)
            power = self.powers[0][..., GRID.n_lags + first :][..., : len(frames)]
            flat = np.zeros((N_FEATURES, len(frames)))
            flat[:, : power.shape[-1]] = power.reshape(N_FEATURES, -1)
            turned = self.mixing @ flat + 0.3 * rng.standard_normal(flat.shape)
            out.append(turned.reshape(*power.shape[:2], -1))
        return out


@pytest.fixture(scope="module")
def data():
    return paired(World.of())


def way_back(data):
    rng = np.random.default_rng(1)
    mixing = np.linalg.qr(rng.standard_normal((N_FEATURES, N_FEATURES)))[0]
    return Turned(data.powers, mixing, FittedLatents.of(np.eye(3, N_FEATURES)))


def test_courses_are_projections_and_what_is_unknown_counts_as_zero():
    rng = np.random.default_rng(0)
    latents = FittedLatents(rng.standard_normal((2, 6)), rng.standard_normal((2, 6)))
    power = rng.standard_normal((3, 2, 9))
    power[0, :, 4] = np.nan
    for modality, weights in (("ele", latents.ele), ("hemo", latents.hemo)):
        (found,) = latents.courses([power], modality)
        expected = np.einsum("rnk,nkt->rt", weights.reshape(2, 3, 2), np.nan_to_num(power))
        np.testing.assert_allclose(found, expected)


def test_alignment_turns_what_bold_tells_towards_what_was_measured(data):
    inverse = way_back(data)
    trainer = Trainer(max_epochs=40, lr=0.02, patience=20)
    latents = fit_latents(inverse, data, data.targets, trainer)
    losses = [row["valid_loss"] for row in latents.history]
    assert min(losses) < 0.9 * losses[0]
    assert not np.array_equal(latents.ele, latents.hemo)


@pytest.mark.parametrize("n_frames", [6, 60])
def test_without_windows_enough_both_stay_where_they_start(data, n_frames):
    """Eight windows to tell apart are the least; and nothing to align with is nothing to learn."""
    inverse = way_back(data)
    inverse.n_frames = n_frames
    cycled = None if n_frames == 6 else data.targets
    latents = fit_latents(inverse, data, cycled, Trainer())
    assert latents.history == []
    np.testing.assert_array_equal(latents.ele, inverse.latents.ele)
    np.testing.assert_array_equal(latents.hemo, inverse.latents.ele)


def test_file_holds_the_projections():
    rng = np.random.default_rng(0)
    latents = FittedLatents(*rng.standard_normal((2, 2, 6)), [{"epoch": 0, "valid_loss": 1.0}])
    read = unpack(*pack(latents)[:2], classes_of(FittedLatents))
    np.testing.assert_array_equal(read.hemo, latents.hemo)
    assert read.history == latents.history
