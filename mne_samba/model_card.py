"""What to know of a model before it is used: a card in Markdown, from the model and its scores."""

from collections import Counter

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._version import __version__
from .evaluation import EvaluationResult
from .evaluation.bench import RIDGES
from .translator import SambaTranslator

__all__ = ["make_model_card"]

_USE = (
    "Research on EEG, MEG and fMRI that were recorded like those of training. Predictions are no "
    "measurement of BOLD, and not for decisions about patients."
)


def make_model_card(
    model, result, *, licence: str = "unknown", intended_use: str = _USE, data: str = ""
) -> str:
    """Describe a fitted translator with its honest score.

    Parameters
    ----------
    model : SambaTranslator
        Fitted; to all data, as a rule.
    result : EvaluationResult
        Of `mne_samba.evaluation.evaluate` with the same kind of model and the same data: its folds
        say how training and test were split.
    licence : str
        Of the model, as the hub abbreviates it ("cc-by-4.0"); "unknown" where nobody has said.
    intended_use : str
        What the model is for.
    data : str
        What it was trained on: the dataset, its licence, what people did.

    Returns
    -------
    card : str
        Markdown with the header that the Hugging Face hub reads: channels, bands, repetition time,
        people, the split, the score with its interval and its null, ridge regression and time alone
        beside it.

    Raises
    ------
    TypeError
        If ``result`` is a bare score: without its split it says nothing.
    ValueError
        If the result is of another kind of model or of other regions, was not scored on held-out
        frames, or lacks ridge, time alone or the null.

    See Also
    --------
    mne_samba.SambaTranslator.push_to_hub : Where the card goes.

    Examples
    --------
    >>> from mne_samba import make_model_card
    >>> card = make_model_card(translator, result, licence="cc-by-4.0")  # doctest: +SKIP
    """
    if not isinstance(model, SambaTranslator):
        raise TypeError(f"A card describes a SambaTranslator, got a {type(model).__name__}.")
    check_is_fitted(model)
    if not isinstance(result, EvaluationResult):
        raise TypeError(
            f"A score without its split says nothing, got {result!r:.60}: give the result of "
            "mne_samba.evaluation.evaluate(model, X, y)."
        )
    ridge = _check(model, result)
    people = result.recordings_["subject"].nunique()
    minutes = sum(len(m) * t for m, t in zip(result.measured_, result.t_r_, strict=True)) / 60
    header = {
        "library_name": "mne_samba", "license": licence,
        "tags": "[eeg, meg, fmri, mne, scikit-learn]",
    }  # fmt: skip
    facts = {
        "Model": f"`{_name(model)}`, {model.n_parameters_} learnt numbers, mne_samba {__version__}",
        "Channels": _channels(model),
        "Bands": ", ".join(f"{k} {low:g}-{high:g} Hz" for k, (low, high) in model.bands_.items()),
        "Repetition time": ", ".join(f"{t_r:g} s" for t_r in sorted(set(result.t_r_))),
        "Regions": f"{model.n_targets_}: {_some(model.target_names_in_)}",
        "Data": data or "not described",
        "People of the score": f"{people}, {len(result.measured_)} recordings, {minutes:.0f} min",
        "Licence": licence,
    }
    lines = ["---", *[f"{k}: {v}" for k, v in header.items()], "---", "", "# EEG to BOLD", ""]
    lines += [f"- **{name}**: {fact}" for name, fact in facts.items()]
    lines += ["", "## Intended use", "", intended_use, "", "## Score", ""]
    lines += [f"**Split**: {split_of(result)}.", "", result.verdict, "", *_table(result, ridge)]
    lines += [
        "", f"{result.metric.capitalize()}, per region over time, mean over regions and folds; "
        "intervals (95 %) over people, over folds with one person; p of circular shifts.", "",
        "## Use", "", "```python", "from mne_samba import SambaTranslator", "",
        'translator = SambaTranslator.from_hub("owner/name", revision="<hash of the commit>")',
        "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def split_of(result: EvaluationResult) -> str:
    """Say how training and test were split, from the fold that tested each frame."""
    tested = [folds[folds >= 0] for folds in result.folds_]
    used = [folds for folds in tested if len(folds)]
    if not used:
        raise ValueError("No frame of this result was tested: a score needs a split.")
    n_folds = len(set(np.concatenate(used)))
    if all(len(set(folds)) == 1 for folds in used):
        fold = {i: folds[0] for i, folds in enumerate(tested) if len(folds)}
        who = result.recordings_["subject"].to_numpy()
        pairs = {(who[i], k) for i, k in fold.items()}
        if len(pairs) == len({person for person, _ in pairs}) and len(set(who)) > 1:
            return f"people left out, {len(pairs)} people in {n_folds} folds"
        return f"recordings left out in {n_folds} folds; a person may be on both sides"
    if all(np.count_nonzero(np.diff(folds)) == len(set(folds)) - 1 for folds in used):
        return f"contiguous blocks of time within recordings, {n_folds} folds"
    return (
        f"windows shuffled or interleaved in {n_folds} folds: neighbours are in training and test, "
        "which raises scores"
    )


def _check(model, result: EvaluationResult) -> str:
    """Refuse a result that is not of this model, or lacks what stands beside; give the ridge."""
    if result.translator.split(" ")[0] != type(model).__name__ or result.quantity != "BOLD":
        raise ValueError(
            f"The result is of {result.translator} and {result.quantity}, the model a "
            f"{type(model).__name__} of BOLD: evaluate the model itself."
        )
    if [str(name) for name in result.target_names_] != [str(n) for n in model.target_names_in_]:
        raise ValueError(
            f"The result is of other regions ({_some(result.target_names_)}) than the model "
            f"({_some(model.target_names_in_)})."
        )
    ridges = [name for name in RIDGES if name in result.models_]
    lacks = [] if ridges else ["a ridge (baselines=('ridge_canonical', ...))"]
    lacks += [] if "time" in result.models_ else ["time alone (baselines=(..., 'time'))"]
    lacks += [] if result.translator in result.null_ else ["the null (nulls=('circular_shift',))"]
    if lacks:
        raise ValueError(f"Beside the score a card needs {', '.join(lacks)}: evaluate with them.")
    return max(ridges, key=lambda name: np.nanmean(result.target_scores(name)))


def _table(result: EvaluationResult, ridge: str) -> list[str]:
    """Rows of scores: the model, the better ridge, time alone, the null."""
    summary = result._written()
    rows = {result.translator: "model", ridge: f"ridge regression ({ridge.split('_')[1]})",
            "time": "time alone", "null: circular_shift": "null"}  # fmt: skip
    lines = ["| | score | 95 % | p |", "| --- | --- | --- | --- |"]
    for name, called in rows.items():
        one = summary.loc[name]
        interval = f"{one['ci_low']:.3f} to {one['ci_high']:.3f}"
        lines.append(f"| {called} | {one['mean']:.3f} | {interval} | {one['p']} |")
    return lines


def _name(model) -> str:
    return type(model.assembly.model).__name__


def _channels(model) -> str:
    """Say how many channels of which kind there are."""
    kinds = "channels" if model.info_ is None else ", ".join(
        f"{n} {kind}" for kind, n in Counter(model.info_.get_channel_types()).items()
    )  # fmt: skip
    sfreq = model._fitted_input.layout.sfreq
    number = f"{len(model.ch_names_in_)} " if model.info_ is None else ""
    return f"{number}{kinds} at {sfreq:g} Hz: {_some(model.ch_names_in_)}"


def _some(names, most: int = 64) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
