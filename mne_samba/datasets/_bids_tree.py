"""A small, real BIDS folder of simulated people: what tests and examples read back."""

import json
from collections.abc import Sequence
from pathlib import Path

import mne
import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .._checks import check_number
from ._images import simulate_bold_image
from ._simulate import simulate_paired

CHANNELS = ("Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2")
_SPACE = "MNI152NLin2009cAsym"
_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def write_bids_tree(
    root, n_subjects: int = 3, duration: float = 300.0, *,
    t_r: float | Sequence[float] = 2.0, sfreq: float | Sequence[float] = 100.0, n_runs: int = 1,
    n_targets: int = 6, channels: Sequence = CHANNELS, task: str = "rest",
    session: str | None = None, lead: float = 4.0, n_dummy: int = 2, slice_time: float = 0.5,
    snr: float = 4.0, gradient: float = 0.0, scrubbed: Sequence[int] = (60, 61, 62),
    random_state: int = 0,
) -> Bunch:  # fmt: skip
    """Write simulated people as a BIDS folder with fMRIPrep-style derivatives.

    BrainVision EEG with a marker per volume, NIfTI BOLD, sidecars, confounds and an atlas.

    Parameters
    ----------
    root : str | Path
        Folder to write; made where it does not exist.
    n_subjects : int
        People, ``sub-01`` to ``sub-NN``, who share one coupling of EEG and BOLD.
    duration : float
        Length of a recording, s.
    t_r, sfreq : float | list of float
        Repetition time (s) and sampling rate of the EEG (Hz), for all or one per person.
    n_runs : int
        Runs per person.
    n_targets : int
        Regions of the atlas.
    channels : sequence of str | list of sequences
        EEG channels, names of the 10-20 template, for all or one sequence per person.
    task : str
        Name of the task.
    session : str | None
        Name of the session; None leaves that level out.
    lead : float
        Seconds of EEG before the first volume, at least.
    n_dummy : int
        Volumes that have a marker but were discarded by the scanner.
    slice_time : float
        Time within a volume that BOLD was brought to, 0 to 1 (``StartTime``).
    snr : float
        Variance of clean BOLD over that of the noise.
    gradient : float
        Amplitude in V of an artefact that every volume adds to the EEG, the same each time.
    scrubbed : sequence of int
        Volumes with a large framewise displacement.
    random_state : int
        Seed of the simulation: the same seed, the same files.

    Returns
    -------
    tree : Bunch
        ``root``, ``derivatives``, ``atlas`` (label image), ``coords`` (n_targets, 3),
        ``target_names``, ``subjects`` and by recording, in order of people and runs: ``raws``,
        ``bolds`` (n_frames, n_targets), ``recordings`` (subject, run), ``t_r``, ``frame_times``.

    Raises
    ------
    ImportError
        Without mne-bids and pybv.
    TypeError, ValueError
        If a parameter is out of its range.

    Notes
    -----
    The data are simulated, and ``dataset_description.json`` says so.
    """
    root = Path(root)
    n_subjects = check_number(n_subjects, "n_subjects", low=1, integer=True)
    n_runs = check_number(n_runs, "n_runs", low=1, integer=True)
    n_dummy = check_number(n_dummy, "n_dummy", low=0, integer=True)
    slice_time = check_number(slice_time, "slice_time", low=0, high=1)
    rates = [sfreq] * n_subjects if np.ndim(sfreq) == 0 else list(sfreq)
    t_rs = [t_r] * n_subjects if np.ndim(t_r) == 0 else list(t_r)
    caps = [channels] * n_subjects if isinstance(channels[0], str) else list(channels)
    tree = Bunch(
        root=root, derivatives=root / "derivatives" / "fmriprep", subjects=[], recordings=[],
        raws=[], bolds=[], t_r=[], frame_times=[],
    )  # fmt: skip
    for i in range(n_subjects):
        tree.subjects.append(f"{i + 1:02d}")
        for run in range(1, n_runs + 1):
            data = simulate_paired(
                1, duration, t_r=t_rs[i], sfreq=rates[i], n_sources=8, n_targets=n_targets,
                snr=snr, random_state=random_state + 100 * i + run,
                coupling_random_state=random_state,
            )  # fmt: skip
            # Frame k of the simulation is acquired k * t_r after the first sample.
            first = int(np.ceil((lead + slice_time * t_rs[i]) / t_rs[i]))
            times = t_rs[i] * np.arange(first, len(data.bolds[0]) - 1)
            starts = times - slice_time * t_rs[i]
            raw = data.raws[0].pick(list(caps[i]))
            _add_gradient(raw, starts, t_rs[i], gradient, random_state)
            raw.set_annotations(mne.Annotations(starts, 0.0, "volume"))
            bold = data.bolds[0][first + n_dummy : first + len(times)]
            entities = _entities(tree.subjects[-1], session, task, run)
            _write_eeg(raw, root, tree.subjects[-1], session, task, run)
            image = simulate_bold_image(
                10.0 * bold, data.target_coords, t_rs[i], voxel_size=8.0, baseline=1000.0
            )
            sidecars = {"RepetitionTime": t_rs[i], "TaskName": task}
            raw_sidecar = {**sidecars, "NumberOfVolumesDiscardedByScanner": n_dummy}
            raw_sidecar["SliceTiming"] = np.linspace(0, t_rs[i], 5)[:-1].round(4).tolist()
            _save_image(_func(root, tree.subjects[-1], session), entities, "", image, raw_sidecar)
            prep = _func(tree.derivatives, tree.subjects[-1], session)
            corrected = {"SliceTimingCorrected": True, "StartTime": slice_time * t_rs[i]}
            label = f"_space-{_SPACE}_desc-preproc"
            _save_image(prep, entities, label, image, {**sidecars, **corrected})
            nib.save(image.mask_img, prep / f"{entities}_space-{_SPACE}_desc-brain_mask.nii.gz")
            _write_confounds(prep, entities, len(bold), scrubbed, random_state + i)
            tree.recordings.append((tree.subjects[-1], run))
            tree.raws.append(raw)
            tree.bolds.append(bold)
            tree.t_r.append(t_rs[i])
            tree.frame_times.append(times[n_dummy:])
    tree.target_names, tree.coords = list(data.target_names), data.target_coords
    tree.atlas = _write_atlas(root, image.labels_img, tree.target_names)
    _describe(root, tree.derivatives)
    return tree


