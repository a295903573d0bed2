"""Parcels of any cap: equal to MNE's own estimates, alike for all montages, refusing by name."""

import pickle

import mne
import numpy as np
import pandas as pd
import pytest
from mne.beamformer import apply_lcmv_raw, make_lcmv
from mne.io.constants import FIFF
from mne.minimum_norm import apply_inverse_raw, make_inverse_operator
from mne.transforms import Transform
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from mne_samba import SourceParcels, Unmixing, make_windows, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import load_eeg_rest, simulate_paired
from mne_samba.transformers._parcel_grid import places_in, sphere_of
from mne_samba.viz import plot_components

# As MNE calls it: the name changed with version 1.13.
BUILT_IN = mne.channels.get_builtin_montages()
CAP_1020 = "colin27_1020" if "colin27_1020" in BUILT_IN else "standard_1020"
SMALL = {"n_sources": 8, "n_targets": 4, "sources_per_target": 2, "sfreq": 100.0}


def people(n=1, montage="biosemi32", duration=40.0, **options):
    return simulate_paired(n, duration, montage=montage, random_state=0, **SMALL, **options)


@pytest.fixture(scope="module")
def raw():
    return people().raws[0]


def by_hand(raw, parcels):
    """Forward model of the parcels in a sphere, written out."""
    raw = raw.copy().set_eeg_reference("average", projection=True)
    sphere = mne.make_sphere_model("auto", "auto", raw.info)
    places = places_in(sphere, parcels.parcels_[["x", "y", "z"]].to_numpy())
    nn = (places - sphere["r0"]) / np.linalg.norm(places - sphere["r0"], axis=1, keepdims=True)
    src = mne.setup_volume_source_space(pos={"rr": places, "nn": nn})
    forward = mne.make_forward_solution(
        raw.info, Transform("mri", "head"), src, sphere, meg=False, mindist=0.0
    )
    return raw, forward, nn


@pytest.mark.parametrize("pick_ori", ["vector", "normal"])
def test_minimum_norm_is_that_of_mne(raw, pick_ori):
    parcels = SourceParcels(n_parcels=6, reg=0.2, pick_ori=pick_ori).fit(raw)
    referenced, forward, nn = by_hand(raw, parcels)
    noise = mne.make_ad_hoc_cov(referenced.info)
    inverse = make_inverse_operator(referenced.info, forward, noise, loose=1.0, depth=0.8)
    stc = apply_inverse_raw(referenced, inverse, 0.2, method="MNE", pick_ori="vector").data
    stc = stc.reshape(18, -1) if pick_ori == "vector" else np.einsum("skt,sk->st", stc, nn)
    ours = parcels.transform(raw).get_data()
    np.testing.assert_allclose(ours, stc, rtol=1e-6, atol=1e-9 * np.abs(stc).max())


def test_beamformer_is_that_of_mne(raw):
    parcels = SourceParcels(n_parcels=6, method="lcmv", reg=0.05).fit(raw)
    referenced, forward, _ = by_hand(raw, parcels)
    pieces = raw.get_data().reshape(32, -1, 100)
    covariance = np.cov((pieces - pieces.mean(-1, keepdims=True)).reshape(32, -1), bias=True)
    covariance = mne.Covariance(covariance, raw.ch_names, [], referenced.info["projs"], 1)
    filters = make_lcmv(
        referenced.info, forward, covariance, 0.05, mne.make_ad_hoc_cov(referenced.info),
        pick_ori="vector", weight_norm=None,
    )  # fmt: skip
    stc = apply_lcmv_raw(referenced, filters).data.reshape(18, -1)
    ours = parcels.transform(raw).get_data()
    np.testing.assert_allclose(ours, stc, rtol=1e-6, atol=1e-9 * np.abs(stc).max())


def test_caps_come_to_the_same_parcels():
    # Two caps that share no electrode on one head: a parcel resembles itself, and no other as much.
    whole = people(montage=CAP_1020, sensor_noise=0.0).raws[0]
    caps = [whole.copy().pick(whole.ch_names[i::2]) for i in (0, 1)]
    parcels = SourceParcels(n_parcels=12, pick_ori="normal").fit(caps)
    first, second = (x.get_data() for x in parcels.transform(caps))
    alike = np.corrcoef(first, second)[:12, 12:]
    own = np.diag(alike)
    assert np.median(own) > 0.9
    assert (own > np.median(alike - np.diag(own), axis=1)).all()


