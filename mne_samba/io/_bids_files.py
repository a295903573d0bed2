"""Files of a BIDS folder: found by their entities, described by their sidecars."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import pandas as pd

_ELE = {
    "eeg": (".vhdr", ".edf", ".bdf", ".set", ".cnt"),
    "meg": (".fif", ".ds", ".sqd", ".con", ".kdf"),
    "ieeg": (".vhdr", ".edf", ".set", ".mefd", ".nwb"),
}
_ENTITY = re.compile(r"([a-z]+)-([a-zA-Z0-9+]+)")
# How files begin that stand for a content which lies elsewhere: git-annex, git LFS.
_POINTERS = (b"/annex/objects/", b"version https://git-lfs")
_SURFACES = ("_bold.func.gii", "_bold.dtseries.nii")
# What mne-bids opens beside a recording.
_ABOUT = (*_ELE, "events", "channels", "electrodes", "coordsystem", "scans", "participants")
# Entities that derivatives add: an acquired file has none of them.
DERIVED = ("space", "res", "den", "desc", "hemi", "label", "cohort")
# Given by arguments of their own.
_NAMED = ("sub", "ses", "task", "run", "space")
# What echoes of one acquisition must share, or frames would not know their time.
_TIMING = (
    "RepetitionTime", "SliceTiming", "VolumeTiming", "DelayTime", "AcquisitionDuration",
    "NumberOfVolumesDiscardedByScanner", "NumberOfVolumesDiscardedByUser",
)  # fmt: skip


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


def check_fetched(path: Path) -> Path:
    """Refuse a file of a DataLad dataset whose content is still elsewhere."""
    pointer = path.is_symlink() and not path.exists()
    if not pointer and path.is_file() and path.stat().st_size < 1000:
        with path.open("rb") as file:
            pointer = file.read(40).startswith(_POINTERS)
    if pointer:
        raise FileNotFoundError(
            f"{path} is a placeholder whose content has not been fetched: datalad get {path}"
        )
    return path


def check_recording_fetched(path: Path, root: Path) -> None:
    """Refuse a recording of which a part, or a file that describes it, has not been fetched."""
    if path.is_dir():
        parts = [p for p in path.rglob("*") if not p.is_dir()]
    else:
        stem = path.name.split(".")[0]
        parts = [p for p in path.parent.iterdir() if p.name.split(".")[0] == stem]
    for part in sorted(parts):
        check_fetched(part)
    entities = entities_of(path)
    for folder in _upwards(path, root):
        for file in sorted(folder.iterdir()):
            about = file.stem.rsplit("_", 1)[-1] in _ABOUT and file.suffix in (".tsv", ".json")
            if about and entities_of(file).items() <= entities.items():
                check_fetched(file)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of BIDS as text, whatever its columns hold; a byte-order mark is no text."""
    check_fetched(path)
    try:
        content = path.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:  # units in microvolts, written on old systems
            text = content.decode("latin-1")
        return pd.read_csv(StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"{path} is no readable table: {one_line(error)}") from None


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
    """BOLD of one person, also of left hemispheres (the right one has the same name) and CIFTI."""
    found = []
    for folder in _folders(root, subject, "func"):
        for path in sorted(folder.iterdir()):
            name, entities = path.name, entities_of(path)
            surface = name.endswith(_SURFACES)
            kind = surface or name.endswith(("_bold.nii.gz", "_bold.nii"))
            right = name.endswith(".gii") and entities.get("hemi") != "L"
            described = entities.get("desc") == "preproc" or (surface and "desc" not in entities)
            if kind and not right and (described or not preprocessed):
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


def check_entities(entities) -> dict[str, str | None]:
    """Entities that choose among files, such as ``{"res": "2"}``; None stands for none of it."""
    if entities is None:
        return {}
    if not isinstance(entities, Mapping):
        raise TypeError(f'entities must be a dict such as {{"res": "2"}}, got {entities!r}.')
    for key in entities:
        if not isinstance(key, str) or not re.fullmatch("[a-z]+", key):
            raise ValueError(
                f'entities: {key!r} is no short name of an entity, such as "res" or "echo".'
            )
        if key in _NAMED:
            whole = {"sub": "subject", "ses": "session"}.get(key, key)
            raise ValueError(f"entities: {key!r} has an argument of its own: pass {whole}.")
    return {key: bare(value, key) for key, value in entities.items()}


def narrow(paths: list[Path], entities: Mapping) -> list[Path]:
    """Keep the files of these entities; one that none of the files has does not choose."""
    for key, value in entities.items():
        if any(key in entities_of(path) for path in paths):
            paths = [path for path in paths if same(value, entities_of(path).get(key))]
    return paths


def _differing(paths: list[Path]) -> dict[str, list[str]]:
    """Entities in which files differ, and their values; "none" where a file lacks it."""
    every = [entities_of(path) for path in paths]
    keys = dict.fromkeys(key for one in every for key in one)
    values = {key: sorted({one.get(key, "none") for one in every}) for key in keys}
    return {key: found for key, found in values.items() if len(found) > 1}


