"""What a result allows to say, in sentences."""

import numpy as np

# Models that are no rivals: they know the answer, or were given the wrong one.
_NO_RIVALS = ("ceiling", "null: ")
_INTERVAL = "(LearnableHRF(n_bootstrap=200) for responses)"
METRIC_NAMES = {"spearman": "Spearman correlation", "pearson": "Pearson correlation", "r2": "R^2"}


def scored_models(result, metric: str | None = None) -> list[str]:
    """Names of the models that have scores with a metric (None: the first), in their order."""
    table = result.scores_
    metric = result.metric if metric is None else metric
    return list(table.loc[table["metric"] == metric, "model"].unique())


def best_baseline(result) -> str | None:
    """Baseline with the highest mean score; None where there is none."""
    scored = scored_models(result)
    rivals = [m for m in scored if m != result.translator and not m.startswith(_NO_RIVALS)]
    means = {m: np.nanmean(result.target_scores(m)) for m in rivals}
    return max(means, key=means.get, default=None)


def p_words(p: float, floor: float) -> str:
    """Write a p value; one at its floor could be smaller."""
    if not np.isfinite(p):
        return ""
    at_floor = np.isfinite(floor) and p <= floor * (1 + 1e-9)
    return f"{'<= ' if at_floor else '= '}{p:.2g}"


def verdict_of(result) -> str:
    """Say what a result shows: against chance, against the best baseline, and what follows."""
    return " ".join([*_claims(result)[2], what_follows(result)])


def _claims(result) -> tuple[bool, bool, list[str]]:
    """Whether chance is beaten, and the best baseline; the sentences that say so."""
    shown, chance = _against_chance(result)
    better, how, rival = _against_baseline(result)
    sentences = [chance, rival]
    if shown and how:
        # Readers take the first words home.
        sentences[0] = f"{how[0].upper()}{how[1:]} than the best baseline: {chance}"
    if "partial" in result.null_:
        kept, words = _with_confounds_out(result)
        sentences = [chance, rival, words] if kept or not shown else [words, chance, rival]
        shown = shown and kept
    return shown, better, sentences


def may_be_interpreted(result) -> bool:
    """Whether responses, band weights and maps may be interpreted."""
    return all(_claims(result)[:2])


def what_follows(result) -> str:
    """Say what may be made of responses, band weights and maps."""
    shown, better, _ = _claims(result)
    if shown and better:
        return f"What the model learnt may be interpreted{_of_regions(result)}."
    if shown:
        return (
            "That the model predicts may be said; its responses, band weights and maps describe "
            "this fit, and are no evidence beyond what the baseline shows."
        )
    return "Responses, band weights and maps of the model must not be interpreted."


def passing_regions(result) -> list:
    """Regions above chance, corrected for their number, best first."""
    table = result.p_values_of(result.translator).sort_values("score", ascending=False)
    return list(table.loc[table["p_max"] < 0.05, "target"])


def _things(result) -> str:
    """Name what is predicted: log power has channels and bands for targets."""
    return "regions" if result.quantity == "BOLD" else "targets"


def _of_regions(result) -> str:
    """Continue a sentence with the regions for which it holds."""
    passing, n_regions = passing_regions(result), len(result.target_names_)
    if len(passing) == n_regions:
        return f"; what is said of one region needs an interval {_INTERVAL}"
    if not passing:
        return " for the regions together, and for no single one: none passes by itself"
    few = f" ({', '.join(map(str, passing))})" if len(passing) <= 3 else ""
    return (
        f" for the regions together; for single ones only where they pass{few}, and with an "
        f"interval {_INTERVAL}"
    )


def _against_chance(result) -> tuple[bool, str]:
    """Whether circular shifts are beaten, and the sentence."""
    score = np.nanmean(result.target_scores())
    metric = METRIC_NAMES.get(result.metric, result.metric)
    what = f"{result.translator} predicts held-out {result.quantity} with a mean {metric}"
    if result.translator not in result.null_:
        return False, (
            f"Nothing was tested: {what} of {score:.3f}, without a null to hold it against "
            "(nulls='circular_shift')."
        )
    p, floor = result.mean_null()[2], result.p_floor(result.translator)
    n_regions = len(passing_regions(result))
    regions = (
        f"{n_regions} of {len(result.target_names_)} {_things(result)} pass when corrected for "
        "their number"
    )
    if p <= 0.05:
        return True, f"{what} of {score:.3f}, above chance (p {p_words(p, floor)}); {regions}."
    why = ""
    if result.is_constant(result.translator):
        why = ": its predictions do not change over time"
    elif floor > 0.05:
        why = (
            f": so short a recording has {len(result.null_[result.translator])} different shifts, "
            f"neighbours alike, and no p below {floor:.2g} can be had"
        )
    return False, (
        f"Nothing was shown: {what} of {score:.3f}, not above chance (p {p_words(p, floor)}){why}."
    )


def _against_baseline(result) -> tuple[bool, str, str]:
    """Whether the best baseline is beaten; "better", "worse" or what else; and the sentence."""
    rival = best_baseline(result)
    if rival is None:
        return False, "", "It was not compared with any baseline."
    found = result.compare(result.translator, rival)
    numbers = f"difference {found['mean']:+.3f}"
    if np.isfinite(found["ci_low"]):
        numbers += f", 95 % interval {found['ci_low']:+.3f} to {found['ci_high']:+.3f}"
    n, of_people = found["n"], found["unit"] == "subject"
    numbers += (
        f" over {n} people"
        if of_people
        else f" over {n} blocks of one person, which say nothing of other people"
    )
    own, other = result.target_scores(), result.target_scores(rival)
    n_better, n_regions = int((own > other).sum()), int(np.isfinite(own - other).sum())
    higher = f"{n_better} of {n_regions} {_things(result)}"
    if of_people:
        higher = f"{found['n_higher']} of {n} people and {higher}"
    numbers += f"; higher in {higher}"
    if of_people and np.isfinite(found["p_sign_flip"]):
        # Signs all alike and their mirror image, of all that people can have.
        floor = 2.0 ** (1 - n)
        numbers += f"; sign-flip p = {found['p_sign_flip']:.2g}"
        if floor > 0.05:
            numbers += f", and {n} people allow none below {floor:.2g}"
    better = bool(found["ci_low"] > 0)
    worse = bool(found["ci_high"] < 0)
    words = "better" if better else "worse" if worse else "not shown to be better"
    return better, words, f"It is {words} than the best baseline ({rival}): {numbers}."


def _with_confounds_out(result) -> tuple[bool, str]:
    """Whether prediction is left with confounds out of both sides, and the sentence."""
    score, _, p = result.mean_null("partial")
    metric = METRIC_NAMES.get(result.metric, result.metric)
    numbers = f"mean {metric} {score:.3f}, p {p_words(p, result.p_floor('partial'))}"
    if p <= 0.05:
        return (
            True,
            f"With the confounds removed from measured and predicted {result.quantity}, it is "
            f"still above chance ({numbers}).",
        )
    return False, (
        "Nothing was shown beyond the confounds: with them removed from measured and predicted "
        f"{result.quantity}, the score is not above chance ({numbers})."
    )