def test_reference_order_and_bad_channels_do_not_matter(raw):
    parcels = SourceParcels(n_parcels=4, reg=0.1).fit(raw)
    expected = parcels.transform(raw).get_data()
    size = 1e-9 * np.abs(expected).max()
    for other in (
        raw.copy().set_eeg_reference(["Cz"]),
        raw.copy().set_eeg_reference("average"),
        raw.copy().reorder_channels(raw.ch_names[::-1]),
    ):
        np.testing.assert_allclose(parcels.transform(other).get_data(), expected, atol=size)
    # A bad channel counts as one that is not there, whatever it holds.
    bad = raw.copy()
    bad._data[3] = 1.0
    bad.info["bads"] = [raw.ch_names[3]]
    without = parcels.transform(raw.copy().drop_channels([raw.ch_names[3]])).get_data()
    np.testing.assert_allclose(parcels.transform(bad).get_data(), without, atol=size)
    assert not np.allclose(without, expected, atol=1e3 * size)


def test_regularisation_follows_noise_and_not_y():
    quiet, loud = (people(sensor_noise=noise).raws[0] for noise in (1e-7, 2e-5))
    found = [SourceParcels(n_parcels=12).fit(r, y) for r in (quiet, loud) for y in (None, 1)]
    assert found[0].reg_ == found[1].reg_ < found[2].reg_ == found[3].reg_
    errors = found[0].reg_errors_
    assert errors.min() < 0.5 < found[2].reg_errors_.min() and found[0].reg_ == errors.idxmin()
    # Spans marked as bad do not count.
    spoilt = quiet.copy()
    spoilt._data[:, 1000:1500] += np.random.default_rng(0).standard_normal((32, 500))
    spoilt.set_annotations(mne.Annotations(9.0, 7.0, "BAD_jump"))
    assert SourceParcels(n_parcels=12).fit(spoilt).reg_ == found[0].reg_


def test_a_beamformer_meets_a_new_montage_with_that_recordings_covariance(raw):
    other = people(montage=CAP_1020).raws[0]
    parcels = SourceParcels(n_parcels=4, method="lcmv", reg=0.1).fit(raw)
    new = SourceParcels(n_parcels=4, method="lcmv", reg=0.1).fit(other)
    np.testing.assert_allclose(parcels.operator(other), new.operator(other))
    # A montage that fit has seen keeps its filters, whatever later data hold.
    louder = raw.copy()
    louder._data[:4] *= 10
    np.testing.assert_array_equal(parcels.operator(louder), parcels.operator(raw))


def test_a_model_of_one_cap_predicts_on_another():
    data = people(2, duration=120.0)
    away = people(1, CAP_1020, 120.0).raws[0]
    parcels = SourceParcels(n_parcels=4, pick_ori="normal", reg=0.1)
    model = make_pipeline(parcels, BandPowerRidge(t_r=2.0))
    model.fit(data.raws, data.bolds)
    assert model.predict(away).shape == (60, 4)
    scores = cross_val_score(clone(model), data.raws, data.bolds, cv=KFold(2))
    assert np.isfinite(scores).all()
    assert clone(model).set_params(sourceparcels__reg=0.5)[0].reg == 0.5


def test_windows_are_cut_from_the_parcels_of_recordings():
    data = people(1, duration=120.0)
    parcels = SourceParcels(n_parcels=3, reg=0.1).fit(data.raws)
    epochs, _ = make_windows(data.raws[0], data.bolds[0], t_r=2.0, window=20.0)
    out = parcels.transform(epochs)
    expected, _ = make_windows(parcels.transform(data.raws[0]), data.bolds[0], t_r=2.0, window=20.0)
    np.testing.assert_allclose(out.get_data(), expected.get_data(), atol=1e-16)
    pd.testing.assert_frame_equal(out.metadata, epochs.metadata)
    assert out.tmin == epochs.tmin and (out.events == epochs.events).all()
    # As scikit-learn cuts them: a list of single windows.
    singles = parcels.transform([epochs[0], epochs[1]])
    np.testing.assert_allclose(singles[1].get_data()[0], out.get_data()[1], atol=1e-16)


