"""Command line: ``python -m mne_samba demo``, ``bids``, ``bench``, ``stream`` and ``sys-info``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ._bids_options import add_bench, add_bids, seed
from ._session import DEBUG, fail
from ._stream import add_stream, run_stream

__all__ = ["main"]


def _out_folder(text: str) -> Path:
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a file; give a folder.")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mne_samba", description="Translate EEG/MEG into fMRI time courses and back."
    )
    parser.add_argument("--version", action="version", version=f"mne_samba {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="models, scores and a report of real EEG-fMRI and of simulated people",
        description=(
            "Predict real people from models of the others (band power of sleep EEG, states "
            "decoded from fMRI); learn a haemodynamic response on one half of a real calcium and "
            "BOLD recording and predict the other; simulate two people and predict each one's "
            "BOLD from a translator trained on the other. Baselines and nulls stand beside. Writes "
            "report.html, eeg_fmri_sleep.csv, calcium_bold.csv, scores.csv, scores_by_region.csv "
            "and translator.samba. Takes minutes; needs no network."
        ),
    )
    demo.add_argument(
        "--out", type=_out_folder, default=Path("demo_output"), metavar="DIR",
        help="folder for report, tables and model (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument("--seed", type=seed, default=0, help="seed (default: %(default)s)")
    demo.add_argument("--quick", action="store_true", help="small data, for a look in seconds")
    demo.add_argument("--quiet", action="store_true", help="print nothing but errors")
    demo.add_argument("--debug", action="store_true", help=DEBUG)
    add_bids(commands)
    add_bench(commands)
    add_stream(commands)
    commands.add_parser(
        "sys-info",
        help="print versions and device, for bug reports",
        description="Print the versions of everything that matters and the device that is used.",
    )
    return parser


# Each imports what it needs: --help has to be quick.
def _run_demo(args) -> int:
    try:
        # Before minutes of work, not after it.
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / ".write_test").touch()
        (args.out / ".write_test").unlink()
    except OSError as error:
        raise OSError(f"cannot write to {args.out}: {error.strerror}") from None
    from ._demo import run_demo

    run_demo(args.out, seed=args.seed, quick=args.quick, quiet=args.quiet)
    return 0


def _run_bids(args) -> int:
    from ._bids import run_bids

    return run_bids(args)


def _run_bench(args) -> int:
    from ._bench import run_bench

    return run_bench(args)


def _run_sys_info(_args) -> int:
    from ._sys_info import sys_info

    print(sys_info())
    return 0


_COMMANDS = {
    "demo": _run_demo, "bids": _run_bids, "bench": _run_bench, "stream": run_stream,
    "sys-info": _run_sys_info,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    try:
        return _COMMANDS[args.command](args)
    except KeyboardInterrupt:
        more = "; run again to go on" if args.command in ("bids", "bench") else ""
        print(f"mne_samba: interrupted{more}", file=sys.stderr)
        return 130
    except Exception as error:  # one line for users; --debug shows where it came from
        return fail(error, getattr(args, "debug", False))
