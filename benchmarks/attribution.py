"""Do attributions find the true sources? SIMULATED people, 60 minutes, SNR 4.

A target counts as found where the node and band that truly drive it most are in the top decile of
its attributions (summed over lags). Plain gradients and a network with shuffled weights stand
beside.

Run ``python benchmarks/attribution.py --quick`` (one seed) or without (five).
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import (  # noqa: E402
    SambaModel,
    SambaTranslator,
    Trainer,
)
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.evaluation import attribute  # noqa: E402


def found(attribution, truth, targets=None) -> tuple[float, float]:
    """Share of targets whose strongest true pair is in the top decile; the decile's precision."""
    size = np.abs(attribution.sum(axis=-1))
    true = np.abs(truth.spatial_map[:, :, None] * truth.band_weights)
    true = true if targets is None else true[list(targets)]
    n_top = true[0].size // 10
    hits, precision = [], []
    for estimate, target in zip(size, true, strict=True):
        top = np.argsort(-estimate.ravel())[:n_top]
        hits.append(target.ravel().argmax() in top)
        precision.append((target.ravel()[top] > 0).mean())
    return float(np.mean(hits)), float(np.mean(precision))


def run(seed: int) -> list[dict]:
    """Rows of one person."""
    data = simulate_paired(1, 3600.0, snr=4.0, level="source", random_state=seed)
    rows = []
    # With corrections every target costs a pass through graph attention and recurrence.
    for corrections, targets in (("auto", None), ("always", range(0, 48, 6))):
        translator = SambaTranslator(
            t_r=2.0,
            model=SambaModel(corrections=corrections),
            trainer=Trainer(max_epochs=5),
            random_state=seed,
        ).fit(data.raws, data.bolds)
        for name, options in (
            ("SmoothGrad", {}),
            ("plain gradient", {"method": "gradient"}),
            ("SmoothGrad, shuffled weights", {"randomise": True}),
        ):
            attribution = attribute(
                translator, data.raws, targets=targets, n_windows=2, n_samples=8, **options
            )
            hits, precision = found(attribution, data.truth, targets)
            rows.append(
                {
                    "corrections": corrections, "attribution": name, "seed": seed,
                    "found": hits, "precision": precision,
                }
            )  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Run, print, write."""
    args = parser(__doc__.splitlines()[0]).parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([row for seed in range(1 if args.quick else 5) for row in run(seed)])
    table.to_csv(args.out / "attribution.csv", index=False)
    mean = table.groupby(["corrections", "attribution"], sort=False)[["found", "precision"]].mean()
    mean["lowest found"] = table.groupby(["corrections", "attribution"], sort=False)["found"].min()
    text = to_markdown(mean.reset_index())
    print(text)
    n = table.seed.nunique()
    write_section(
        "attribution", f"Attributions ({n} {'seed' if n == 1 else 'seeds'}, SIMULATED)",
        "`python benchmarks/attribution.py`: share of targets whose strongest true node and band "
        "is in the top decile, and share of true pairs in that decile.\n\n" + text,
    )  # fmt: skip


if __name__ == "__main__":
    main()
