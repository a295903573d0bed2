"""Do 90 % intervals hold 90 % of measured frames? SIMULATED people, 32 sources to 48 regions.

Run ``python benchmarks/intervals.py --quick`` (one seed) or without (five).
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import SambaTranslator, make_windows  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402


def run(snr: float, seed: int) -> dict:
    """Coverage of one person's last quarter of an hour, trained on the half hour before."""
    data = simulate_paired(1, 2820.0, snr=snr, level="source", random_state=seed)
    epochs, y = make_windows(data.raws[0], data.bolds[0], t_r=2.0)
    onset = epochs.metadata["onset"].to_numpy()
    train, test = np.flatnonzero(onset < 1770.0), np.flatnonzero(onset >= 1890.0)
    translator = SambaTranslator(t_r=2.0, random_state=seed).fit(epochs[train], y[train])
    low, high = translator.predict_interval(epochs[test], coverage=0.9)
    covered = ((y[test] >= low) & (y[test] <= high)).mean(axis=(0, 1))
    return {
        "snr": snr, "seed": seed, "median": np.median(covered), "lowest": covered.min(),
        "highest": covered.max(), "width": (high - low).mean(),
    }  # fmt: skip


def main() -> None:
    """Run, print, write."""
    args = parser(__doc__.splitlines()[0]).parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = range(1 if args.quick else 5)
    table = pd.DataFrame([run(snr, seed) for snr in (1.0, 4.0) for seed in seeds])
    table.to_csv(args.out / "intervals.csv", index=False)
    text = to_markdown(table)
    print(text)
    write_section(
        "intervals", f"Coverage of 90 % intervals ({len(seeds)} seeds, SIMULATED)",
        "`python benchmarks/intervals.py`: share of measured held-out frames inside, over 48 "
        "regions.\n\n" + text,
    )  # fmt: skip


if __name__ == "__main__":
    main()
