"""``mne_samba bench``: the same models under honest and under published protocols."""

from pathlib import Path

import matplotlib.pyplot as plt

from ..datasets import load_eeg_fmri_sleep
from ..evaluation import bench
from ..models import CoreModel, SambaModel
from ..reader import Reader
from ..translator import SambaTranslator
from ..viz import plot_inflation
from ..wavelets import Precomputed
from ._bids import Run
from ._session import on_one_thread

_SHIPPED = "eeg_fmri_sleep"


def run_bench(args) -> int:
    """Run the command: 0 on success, 1 where something failed."""
    with on_one_thread("ERROR" if args.quiet else "WARNING"):
        return _bench(args)


def _bench(args) -> int:
    """Score, and write tables and figure."""
    args.out_dir.mkdir(parents=True, exist_ok=True)
    X, y, people, t_r, models, code = (_sleep if args.bids_dir == _SHIPPED else _folder)(args)
    result = bench(
        X, y, people, models=models, protocols=args.protocol, t_r=t_r, window=args.window,
        n_shifts=args.n_shifts, n_jobs=args.n_jobs, random_state=args.seed,
        verbose="ERROR" if args.quiet else "INFO",
    )  # fmt: skip
    result.to_frame().to_csv(args.out_dir / "bench.csv", index=False, float_format="%.4f")
    if "blocked" in result.results_:
        table = result.inflation()
        table.to_csv(args.out_dir / "inflation.csv", index=False, float_format="%.4f")
    fig = plot_inflation(result, show=False)
    fig.savefig(args.out_dir / "inflation.png")
    plt.close(fig)
    if not args.quiet:
        print(f"{result}\n\nTables and figure: {args.out_dir}")
    return code


def _translators(args, t_r: float, reader: Reader, of=lambda name: name) -> dict:
    """Models by name; ``of(name)`` is what a translator gets."""
    return {
        name: SambaTranslator(
            t_r=t_r, model=of(name), reader=reader, random_state=args.seed, verbose="ERROR"
        )
        for name in args.model
    }


def _sleep(args) -> tuple:
    """Load real band power and states of people that ship along."""
    kinds = {"core": CoreModel, "samba": SambaModel}
    if unknown := [name for name in args.model if name not in kinds]:
        raise ValueError(f"{_SHIPPED} is band power, which {unknown[0]} cannot take.")
    data = load_eeg_fmri_sleep()
    bands = Precomputed("log", data.bands)
    reader = Reader(sfreq=data.sfreq, slice_time_ref=data.slice_time_ref)
    models = _translators(args, data.t_r, reader, lambda name: kinds[name](bands=bands))
    return data.power, data.states, data.subjects, data.t_r, models, 0


def _folder(args) -> tuple:
    """Read runs of people in a BIDS folder."""
    if not Path(args.bids_dir).is_dir():
        raise FileNotFoundError(f"DATA is neither a BIDS folder nor {_SHIPPED!r}: {args.bids_dir}")
    if args.task is None or args.atlas is None:
        raise ValueError("A BIDS folder needs --task and --atlas.")
    run = Run(args)
    pairs, people, code = run.pairs_of(run.subjects(), 1)
    t_r = pairs[0].t_r
    models = _translators(args, t_r, pairs[0].reader)
    return [p.raw for p in pairs], [p.bold for p in pairs], people, t_r, models, code
