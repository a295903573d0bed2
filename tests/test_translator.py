"""The translator: what it learns, publishes, keeps and predicts."""

import pickle

import numpy as np
import pandas as pd
import pytest
from assemble import assemble, quick
from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker
from scipy.stats import spearmanr
from sklearn.base import clone

from mne_samba import CoreModel, SambaModel, SambaTranslator, Trainer, make_windows
from mne_samba.data.power import BandPower
from mne_samba.datasets import simulate_bold_image, simulate_paired
from mne_samba.hrf import HRF_PARAMS, double_gamma, hrf_summary
from mne_samba.metrics import drift_basis


def test_predicts_whole_recordings_list_in_list_out(fitted, people):
    one = fitted.predict(people.raws[2])
    assert one.shape == (200, 10) and one.dtype == np.float64 and np.isfinite(one).all()
    several = fitted.predict(people.raws)
    assert isinstance(several, list) and [p.shape for p in several] == 3 * [(200, 10)]
    np.testing.assert_allclose(several[2], one, atol=1e-6)
    cut = people.raws[2].copy().crop(0, 300, include_tmax=False)
    assert fitted.predict([cut])[0].shape == (150, 10)


@pytest.mark.parametrize("step", [15.0, 60.0])
def test_windows_side_by_side_leave_no_frame_out(people, step):
    """Windows of 15 s hold 7 frames of 2 s; 15 s between them would be 8."""
    translator = SambaTranslator(
        t_r=2.0,
        model=quick(SambaModel, corrections="always"),
        trainer=Trainer(window=15.0, step=step, max_epochs=1),
        random_state=0,
    ).fit(people.raws[:1], people.bolds[:1])
    assert np.isfinite(translator.predict(people.raws[1])).all()


def test_networks_see_windows_and_a_core_sees_recordings(people, monkeypatch):
    raws = [raw.copy().crop(0, 58, include_tmax=False) for raw in people.raws[:2]]
    bolds = [bold[:29] for bold in people.bolds[:2]]
    core = CoreModel(power="linear", target_bands=False)
    core = SambaTranslator(t_r=2.0, model=core, random_state=0).fit(raws, bolds)
    assert core.predict(raws[0]).shape == (29, 10)
    monkeypatch.setattr(BandPower, "measure", lambda *_: pytest.fail("heavy work before checks"))
    for model in ("samba", "paper"):
        with pytest.raises(
            ValueError, match=r"X\[0\] lasts 58 s, which is shorter than one window"
        ):
            SambaTranslator(t_r=2.0, model=model).fit(raws, bolds)


def test_learns_the_coupling(fitted, people):
    clean = people.truth.clean_bolds[2]
    pred = fitted.predict(people.raws[2])
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(pred[15:].T, clean[15:].T, strict=True)]
    assert np.mean(r) > 0.6
    error = fitted.hrf_peak_time_ - people.truth.hrf_peak_time
    assert np.median(np.abs(error)) < 1.0
    truth = people.truth.band_weights
    learnt = fitted.band_weights_ * np.sign((fitted.band_weights_ * truth).sum())
    assert np.corrcoef(learnt.ravel(), truth.ravel())[0, 1] > 0.6


