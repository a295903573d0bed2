"""Arguments of ``mne_samba bids``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ._session import DEBUG

# Options that do not change what is computed.
_NOT_RESULTS = ("command", "bids_dir", "out_dir", "level", "participant_label", "quiet", "debug",
                "overwrite", "n_jobs")  # fmt: skip


def number(kind: type, above: float, below: float, what: str) -> Callable:
    """Type of an argument that is a number between two others."""

    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = above
        if not above < value < below:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}.")
        return value

    return read


def _entity(text: str) -> list:
    """Read an entity and its label, as JSON holds them; no label is None."""
    from ..io._bids_files import check_entities  # not where --help is all that is asked

    key, equals, label = text.partition("=")
    try:
        if not equals:
            raise ValueError(f"{text!r} is not KEY=LABEL, such as res=2.")
        check_entities({key: label or None})
        return [key, label or None]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


seed = number(int, -1, 2**32, "an integer from 0 to 2**32 - 1")
_positive = number(float, 0, float("inf"), "a positive number")
_count = number(int, 1, float("inf"), "a whole number of at least 2")


def add_bids(commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bids",
        help="models, scores and reports of a BIDS dataset with simultaneous EEG-fMRI",
        description=(
            "Fit and score translators on a BIDS dataset with simultaneous EEG (or MEG, iEEG) and "
            "fMRI that fMRIPrep has preprocessed. 'participant' scores one translator per person "
            "on blocks of time, 'group' predicts each person from the others, and tests "
            "over people: models of the others and, where 'participant' ran before, their own. "
            "People that are done are not computed again: an interrupted run goes on where it "
            "stopped."
        ),
        epilog=(
            "Exit codes: 0 done, 1 some people failed or files cannot be read or written (one line "
            "each on stderr), 2 wrong arguments, 130 interrupted."
        ),
    )
    parser.add_argument("bids_dir", type=Path, help="BIDS folder")
    parser.add_argument("out_dir", type=Path, help="folder for results, a BIDS derivative")
    parser.add_argument("level", choices=("participant", "group"), help="what to analyse")
    add_reading(parser, required=True)
    parser.add_argument(
        "--direction", choices=("ele_to_hemo", "hemo_to_ele", "both"), default="ele_to_hemo",
        help="what to translate into what (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--folds", type=_count,
        help="blocks of time (default: 5, fewer where runs are short), or of people (default: one "
        "person each)",
    )  # fmt: skip
    parser.add_argument(
        "--group-by", metavar="COLUMN",
        help="column of participants.tsv with two groups, between which 'group' compares the "
        "responses of people's own models",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=_positive, help="seconds (default: 60, less where runs are short)"
    )
    parser.add_argument(
        "--corrections", choices=("auto", "always", "never"), default="auto",
        help="graph attention and recurrence (default: %(default)s)",
    )  # fmt: skip
    add_running(parser)
    parser.add_argument("--overwrite", action="store_true", help="compute again what is there")
    parser.add_argument("--no-report", action="store_true", help="no HTML reports, which take time")


def add_reading(parser, required: bool) -> None:
    """Add what is read of a BIDS folder, and how."""
    parser.add_argument("--task", required=required, help="name of the task")
    parser.add_argument(
        "--atlas", required=required, metavar="ATLAS",
        help="label image (names in a .tsv beside it); on surfaces .dlabel.nii, .label.gii or "
        ".annot (the other hemisphere lies beside it) or the word vertices; or one of nilearn's "
        "by name, such as schaefer_2018:n_rois=100, where nilearn has downloaded it before",
    )  # fmt: skip
    parser.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        metavar="LABEL",
        help="people; default: all",
    )
    parser.add_argument("--session", help="session; default: all")
    parser.add_argument(
        "--derivatives", metavar="DIR", type=lambda text: False if text == "none" else text,
        help="folder of fMRIPrep's outputs (default: derivatives/fmriprep), or none: BOLD as it "
        "was acquired, without confounds",
    )  # fmt: skip
    parser.add_argument("--space", help="space of BOLD, such as fsaverage5 or fsLR")
    parser.add_argument(
        "--entities", nargs="+", type=_entity, default=[], metavar="KEY=LABEL",
        help="other entities that choose among files, such as res=2 or echo=1; res= takes the file "
        "without one",
    )  # fmt: skip
    parser.add_argument("--datatype", choices=("eeg", "meg", "ieeg"), help="kind of recording")
    parser.add_argument(
        "--confounds", nargs="*", default=["motion", "high_pass", "wm_csf", "scrub"],
        metavar="NAME", help="strategy of nilearn's load_confounds, nothing to remove none "
        "(default: %(default)s)",
    )  # fmt: skip
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--volume-event", default="auto", help="name of the volume triggers (default: found)"
    )
    start.add_argument(
        "--first-volume", type=number(float, float("-inf"), float("inf"), "a number"),
        metavar="SECONDS",
        help="where no trigger marks volumes: seconds from the first sample of every recording to "
        "its first volume",
    )  # fmt: skip
    parser.add_argument("--n-dummy", type=int, help="volumes before BOLD begins (default: sidecar)")
    parser.add_argument(
        "--t-r", type=_positive,
        help="seconds between frames of the model; also the repetition time of BOLD where its "
        "files contradict each other",
    )  # fmt: skip
    parser.add_argument("--sfreq", type=_positive, help="resample recordings to this rate (Hz)")
    parser.add_argument(
        "--clean", nargs="*", choices=("gradient", "pulse"), default=[],
        help="in-scanner artefacts to remove with MNE",
    )  # fmt: skip
    parser.add_argument(
        "--channels", choices=("match", "infer", "interpolate", "error"), default="match",
        help="where people differ in their channels: keep what all share; the same, and infer what "
        "later ones lack; fill EEG by splines; refuse them (default: %(default)s)",
    )  # fmt: skip


def add_running(parser) -> None:
    """Add how much is computed, and what is said."""
    parser.add_argument(
        "--n-shifts", type=_count, default=199, help="shifts of the null (default: %(default)s)"
    )
    parser.add_argument("--n-jobs", type=int, default=1,
                        help="fits at a time (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=seed, default=0, help="seed (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--debug", action="store_true", help=DEBUG)


def add_bench(commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bench",
        help="the same models under honest and published protocols, and what the latter add",
        description=(
            "Score models, ridges and time alone on the same data under several protocols. Writes "
            "bench.csv (scores, nulls, p values), inflation.csv (what each protocol adds to "
            "contiguous blocks) and inflation.png."
        ),
    )
    parser.add_argument(
        "bids_dir", metavar="DATA",
        help="BIDS folder, which needs --task and --atlas, or eeg_fmri_sleep: a real recording of "
        "15 people that ships along",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", nargs="+", metavar="NAME",
        choices=("blocked", "people", "neurobolt", "interleaved"),
        help="blocked, people, neurobolt, interleaved (default: the first three)",
    )  # fmt: skip
    parser.add_argument(
        "--model", nargs="+", metavar="NAME", default=["core"],
        choices=("core", "samba", "paper", "neurobolt"),
        help="core, samba, paper, neurobolt (default: core); of band power core and samba alone",
    )  # fmt: skip
    parser.add_argument(
        "--out", dest="out_dir", type=Path, default=Path("bench_output"), metavar="DIR",
        help="folder for tables and figure (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--window", type=_positive, help="seconds (default: ten frames)")
    add_reading(parser, required=False)
    add_running(parser)


def result_options(args) -> dict:
    """Options that results depend on, as JSON holds them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in sorted(vars(args).items())
        if name not in _NOT_RESULTS
    }