def test_what_belongs_to_a_recording_stays_with_it(raw):
    raw = raw.copy()
    trigger = np.zeros((1, raw.n_times))
    trigger[0, ::200] = 1
    info = mne.create_info(["STI 014"], raw.info["sfreq"], "stim")
    raw.add_channels([mne.io.RawArray(trigger, info)], force_update_info=True)
    raw.set_meas_date(1e9).crop(5.0, 30.0)
    raw.set_annotations(mne.Annotations(10.0, 2.0, "BAD", orig_time=raw.info["meas_date"]))
    raw.info["subject_info"] = {"his_id": "sub-07"}
    out = SourceParcels(n_parcels=3, reg=0.1).fit_transform(raw)
    assert out.ch_names[:3] == [f"{out.ch_names[0][:-2]} {axis}" for axis in "xyz"]
    assert out.get_channel_types()[-1] == "stim" and out.first_samp == raw.first_samp
    np.testing.assert_array_equal(out.get_data("stim"), raw.get_data("stim"))
    assert out.annotations.onset == raw.annotations.onset
    assert out.info["subject_info"]["his_id"] == "sub-07"


def test_atlases_lie_inside_the_skull():
    info = people(duration=30.0).raws[0].info
    sphere = sphere_of(info)
    for atlas, least in (("dosenbach_2010", 140), ("power_2011", 264), ("seitzman_2018", 230)):
        parcels = SourceParcels(atlas=atlas, n_parcels=None)
        table = parcels.fit(people(duration=30.0).raws[0]).parcels_ if least == 140 else None
        if table is None:
            from mne_samba.transformers._parcel_grid import parcels_of

            table = parcels_of(atlas, None)
        assert len(table) >= least and not table.name.duplicated().any()
        places = places_in(sphere, table[["x", "y", "z"]].to_numpy())
        distance = np.linalg.norm(places - sphere["r0"], axis=1)
        assert distance.max() < sphere["layers"][0]["rad"] - 0.004
        # Left is left, front is front.
        assert (
            np.corrcoef(places.T, table[["x", "y", "z"]].to_numpy().T)[:3, 3:].diagonal().min()
            > 0.9
        )
    own = pd.DataFrame({"x": [-40.0, 40.0], "y": 0.0, "z": 40.0, "name": ["left", "right"]})
    out = SourceParcels(atlas=own, reg=0.1, pick_ori="normal").fit(people(duration=30.0).raws[0])
    assert list(out.get_feature_names_out()) == ["left", "right"]


def magnetometers():
    """A hundred point magnetometers above a head."""
    rng = np.random.default_rng(0)
    info = mne.create_info(100, 100.0, "mag")
    for channel in info["chs"]:
        out = rng.standard_normal(3)
        out[2] = abs(out[2])
        out /= np.linalg.norm(out)
        first = np.cross(out, [1.0, 0, 0])
        first /= np.linalg.norm(first)
        channel["loc"][:] = np.r_[0.12 * out + [0, 0, 0.04], first, np.cross(out, first), out]
        channel["coil_type"] = FIFF.FIFFV_COIL_POINT_MAGNETOMETER
    with info._unlock():
        info["dev_head_t"] = Transform("meg", "head")
    return mne.io.RawArray(1e-13 * rng.standard_normal((100, 1000)), info)


def test_magnetometers_find_a_dipole():
    raw = magnetometers()
    grid = np.array([[x, y, 40.0] for x in (-45, 45) for y in (-40, 0, 40)])
    parcels = SourceParcels(atlas=grid, reg=0.01).fit(raw)
    forward = parcels._array(raw, list(range(100))).gain
    # A tangential dipole in the fourth parcel.
    raw._data[:] = forward[:, 3 * 3 + 1, None] * 1e-8
    power = (parcels.transform(raw).get_data() ** 2).mean(axis=1).reshape(6, 3).sum(axis=1)
    assert power.argmax() == 3