@pytest.mark.parametrize("which", ["fitted", "fitted_full"])
def test_fitted_attributes(which, request, people):
    model = request.getfixturevalue(which)
    n_channels, n_bands, n_targets = 8, 5, 10
    assert model.ch_names_in_ == people.raws[0].ch_names
    assert len(model.target_names_in_) == n_targets and len(model.bands_) == n_bands
    assert model.band_attention_.shape == model.band_gain_.shape == (n_channels, n_bands)
    np.testing.assert_allclose(model.band_attention_.sum(axis=1), 1, atol=1e-6)
    assert (model.band_attention_ >= 0).all()
    assert np.abs(model.band_gain_).max() == pytest.approx(1)
    assert (model.band_gain_ * model.band_weights_ >= 0).all()
    assert model.spatial_map_.shape == (n_targets, n_channels)
    assert model.patterns_.shape == (n_targets, n_channels, n_bands)
    assert np.isfinite(model.patterns_).all()
    assert list(model.hrf_params_.columns) == list(HRF_PARAMS)
    assert list(model.hrf_params_.index) == model.target_names_in_
    params = model.hrf_params_.to_numpy()
    np.testing.assert_allclose(model.hrf_, double_gamma(model.hrf_times_, params), atol=1e-6)
    np.testing.assert_allclose(model.hrf_.max(axis=1), 1, atol=1e-3)
    assert model.hrf_times_[0] == 0 and model.hrf_times_[-1] == pytest.approx(30)
    np.testing.assert_allclose(model.hrf_peak_time_, hrf_summary(params)["peak_time"])
    trained = sum(p.numel() for p in model.net_.module_.parameters() if p.requires_grad)
    assert model.n_parameters_ == trained
    for graph in ("source_similarity", "target_similarity"):
        size = n_channels if graph.startswith("source") else n_targets
        assert getattr(model.graph_, graph).shape == (size, size)
    assert model.graph_.source.diagonal().all()


@pytest.mark.parametrize("which", ["fitted", "fitted_full"])
def test_published_weights_are_those_of_the_network(which, request):
    model = request.getfixturevalue(which)
    net = model.net_.module_
    bands = (net.bands.attention * net.bands.gain).detach().numpy()
    network = net.spatial_map.weight.detach().numpy()[:, :, None] * bands
    published = model.spatial_map_[:, :, None] * model.band_weights_
    np.testing.assert_allclose(published, network, atol=1e-5 * np.abs(network).max())


def test_patterns_are_covariances_with_predictions(fitted, people):
    """A channel and band that drives a target alone stands out in its pattern."""
    drive = np.abs(people.truth.spatial_map[:, :, None] * people.truth.band_weights)
    r = np.corrcoef(np.abs(fitted.patterns_).ravel(), drive.ravel())[0, 1]
    assert r > 0.3


def test_same_seed_same_result_and_refit(people):
    X, y, held = people.raws[:1], people.bolds[:1], people.raws[2]
    options = {"t_r": 2.0, "corrections": "always", "max_epochs": 1, "random_state": 3}
    first = assemble(**options, core="quick").fit(X, y)
    pred = first.predict(held)
    np.testing.assert_array_equal(clone(first).fit(X, y).predict(held), pred)
    np.testing.assert_array_equal(first.fit(X, y).predict(held), pred)
    other = clone(first).set_params(random_state=4).fit(X, y)
    assert not np.array_equal(other.predict(held), pred)


def test_fit_leaves_the_global_random_state_alone(people):
    import torch

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    SambaTranslator(t_r=2.0, model=quick(SambaModel), random_state=0).fit(
        people.raws[:2], people.bolds[:2]
    )
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("which", ["fitted", "fitted_full"])
def test_prediction_is_deterministic_and_follows_the_input(which, request, people):
    model = request.getfixturevalue(which)
    pred = model.predict(people.raws[2])
    np.testing.assert_array_equal(model.predict(people.raws[2]), pred)
    assert np.abs(pred - model.predict(people.raws[1])).max() > 0.5
    # Scoring against any y changes nothing.
    model.score(people.raws[2:], [np.zeros_like(pred) + np.arange(200)[:, None]])
    np.testing.assert_array_equal(model.predict(people.raws[2]), pred)


@pytest.mark.parametrize("which", ["fitted", "fitted_full"])
def test_pickle(which, request, people):
    model = request.getfixturevalue(which)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(people.raws[2]), model.predict(people.raws[2]))
    np.testing.assert_array_equal(again.band_attention_, model.band_attention_)


