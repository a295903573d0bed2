"""What people do all day: short fits, cross-validation, a grid, and the flow of the README."""

from __future__ import annotations

from _timing import interleaved
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from mne_samba import SambaModel, SambaTranslator, make_windows
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate

GOALS = {"fit": 1.0, "cross_val_score": 5.0, "grid": 12.0, "evaluate": 8.0}
GRID = {"model__hrf": ["double_gamma", "canonical"], "model__map_prior": ["sparse", "gaussian"]}


def everyday(quick) -> list[dict]:
    """Processor seconds of what is done again and again with recordings of four minutes."""
    sim = simulate_paired(
        3, 240.0, level="source", n_sources=32, n_targets=5, snr=1.0, random_state=0
    )
    raws, bolds = sim.raws, sim.bolds
    epochs, y = make_windows(raws[0], bolds[0], t_r=2.0, window=20.0)
    default = SambaTranslator(t_r=2.0, random_state=0)
    grid = GridSearchCV(SambaTranslator(t_r=2.0, model=SambaModel(), random_state=0), GRID, cv=3)
    works = {
        "fit": lambda: default.fit(raws[:1], bolds[:1]),
        "cross_val_score": lambda: cross_val_score(default, raws, bolds, cv=KFold(3)),
        "grid": lambda: grid.fit(raws, bolds),
        "evaluate": lambda: evaluate(default, epochs, y),
    }
    spent = interleaved(works, 1 if quick else 3, warm=False)
    size = f"{len(raws[0].ch_names)} channels -> {bolds[0].shape[1]} regions, 4 min"
    return [
        {"everyday": name, "size": size, "seconds": seconds, "goal": f"<= {GOALS[name]:g} s",
         "met": "yes" if seconds <= GOALS[name] else "no"}
        for name, seconds in spent.items()
    ]  # fmt: skip