def _entities(subject, session, task, run) -> str:
    ses = "" if session is None else f"_ses-{session}"
    return f"sub-{subject}{ses}_task-{task}_run-{run:02d}"


def _func(root: Path, subject, session) -> Path:
    parts = [f"sub-{subject}", *([] if session is None else [f"ses-{session}"]), "func"]
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _add_gradient(raw, starts, t_r, amplitude, seed) -> None:
    if not amplitude:
        return
    sfreq = raw.info["sfreq"]
    length = int(t_r * sfreq)
    shape = np.random.default_rng(seed).standard_normal((len(raw.ch_names), length))
    for start in np.rint(starts * sfreq).astype(int):
        stop = min(start + length, raw.n_times)
        raw._data[:, start:stop] += amplitude * shape[:, : stop - start]


def _write_eeg(raw, root, subject, session, task, run) -> None:
    from mne_bids import BIDSPath, write_raw_bids

    path = BIDSPath(
        root=root, subject=subject, session=session, task=task, run=f"{run:02d}", datatype="eeg"
    )
    raw = raw.copy()
    raw.info["line_freq"] = 50.0
    raw.info["subject_info"] = None
    write_raw_bids(
        raw, path, event_id={"volume": 1}, format="BrainVision", allow_preload=True,
        overwrite=True, verbose="ERROR",
    )  # fmt: skip


def _save_image(folder: Path, entities, label, image, sidecar: dict) -> None:
    nib.save(image.img, folder / f"{entities}{label}_bold.nii.gz")
    _write_json(folder / f"{entities}{label}_bold.json", sidecar)


def _write_confounds(folder, entities, n_frames, scrubbed, seed) -> None:
    rng = np.random.default_rng(seed)
    table = {}
    for name in (*_MOTION, "csf", "white_matter", "global_signal"):
        series = rng.standard_normal(n_frames).cumsum() * 1e-3
        change = np.concatenate([[np.nan], np.diff(series)])
        table |= {
            name: series, f"{name}_derivative1": change, f"{name}_power2": series**2,
            f"{name}_derivative1_power2": change**2,
        }  # fmt: skip
    frames = np.arange(n_frames)
    for k in range(2):
        table[f"cosine{k:02d}"] = np.cos(np.pi * (k + 1) * (frames + 0.5) / n_frames)
    moved = np.full(n_frames, 0.1)
    moved[[frame for frame in scrubbed if frame < n_frames]] = 2.0
    table["framewise_displacement"] = np.where(frames == 0, np.nan, moved)
    table["std_dvars"] = np.where(frames == 0, np.nan, 1.0)
    name = f"{entities}_desc-confounds_timeseries"
    pd.DataFrame(table).to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    _write_json(folder / f"{name}.json", {"csf": {"Description": "simulated"}})


def _write_atlas(root: Path, labels_img, names) -> Path:
    folder = root / "derivatives" / "atlas"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"atlas-spheres_space-{_SPACE}_dseg.nii.gz"
    nib.save(labels_img, path)
    table = pd.DataFrame({"index": np.arange(1, len(names) + 1), "name": names})
    table.to_csv(folder / path.name.replace(".nii.gz", ".tsv"), sep="\t", index=False)
    return path


def _describe(root: Path, derivatives: Path) -> None:
    name = "SIMULATED simultaneous EEG-fMRI (mne_samba)"
    path = root / "dataset_description.json"
    given = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    _write_json(path, {**given, "Name": name, "BIDSVersion": "1.10.0", "DatasetType": "raw"})
    _write_json(
        derivatives / "dataset_description.json",
        {
            "Name": name, "BIDSVersion": "1.10.0", "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "fMRIPrep", "Version": "24.1.0", "Description": "simulated"}],
        },
    )  # fmt: skip


def _write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