def test_refit_on_another_montage(people):
    other = simulate_paired(1, 300.0, level="source", n_sources=5, n_targets=4, random_state=5)
    model = SambaTranslator(
        t_r=2.0,
        model=quick(SambaModel, corrections="always"),
        trainer=Trainer(max_epochs=1),
        random_state=0,
    )
    model.fit(people.raws[:2], people.bolds[:2])
    model.fit(other.raws, other.bolds)
    assert model.band_attention_.shape == (5, 5) and model.hrf_params_.shape == (4, 6)
    assert model.predict(other.raws[0]).shape == (150, 4)
    fresh = clone(model).fit(other.raws, other.bolds)
    np.testing.assert_array_equal(fresh.predict(other.raws[0]), model.predict(other.raws[0]))
    with pytest.raises(ValueError, match="missing"):
        model.predict(people.raws[0].copy().rename_channels(lambda name: f"x{name}"))


def test_trained_corrections_move_every_parameter(people, monkeypatch):
    starts = {}

    def spy(self, net, windows, checkpoint=None):
        net.initialize()
        starts["last"] = {n: p.detach().clone() for n, p in net.module_.named_parameters()}
        return real(self, net, windows, checkpoint)

    real = Trainer.train
    monkeypatch.setattr(Trainer, "train", spy)
    model = SambaTranslator(
        t_r=2.0,
        model=quick(SambaModel, hrf="double_gamma", corrections="always"),
        trainer=Trainer(batch_size=2, max_epochs=4),
        random_state=0,
    ).fit(people.raws[:2], people.bolds[:2])
    assert model.corrections_kept_ and len(model.history_) > 0
    assert all(np.isfinite(list(row.values())).all() for row in model.history_)
    end = dict(model.net_.module_.named_parameters())
    still = [name for name, p in end.items() if (p.detach() == starts["last"][name]).all()]
    # The loss is centred per recording: a constant has no gradient.
    assert set(still) <= {"intercept"}
    assert all(part.gate.item() != 0 for part in model.net_.module_.corrections())


def test_corrections_never_is_the_linear_core(fitted, people):
    assert fitted.net_.module_.corrections() == [] and not fitted.corrections_kept_
    assert fitted.history_ == []


@pytest.mark.parametrize(
    "options",
    [
        {"hrf": "fir"}, {"hrf": "canonical"}, {"recurrent": "gru"}, {"recurrent": "transformer"},
        {"recurrent": None, "graph": None}, {"graph": "dense"}, {"graph": np.eye(8, k=1)},
        {"graph": lambda alike: alike > 0.1}, {"band_attention": False}, {"power": "log"},
        {"dtype": "float64"}, {"map_prior": "sparse"}, {"detrend": None}, {"detrend": 2},
        {"bands": {"alpha": (8, 12), "gamma": (30, 45)}}, {"wavelet": "morlet"},
        {"hrf_bounds": "fast", "hrf_length": 10.0}, {"step": 10.0, "window": 40.0},
    ],
    ids="-".join,
)  # fmt: skip
def test_every_option_fits_and_predicts(people, options):
    options = {"core": "quick", "hrf": "double_gamma", **options}
    model = assemble(t_r=2.0, corrections="always", max_epochs=1, random_state=0, **options).fit(
        people.raws[:1], people.bolds[:1]
    )
    pred = model.predict(people.raws[1])
    assert pred.shape == (200, 10) and np.isfinite(pred).all() and pred.std() > 0
    np.testing.assert_allclose(model.band_attention_.sum(axis=1), 1, atol=1e-5)
    # Bands that drive with opposite signs cancel in a plain mean.
    least = 0.1 if model.model.band_attention else -0.2
    assert model.score(people.raws[1:2], people.bolds[1:2]) > least


def without_drift(values, rows, n_frames):
    """Residuals of rows of a run on cosines up to 1/128 Hz and a cubic."""
    cubic = np.vander(np.linspace(-1, 1, n_frames), 4)
    drift = np.column_stack([drift_basis(n_frames, 2.0, "cosine"), cubic])[rows]
    return values - drift @ np.linalg.lstsq(drift, values, rcond=None)[0]