def helmet(n_places=20):
    """Recording of a magnetometer and two gradiometers per place, and the gain of its parcels."""
    rng = np.random.default_rng(0)
    types = np.tile(["mag", "grad", "grad"], n_places)
    info = mne.create_info([f"MEG{i:03d}" for i in range(len(types))], 100.0, list(types))
    for i, channel in enumerate(info["chs"]):
        if i % 3 == 0:
            out = rng.standard_normal(3)
            out[2] = abs(out[2])
            out /= np.linalg.norm(out)
            first = np.cross(out, [1.0, 0, 0])
            first /= np.linalg.norm(first)
            second = np.cross(out, first)
        axes = (second, -first) if i % 3 == 2 else (first, second)
        channel["loc"][:] = np.r_[0.12 * out + [0, 0, 0.04], axes[0], axes[1], out]
        planar, coil = FIFF.FIFFV_COIL_VV_PLANAR_T1, FIFF.FIFFV_COIL_VV_MAG_T3
        channel["coil_type"] = planar if i % 3 else coil
    with info._unlock():
        info["dev_head_t"] = Transform("meg", "head")
    noise = np.where(types == "mag", 1e-14, 3e-13)[:, None]
    raw = mne.io.RawArray(noise * rng.standard_normal((len(types), 12000)), info)
    grid = [[x, y, 40.0] for x in (-45, 45) for y in (-40, 0, 40)]
    gain = SourceParcels(atlas=grid, reg=0.1).fit(raw)._array(raw, list(range(len(types)))).gain
    return raw, grid, gain


def test_magnetometers_and_gradiometers_together():
    raw, grid, gain = helmet()
    rng = np.random.default_rng(1)
    waxing = np.exp(rng.standard_normal((4, 12))).repeat(1000, axis=1)
    dipoles = gain[:, [1, 7, 10, 16]]  # tangential ones of four parcels
    raw._data += 2e-8 * dipoles @ (waxing * rng.standard_normal(waxing.shape))
    # Kinds of sensors come to one scale, and planted sources out of both.
    unmixing = Unmixing({"all": (4.0, 40.0)}).fit(raw)
    assert unmixing.filters_.shape == (4, 60)
    product = np.abs(unmixing.filters_ @ dipoles)
    product /= product.max(axis=1, keepdims=True)
    assert sorted(product.argmax(axis=1)) == [0, 1, 2, 3]
    assert np.sort(product, axis=1)[:, -2].max() < 0.1
    plot_components(unmixing, show=False)
    for method in ("mne", "lcmv"):
        parcels = SourceParcels(atlas=grid, method=method).fit(raw)
        assert parcels.reg_errors_.min() < 0.1
        power = (parcels.transform(raw).get_data() ** 2).mean(axis=1).reshape(6, 3).sum(axis=1)
        assert set(np.argsort(-power)[:4]) == {0, 2, 3, 5}
    eeg = mne.io.RawArray(np.zeros((1, 12000)), mne.create_info(["Cz"], 100.0, "eeg"))
    with eeg.info._unlock():
        eeg.info["dev_head_t"] = raw.info["dev_head_t"]
    with pytest.raises(ValueError, match='by picks="meg"'):
        SourceParcels(atlas=grid).fit(raw.add_channels([eeg], force_update_info=True))
    SourceParcels(atlas=grid, reg=0.1, picks="meg").fit(raw)


def surface_forward(info):
    """Forward model of two small patches of a surface, as a person with an MRI has one."""
    spaces = []
    for side, hemi in ((-1, 101), (1, 102)):
        y, z = np.meshgrid([0.0, 0.01, 0.02], [0.06, 0.07, 0.08])
        rr = np.column_stack([np.full(9, 0.04 * side), y.ravel(), z.ravel()])
        nn = np.tile([float(side), 0.0, 0.0], (9, 1))
        spaces.append({
            "type": "surf", "id": hemi, "rr": rr, "nn": nn, "np": 9, "vertno": np.arange(9),
            "inuse": np.ones(9, int), "nuse": 9, "coord_frame": FIFF.FIFFV_COORD_MRI,
            "tris": np.array([[0, 1, 3]]), "ntri": 1, "use_tris": np.array([[0, 1, 3]]),
            "nuse_tri": 1, "nearest": None, "nearest_dist": None, "pinfo": None, "dist": None,
            "dist_limit": None, "patch_inds": None, "subject_his_id": "bert",
        })  # fmt: skip
    sphere = mne.make_sphere_model("auto", "auto", info)
    return mne.make_forward_solution(
        info, Transform("mri", "head"), mne.SourceSpaces(spaces), sphere, meg=False, mindist=0.0
    )


