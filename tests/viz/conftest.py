import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mne_samba.evaluation import EvaluationResult

matplotlib.use("Agg")

TARGETS = ["Visual_L1", "Visual_R1", "DefaultMode_L1", "Reward_R1"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def coords():
    return np.array([[-30.0, -80, 5], [30, -80, 5], [-5, 50, 20], [12, 10, -8]])


@pytest.fixture
def result():
    """An evaluation of two recordings whose scores are known."""
    rng = np.random.default_rng(0)
    measured = [rng.standard_normal((40, 4)) for _ in range(2)]
    predictions = {
        "SambaTranslator": [0.5 * y for y in measured],
        "mean": [np.zeros_like(y) for y in measured],
    }
    truth = {"SambaTranslator": [0.6, 0.4, 0.2, -0.1], "mean": [0.0] * 4}
    rows = [
        {
            "model": model, "metric": "spearman", "fold": fold, "recording": fold,
            "subject": f"sub-{fold}", "target": target, "score": score + 0.1 * (2 * fold - 1),
            "n_frames": 40,
        }
        for model, scores in truth.items()
        for fold in (0, 1)
        for target, score in zip(TARGETS, scores, strict=True)
    ]  # fmt: skip
    return EvaluationResult(
        pd.DataFrame(rows), "spearman", "SambaTranslator",
        {"SambaTranslator": 0.05 * rng.standard_normal((99, 4))}, predictions, measured, TARGETS,
        pd.DataFrame(
            {"subject": ["sub-0", "sub-1"], "run": "", "recording": [0, 1], "first_frame": 0}
        ),
        np.array([2.0, 2.0]), [np.full(len(y), fold) for fold, y in enumerate(measured)],
    )  # fmt: skip


@pytest.fixture
def colors_from_above():
    """Colours of regions in the view from above, which shows all of them."""

    def find(fig, coords):
        for axis in fig.axes:
            for dots in axis.collections:
                places = np.asarray(dots.get_offsets())
                if places.shape == (len(coords), 2) and np.allclose(places, coords[:, :2]):
                    return dots.get_facecolor()
        raise AssertionError("no brain from above")

    return find