def test_score_is_spearman_over_time_after_drift(fitted, people):
    raw, bold = people.raws[2], people.bolds[2].copy()
    bold[60:64] = np.nan
    pred = fitted.predict(raw)
    known = np.flatnonzero(np.isfinite(bold).all(axis=1) & (np.arange(200) >= 15))
    clean, guess = (without_drift(values[known], known, 200) for values in (bold, pred))
    expected = [spearmanr(clean[:, m], guess[:, m]).statistic for m in range(10)]
    np.testing.assert_allclose(fitted.score_targets(raw, bold), expected, atol=1e-9)
    assert fitted.score(raw, bold) == pytest.approx(np.mean(expected), abs=1e-9)
    both = fitted.score_targets(people.raws[1:], [people.bolds[1], bold])
    one = fitted.score_targets(people.raws[1], people.bolds[1])
    np.testing.assert_allclose(both, (np.array(expected) + one) / 2, atol=1e-6)


def test_score_of_windows_orders_frames_by_onset(windows):
    epochs, y, who = windows
    model = SambaTranslator(t_r=2.0, model="core", random_state=0)
    train = who != "sub-03"
    model.fit(epochs[train], y[train])
    held, bold = epochs[~train], y[~train]
    scores = model.score_targets(held, bold)
    order = np.random.default_rng(0).permutation(len(held))
    np.testing.assert_allclose(model.score_targets(held[order], bold[order]), scores, atol=1e-6)
    pred = np.concatenate(list(model.predict(held)))
    rows = np.arange(len(pred))
    series = [without_drift(v, rows, len(v)) for v in (np.concatenate(list(bold)), pred)]
    by_hand = [spearmanr(a, b).statistic for a, b in zip(*(s.T for s in series), strict=True)]
    np.testing.assert_allclose(scores, by_hand, atol=1e-6)


def test_drift_of_bold_does_not_change_the_score(fitted, people):
    drift = 40 * np.cos(np.pi * np.arange(200) / 200)[:, None] + np.linspace(0, 5, 200)[:, None]
    plain = fitted.score(people.raws[2], people.bolds[2])
    assert fitted.score(people.raws[2], people.bolds[2] + drift) == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("t_r", [1.0, 1.7, 0.72, 4.0])
def test_another_repetition_time_after_fit(fitted, people, t_r):
    model = pickle.loads(pickle.dumps(fitted)).set_params(t_r=t_r)
    pred = model.predict(people.raws[2])
    assert len(pred) == int(400 / t_r + 1e-6)
    old = fitted.predict(people.raws[2])
    times = np.arange(len(pred)) * t_r
    inside = (times >= 30) & (times <= 398)
    for m in range(10):
        there = np.interp(times[inside], 2.0 * np.arange(200), old[:, m])
        assert np.corrcoef(there, pred[inside, m])[0, 1] > 0.97


def test_warm_start_adapts_to_a_new_person(fitted, people):
    model = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    start = model.core_
    short = people.raws[2].copy().crop(0, 150)
    model.fit(short, people.bolds[2][:75])
    assert model.core_ is not start
    cold = SambaTranslator(t_r=2.0, model="core", random_state=0)
    cold.fit(short, people.bolds[2][:75])
    late = people.raws[2].copy().crop(150, None)
    truth = people.truth.clean_bolds[2][75:]
    assert model.score(late, truth) > cold.score(late, truth)


def test_transform_gives_one_row_per_sample(fitted, people, windows):
    latents = fitted.transform(people.raws)
    names = fitted.get_feature_names_out()
    assert latents.shape == (3, 20) == (3, len(names)) and np.isfinite(latents).all()
    assert names[0] == f"{fitted.target_names_in_[0]}_mean"
    assert fitted.transform(windows[0][:4]).shape == (4, 20)