def test_labels_of_a_forward_model(raw):
    forward = surface_forward(raw.info)
    labels = [
        mne.Label(np.arange(4), hemi="lh", name="front-lh", subject="bert"),
        mne.Label(np.arange(9), hemi="rh", name="all-rh", subject="bert"),
    ]
    options = {"atlas": labels, "head": forward, "reg": 0.1}
    parcels = SourceParcels(**options, pick_ori="normal").fit(raw)
    referenced = raw.copy().set_eeg_reference("average", projection=True)
    inverse = make_inverse_operator(
        referenced.info, forward, mne.make_ad_hoc_cov(referenced.info), loose=1.0, depth=0.8
    )
    stc = apply_inverse_raw(referenced, inverse, 0.1, method="MNE", pick_ori="normal")
    expected = stc.extract_label_time_course(labels, forward["src"], mode="mean_flip")
    ours = parcels.transform(raw).get_data()
    np.testing.assert_allclose(ours, expected, atol=1e-9 * np.abs(expected).max())
    with pytest.raises(ValueError, match="of fsaverage alone; this one is of 'bert'"):
        SourceParcels(head=forward, reg=0.1).fit(raw)
    with pytest.raises(ValueError, match="lacks the channels"):
        SourceParcels(**options).fit(people(montage=CAP_1020).raws[0])


def test_places_that_are_missing(raw):
    lost = raw.copy()
    for channel in lost.info["chs"]:
        channel["loc"][:] = np.nan
    parcels = SourceParcels(n_parcels=3, reg=0.1).fit(lost)
    template = lost.copy().set_montage(CAP_1020.replace("1020", "1005"))
    np.testing.assert_allclose(parcels.operator(lost), parcels.operator(template))
    strange = lost.copy().rename_channels({"Cz": "E17"})
    with pytest.raises(ValueError, match=r"\['E17'\] have no place.*set a montage"):
        parcels.transform(strange)
    # The advice is followed.
    strange.info["bads"] = ["E17"]
    assert parcels.transform(strange).get_data().shape[0] == 9


def test_refusals(raw):
    with pytest.raises(TypeError, match="arrays do not say: pass"):
        SourceParcels().fit([raw.get_data()])
    with pytest.raises(ValueError, match=r"got channels of type \['seeg'\]"):
        SourceParcels(picks="all").fit(raw.copy().set_channel_types({"Cz": "seeg"}))
    with pytest.raises(ValueError, match="atlas must be one of"):
        SourceParcels(atlas="aal").fit(raw)
    with pytest.raises(ValueError, match="millimetres of MNI space"):
        SourceParcels(atlas=np.full((2, 3), 0.04)).fit(raw)
    with pytest.raises(ValueError, match=r"coordinates \(n_parcels, 3\)"):
        SourceParcels(atlas=np.zeros((2, 2))).fit(raw)
    with pytest.raises(ValueError, match=r"Labels need head=mne\.Forward"):
        SourceParcels(atlas=[mne.Label([0], hemi="lh", name="a")]).fit(raw)
    with pytest.raises(TypeError, match=r'head must be "template" or mne\.Forward'):
        SourceParcels(head="fsaverage").fit(raw)
    with pytest.raises(ValueError, match="reg must be above 0"):
        SourceParcels(reg=0.0).fit(raw)
    twice = pd.DataFrame({"x": [1.0, 2.0], "y": 0.0, "z": 0.0, "name": "a"})
    with pytest.raises(ValueError, match="names parcels twice"):
        SourceParcels(atlas=twice).fit(raw)
    bad = raw.copy().set_annotations(mne.Annotations(0.0, 39.9, "BAD"))
    with pytest.raises(ValueError, match="free of BAD annotations"):
        SourceParcels(n_parcels=3).fit(bad)


def test_projections_count_alike_whether_applied_or_not(raw):
    pattern, rng = np.linspace(-1, 1, 32), np.random.default_rng(0)
    spoilt = raw.copy()
    spoilt._data += 1e-3 * pattern[:, None] * rng.standard_normal(raw.n_times)
    vector = {
        "nrow": 1, "ncol": 32, "row_names": None, "col_names": raw.ch_names,
        "data": pattern[None] / np.linalg.norm(pattern),
    }  # fmt: skip
    spoilt.add_proj(mne.Projection(active=False, data=vector, desc="heart", kind=1))
    for method in ("mne", "lcmv"):
        options = {"n_parcels": 6, "method": method}
        later, now = (SourceParcels(**options).fit(r) for r in (spoilt, spoilt.copy().apply_proj()))
        np.testing.assert_allclose(later.reg_errors_, now.reg_errors_, rtol=1e-6)
        assert later.reg_errors_.min() < 0.7
        expected = now.transform(spoilt.copy().apply_proj()).get_data()
        size = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(later.transform(spoilt).get_data(), expected, atol=size)


