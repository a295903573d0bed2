"""Draw the figures of the front page: the steps of a translation, and people left out.

Run ``python doc/make_figure.py``; it writes ``doc/_static/steps.png`` and
``doc/_static/people_left_out.png``, from simulated people, and prints the table behind the latter.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

mpl.use("Agg")
torch.set_num_threads(1)

import matplotlib.pyplot as plt  # noqa: E402

from mne_samba import SambaTranslator, viz  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.evaluation import evaluate  # noqa: E402

STATIC = Path(__file__).parent / "_static"


def steps():
    """Draw what happens between EEG and BOLD, one small panel per step."""
    data = simulate_paired(
        1, 600.0, n_sources=6, n_targets=5, level="source", snr=8.0, random_state=3
    )
    model = SambaTranslator(t_r=data.t_r, model="core", random_state=0)
    model.fit(data.raws, data.bolds)
    raw, bold, blue = data.raws[0], np.asarray(data.bolds[0]), "#0072B2"
    predicted = model.predict(raw)
    panels = {
        "EEG, MEG, iEEG": "channels, parcels",
        "power of bands": "wavelets",
        "map": "graph attention",
        "responses": "six parameters each",
        "BOLD": "with intervals",
    }
    fig, axes = plt.subplots(1, 5, figsize=(8.6, 2.2), layout="constrained")
    fig.get_layout_engine().set(wspace=0.14)
    n = int(4 * raw.info["sfreq"])
    signals = raw.get_data()[:, -n:]
    for row, signal in enumerate(signals / signals.std()):
        axes[0].plot(signal + 5.0 * row, color="0.25", lw=0.5)
    attention = np.asarray(model.band_attention_)
    axes[1].imshow(attention, cmap="Blues", aspect="auto", vmin=0)
    axes[1].set(xlabel="bands", ylabel="channels")
    weights = np.asarray(model.spatial_map_)
    bound = np.abs(weights).max()
    axes[2].imshow(weights, cmap="RdBu_r", aspect="auto", vmin=-bound, vmax=bound)
    axes[2].set(xlabel="channels", ylabel="regions")
    times = model.hrf_times_
    for response in np.asarray(model.hrf_):
        axes[3].plot(times, response / np.abs(response).max(), lw=1)
    axes[3].axhline(0, color="0.7", lw=0.6)
    axes[3].set(xlabel="s", yticks=[])
    part = slice(120, 200)
    for row in range(3):
        axes[4].plot(bold[part, row] / bold[:, row].std() + 5 * row, color="0.6", lw=0.8)
        axes[4].plot(predicted[part, row] / bold[:, row].std() + 5 * row, color=blue, lw=1.2)
    for number, (panel, (title, below)) in enumerate(zip(axes, panels.items(), strict=True)):
        panel.set_title(f"{title}\n", fontsize=9, fontweight="bold")
        panel.text(0.5, 1.04, below, transform=panel.transAxes, ha="center", fontsize=7.5)
        panel.tick_params(labelsize=6.5)
        panel.xaxis.label.set_size(7)
        panel.yaxis.label.set_size(7)
        if number != 3:
            panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(number in (1, 2))
        if number < 4:
            panel.text(1.15, 1.07, "\u2192", transform=panel.transAxes, ha="center",
                       va="center", fontsize=18, color=blue, clip_on=False)  # fmt: skip
    fig.savefig(STATIC / "steps.png", dpi=180)


def main():
    """Evaluate on simulated people and draw."""
    STATIC.mkdir(exist_ok=True)
    steps()
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
    figure.savefig(STATIC / "people_left_out.png", dpi=150)


if __name__ == "__main__":
    main()
