"""
EEG, MEG and fMRI of one film
=============================

Data: **simulated**. Eight people see the same ten scenes. EEG and MEG are
translated into BOLD of the same regions: one space in which windows of any
two modalities can be compared, and each of them with a model of the film.
"""

# %%
# One film, three instruments
# ---------------------------
# Sources are those of one simulation; EEG and MEG are mixtures of them, each
# with noise of its own. The first three people teach two translators, from
# EEG and from MEG. The other five are unseen.
import itertools

import matplotlib.pyplot as plt
import mne
import numpy as np

from mne_samba import SambaTranslator, make_windows, viz
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import noise_ceiling, rsa

n_scenes, length, window = 10, 60.0, 30.0
film = simulate_paired(
    8,
    n_scenes * length,
    n_sources=16,
    n_targets=24,
    level="source",
    sfreq=100.0,
    n_stimuli=n_scenes,
    stimulus_variance=0.3,
    random_state=0,
)
rng = np.random.default_rng(0)


def instrument(kind, n_channels, volume):
    """Function from sources to a recording of mixed channels."""
    gain = rng.standard_normal((n_channels, 16))
    info = mne.create_info(n_channels, 100.0, kind)

    def record(raw):
        signal = gain @ raw.get_data()
        noise = 0.2 * signal.std() * rng.standard_normal(signal.shape)
        return mne.io.RawArray(
            volume * (signal + noise), info, verbose="error"
        )

    return record


eeg, meg = instrument("eeg", 32, 1.0), instrument("mag", 60, 1e-7)
raws = {"EEG": [eeg(raw) for raw in film.raws]}
raws["MEG"] = [meg(raw) for raw in film.raws]

translators = {}
for name, recordings in raws.items():
    translators[name] = SambaTranslator(
        t_r=film.t_r, model="core", random_state=0, verbose="error"
    ).fit(recordings[:3], film.bolds[:3])

# %%
# Two windows of every scene
# --------------------------
# Scenes come in each person's own order; windows are put into that of the
# film. All of it is of people whom no translator has seen.
collected: dict[str, list] = {"EEG": [], "MEG": [], "fMRI": []}
for person in range(3, 8):
    order = film.stimuli[film.stimuli["recording"] == person]["label"]
    scene = order.str.split("/").str[1].astype(int).to_numpy()
    place = np.argsort(np.repeat(scene, 2), kind="stable")
    for name in ("EEG", "MEG"):
        epochs, bold = make_windows(
            raws[name][person],
            film.bolds[person],
            t_r=film.t_r,
            window=window,
            step=window,
        )
        # The first window of the film has no history.
        first = round(epochs.metadata["onset"].iloc[0] / window)
        frames = np.full((2 * n_scenes, *bold.shape[1:]), np.nan)
        frames[first : first + len(bold)] = translators[name].predict(
            epochs
        )
        collected[name].append(frames[place])
    frames[first : first + len(bold)] = bold
    collected["fMRI"].append(frames[place])
courses = {
    name: np.stack(values) for name, values in collected.items()
}
print("people, windows, frames, regions:", courses["fMRI"].shape)

# %%
# Which window is it?
# -------------------
# Every window of one modality, averaged over two people, looks for its scene
# among all windows of another modality in the other three. By chance one of
# ten is found.


def patterns(name, people):
    """Standardised mean courses, (windows, frames * regions)."""
    mean = np.nanmean(courses[name][people], axis=0)
    mean = mean - mean.mean(axis=(0, 1))
    return (mean / mean.std(axis=(0, 1))).reshape(len(mean), -1)


scene = np.arange(2 * n_scenes) // 2
names = list(courses)
found = np.zeros((3, 3))
splits = list(itertools.combinations(range(5), 2))
for i, j in np.ndindex(found.shape):
    for some in splits:
        others = [person for person in range(5) if person not in some]
        asked, given = (
            patterns(names[i], list(some)),
            patterns(names[j], others),
        )
        similarity = np.corrcoef(asked, given)[
            : len(asked), len(asked) :
        ]
        hit = scene[similarity.argmax(axis=1)] == scene
        found[i, j] += hit.mean() / len(splits)

