"""
How leaks inflate scores
========================

Data: **real BOLD spectra, random signals**. Targets have the spectra and correlations of real
resting BOLD, with random phases; features are random too. *Nothing can be predicted.* Habits of the
field find a high score all the same.
"""

# %%
# Noise to predict
# ----------------
# Phases are drawn anew and the same for all regions, so that everything but the pairing stays.
import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lfilter
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from mne_samba.datasets import load_bold_rest
from mne_samba.metrics import detrend, spearman

rest = load_bold_rest()
real = rest.bold.to_numpy()
level = np.random.default_rng(0).normal(
    0, 3 * real.std(), real.shape[1]
)


def draw(seed):
    """Return noise features and noise BOLD, unrelated."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(real, axis=0)
    phases = rng.uniform(0, 2 * np.pi, (len(spectrum), 1))
    phases[0] = 0
    bold = (
        np.fft.irfft(
            spectrum * np.exp(1j * phases), len(real), axis=0
        )
        + level
    )
    # Band power seen through a response is slow: so are these.
    slow = lfilter(
        [1],
        [1, -0.95],
        rng.standard_normal((len(real) + 200, 40)),
        axis=0,
    )[200:]
    return slow / slow.std(axis=0), bold


# %%
# Four ways to score it
# ---------------------
# The same ridge regression on the same noise. *Interleaved* takes every other frame for testing: a
# frame resembles its neighbours, so the answer leaks. *Pooled* correlates all regions and frames at
# once: regions differ in level, and a map of means alone correlates.
gap = round(30 / rest.t_r)


def interleaved(n):
    """Yield every other frame as the test set."""
    for half in (0, 1):
        test = np.arange(half, n, 2)
        yield np.setdiff1d(np.arange(n), test), test


def blocked(n):
    """Yield contiguous test blocks, 30 s from training frames."""
    for _, test in KFold(5).split(np.arange(n)):
        train = np.r_[
            0 : max(test[0] - gap, 0), min(test[-1] + gap + 1, n) : n
        ]
        yield train, test


def predict(X, y, folds):
    """Predict every test frame from its training frames."""
    out = np.empty_like(y)
    for train, test in folds(len(y)):
        out[test] = (
            Ridge(1.0).fit(X[train], y[train]).predict(X[test])
        )
    return out


rows: dict[str, list[float]] = {
    "interleaved, pooled": [],
    "interleaved": [],
    "shuffled": [],
    "blocked, 30 s gap": [],
}
for seed in range(20):
    X, y = draw(seed)
    leaky, honest = predict(X, y, interleaved), predict(X, y, blocked)
    random = list(KFold(5, shuffle=True, random_state=seed).split(y))
    shuffled = predict(X, y, lambda n, random=random: random)
    rows["interleaved, pooled"].append(
        spearman(y.ravel(), leaky.ravel())[0]
    )
    for name, found in (
        ("interleaved", leaky),
        ("shuffled", shuffled),
        ("blocked, 30 s gap", honest),
    ):
        rows[name].append(
            spearman(
                detrend(y, rest.t_r), detrend(found, rest.t_r)
            ).mean()
        )
for name, values in rows.items():
    print(f"{name:22s} {np.mean(values):6.3f}   (truth: 0)")

# %%
fig, axes = plt.subplots(figsize=(6, 3), layout="constrained")
colors = ["#D55E00", "#E69F00", "#E69F00", "#0072B2"]
jitter = np.random.default_rng(0).uniform(-0.12, 0.12, 20)
for place, ((_, values), color) in enumerate(
    zip(rows.items(), colors, strict=True)
):
    axes.plot(
        place + jitter,
        values,
        "o",
        ms=4,
        alpha=0.6,
        mew=0,
        color=color,
    )
    axes.plot(
        [place - 0.25, place + 0.25],
        [np.mean(values)] * 2,
        color="k",
        lw=2,
    )
axes.axhline(0, color="0.6", lw=0.8, zorder=0)
axes.set_xticks(
    range(4), [name.replace(", ", ",\n") for name in rows]
)
axes.set(
    ylabel="Spearman correlation",
    title="Simulated noise is predicted: one dot per draw",
)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# evaluate() warns
# ----------------
# The package's own evaluation names a split that leaks, and still scores it if you insist.
import warnings

from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import LeakageWarning, evaluate
from mne_samba.windows import make_windows

data = simulate_paired(
    1,
    400.0,
    n_sources=4,
    n_targets=6,
    level="source",
    coupling=False,
    random_state=0,
)
epochs, y = make_windows(
    data.raws[0], data.bolds[0], t_r=data.t_r, window=20.0
)
model = BandPowerRidge(t_r=data.t_r)
odd = np.arange(len(epochs)) % 2 == 1
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", LeakageWarning)
    evaluate(
        model,
        epochs,
        y,
        cv=[(np.flatnonzero(odd), np.flatnonzero(~odd))],
        baselines=(),
        nulls=(),
    )
print(caught[0].message)

# %%
# Without ``cv``, windows of one person are split in blocks with a gap. Where there are several
# people one of them is left out, and one recording where nothing says whose it is: see
# :doc:`/evaluation`.
