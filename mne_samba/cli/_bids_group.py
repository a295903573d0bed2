"""What ``mne_samba bids ... group`` takes of people: their own models, and who is in what group."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd

from .. import compare_hrfs, read_samba
from ..io._bids_files import read_table


def own_scores(out: Path, subjects: list[str], task: str) -> tuple[dict[str, pd.DataFrame], dict]:
    """Scores of each person's own models, where ``participant`` has written them; their digests."""
    found, digests = {}, {}
    for subject in subjects:
        path = out / f"sub-{subject}" / f"sub-{subject}_task-{task}_desc-samba_scores.tsv"
        if path.is_file():
            table = read_table(path)  # as text: regions may be called 1, 2 or NA
            table["score"] = pd.to_numeric(table["score"], errors="coerce")
            found[f"sub-{subject}"] = table
            digests[subject] = blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return found, digests


def groups_of(root: Path, column: str, subjects: list[str]) -> dict[str, str]:
    """Group of each person by a column of ``participants.tsv``; nobody where it is n/a."""
    path = root / "participants.tsv"
    if not path.is_file():
        raise FileNotFoundError(f"--group-by {column}: there is no {path}.")
    table = read_table(path)
    if column not in table or "participant_id" not in table:
        raise ValueError(f"{path} has no column {column}; it has {list(table.columns)}.")
    twice = sorted(set(table["participant_id"][table["participant_id"].duplicated()]))
    if twice:
        raise ValueError(f"{path} has {', '.join(twice[:8])} more than once: keep one row each.")
    known = dict(zip(table["participant_id"], table[column], strict=True))
    groups = {s: known.get(f"sub-{s}", "n/a") for s in subjects}
    groups = {s: label for s, label in groups.items() if label not in ("n/a", "")}
    labels = sorted(set(groups.values()))
    if len(labels) != 2:
        raise ValueError(
            f"--group-by {column}: two groups are compared, but {path} has {labels[:8]} of these "
            f"{len(subjects)} people. Choose people by --participant-label."
        )
    return groups


def compare_responses(
    out: Path, groups: dict[str, str], task: str, seed: int
) -> tuple[pd.DataFrame, str]:
    """Compare the responses of people's own models between two groups: a table, and words."""
    fits, left_out = {}, []
    for subject in sorted(groups, key=lambda subject: (groups[subject], subject)):
        path = out / f"sub-{subject}" / f"sub-{subject}_task-{task}_desc-samba_model.samba"
        model = read_samba(path) if path.is_file() else None
        model = getattr(model, "forward_", model)
        if getattr(model, "hrf_family_", "canonical") == "canonical":
            left_out.append(f"sub-{subject}")
        else:
            fits[subject] = model
    labels = [groups[subject] for subject in fits]
    counts = {label: labels.count(label) for label in sorted(set(groups.values()))}
    if min(counts.values()) < 2:
        lacking = f" {left_out[:8]} have none: run 'participant' before." if left_out else ""
        raise ValueError(
            "--group-by compares learnt responses of people's own models, two or more in each "
            f"group: {', '.join(f'{n} of {label}' for label, n in counts.items())}.{lacking}"
        )
    table = compare_hrfs(list(fits.values()), labels=labels, random_state=seed)
    first, second = table.attrs["labels"]
    passed = table[table["p_max"] < 0.05]
    where = ", ".join(f"{row.measure} of {row.region}" for row in passed[:8].itertuples())
    said = (
        f"Responses of {labels.count(second)} people of {second} against {labels.count(first)} of "
        f"{first}: {len(passed)} of {int(np.isfinite(table['p_max']).sum())} measures of regions "
        f"differ, corrected for their number{f' ({where})' if where else ''}."
    )
    if left_out:
        said += f" Left out, without a learnt response: {', '.join(left_out[:8])}."
    return table, said
