"""
Unmix channels before power is taken
====================================

Every sensor sees a mixture of sources, and power of a mixture cannot be unmixed afterwards.
``Unmixing`` undoes the mixing first, from the recording alone.

Data: **simulated** (`mne_samba.datasets.simulate_paired`): 32 sources of real regions seen by 64
channels through MNE's template head, so that the truth is known.
"""

# %%
# Sources that wax and wane
# -------------------------
# Covariances of frequency bands in pieces of ten seconds are diagonal in one basis alone, that of
# the sources. No head model, no BOLD and no labels are needed; the number of components follows
# from the sensors' own noise.
import numpy as np
import pandas as pd

from mne_samba import CoreModel, SambaTranslator, Unmixing, viz
from mne_samba.datasets import simulate_paired
from mne_samba.metrics import pearson

data = simulate_paired(
    1, 600.0, n_targets=12, sfreq=100.0, random_state=8
)
raw, bold, n_train = data.raws[0], data.bolds[0], 210
train = raw.copy().crop(0, n_train * data.t_r, include_tmax=False)
unmixing = Unmixing().fit(train)
print(
    f"{len(unmixing.component_names_)} components of "
    f"{len(raw.ch_names)} channels"
)

# %%
# Patterns are topographies. Each is nearly that of one source.
viz.plot_components(unmixing, components=range(10))

# %%
gain = data.truth.gain / np.linalg.norm(data.truth.gain, axis=0)
patterns = unmixing.patterns_ / np.linalg.norm(
    unmixing.patterns_, axis=0
)
match = np.abs(patterns.T @ gain).max(axis=1)
print(
    "Cosine of a pattern with the nearest true topography: "
    f"{np.median(match):.2f}"
)

# %%
# Inside a model
# --------------
# Models do this by themselves, with ``unmix="auto"``: channels as they are and components are
# compared on held-out frames of the training data. Here both are asked for, and judged on frames
# that neither has seen.
for unmix in (None, "auto"):
    model = CoreModel(unmix=unmix, power="linear", target_bands=False)
    translator = SambaTranslator(
        t_r=data.t_r, model=model, random_state=0
    )
    translator.fit(train, bold[:n_train])
    clean, frames = data.truth.clean_bolds[0], translator.predict(raw)
    r = pearson(clean[n_train + 15 :], frames[n_train + 15 :]).mean()
    print(
        f"unmix={unmix!r}: correlation with held-out clean BOLD "
        f"{r:.2f}"
    )

# %%
# Held-out correlation of each filter, by which "auto" chose:
pd.Series(
    translator.unmixing_.scores, name="held-out correlation"
).round(2)

# %%
# What the model publishes is then about components; a channel shows the mean of components by their
# share in its power.
viz.plot_patterns(translator)

# %%
# Where it ends
# -------------
# Sources that are more than sensors, that lie under the sensors' noise, whose power is steady, or
# that always wax and wane together, stay mixed: see ``benchmarks/sensors.py`` for how much each of
# these costs.
