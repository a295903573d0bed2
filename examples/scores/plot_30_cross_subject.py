"""
Scores across people, with baselines and nulls
==============================================

Data: **simulated**. A score says something beside what it has to beat: tuned ridge regression, the
mean, time alone, recordings shifted against each other, and the ceiling that noise sets.
"""

# %%
# Five people, each left out once
# -------------------------------
# People share most of the coupling here: responses, band weights and sources differ somewhat from
# one to the next.
import matplotlib.pyplot as plt
import pandas as pd

from mne_samba import SambaTranslator, viz
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate

data = simulate_paired(
    5,
    400.0,
    n_sources=8,
    n_targets=12,
    level="source",
    shared_coupling=0.7,
    snr=1.0,
    random_state=1,
)
translator = SambaTranslator(
    t_r=data.t_r, model="core", random_state=0
)
result = evaluate(
    translator,
    data.raws,
    data.bolds,
    groups=data.subjects,
    clean=data.truth.clean_bolds,
    target_names=data.target_names,
    random_state=0,
)

# %%
# The table
# ---------
# The first sentence says what may be claimed. ``mean`` is the correlation over time, averaged over
# regions and people, with its 95 % interval over people; ``p`` compares it with circular shifts;
# ``above`` is how far the translator lies above each row, paired over people.
# ``null: shuffled_pairing`` is the model trained on BOLD of other recordings.
result

# %%
# Every region
# ------------
# One dot per region. Light grey is where circular shifts put the central 90 % of single regions,
# dark grey that of their mean: what lies right of it has p < .05.
viz.plot_scores(
    result,
    coords=data.target_coords,
    title="Simulated: people left out",
    show=False,
)
plt.show()

# %%
# The null
# --------
# Both series are slow, so correlations by chance are wide: a correlation of 0.1 in one region
# means nothing by itself.
viz.plot_null(
    result, title="Simulated: mean over regions", show=False
)
plt.show()

# %%
# p values are corrected over regions, by the maximum statistic and by the false discovery rate.
p_values = result.p_values_
p_values[p_values["model"] == "SambaTranslator"].head(6)

# %%
# Is it better than ridge?
# ------------------------
# A paired comparison over people, not over regions or frames, which are not independent. Ridge
# regression takes linear or log power, whichever predicts held-out training blocks better.
pd.Series(
    result.compare("SambaTranslator", "ridge_fir"),
    name="translator - ridge, FIR",
)

# %%
# Out-of-fold predictions
# -----------------------
viz.plot_prediction(
    result,
    models=["SambaTranslator", "ridge_fir"],
    title="Simulated: left-out person",
    show=False,
)
plt.show()

# %%
# :func:`mne_samba.report.add_to_report` puts all of this into an ``mne.Report``;
# :doc:`/evaluation` says why each part is there.
