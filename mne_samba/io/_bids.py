"""One run of a BIDS folder as a pair: electrophysiology and BOLD on one clock."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pandas as pd

from .._checks import check_number, check_option
from .._version import __version__
from ..data.cuts import Interrupted
from ..data.triggers import given_times
from ..reader import Reader
from ._atlas import as_masker
from ._bids_bold import STRATEGY, endings_of, extract
from ._bids_files import (
    Run,
    acquired_sidecar,
    bare,
    bold_files,
    check_entities,
    check_folder,
    entities_of,
    find_bold,
    find_ele,
    read_json,
    sidecar_of,
)
from ._clean import check_cleaning, clean_raw
from ._markers import FRAME_EVENT, choose_markers, fits
from ._recording import read_recording
from ._runs import check_together, dates_of, part_of_run, runs_beside, told_start
from ._scan import (
    RepetitionTimeError,
    mark_frames,
    repetition_source,
    repetition_time,
    scan_of,
    slice_reference,
)


@dataclass
class BidsPair:
    """Electrophysiology and BOLD of one run.

    Attributes
    ----------
    raw : mne.io.Raw
        The recording; annotations ``"bold_frame"`` mark the time of every row of ``bold``.
    bold : DataFrame, shape (n_frames, n_targets)
        BOLD: rows of NaN are scrubbed frames, columns of NaN regions that were not measured.
        ``bold.attrs`` hold ``t_r`` and ``provenance``, which `SambaTranslator.save` keeps.
    t_r : float
        Repetition time, s.
    frame_times : array, shape (n_frames,)
        Seconds from the recording's first sample.
    masker : nilearn masker | GrayordinatesMasker
        Fitted: ``masker.inverse_transform`` makes images, `mne_samba.io.write_image` files.
    provenance : dict
        Files, timing, confounds and versions, as JSON can hold them.
    subject, task, session, run : str | None
        What the run is called.
    """

    raw: mne.io.BaseRaw
    bold: pd.DataFrame
    t_r: float
    frame_times: np.ndarray
    masker: object
    provenance: dict
    subject: str
    task: str
    session: str | None = None
    run: str | None = None

    @property
    def reader(self) -> Reader:
        """How estimators and `make_windows` read the recording: it marks its frames itself."""
        return Reader(volume_event=FRAME_EVENT)

    @property
    def target_names(self) -> list[str]:
        """Regions of the atlas."""
        return list(self.bold.columns)

    @property
    def name(self) -> str:
        """Name of the run as in its files."""
        return Run(self.subject, self.task, self.session, self.run).name


def read_bids_pair(
    bids_root, subject: str, task: str, run: str | int | None = None, session: str | None = None,
    *, masker, derivatives=None, space: str | None = None, confounds: Any = STRATEGY,
    datatype: str | None = None, t_r: float | None = None,
    slice_time_ref: float | None = None, volume_event: Any = "auto", first_volume: float = 0.0,
    n_dummy: int | None = None, clean=None, sfreq: float | None = None, entities=None,
) -> BidsPair:  # fmt: skip
    """Read simultaneous EEG (or MEG, iEEG) and BOLD of one run.

    Parameters
    ----------
    bids_root : str | Path
        BIDS folder.
    subject, task : str
        Who, and what they did; "01" or "sub-01".
    run, session : str | int | None
        Which run and session, where there are several.
    masker : str | Path | image | tuple | array of shape (n_regions, 3) | nilearn masker
        The atlas: a label image (with a table of names beside it); CIFTI or GIFTI labels or
        FreeSurfer annotations (``.dlabel.nii``, ``.label.gii``, ``.annot``; the other hemisphere
        lies beside the one that is named), for which BOLD on surfaces is read; a name of nilearn's
        (``"schaefer_2018:n_rois=100"``), whose files nilearn must have downloaded before;
        coordinates in mm, of spheres of 8 mm; any nilearn masker of volumes or surfaces, or
        `mne_samba.io.GrayordinatesMasker`; or ``"vertices"``, each of them a region.
    derivatives : str | Path | False | None
        Folder of fMRIPrep's derivatives. None takes ``derivatives/fmriprep`` (or the only folder
        there); False takes BOLD as it was acquired, which has no confounds.
    space : str | None
        Space of the image, where there are several.
    confounds : None | sequence of str | dict | DataFrame
        Strategy or options of `nilearn.interfaces.fmriprep.load_confounds`; None removes nothing.
    datatype : "eeg" | "meg" | "ieeg" | None
        Which recording, where there are several kinds.
    t_r, slice_time_ref : float | None
        Override the sidecars: seconds between volumes, and time within them (0 to 1).
    volume_event : "auto" | str | tuple | array, shape (n_volumes,) | None
        Triggers of volumes, as in `mne_samba.Reader`; "auto" finds those that come every ``t_r``,
        in the table of events or, where it has none, among the markers of the recording's own file.
        None: frames follow ``first_volume``.
    first_volume : float
        Seconds from the first sample to the first volume, without triggers.
    n_dummy : int | None
        Volumes before the first row of BOLD; None takes what sidecars and triggers say.
    clean : None | "gradient" | "pulse" | tuple
        In-scanner artefacts to remove, by MNE's average artefact subtraction and optimal basis
        sets.
    sfreq : float | None
        Resample to this rate in Hz, after cleaning.
    entities : dict | None
        Other entities that choose among files, such as ``{"res": "2"}`` or ``{"echo": "1"}``; None
        as a value stands for the file without that entity.

    Returns
    -------
    pair : BidsPair
        Recording, BOLD, timing, masker and provenance.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says what there is.
    ValueError
        If files contradict each other: repetition times, triggers, volumes, channels. Names the
        file.
    ImportError
        Without mne-bids.

    Notes
    -----
    A drift between the clocks of amplifier and scanner is followed by the frames: see
    ``provenance["timing"]``. Volumes that fMRIPrep calls non-steady states are scrubbed.

    A frame stands for the middle of its acquisition, unless slice timing says otherwise: sparse
    BOLD (``DelayTime``, ``AcquisitionDuration``, ``VolumeTiming``) is acquired in a part of
    ``t_r``. Echoes of one run are one acquisition.

    A recording without a run in its name may hold several runs of BOLD: its triggers then come in
    blocks, one per run, of as many volumes, and the part of this run is cut out, from the end of
    the block before it on. ``acq_time`` of ``scans.tsv`` must not contradict that.

    Examples
    --------
    >>> from mne_samba.io import read_bids_pair
    >>> pair = read_bids_pair("ds", "01", "rest", masker="atlas.nii.gz")  # doctest: +SKIP
    >>> translator = SambaTranslator(t_r=pair.t_r, reader=pair.reader)  # doctest: +SKIP
    >>> translator.fit([pair.raw], [pair.bold])  # doctest: +SKIP
    """
    steps = check_cleaning(clean)
    check_option(datatype, "datatype", (None, "eeg", "meg", "ieeg"))
    if sfreq is not None:
        check_number(sfreq, "sfreq", low=0, low_open=True)
    if n_dummy is not None:
        check_number(n_dummy, "n_dummy", low=0, integer=True)
    check_number(first_volume, "first_volume")
    for name, label in (("subject", subject), ("task", task)):
        if label is None:
            raise TypeError(f"{name} must be given, got None.")
    root = check_folder(bids_root, "bids_root")
    wanted = Run(bare(subject, "sub"), bare(task, "task"), bare(session, "ses"), bare(run, "run"))
    masker = as_masker(masker)
    files = _find(root, wanted, datatype, derivatives, space, masker, check_entities(entities))
    recording = read_recording(root, files.recording, files.datatype)
    recording.raw.info["subject_info"] = {"his_id": f"sub-{files.run.subject}"}
    confounds = None if files.folder is None else confounds
    bold, fitted, used = extract(files.bold, masker, confounds)
    try:
        raw, scan, timing = _scan(
            recording, files, len(bold), t_r=t_r, slice_time_ref=slice_time_ref,
            volume_event=volume_event, first_volume=first_volume, n_dummy=n_dummy,
        )  # fmt: skip
        done = []
        if steps:
            raw, done = clean_raw(raw, steps, scan.triggers)
    except ValueError as error:
        kind = RepetitionTimeError if isinstance(error, RepetitionTimeError) else ValueError
        said = f"{files.recording.name} with {files.bold.name}: {error}"
        if isinstance(error, Interrupted):
            said += (
                f" For that, raw = mne.io.read_raw({str(files.recording)!r}), and BOLD of the scan "
                f"is masker.fit_transform({str(files.bold)!r}) of a nilearn masker."
            )
        raise kind(said) from None
    if sfreq is not None and raw.info["sfreq"] != sfreq:
        raw = raw.load_data(verbose="ERROR").resample(sfreq, verbose="ERROR")
    mark_frames(raw, scan.times)
    provenance = {
        "mne_samba": __version__, "mne": mne.__version__, **files.provenance(),
        "sfreq": float(raw.info["sfreq"]), "timing": timing, "cleaning": done, **used,
    }  # fmt: skip
    bold.attrs |= {"t_r": scan.t_r, "provenance": provenance}
    return BidsPair(raw, bold, scan.t_r, scan.times, fitted, provenance, **asdict(files.run))


def runs_of(root: Path, subject: str, task: str, recording: dict, derivatives) -> list[str | None]:
    """Name the runs of BOLD that one recording holds, of which the entities are given."""
    if "run" in recording:
        return [recording["run"]]
    folder = _derivatives(root, derivatives)
    bold = map(entities_of, bold_files(folder or root, subject, preprocessed=folder is not None))
    wanted = task, recording.get("ses")
    runs = {one.get("run") for one in bold if (one.get("task"), one.get("ses")) == wanted} or {None}
    return [None] if None in runs else sorted(runs, key=lambda run: run.zfill(8))


def _derivatives(root: Path, given) -> Path | None:
    if given is False:
        return None
    if given is not None:
        return check_folder(given, "derivatives")
    usual = root / "derivatives" / "fmriprep"
    if usual.is_dir():
        return usual
    candidates = sorted(root.glob("derivatives/*/sub-*"))
    folders = sorted({path.parent for path in candidates})
    if len(folders) == 1:
        return folders[0]
    raise FileNotFoundError(
        f"No derivatives/fmriprep in {root} "
        f"(there are {[f.name for f in folders][:8]}): pass derivatives, or False (--derivatives "
        "none) to take BOLD as it was acquired."
    )


def _check_chosen(chosen: dict, *paths: Path) -> None:
    """Refuse entities that no file has: they were meant to choose one."""
    for key, value in chosen.items():
        if value is not None and not any(key in entities_of(path) for path in paths):
            raise ValueError(
                f"entities={{{key!r}: {value!r}}}: neither {paths[0].name} nor {paths[1].name} has "
                f'"{key}-" in its name. Leave it out.'
            )


@dataclass(frozen=True)
class _Files:
    """The files of one run."""

    root: Path
    folder: Path | None  # of derivatives; None: BOLD as it was acquired
    recording: Path
    datatype: str
    bold: Path
    run: Run
    entities: dict
    runs: list[Path]  # BOLD of all runs that the recording may hold

    def sidecars(self) -> tuple[dict, dict, dict]:
        """Metadata of BOLD and of its acquisition; and those that there are, by file."""
        prep, files = sidecar_of(self.bold, self.folder or self.root)
        by_file = {files[-1].name: prep} if files else {}
        if self.folder is None:
            return prep, prep, by_file
        acquired, name = acquired_sidecar(self.root, self.run, self.bold, self.entities)
        return prep, acquired, by_file if name is None else by_file | {name: acquired}

    def dates(self, paths: list[Path]) -> list:
        """When scans.tsv says that files were acquired."""
        return dates_of(self.root, self.run, paths)

    def provenance(self) -> dict:
        """Names of the files, and of what they are part of."""
        acquired = self.folder is None
        return {
            "dataset": _dataset(self.root),
            "derivatives": None if acquired else _dataset(self.folder),
            "recording": str(self.recording.relative_to(self.root)),
            "bold": str(self.bold.relative_to(self.root)) if acquired else self.bold.name,
            **asdict(self.run),
        }


def _find(root: Path, wanted: Run, datatype, derivatives, space, masker, entities) -> _Files:
    """Find the recording of a run, and its BOLD in a format that the masker takes."""
    path, datatype = find_ele(root, wanted, datatype, entities)
    found = entities_of(path)
    wanted = replace(wanted, session=found.get("ses"), run=found.get("run", wanted.run))
    folder = _derivatives(root, derivatives)
    of, prepared = folder or root, folder is not None
    bold = find_bold(
        of, wanted, space, endings=endings_of(masker), preprocessed=prepared, entities=entities
    )
    wanted = replace(wanted, run=found.get("run", entities_of(bold).get("run")))
    # An echo may be combined with others in the derivative.
    _check_chosen(entities, path, bold, *bold_files(root, wanted.subject, preprocessed=False))
    runs = [] if "run" in found else runs_beside(of, bold, preprocessed=prepared)
    return _Files(root, folder, path, datatype, bold, wanted, entities, runs)


def _scan(
    recording, files: _Files, n_frames: int, *, t_r, slice_time_ref, volume_event, first_volume,
    n_dummy,
) -> tuple:  # fmt: skip
    """Place the frames of BOLD in the recording: its part, their times, and what tells them."""
    import nibabel as nib

    prep, acquired, sidecars = files.sidecars()
    discarded = sum(
        _count(acquired, name)
        for name in ("NumberOfVolumesDiscardedByScanner", "NumberOfVolumesDiscardedByUser")
    )
    event, runs = volume_event, files.runs
    n_volumes = n_frames + discarded
    t_r_source = repetition_source(t_r, sidecars)
    t_r = repetition_time(
        t_r, sidecars, nib.load(files.bold), files.bold.name,
        fits=lambda value: fits(recording, event, value, n_volumes), followed=event is not None,
    )  # fmt: skip
    reference, source = slice_reference(slice_time_ref, prep, acquired, t_r)
    told = told_start(files.dates([recording.file, files.bold]))
    if event is None:
        check_together(told, recording.raw.times[-1], n_frames * t_r)
        if len(runs) > 1 and runs[0] != files.bold and first_volume == 0:
            raise ValueError(
                f"The recording holds {len(runs)} runs of BOLD, and no trigger says where this one "
                "began: pass first_volume, seconds from its first sample."
            )
    if len(runs) > 1 and event is not None and given_times(event) is None:
        before = {0, discarded} if n_dummy is None else {n_dummy}
        recording, event, found = part_of_run(
            recording, event, t_r, runs, files.bold, before, files.dates(runs)
        )
    else:
        event, found = choose_markers(recording, event, t_r, n_volumes, told)
    scan = scan_of(
        recording.raw, n_frames, t_r, volume_event=event, first_volume=first_volume,
        n_dummy=n_dummy, discarded=discarded, reference=reference,
    )  # fmt: skip
    found |= {} if told is None else {"bold_began_by_scans_tsv": told}
    timing = {
        "t_r": t_r, "t_r_source": t_r_source, "slice_time_ref": reference,
        "slice_time_source": source, **scan.described, **found,
        "first_frame": float(scan.times[0]), "last_frame": float(scan.times[-1]),
    }  # fmt: skip
    return recording.raw, scan, timing


def _count(metadata: dict, name: str) -> int:
    value = metadata.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of volumes, got {value!r}.")
    return value


def _dataset(folder: Path) -> dict:
    path = folder / "dataset_description.json"
    if not path.is_file() and not path.is_symlink():
        return {"name": folder.name}
    content = read_json(path)
    made = content.get("GeneratedBy") or [{}]
    made = made[0] if isinstance(made, list) and isinstance(made[0], dict) else {}
    return {
        "name": str(content.get("Name", folder.name)),
        "doi": content.get("DatasetDOI"),
        "generated_by": " ".join(str(made[k]) for k in ("Name", "Version") if k in made) or None,
    }
