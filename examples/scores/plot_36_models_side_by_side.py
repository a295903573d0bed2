"""
Models side by side, and what protocols add
===========================================

Data: **simulated**. The published networks and ridge regression stand beside the default in one
run, scored as each publication does and as a reviewer would.
"""

# %%
# One call
# --------
# `bench` scores every model, two ridges and time alone. NeuroBOLT's network is far smaller here
# than published, and trained for one pass: this page shows how to compare, not who wins. Figures
# of networks that were trained to the end are in :doc:`/peers`.
from mne_samba import NeuroBOLTModel, SambaTranslator, Trainer
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import bench
from mne_samba.viz import plot_inflation

data = simulate_paired(
    5,
    240.0,
    sfreq=100.0,
    n_sources=6,
    n_targets=4,
    level="source",
    snr=2.0,
    random_state=0,
)
small = NeuroBOLTModel(
    depth=1,
    n_embed=50,
    n_heads=2,
    spectrum_depth=1,
    n_spectrum_heads=2,
    window=8,
)
models = {
    "core": SambaTranslator(model="core", random_state=0),
    "neurobolt, small": SambaTranslator(
        model=small,
        trainer=Trainer(lr=1e-3, max_epochs=1),
        random_state=0,
    ),
}
result = bench(
    data.raws,
    data.bolds,
    data.subjects,
    models=models,
    protocols=("blocked", "neurobolt"),
    t_r=data.t_r,
    n_shifts=49,
)
print(result)

# %%
# Strokes are the means of nulls: circular shifts of the same predictions. NeuroBOLT's protocol
# tests the last tenth of a recording, where every score is uncertain, and leaves drift in, which
# time alone may predict.
plot_inflation(
    result, title="Simulated: the same models, two protocols"
)

# %%
# No coupling
# -----------
# The same people, whose BOLD another brain drives: nothing can be predicted. Blocks of time give
# zero; the last tenth may give anything.
data = simulate_paired(
    5,
    240.0,
    sfreq=100.0,
    n_sources=6,
    n_targets=4,
    level="source",
    coupling=False,
    random_state=0,
)
result = bench(
    data.raws,
    data.bolds,
    data.subjects,
    models={"core": models["core"]},
    protocols=("blocked", "neurobolt"),
    t_r=data.t_r,
    n_shifts=49,
)
plot_inflation(
    result, title="Simulated without coupling: all of it is chance"
)

# %%
# The table has intervals, nulls and p. From a shell, with a BIDS folder or the recordings that
# ``python -m mne_samba bench eeg_fmri_sleep`` names, the same table and figure are files.
table = result.to_frame()
print(
    table[["protocol", "model", "r", "null", "p"]]
    .round(2)
    .to_string(index=False)
)
