"""
From a BIDS folder to a model
=============================

Data: **simulated** people, written as a real BIDS folder: BrainVision EEG with a marker per volume,
NIfTI BOLD, sidecars, and confounds as fMRIPrep writes them. Everything below reads it with mne-bids
and nilearn, as it would read a dataset of yours. Needs ``pip install mne_samba[bids]``.
"""

# %%
# A folder
# --------
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

from mne_samba import SambaTranslator
from mne_samba.datasets import write_bids_tree
from mne_samba.io import harmonize, read_bids_pair
from mne_samba.metrics import detrend

mne.set_log_level("WARNING")
folder = tempfile.TemporaryDirectory()
tree = write_bids_tree(
    Path(folder.name) / "ds", 3, t_r=[2.0, 2.0, 1.5]
)
for path in sorted(tree.root.glob("**/sub-01*run-01*"))[:9]:
    print(path.relative_to(tree.root))

# %%
# One run
# -------
# The recording and BOLD of the same run, on one clock. Repetition time, slice timing and dummy
# scans come from the sidecars, and are held against the scanner's triggers: what does not agree is
# an error that names the file. Motion and its like are regressed out, scrubbed volumes are rows of
# NaN.
pairs = [
    read_bids_pair(tree.root, s, "rest", masker=tree.atlas)
    for s in tree.subjects
]
pair = pairs[0]
print(pair.raw)
print(pair.bold.round(1).iloc[57:64, :3])

# %%
# What was found is kept, also in the files of models.
for name, value in pair.provenance["timing"].items():
    print(f"{name:20} {value}")

# %%
# Other scanners
# --------------
# The third person was scanned every 1.5 s. All come to one rate; annotations mark the time of every
# frame, so that a recording carries its own frame grid wherever it goes.
pairs = harmonize(pairs)
print([(p.name, p.t_r, p.bold.shape) for p in pairs])

# %%
# A model of two people predicts the third
# ----------------------------------------
translator = SambaTranslator(
    t_r=pairs[0].t_r, reader=pairs[0].reader, random_state=0
)
translator.fit(
    [p.raw for p in pairs[:2]], [p.bold for p in pairs[:2]]
)
new = pairs[2]
scores = translator.score_targets([new.raw], [new.bold])
print(
    f"Spearman over time, mean of {len(scores)} regions: "
    f"{scores.mean():.2f}"
)

best = int(np.argmax(scores))
measured = detrend(new.bold.to_numpy(), new.t_r)[:, best]
predicted = translator.predict(new.raw)[:, best]
fig, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
for values, label, color in (
    (measured, "measured", "0.3"),
    (predicted, "predicted", "#D55E00"),
):
    values = (values - np.nanmean(values)) / np.nanstd(values)
    axis.plot(new.frame_times, values, lw=1, color=color, label=label)
axis.set(
    xlabel="time (s)",
    ylabel="BOLD (s.d.)",
    title=f"{pair.target_names[best]}, simulated",
)
axis.legend(frameon=False, ncols=2)
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The same from the command line
# ------------------------------
# Models, predicted BOLD, scores beside ridge regression and a report for every person, then for the
# group. An interrupted run goes on where it stopped.
#
# .. code-block:: console
#
#    $ python -m mne_samba bids ds out participant --task rest \
#        --atlas atlas.nii.gz
#    $ python -m mne_samba bids ds out group --task rest \
#        --atlas atlas.nii.gz
folder.cleanup()
