"""Is what least squares read out of corrections a fair trial of their training? (SIMULATED)"""

from __future__ import annotations

from _ablation_worlds import HISTORY, T_R, WORLDS, person
from _timing import seconds

from mne_samba import SambaModel, SambaTranslator
from mne_samba.metrics import pearson

# A gain that is kept, as fits judge it (`confirmed` in `mne_samba/models/corrections.py`).
LEAST, ERRORS = 0.002, 2.0
# Minutes of training data, and signal-to-noise ratios.
SIZES = ((30, 1.0), (40, 4.0))


def trials(quick) -> list[dict]:
    """Fits whose corrections are trained in any case, beside fits that try them first."""
    rows = []
    for world in WORLDS:
        for minutes, snr in SIZES[:1] if quick else SIZES:
            found = [one(seed, minutes, snr, world) for seed in range(50, 52 if quick else 53)]
            row = {"trial": f"{world}, {minutes} min, SNR {snr:g}", "fits": len(found)}
            for name in ("worth_training", "trained", "missed", "in_vain", "kept"):
                row[name] = sum(fit[name] for fit in found)
            for name in ("r_trained", "r_tried", "r_core", "trained_s", "tried_s", "core_s"):
                row[name] = sum(fit[name] for fit in found) / len(found)
            rows.append(row)
    return rows


def one(seed, minutes, snr, world) -> dict:
    """Fits to one person: of the core, with corrections in any case, and where a trial is for them.

    ``worth_training``: the training in any case raised held-out correlation by so much that it
    would be kept.
    """
    data, row, judged = person(seed, minutes, snr, world), {}, {}
    models = {
        "core": "core", "trained": SambaModel(corrections="always"), "tried": SambaModel(),
    }  # fmt: skip
    for name, model in models.items():
        fit = SambaTranslator(t_r=T_R, model=model, random_state=0)
        row[f"{name}_s"] = seconds(lambda fit=fit: fit.fit(data.train, data.bold))
        first = round(HISTORY / T_R)
        pred = fit.predict(data.test)[first:]
        row[f"r_{name}"] = pearson(data.test_clean[first:][: len(pred)], pred).mean()
        judged[name] = fit._fitted.judgement
    always, tried = judged["trained"], judged["tried"]
    worth = always.gain > max(LEAST, ERRORS * always.error)
    trained = tried.gain is not None
    return row | {
        "worth_training": worth, "trained": trained, "missed": worth and not trained,
        "in_vain": trained and not tried.kept, "kept": tried.kept,
    }  # fmt: skip