def test_broken_channels(raw):
    noisy = raw.copy()
    noisy._data[3] += 1e-3 * np.random.default_rng(0).standard_normal(raw.n_times)
    with pytest.warns(RuntimeWarning, match=rf"the loudest are \['{raw.ch_names[3]}'"):
        SourceParcels(n_parcels=6).fit(noisy)
    # The advice is followed.
    noisy.info["bads"] = [raw.ch_names[3]]
    parcels = SourceParcels(n_parcels=6).fit(noisy)
    broken = raw.copy()
    broken._data[5, 1000:1100] = np.nan
    broken.info["bads"] = [raw.ch_names[3]]
    for method in (SourceParcels(n_parcels=6).fit, parcels.transform):
        with pytest.raises(ValueError, match=rf"NaN .*in channels \['{raw.ch_names[5]}'\]"):
            method(broken)
    broken.set_annotations(mne.Annotations(9.9, 1.2, "BAD_gap"))
    assert np.isfinite(parcels.transform(broken).get_data()[:, 1200:]).all()
    assert SourceParcels(n_parcels=6).fit(broken).reg_ > 0
    # One flat electrode may be the reference, two are not.
    flat = raw.copy()
    flat._data[[3, 5]] = 0.0
    with pytest.raises(ValueError, match="flat channels"):
        SourceParcels(n_parcels=6, reg=0.1).fit(flat)
    often = raw.copy().set_annotations(mne.Annotations(np.arange(0, 40, 4), [2.0] * 10, "BAD"))
    assert SourceParcels(n_parcels=6).fit(often).reg_ > 0
    with pytest.raises(ValueError, match="set reg to a number"):
        SourceParcels(n_parcels=2).fit(raw.copy().pick(raw.ch_names[:3]))
    SourceParcels(n_parcels=2, reg=0.1).fit(raw.copy().pick(raw.ch_names[:3]))


@pytest.mark.parametrize("method", ["mne", "lcmv"])
def test_a_file_gives_the_same_parcels(raw, tmp_path, method):
    table = pd.DataFrame({"x": [-40.0, 40.0], "y": 0.0, "z": 40.0, "name": ["left", "right"]})
    parcels = SourceParcels(atlas=table, method=method, verbose=False).fit(raw)
    parcels.save(tmp_path / "parcels.samba")
    found = read_samba(tmp_path / "parcels.samba")
    pd.testing.assert_frame_equal(found.parcels_, parcels.parcels_)
    pd.testing.assert_series_equal(found.reg_errors_, parcels.reg_errors_)
    for inst in (raw, people(montage=CAP_1020).raws[0]):
        np.testing.assert_array_equal(found.operator(inst), parcels.operator(inst))
    # It can be fitted again, and what a fit knows does not follow parameters.
    again = clone(found).fit(raw)
    np.testing.assert_array_equal(again.operator(raw), parcels.operator(raw))
    found.set_params(pick_ori="normal", reg=3.0, method="mne", n_parcels=1)
    np.testing.assert_array_equal(found.operator(raw), parcels.operator(raw))


def test_a_persons_forward_model_has_files_of_its_own(raw, tmp_path):
    labels = [mne.Label(np.arange(9), hemi="rh", name="all-rh", subject="bert")]
    parcels = SourceParcels(atlas=labels, head=surface_forward(raw.info), reg=0.1).fit(raw)
    with pytest.raises(ValueError, match=r"mne\.write_forward_solution"):
        parcels.save(tmp_path / "parcels.samba")
    again = pickle.loads(pickle.dumps(parcels))
    np.testing.assert_array_equal(again.operator(raw), parcels.operator(raw))


def test_real_alpha_comes_from_the_back_of_the_head():
    raw = load_eeg_rest().crop(0, 60)
    parcels = SourceParcels(n_parcels=24).fit(raw)
    assert parcels.reg_errors_.iloc[[0, -1]].min() > parcels.reg_errors_.min()
    spectrum = parcels.transform(raw).compute_psd("welch", fmin=2, fmax=40, n_fft=500)
    power, freqs = spectrum.get_data(return_freqs=True)
    power = power.reshape(24, 3, -1).sum(axis=1)
    share = power[:, (freqs > 8) & (freqs < 12)].sum(axis=1) / power.sum(axis=1)
    assert np.corrcoef(share, parcels.parcels_["y"])[0, 1] < -0.5