fig, axes = plt.subplots(figsize=(3.6, 3.2), layout="constrained")
image = axes.imshow(found, cmap="Blues", vmin=0, vmax=1)
for (i, j), value in np.ndenumerate(found):
    axes.text(
        j,
        i,
        f"{value:.2f}",
        ha="center",
        va="center",
        color="w" if value > 0.7 else "k",
    )
axes.set_xticks(range(3), names)
axes.set_yticks(range(3), names)
axes.set(
    xlabel="looked for in (three people)",
    ylabel="window (two people)",
)
axes.set_title("Simulated: share of scenes found", fontsize=10)
plt.show()

# %%
# `retrieval_score` finds the very window among measured BOLD, here of one
# person who was recorded by all three at a time, by the likelihood of its
# frames. Predictions from another modality are BOLD as well, and may be asked
# instead.
windows, measured = {}, {}
for name in raws:
    windows[name], measured[name] = make_windows(
        raws[name][4], film.bolds[4], t_r=film.t_r, window=10.0
    )
asked = {
    ("EEG", "fMRI"): measured["EEG"],
    ("MEG", "fMRI"): measured["MEG"],
    ("EEG", "MEG"): translators["MEG"].predict(windows["MEG"]),
    ("MEG", "EEG"): translators["EEG"].predict(windows["EEG"]),
}
for (name, other), candidates in asked.items():
    result = translators[name].retrieval_score(
        windows[name], candidates, k=(1,)
    )
    print(
        f"{name} -> {other}: {result.top[1]:.2f} (chance "
        f"{result.chance[1]:.2f})"
    )

similarity = np.corrcoef(
    patterns("EEG", [0, 1]), patterns("MEG", [2, 3, 4])
)
viz.plot_retrieval(
    similarity[: 2 * n_scenes, 2 * n_scenes :],
    title="Simulated: windows of EEG and of MEG, different people",
    show=False,
)
plt.show()

# %%
# A model of the film
# -------------------
# The simplest one says that windows of one scene are alike and others are
# not. The band is the noise ceiling: what the best of all models could reach
# in these people, between what other people say about one (its lower end) and
# all of them, this one included (its upper end).
model = np.eye(n_scenes)[scene]
fig, axes = plt.subplots(figsize=(4.6, 3.0), layout="constrained")
for at, name in enumerate(names):
    people = np.nan_to_num(courses[name].mean(axis=2))
    kept = np.isfinite(courses[name]).all(axis=(0, 2, 3))
    people = [person[kept] for person in people]
    fits = [
        rsa(person, model[kept], metric="euclidean")
        for person in people
    ]
    low, high = noise_ceiling(people, metric="euclidean")
    axes.fill_between(
        [at - 0.35, at + 0.35], low, high, color="0.85", lw=0
    )
    axes.plot(
        at + np.linspace(-0.15, 0.15, len(fits)),
        fits,
        "o",
        color="#0072B2",
        ms=5,
        alpha=0.7,
        mew=0,
    )
    axes.plot([at - 0.25, at + 0.25], [np.mean(fits)] * 2, "k", lw=2)
    print(
        f"{name}: model {np.mean(fits):.2f}, ceiling {low:.2f} to "
        f"{high:.2f}"
    )
axes.axhline(0, color="0.7", lw=1, zorder=0)
axes.set_xticks(range(3), names)
axes.set(ylabel="similarity to the model\n(rank correlation)")
axes.set_title(
    "Simulated: a dot per person, noise ceiling in grey", fontsize=10
)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# In this simulation the level of every source differs between scenes for as
# long as they last, so a model of levels per region would come closer to the
# ceiling than one that knows only where scenes begin.
