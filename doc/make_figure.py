"""Draw the figure of the README and the front page: simulated people, left out one at a time.

Run ``python doc/make_figure.py``; it writes ``doc/_static/people_left_out.png`` and prints the
table behind it.
"""

from pathlib import Path

import matplotlib as mpl
import torch

mpl.use("Agg")
torch.set_num_threads(1)

from mne_samba import SambaTranslator, viz  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.evaluation import evaluate  # noqa: E402

OUT = Path(__file__).parent / "_static" / "people_left_out.png"


def main():
    """Evaluate on simulated people and draw."""
    data = simulate_paired(
        5, 600.0, n_sources=16, n_targets=32, level="source", shared_coupling=0.7, snr=1.0,
        random_state=0,
    )  # fmt: skip
    translator = SambaTranslator(t_r=data.t_r, random_state=0)
    result = evaluate(
        translator, data.raws, data.bolds, groups=data.subjects,
        clean=data.truth.clean_bolds,
        target_names=data.target_names, random_state=0,
    )  # fmt: skip
    print(result.summary().round(3).to_string())
    figure = viz.plot_scores(
        result, coords=data.target_coords, show=False,
        title="SIMULATED people, each predicted by models trained on the others",
    )  # fmt: skip
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=150)


if __name__ == "__main__":
    main()