@pytest.mark.parametrize("kind", ["labels", "spheres"])
def test_predictions_become_images(people, kind):
    coords = people.target_coords
    image = simulate_bold_image(people.bolds[0], coords, 2.0, radius=6.0)
    options = {"standardize": None, "t_r": 2.0}
    mni = 4  # the code of sforms in MNI space
    for part in (image.labels_img, image.mask_img):
        part.set_sform(part.affine, mni)
    if kind == "labels":
        masker = NiftiLabelsMasker(image.labels_img, **options)
    else:
        masker = NiftiSpheresMasker(coords, radius=6.0, mask_img=image.mask_img,
                                    allow_overlap=True, **options)  # fmt: skip
    bold = masker.fit_transform(image.img)
    model = SambaTranslator(t_r=2.0, model=quick(CoreModel), random_state=0)
    model.fit(people.raws[0], bold)
    back = model.predict_image(people.raws[1], masker)
    assert back.shape == (*image.img.shape[:3], 200)
    assert back.header.get_zooms() == (*image.img.header.get_zooms()[:3], 2.0)
    assert back.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(back.affine, image.labels_img.affine)
    assert back.header["sform_code"] == mni
    np.testing.assert_allclose(
        masker.transform(back), model.predict(people.raws[1]), rtol=1e-3, atol=1e-3
    )
    several = model.predict_image(people.raws[:2], masker)
    assert isinstance(several, list) and len(several) == 2
    epochs, _ = make_windows(people.raws[1], bold, t_r=2.0, window=40.0)
    windows = model.predict_image(epochs[:2], masker)
    assert [img.shape[3] for img in windows] == [20, 20]


def test_it_says_what_it_does(people, capsys):
    options = {"t_r": 2.0, "core": "quick", "max_epochs": 1, "random_state": 0}
    assemble(**options, verbose=True).fit(people.raws[:2], people.bolds[:2])
    assert "too few to learn corrections" in capsys.readouterr().out
    assemble(**options, verbose=False).fit(people.raws[:2], people.bolds[:2])
    said = capsys.readouterr()
    assert said.out == said.err == ""


@pytest.fixture(scope="module")
def named(people):
    """BOLD of the three people with names of regions, and a translator that knows them."""
    names = [f"region {letter}" for letter in "jihgfedcba"]
    bolds = [pd.DataFrame(bold, columns=names) for bold in people.bolds]
    model = SambaTranslator(t_r=2.0, model=quick(CoreModel), random_state=0)
    return bolds, model.fit(people.raws[:2], bolds[:2])


@pytest.mark.parametrize("cut", [False, True])
def test_regions_are_found_by_name(people, named, cut):
    """In another order, whole or in windows, which carry the names of their table."""
    bolds, model = named
    mixed = bolds[2][sorted(bolds[2].columns)]
    pairs = [(people.raws[2], bold) for bold in (bolds[2], mixed)]
    if cut:
        pairs = [make_windows(*pair, t_r=2.0, window=60.0) for pair in pairs]
    straight, found = (model.score_targets(*pair) for pair in pairs)
    np.testing.assert_array_equal(found, straight)
    # Without names there is nothing to go by but the order.
    if not cut:
        plain = model.score_targets(people.raws[2], mixed.to_numpy())
        assert plain.mean() < straight.mean() - 0.1
        count = pd.DataFrame(bolds[2].to_numpy())
        np.testing.assert_array_equal(model.score_targets(people.raws[2], count), straight)


def test_regions_of_other_names_are_refused(people, named):
    bolds, model = named
    other = bolds[2].rename(columns={"region c": "thalamus"})
    with pytest.raises(ValueError, match=r"\['region c'\] are missing, \['thalamus'\] are new"):
        model.score(people.raws[2], other)
    with pytest.raises(ValueError, match=r"y has 9 regions, but .* fitted on 10"):
        model.score(people.raws[2], bolds[2].drop(columns="region c"))


def test_names_of_regions_leave_the_provenance_alone(people, named):
    bolds, model = named
    mixed = bolds[2][sorted(bolds[2].columns)]
    mixed.attrs["provenance"] = {"file": "bold.nii.gz"}
    rec = model._read(people.raws[2], mixed)
    assert rec.provenance == [{"file": "bold.nii.gz"}]
    assert mixed.columns.tolist() == sorted(bolds[2].columns)
    assert rec.target_names == model.target_names_in_