def _how_to_choose(paths: list[Path]) -> str:
    """Words for the arguments that tell files apart."""
    differ = _differing(paths)
    own = [f"{key}: {' or '.join(values)}" for key, values in differ.items() if key not in _NAMED]
    if not own:
        if "space" in differ:
            return f"give space, one of {differ['space']}."
        return "give run, session or datatype."
    key = next(key for key in differ if key not in _NAMED)
    value = next(value for value in differ[key] if value != "none")
    without = f' None (--entities {key}=) is the file without "{key}".'
    also = f" space, one of {differ['space']}, and" if "space" in differ else ""
    return (
        f'give{also} entities, such as entities={{"{key}": "{value}"}} (in the command line '
        f"--entities {key}={value}); they differ in {'; '.join(own)}."
        + (without if "none" in differ[key] else "")
    )


def find_ele(
    root: Path, wanted: Run, datatype: str | None, entities: Mapping | None = None
) -> tuple[Path, str]:
    """Find the one electrophysiological recording of a run, and its datatype."""
    if not (root / f"sub-{wanted.subject}").is_dir():
        raise FileNotFoundError(
            f"No folder sub-{wanted.subject} in {root}; there are {subjects_of(root)[:12]}."
        )
    every = ele_files(root, wanted.subject, datatype)
    found = narrow(_matching(every, wanted), entities or {})
    if not found and wanted.run is not None:
        # One recording of several runs has no run in its name.
        whole = _matching(every, replace(wanted, run=None))
        found = narrow([p for p in whole if "run" not in entities_of(p)], entities or {})
    if not found:
        others = [p.name for kind in _ELE for folder in _folders(root, wanted.subject, kind)
                  for p in sorted(folder.glob(f"*_{kind}.*")) if p.suffix != ".json"]  # fmt: skip
        raise FileNotFoundError(
            f"No EEG or MEG file of {wanted.name} in {root}; sub-{wanted.subject} has {others[:8]}."
            " What BIDS does not have, such as .mff: raw = mne.io.read_raw(path), and "
            'mne_bids.write_raw_bids(raw, bids_path, format="BrainVision", allow_preload=True).'
        )
    if len(found) > 1:
        raise ValueError(
            f"{wanted.name} fits several recordings, {[p.name for p in found]}: "
            + _how_to_choose(found)
        )
    return found[0], found[0].parent.name


def find_bold(
    root: Path, wanted: Run, space: str | None, *, endings: tuple[str, ...], preprocessed,
    entities: Mapping | None = None,
) -> Path:  # fmt: skip
    """BOLD of the same run, in the space wanted; the first of the endings that there is."""
    every = bold_files(root, wanted.subject, preprocessed=preprocessed)
    there = narrow(_matching(every, wanted), entities or {})
    if space is not None:
        there = [p for p in there if entities_of(p).get("space") == space]
    kinds = ([p for p in there if p.name.endswith(ending)] for ending in endings)
    found = next(filter(None, kinds), [])
    if not found:
        what = " or ".join(ending.removeprefix("_bold") for ending in endings)
        at = "" if space is None else f" in space {space}"
        raise FileNotFoundError(
            f"No {'preprocessed ' if preprocessed else ''}BOLD ({what}) of {wanted.name}{at} in "
            f"{root}; sub-{wanted.subject} has {[p.name for p in every][:8]}."
        )
    if len(found) > 1:
        raise ValueError(
            f"{wanted.name} has several BOLD images, {[p.name for p in found]}: "
            + _how_to_choose(found)
        )
    return found[0]


def acquired_sidecar(
    root: Path, wanted: Run, derivative: Path, entities: Mapping
) -> tuple[dict, str | None]:
    """Metadata of the acquired BOLD of a derivative, and its sidecar's name."""
    # Echoes of one run are one acquisition: any sidecar tells its timing, where they agree.
    every = bold_files(root, wanted.subject, preprocessed=False)
    every = [path for path in every if not path.name.endswith(_SURFACES)]
    made_of = {k: v for k, v in entities_of(derivative).items() if k not in DERIVED}
    chosen = {k: v for k, v in entities.items() if k not in DERIVED}
    # fMRIPrep combines echoes and names the result without them.
    found = narrow(narrow(_matching(every, wanted), chosen), made_of)
    read = [(path, *sidecar_of(path, root)) for path in found]
    if not read:
        return {}, None
    first, metadata, files = read[0]
    for path, other, _ in read[1:]:
        differ = [key for key in _TIMING if metadata.get(key) != other.get(key)]
        if differ:
            key = differ[0]
            raise ValueError(
                f"The sidecars of the acquired BOLD of {wanted.name} contradict each other: "
                f"{first.name} has {key}={metadata.get(key)!r:.60}, {path.name} has "
                f"{other.get(key)!r:.60}. If they are echoes of one acquisition, correct the "
                f"sidecars; otherwise {_how_to_choose(found)}"
            )
    return metadata, files[-1].name if files else None


def _upwards(path: Path, root: Path) -> list[Path]:
    """Folder of a file and those above it, up to that of the dataset."""
    folders = [path.parent]
    while folders[-1] != root and folders[-1] != folders[-1].parent:
        folders.append(folders[-1].parent)
    return folders


def read_json(path: Path) -> dict:
    """Read a sidecar, or say that it is damaged."""
    check_fetched(path)
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
    files = []
    for folder in reversed(_upwards(path, root)):
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
