"""
Saving, sharing, adapting
=========================

Data: **simulated**. A fitted translator becomes one file without code in it, predicts elsewhere,
puts its predictions back into brain images, and adapts to a new person.
"""

# %%
# Fit and save
# ------------
# The file holds settings as JSON and numbers as safetensors. It runs nothing when it is read, so it
# can be taken from others.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from nilearn import plotting
from nilearn.maskers import NiftiLabelsMasker

from mne_samba import SambaTranslator, read_samba
from mne_samba.datasets import simulate_bold_image, simulate_paired
from mne_samba.report import add_to_report

data = simulate_paired(
    3,
    400.0,
    n_sources=10,
    n_targets=16,
    level="source",
    snr=2.0,
    shared_coupling=0.6,
    random_state=0,
)
bolds = [
    pd.DataFrame(bold, columns=data.target_names)
    for bold in data.bolds
]
translator = SambaTranslator(
    t_r=data.t_r, model="core", random_state=0
)
translator.fit(data.raws[:2], bolds[:2])

folder = Path(tempfile.mkdtemp())
translator.save(folder / "rest.samba")
print(f"{(folder / 'rest.samba').stat().st_size / 1024:.0f} KiB")

# %%
# Read
# ----
shared = read_samba(folder / "rest.samba")
same = np.array_equal(
    shared.predict(data.raws[2]), translator.predict(data.raws[2])
)
print("Predicts the same, to the last bit:", same)

# %%
# A card that says how well it predicts
# -------------------------------------
# Whoever takes the file should see its score, how it was split, and what a ridge regression scores.
# The card goes with the file to a hub (``translator.push_to_hub("owner/name", card)``,
# ``SambaTranslator.from_hub``): :doc:`/sharing`.
from mne_samba import make_model_card
from mne_samba.evaluation import evaluate

result = evaluate(
    SambaTranslator(t_r=data.t_r, model="core", random_state=0),
    data.raws[:2],
    bolds[:2],
    n_shifts=99,
)
card = make_model_card(
    translator,
    result,
    licence="cc-by-4.0",
    data="SIMULATED rest, two people of 400 s",
)
print("\n".join(line[:88] for line in card.splitlines()))

# %%
# Predictions as images
# ---------------------
# The masker that made the training BOLD turns predictions back into volumes.
image = simulate_bold_image(
    data.bolds[0], data.target_coords, data.t_r
)
masker = NiftiLabelsMasker(image.labels_img, standardize=None).fit()
volumes = shared.predict_image(data.raws[2], masker)
print("image:", volumes.shape)
display = plotting.plot_glass_brain(
    volumes.slicer[..., 60],
    plot_abs=False,
    cmap="RdBu_r",
    colorbar=True,
    symmetric_cbar=True,
    threshold=1e-6,
    title="Simulated: predicted BOLD at 120 s (a.u.)",
)
plt.show()

# %%
# Adapt to a new person
# ---------------------
# ``warm_start=True`` starts from the fitted model, for a person with little data. A few minutes of
# the third person adapt it; the last minutes, 30 s later, score it.
t_r, sfreq = data.t_r, data.sfreq
cut, gap = 150.0, 60.0
start = (
    data.raws[2].copy().crop(0, cut, include_tmax=False),
    bolds[2].iloc[: int(cut / t_r)],
)
end = (
    data.raws[2].copy().crop(cut + gap - 30.0),
    bolds[2].iloc[int((cut + gap - 30.0) / t_r) :],
)
adapted = read_samba(folder / "rest.samba").set_params(
    warm_start=True
)
adapted.fit([start[0]], [start[1]])
alone = SambaTranslator(t_r=t_r, model="core", random_state=0).fit(
    [start[0]], [start[1]]
)
for name, model in (
    ("two other people", shared),
    ("minutes of this person", alone),
    ("both", adapted),
):
    print(
        f"trained on {name:28s} {model.score([end[0]], [end[1]]):.2f}"
    )

# %%
# A report for others
# -------------------
report = mne.Report(title="Simulated people", verbose="ERROR")
with mne.use_log_level("ERROR"):
    add_to_report(
        report,
        translator,
        coords=data.target_coords,
        note="SIMULATED data",
    )
    report.save(folder / "report.html", open_browser=False)
print(
    "report.html: "
    f"{(folder / 'report.html').stat().st_size / 2**20:.1f} MiB"
)
