"""Unmixing of channels, as a transformer and inside translators."""

import pickle

import mne
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline

from mne_samba import (
    CoreModel,
    InverseCoreModel,
    InverseTranslator,
    LatentTranslator,
    Reader,
    SambaModel,
    SambaTranslator,
    Unmixing,
    WaveletBandAttention,
    make_windows,
    read_samba,
    viz,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import Precomputed

BANDS = {"alpha": (8, 13), "beta": (13, 30)}


@pytest.fixture(scope="module")
def sensors():
    """Two people of 400 s: 12 sources seen by 32 sensors."""
    data = simulate_paired(
        2, 400.0, n_sources=12, n_targets=10, snr=4.0, sfreq=100.0, random_state=3
    )
    names = data.raws[0].ch_names[::2]
    data.raws = [raw.pick(names) for raw in data.raws]
    return data


def _core(**options):
    model = CoreModel(bands=BANDS, power="linear", target_bands=False, **options)
    return SambaTranslator(t_r=2.0, model=model, random_state=0)


@pytest.fixture(scope="module")
def fitted(sensors):
    """Translator of both people."""
    return _core().fit(sensors.raws, sensors.bolds)


@pytest.fixture(scope="module")
def unmixing(sensors):
    return Unmixing(BANDS).fit(sensors.raws)


# The transformer
def test_components_of_raw_keep_all_else(sensors, unmixing):
    raw = sensors.raws[0].copy().set_annotations(mne.Annotations([3.0], [2.0], ["BAD"]))
    found = unmixing.transform(raw)
    assert found.ch_names == unmixing.component_names_ == list(unmixing.get_feature_names_out())
    assert found.annotations.description[0] == "BAD"
    assert_allclose(found.get_data(), unmixing.filters_ @ raw.get_data(), rtol=1e-12)
    back = unmixing.inverse_transform(found)
    assert back.ch_names == raw.ch_names
    assert (back.get_data() - raw.get_data()).std() < 0.15 * raw.get_data().std()


def test_epochs_and_arrays_give_the_same(sensors, unmixing):
    epochs, _ = make_windows(sensors.raws, sensors.bolds, t_r=2.0, window=40.0)
    found = unmixing.transform(epochs)
    assert found.metadata.attrs == epochs.metadata.attrs
    assert_array_equal(found.events, epochs.events)
    assert_allclose(found.get_data(), unmixing.transform(epochs.get_data()), rtol=1e-12)
    arrays = [raw.get_data() for raw in sensors.raws]
    other = Unmixing(BANDS, reader=Reader(sfreq=100.0)).fit(arrays)
    assert_allclose(other.filters_, unmixing.filters_, rtol=1e-9)
    assert_allclose(other.transform(arrays)[1], unmixing.filters_ @ arrays[1], rtol=1e-9)


def test_patterns_are_drawn_and_kept_in_a_file(unmixing, tmp_path):
    viz.plot_components(unmixing, components=[0, 1, 2], show=False)
    unmixing.save(tmp_path / "unmixing.samba")
    found = read_samba(tmp_path / "unmixing.samba")
    assert_array_equal(found.filters_, unmixing.filters_)
    assert found.info_.ch_names == unmixing.ch_names_in_


def test_what_it_cannot_unmix(sensors, unmixing):
    with pytest.raises(ValueError, match="goes into a list"):
        Unmixing().fit(np.ones((50, 4)))
    with pytest.raises(ValueError, match="15 channels, expected 32"):
        unmixing.transform([np.ones((15, 1000))])
    with pytest.raises(ValueError, match="montage"):
        viz.plot_components(Unmixing(reader=Reader(sfreq=100.0)).fit([sensors.raws[0].get_data()]))


def test_what_comes_out_is_what_fit_has_learnt(sensors, unmixing):
    raw = sensors.raws[0].copy().crop(0, 20)
    changed = pickle.loads(pickle.dumps(unmixing)).set_params(method="whiten", n_components=2)
    assert changed.transform(raw).ch_names == unmixing.component_names_
    names = raw.ch_names[:6]
    some = Unmixing(BANDS, reader=Reader(picks=names)).fit(raw)
    assert some.inverse_transform(some.transform(raw)).ch_names == names
    with pytest.raises(ValueError, match=r"lacks the components.*give what transform gives"):
        some.inverse_transform(raw)
    # Steps of a Pipeline may be asked for tables: signals stay signals.
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(unmixing.transform(raw), mne.io.BaseRaw)
    pipe = make_pipeline(Unmixing(BANDS), WaveletBandAttention(output="features", bands=BANDS))
    frame = pipe.set_output(transform="pandas").fit_transform([raw, raw])
    assert frame.columns[0].startswith("IC000")


def test_broken_channels_and_short_stretches(sensors, unmixing):
    raw = sensors.raws[0].copy().crop(0, 60)
    with pytest.raises(ValueError, match="all channels are flat"):
        Unmixing(BANDS).fit(mne.io.RawArray(np.zeros((32, 6000)), raw.info))
    raw._data[3, 2000:2100] = np.inf
    for method in (Unmixing(BANDS).fit, unmixing.transform):
        with pytest.raises(
            ValueError, match=rf"infinite values in channels \['{raw.ch_names[3]}'\]"
        ):
            method(raw)
    # The advice is followed: in BAD spans all is allowed.
    raw.set_annotations(mne.Annotations(19.9, 1.2, "BAD_jump"))
    found = unmixing.transform(raw).get_data()
    assert (
        np.isfinite(found[:, :1990]).all() and np.isfinite(Unmixing(BANDS).fit(raw).filters_).all()
    )
    often = raw.copy().set_annotations(mne.Annotations(np.arange(0, 60, 4), [2.1] * 15, "BAD"))
    with pytest.raises(ValueError, match=r"Only 0 s of signal.*a shorter segment"):
        Unmixing(BANDS).fit(often)
    assert len(Unmixing(BANDS, segment=2.0).fit(often).filters_) >= 12
    with pytest.raises(ValueError, match="holds band power"):
        Unmixing(reader=Reader(sfreq=4.0)).fit([np.ones((3, 2, 400))])


def test_filters_know_nothing_of_other_frames(sensors):
    raw = sensors.raws[0]
    changed = raw.copy()
    changed._data[:, 20000:] *= np.linspace(1, 3, 32)[:, None]
    train = [inst.copy().crop(0, 200, include_tmax=False) for inst in (raw, changed)]
    one, other = (Unmixing(BANDS).fit(part) for part in train)
    assert_array_equal(one.filters_, other.filters_)


# Inside translators
def test_chosen_by_held_out_frames_and_published(sensors, fitted):
    found = fitted.unmixing_
    assert found.method == "joint"
    assert found.margin > 0
    assert found.scores["joint"] == max(found.scores.values())
    n = len(fitted.node_names_)
    assert n == 12
    assert fitted.band_attention_.shape == (n, 2)
    assert fitted.spatial_map_.shape == (10, n)
    assert found.filters.shape == (n, 32)
    assert fitted.ch_names_in_ == sensors.raws[0].ch_names


def test_equals_a_fit_to_components(sensors):
    joint = _core(unmix="joint").fit(sensors.raws, sensors.bolds)
    components = Unmixing(BANDS).fit(sensors.raws).transform(sensors.raws)
    plain = _core(unmix=None).fit(components, sensors.bolds)
    assert plain.unmixing_ is None
    expected = plain.predict(components)
    for found, frames in zip(joint.predict(sensors.raws), expected, strict=True):
        assert_allclose(found, frames, atol=2e-3)


def test_unmixed_channels_are_left_alone(people):
    model = _core().fit(people.raws[:1], people.bolds[:1])
    assert model.unmixing_.method == "channels"
    assert not model.unmixing_.scores
    assert model.node_names_ == people.raws[0].ch_names


def test_windows_of_another_person_and_files(sensors, fitted, tmp_path):
    fitted.save(tmp_path / "model.samba")
    found = read_samba(tmp_path / "model.samba")
    assert found.unmixing_.method == "joint"
    assert_array_equal(found.predict(sensors.raws[1]), fitted.predict(sensors.raws[1]))
    shuffled = sensors.raws[1].copy().reorder_channels(sensors.raws[1].ch_names[::-1])
    assert_allclose(found.predict(shuffled), fitted.predict(sensors.raws[1]), rtol=1e-5, atol=1e-5)
    epochs, y = make_windows(sensors.raws, sensors.bolds, t_r=2.0, window=40.0)
    windows = _core(unmix="joint").fit(epochs, y)
    assert windows.unmixing_.method == "joint"
    assert windows.predict(epochs).shape == y.shape


def test_cached_power_knows_the_filter(sensors, tmp_path):
    reader = Reader(memory=tmp_path)
    raws, bolds = [sensors.raws[0].copy().crop(0, 200)], [sensors.bolds[0][:100]]
    frames = [
        _core(unmix=unmix, hrf="canonical").set_params(reader=reader).fit(raws, bolds).predict(raws)
        for unmix in (None, "whiten", "joint")
    ]
    plain = _core(unmix="whiten", hrf="canonical").fit(raws, bolds)
    assert_array_equal(frames[1][0], plain.predict(raws)[0])
    assert np.abs(frames[0][0] - frames[1][0]).max() > 1e-3
    assert np.abs(frames[2][0] - frames[1][0]).max() > 1e-3


def test_warm_start_keeps_the_filter(sensors):
    model = _core(unmix="joint").fit(sensors.raws[:1], sensors.bolds[:1])
    filters = model.unmixing_.filters
    model.set_params(warm_start=True).fit(sensors.raws[1:], sensors.bolds[1:])
    assert_array_equal(model.unmixing_.filters, filters)
    model.set_params(model__unmix="whiten")
    with pytest.raises(ValueError, match="unmix=\"auto\" or 'joint'"):
        model.fit(sensors.raws[1:], sensors.bolds[1:])


def test_figures_speak_of_components_and_map_them_back(sensors, fitted):
    viz.plot_components(fitted, show=False)
    viz.plot_band_attention(fitted, show=False)
    viz.plot_patterns(fitted, show=False)
    channels = _core(unmix=None).fit(sensors.raws[:1], sensors.bolds[:1])
    with pytest.raises(ValueError, match="as they are"):
        viz.plot_components(channels)


def test_graphs_about_channels_keep_channels(sensors):
    with pytest.raises(ValueError, match="about channels"):
        SambaTranslator(t_r=2.0, model=SambaModel(unmix="joint", graph=np.eye(32))).fit(
            sensors.raws, sensors.bolds
        )
    assert SambaModel(graph="distance").unmix_of_nodes is None
    assert SambaModel(graph="knn").unmix_of_nodes == "auto"


def test_tables_hold_nothing_to_unmix():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 4)), rng.standard_normal((60, 2))
    assert _core().fit(X, y).unmixing_ is None
    with pytest.raises(ValueError, match="set unmix=None"):
        _core(unmix="joint").fit(X, y)
    _core(unmix=None).fit(X, y)


