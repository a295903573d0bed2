"""Files of a BIDS folder: found by their entities, described by their sidecars."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_ELE = {
    "eeg": (".vhdr", ".edf", ".bdf", ".set", ".cnt"),
    "meg": (".fif", ".ds", ".sqd", ".con", ".kdf"),
    "ieeg": (".vhdr", ".edf", ".set", ".mefd", ".nwb"),
}
_ENTITY = re.compile(r"([a-z]+)-([a-zA-Z0-9+]+)")


@dataclass(frozen=True)
class Run:
    """What one run of one person is called; None where the folder has no such level."""

    subject: str
    task: str
    session: str | None = None
    run: str | None = None

    @property
    def name(self) -> str:
        """As in file names: ``sub-01_task-rest_run-01``."""
        parts = {"sub": self.subject, "ses": self.session, "task": self.task, "run": self.run}
        return "_".join(f"{key}-{label}" for key, label in parts.items() if label is not None)


def entities_of(path) -> dict[str, str]:
    """Entities in the name of a file, such as ``{"sub": "01", "task": "rest"}``."""
    return dict(_ENTITY.findall(Path(path).name.split(".")[0]))


def bare(value, key: str):
    """Take "sub-" off "sub-01": people copy names as they see them."""
    if value is None:
        return None
    label = str(value).removeprefix(f"{key}-")
    if isinstance(value, (bool, float, bytes)) or not re.fullmatch(r"[a-zA-Z0-9+]+", label):
        raise ValueError(f"{value!r} is no BIDS label for {key}-: letters and digits only.")
    return label


def same(given, found) -> bool:
    """Whether two values of an entity agree; 1, "1" and "01" do."""
    if given is None or found is None:
        return given is found
    if str(given).isdigit() and str(found).isdigit():
        return int(given) == int(found)
    return str(given) == str(found)


def one_line(error: Exception) -> str:
    """Write in one line what an error says, however many its library takes."""
    return " ".join(str(error).split())


def check_folder(path, what: str) -> Path:
    """Refuse what is no folder."""
    path = Path(path).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"{what} is no folder: {path}")
    return path


def subjects_of(root: Path) -> list[str]:
    """Names of the people of a BIDS folder, in order."""
    return sorted(p.name[4:] for p in root.glob("sub-*") if p.is_dir())


def _folders(root: Path, subject: str, datatype: str) -> list[Path]:
    person = root / f"sub-{subject}"
    return [f for f in (person / datatype, *sorted(person.glob(f"ses-*/{datatype}"))) if f.is_dir()]


def ele_files(root: Path, subject: str, datatype: str | None = None) -> list[Path]:
    """Electrophysiological recordings of one person, in order of their names."""
    found = []
    for kind in _ELE if datatype is None else (datatype,):
        for folder in _folders(root, subject, kind):
            found += [
                path for path in sorted(folder.iterdir())
                if path.suffix in _ELE[kind] and path.stem.endswith(f"_{kind}")
            ]  # fmt: skip
    return found


def bold_files(root: Path, subject: str, *, preprocessed: bool) -> list[Path]:
    """BOLD of one person, volumes and left hemispheres (the right one has the same name)."""
    found = []
    for folder in _folders(root, subject, "func"):
        for path in sorted(folder.iterdir()):
            name, entities = path.name, entities_of(path)
            kind = name.endswith(("_bold.nii.gz", "_bold.nii", "_bold.func.gii"))
            right = name.endswith(".gii") and entities.get("hemi") != "L"
            if kind and not right and (entities.get("desc") == "preproc" or
                                       (name.endswith(".gii") and "desc" not in entities)
                                       or not preprocessed):  # fmt: skip
                found.append(path)
    return found


def _matching(paths, wanted: Run) -> list[Path]:
    def fits(entities: dict) -> bool:
        return (
            entities.get("task") == wanted.task
            and (wanted.session is None or same(wanted.session, entities.get("ses")))
            and (wanted.run is None or same(wanted.run, entities.get("run")))
        )

    return [path for path in paths if fits(entities_of(path))]


def find_ele(root: Path, wanted: Run, datatype: str | None) -> tuple[Path, str]:
    """Find the one electrophysiological recording of a run, and its datatype."""
    if not (root / f"sub-{wanted.subject}").is_dir():
        raise FileNotFoundError(
            f"No folder sub-{wanted.subject} in {root}; there are {subjects_of(root)[:12]}."
        )
    every = ele_files(root, wanted.subject, datatype)
    found = _matching(every, wanted)
    if not found:
        raise FileNotFoundError(
            f"No EEG or MEG file of {wanted.name} in {root}; sub-{wanted.subject} has "
            f"{[p.name for p in every][:8]}."
        )
    if len(found) > 1:
        raise ValueError(
            f"{wanted.name} fits several recordings, {[p.name for p in found]}: give run, session "
            "or datatype."
        )
    return found[0], found[0].parent.name


def find_bold(root: Path, wanted: Run, space: str | None, *, surface, preprocessed) -> Path:
    """BOLD of the same run, in the space wanted."""
    every = bold_files(root, wanted.subject, preprocessed=preprocessed)
    kind = [p for p in every if p.name.endswith(".gii") == surface]
    found = _matching(kind, wanted)
    if space is not None:
        found = [p for p in found if entities_of(p).get("space") == space]
    if not found:
        what = "surface" if surface else "volume"
        at = "" if space is None else f" in space {space}"
        raise FileNotFoundError(
            f"No {'preprocessed ' if preprocessed else ''}BOLD ({what}) of {wanted.name}{at} in "
            f"{root}; sub-{wanted.subject} has {[p.name for p in every][:8]}."
        )
    if len(found) > 1:
        spaces = sorted({entities_of(p).get("space", "none") for p in found})
        raise ValueError(
            f"{wanted.name} has several BOLD images, {[p.name for p in found]}: give "
            + (f"space, one of {spaces}." if len(spaces) > 1 else "run or session.")
        )
    return found[0]


def read_json(path: Path) -> dict:
    """Read a sidecar, or say that it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{path} is no readable JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}.")
    return content


def sidecar_of(path: Path, root: Path) -> tuple[dict, list[Path]]:
    """Metadata by BIDS inheritance (nearer, more specific sidecars win), and the sidecars."""
    stem = path.name.split(".")[0]
    suffix, entities = stem.rsplit("_", 1)[1], entities_of(path)
    folders = [path.parent]
    while folders[-1] != root and folders[-1] != folders[-1].parent:
        folders.append(folders[-1].parent)
    files = []
    for folder in reversed(folders):
        fits = [
            p for p in folder.glob(f"*{suffix}.json")
            if p.stem.split("_")[-1] == suffix
            and all(entities.get(k) == v for k, v in entities_of(p).items())
        ]  # fmt: skip
        files += sorted(fits, key=lambda p: (len(entities_of(p)), p.name))
    metadata: dict = {}
    for file in files:
        metadata |= read_json(file)
    return metadata, files
