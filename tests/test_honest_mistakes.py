"""What people pass by mistake, and what they are told: in their own terms, before any fit."""

import mne
import numpy as np
import pandas as pd
import pytest
from assemble import assemble
from sklearn.linear_model import Ridge

from mne_samba import LearnableHRF, Reader, SambaTranslator, WaveletBandAttention, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate
from mne_samba.io import harmonize, read_bids_pair
from mne_samba.windows import pair_by_stimulus

RIDGE = BandPowerRidge(t_r=2.0)


@pytest.fixture(scope="module")
def world(people):
    raws = [raw.copy().crop(0, 160) for raw in people.raws[:2]]
    bolds = [bold[:80] for bold in people.bolds[:2]]
    return {"raws": raws, "bolds": bolds, "arrays": [raw.get_data() for raw in raws]}


def generator(values):
    return (value for value in values)


def changed(bolds, change):
    return [change(bold) for bold in bolds]


FIT = {
    "generator of recordings": (
        {}, lambda w: generator(w["raws"]), None, TypeError, r"^X is a generator.*pass list\(X\)"),
    "generator of BOLD": (
        {}, None, lambda w: generator(w["bolds"]), TypeError, r"^y is a generator.*pass list\(y\)"),
    "tables as recordings": (
        {"reader__sfreq": 100.0}, lambda w: [pd.DataFrame(a) for a in w["arrays"]], None,
        ValueError, r"^X\[0\] has shape .*transpose it"),
    "two regions of one name": (
        {}, None, lambda w: changed(w["bolds"], lambda b: pd.DataFrame(b[:, :3], columns=[*"aab"])),
        ValueError, r"^Region names must differ, got \['a'\] more than once"),
    "one frame with history": (
        {}, None, lambda w: changed(w["bolds"], lambda b: b[:16]), ValueError,
        "one measured frame only that has a whole history"),
    "BOLD beyond all measure": (
        {}, None, lambda w: changed(w["bolds"], lambda b: 1e200 * b), ValueError,
        r"^y\[0\] holds values beyond 1e\+100"),
    "signal below all measure": (
        {"reader__sfreq": 100.0}, lambda w: [1e-150 * a for a in w["arrays"]], None, ValueError,
        r"^X\[0\] has flat channels"),
    "channels that do not exist": (
        {"reader__picks": [0, 99]}, None, None, ValueError, r"^picks=\[0, 99\] cannot be read"),
    "half a channel": (
        {"reader__picks": [0.5]}, None, None, TypeError, r"^picks=\[0.5\] cannot be read"),
    "a channel twice": ({"reader__picks": [0, 0]}, None, None, ValueError, "names a channel twice"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The 16 frames of BOLD last 32 s")
@pytest.mark.parametrize("estimator", [SambaTranslator, BandPowerRidge])
@pytest.mark.parametrize("name", FIT)
def test_fitting(world, estimator, name):
    options, X, y, error, said = FIT[name]
    X = world["raws"] if X is None else X(world)
    y = world["bolds"] if y is None else y(world)
    with pytest.raises(error, match=f"(?s){said}"):
        estimator(t_r=2.0).set_params(**options).fit(X, y)


@pytest.mark.parametrize("alphas", ["auto", [], [1.0, np.nan], [np.inf], 1.0, generator([1.0])])
def test_penalties(world, alphas):
    with pytest.raises(ValueError, match=r"^alphas must be a sequence of positive numbers"):
        BandPowerRidge(t_r=2.0, alphas=alphas).fit(world["raws"], world["bolds"])
    with pytest.raises(ValueError, match=r"^alpha_per_target must be one of"):
        BandPowerRidge(t_r=2.0, alpha_per_target="no").fit(world["raws"], world["bolds"])


def test_one_recording_outside_its_list(world):
    ridge = BandPowerRidge(t_r=2.0, reader=Reader(sfreq=100.0)).fit(world["arrays"], world["bolds"])
    with pytest.raises(ValueError, match=r"One recording as an array .* goes into a list"):
        ridge.predict(world["arrays"][0])


EVALUATE = {
    "a class": ({"translator": BandPowerRidge}, TypeError, "^translator must be an estimator"),
    "a name": ({"translator": "ridge"}, TypeError, "^translator must be an estimator"),
    "generator": ({"X": generator([1, 2])}, TypeError, "^X is a generator"),
    "no targets": ({"y": None}, TypeError, "^y must hold samples, got None"),
    "groups as text": ({"groups": "ab"}, ValueError, "^groups must be a list"),
    "groups with NaN": ({"groups": [np.nan, 1.0]}, ValueError, "^groups must name the person"),
    "groups with None": ({"groups": [None, "a"]}, ValueError, "^groups must name the person"),
    "rows that do not exist": ({"cv": [([0], [5])]}, ValueError, "there are 2 samples"),
    "a baseline's class": ({"baselines": {"a": Ridge}}, TypeError, "^Baseline 'a' must be an est"),
    "a baseline without a name": ({"baselines": [Ridge()]}, TypeError, "mappings of names"),
    "no baselines": ({"baselines": None}, TypeError, "^baselines must be a sequence, empty for n"),
    "no nulls": ({"nulls": None}, TypeError, "^nulls must be a sequence, empty for none"),
    "no metrics": ({"metrics": None}, TypeError, "^metrics must be a sequence"),
    "a metric's name": ({"metrics": {"a": "r2"}}, TypeError, "^metrics must map names to func"),
    "another t_r": ({"t_r": 1.0}, ValueError, "^t_r=1.0 contradicts the translator's t_r=2.0"),
    "context": ({"context": -1}, ValueError, "^context must be at least 0"),
    "shift": ({"min_shift": np.nan}, ValueError, "^min_shift must be finite"),
    "jobs": ({"n_jobs": "two"}, TypeError, "^n_jobs must be an integer"),
    "no jobs": ({"n_jobs": 0}, ValueError, "^n_jobs must be 1 or more"),
    "seed": ({"random_state": -1}, ValueError, "^random_state must be at least 0"),
    "cache": ({"cache": 3}, TypeError, "^cache must be a folder, got 3"),
    "cache in a file": ({"cache": __file__}, ValueError, "^cache must be .* is a file"),
    "confounds as text": (
        {"confounds": [np.full((80, 2), "a")] * 2}, TypeError, "^confounds must hold numbers"),
    "confounds without numbers": (
        {"confounds": [np.full((80, 2), np.nan)] * 2}, ValueError, "NaN throughout a sample"),
    "endless confounds": (
        {"confounds": [np.full((80, 2), np.inf)] * 2}, ValueError, "^confounds contains infinite"),
    "other confounds": (
        {"confounds": [np.ones((80, 2)), np.ones((80, 3))]}, ValueError, r"same columns.*\[2, 3\]"),
    "targets as text": ({"y": [np.full((80, 2), "1")] * 2}, TypeError, "^y must hold numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", EVALUATE)
def test_evaluation(world, name):
    change, error, said = EVALUATE[name]
    given = {
        "translator": RIDGE, "X": world["raws"], "y": world["bolds"], "n_shifts": 5,
        "min_shift": 30.0, **change,
    }  # fmt: skip
    with pytest.raises(error, match=said):
        evaluate(**given)


def test_windows(world):
    raws, bolds = world["raws"], world["bolds"]
    with pytest.raises(ValueError, match=r"^bold is None"):
        make_windows(raws[0], None, t_r=2.0)
    with pytest.raises(TypeError, match=r"^raw is a generator"):
        make_windows(generator(raws), bolds, t_r=2.0)
    with pytest.raises(TypeError, match=r"^bold is a generator"):
        make_windows(raws, generator(bolds), t_r=2.0)
    # Epochs are iterators, too, and may be read again.
    epochs, y = make_windows(raws, bolds, t_r=2.0, window=20.0)
    assert BandPowerRidge(t_r=2.0).fit(epochs, y).predict(epochs[0]).shape == (1, 10, 10)
    # scikit-learn's indexing makes a list of them.
    assert BandPowerRidge(t_r=2.0).fit(list(epochs[i] for i in range(6)), y[:6]).n_targets_ == 10


def test_transformers_say_it_alike(world):
    drive = [array[:10, ::20] for array in world["arrays"]]
    for t_r in ([2.0, 2.0], np.array([2.0])):
        with pytest.raises(TypeError, match=r"^t_r must be one number .*harmonize"):
            LearnableHRF(t_r=t_r, reader=Reader(sfreq=10.0)).fit(drive, world["bolds"])
    for estimator in (
        LearnableHRF(t_r=2.0, reader=Reader(sfreq=10.0)),
        WaveletBandAttention(reader=Reader(sfreq=10.0)),
    ):
        with pytest.raises(TypeError, match=r"^X is a generator"):
            estimator.fit(generator(drive), world["bolds"])


def test_runs_and_stimuli(world, tmp_path):
    raws, bolds = world["raws"], world["bolds"]
    for pairs in (None, 3):
        with pytest.raises(TypeError, match=r"^pairs must be a list of BidsPair"):
            harmonize(pairs)
    with pytest.raises(TypeError, match=r"^pairs must hold BidsPair.*got RawArray"):
        harmonize(raws)
    with pytest.raises(TypeError, match=r"^stimuli must be a list, got NoneType"):
        pair_by_stimulus(raws, bolds, None, None, t_r=2.0)
    with pytest.raises(TypeError, match=r"^raws must be a list, got RawArray"):
        pair_by_stimulus(raws[0], bolds, [], [], t_r=2.0)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"subject": None}, TypeError, "^subject must be given"),
        ({"task": None}, TypeError, "^task must be given"),
        ({"subject": "../x"}, ValueError, "^'../x' is no BIDS label for sub-"),
        ({"session": 1.5}, ValueError, "^1.5 is no BIDS label for ses-"),
        ({"run": True}, ValueError, "^True is no BIDS label for run-"),
        ({"datatype": "nirs"}, ValueError, "^datatype must be one of None, 'eeg', 'meg', 'ieeg'"),
        ({"sfreq": "100"}, TypeError, "^sfreq must be a number"),
        ({"bids_root": "/no/such/folder"}, FileNotFoundError, "^bids_root is no folder"),
    ],
)
def test_bids_runs(tmp_path, change, error, said):
    given = {"bids_root": tmp_path, "subject": "01", "task": "rest", "masker": "a.nii", **change}
    with pytest.raises(error, match=said):
        read_bids_pair(**given)


@pytest.mark.parametrize("direction", ["ele_to_hemo", "hemo_to_ele"])
def test_recordings_of_one_name_are_noticed(direction):
    """Two people cut one by one under one name: the same frames of "somebody"."""
    rng = np.random.default_rng(0)
    info = mne.create_info(3, 50.0, "eeg")
    cut = [
        make_windows(
            mne.io.RawArray(rng.standard_normal((3, 15000)), info, verbose=False),
            rng.standard_normal((150, 2)), t_r=2.0, subject="somebody",
        )
        for _ in range(2)
    ]  # fmt: skip
    epochs = mne.concatenate_epochs([epochs for epochs, _ in cut], verbose=False)
    y = np.concatenate([y for _, y in cut])
    pair = (epochs, y) if direction == "ele_to_hemo" else (y, epochs)
    model = assemble(t_r=2.0, direction=direction, corrections="never", random_state=0)
    with pytest.warns(RuntimeWarning, match="'somebody'.* different BOLD at the same frames"):
        model.fit(*pair)
