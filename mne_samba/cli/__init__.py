"""Command line: ``python -m mne_samba demo``, ``bids``, ``bench``, ``stream`` and ``sys-info``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ._bids_options import add_bench, add_bids, seed
from ._stream import add_stream

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
    add_bids(commands)
    add_bench(commands)
    add_stream(commands)
    commands.add_parser(
        "sys-info",
        help="print versions and device, for bug reports",
        description="Print the versions of everything that matters and the device that is used.",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    if args.command == "sys-info":
        from ._sys_info import sys_info

        print(sys_info())
        return 0
    if args.command == "stream":
        return args.run(args)
    if args.command in ("bids", "bench"):
        from ._bench import run_bench
        from ._bids import run_bids

        try:
            return run_bids(args) if args.command == "bids" else run_bench(args)
        except KeyboardInterrupt:
            print("mne_samba: interrupted; run again to go on", file=sys.stderr)
            return 130
    try:
        # Before minutes of work, not after it.
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / ".write_test").touch()
        (args.out / ".write_test").unlink()
    except OSError as error:
        print(f"mne_samba: error: cannot write to {args.out}: {error.strerror}", file=sys.stderr)
        return 1
    from ._demo import run_demo

    try:
        run_demo(args.out, seed=args.seed, quick=args.quick, quiet=args.quiet)
    except OSError as error:
        print(f"mne_samba: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mne_samba: interrupted", file=sys.stderr)
        return 130
    return 0