def test_power_from_elsewhere_holds_nothing_to_unmix(sensors):
    rng = np.random.default_rng(0)
    power, bold = rng.random((5, 2, 800)), rng.standard_normal((100, 3))
    options = {"bands": Precomputed("linear"), "power": "linear", "target_bands": False}
    for unmix in ("auto", "joint"):
        model = CoreModel(unmix=unmix, **options)
        translator = SambaTranslator(t_r=2.0, model=model, reader=Reader(sfreq=4.0))
        if unmix == "auto":
            assert translator.fit([power], [bold]).unmixing_ is None
            continue
        with pytest.raises(ValueError, match="measured elsewhere"):
            translator.fit([power], [bold])


def test_ridge_and_both_ways(sensors):
    ridge = BandPowerRidge(t_r=2.0, bands=BANDS, unmix="joint").fit(sensors.raws, sensors.bolds)
    assert ridge.coef_.shape[2] == len(ridge.node_names_) < 32
    inverse = InverseTranslator(t_r=2.0, model=InverseCoreModel(bands=BANDS, target_bands=False))
    both = LatentTranslator(_core(unmix="joint"), inverse, alignment=None)
    both.fit(sensors.raws, sensors.bolds)
    assert both.predict(sensors.raws)[0].shape == sensors.bolds[0].shape
    assert both.translate(sensors.bolds, "ele")[0].shape[:2] == (32, 2)
