"""One file per model: whole or not at all, read without running anything from it."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
from assemble import assemble, quick
from safetensors import safe_open
from safetensors.numpy import save_file

from mne_samba import Reader, SambaModel, SambaTranslator, Trainer, read_samba
from mne_samba.io import FORMAT_VERSION, read_model, write_model

PUBLISHED = (
    "band_attention_", "band_gain_", "band_weights_", "spatial_map_", "patterns_", "hrf_",
    "hrf_times_", "hrf_peak_time_", "y_mean_", "y_scale_",
)  # fmt: skip


@pytest.fixture(scope="module", params=["fitted", "fitted_full"])
def saved(request, tmp_path_factory):
    """A fitted translator and its file."""
    model = request.getfixturevalue(request.param)
    path = tmp_path_factory.mktemp("saved") / "model.samba"
    model.save(path)
    return model, path


@pytest.fixture(scope="module")
def file(fitted_full, tmp_path_factory):
    """Bytes of a file with all parts."""
    path = tmp_path_factory.mktemp("whole") / "model.samba"
    fitted_full.save(path)
    return path.read_bytes()


def test_read_predicts_the_same(saved, people, windows):
    model, path = saved
    again = read_samba(path)
    np.testing.assert_array_equal(again.predict(people.raws[2]), model.predict(people.raws[2]))
    np.testing.assert_array_equal(again.predict(windows[0][:3]), model.predict(windows[0][:3]))
    np.testing.assert_array_equal(again.transform(people.raws), model.transform(people.raws))
    assert again.score(people.raws[2:], people.bolds[2:]) == model.score(
        people.raws[2:], people.bolds[2:]
    )


def test_read_publishes_the_same(saved):
    model, path = saved
    again = read_samba(path)
    for name in PUBLISHED:
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name), err_msg=name)
    pd.testing.assert_frame_equal(again.hrf_params_, model.hrf_params_)
    for name in ("ch_names_in_", "target_names_in_", "bands_", "n_parameters_", "history_",
                 "corrections_kept_", "n_targets_"):  # fmt: skip
        assert getattr(again, name) == getattr(model, name), name
    for name, value in vars(model.graph_).items():
        np.testing.assert_array_equal(getattr(again.graph_, name), value)
    assert repr(again) == repr(model)
    assert again.info_["ch_names"] == model.info_["ch_names"]
    assert again.info_.get_channel_types() == model.info_.get_channel_types()


def test_a_read_model_is_saved_and_fitted_again(saved, people, tmp_path):
    model, path = saved
    again = read_samba(path)
    again.save(tmp_path / "again")
    third = read_samba(tmp_path / "again")
    np.testing.assert_array_equal(third.predict(people.raws[2]), model.predict(people.raws[2]))
    again.set_params(trainer__max_epochs=1, model__map_prior="gaussian")
    again.fit(people.raws[:1], people.bolds[:1])
    assert again.predict(people.raws[0]).shape == (200, 10)


# The widest network is wider than any array that does not belong to it.
@pytest.mark.parametrize(
    "options",
    [
        {"hrf": "fir"}, {"hrf": "canonical", "power": "log"}, {"band_attention": False},
        {"graph": np.eye(8, k=1)}, {"bands": {"alpha": (8, 12), "beta": [13, 30]}},
        {"picks": ["eeg"], "recurrent": "gru", "dtype": "float64"}, {"random_state": None},
        {"n_hidden": 256}, {"random_state": np.random.RandomState(0), "graph": None},
    ],
    ids="-".join,
)  # fmt: skip
def test_every_variant_is_kept(people, tmp_path, options):
    options = {"corrections": "always", "max_epochs": 1, "core": "quick", **options}
    raw = people.raws[0].copy().crop(0, 200, include_tmax=False)
    model = assemble(t_r=2.0, **options).fit(raw, people.bolds[0][:100])
    model.save(tmp_path / "model")
    again = read_samba(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(raw), model.predict(raw))
    np.testing.assert_array_equal(again.hrf_, model.hrf_)


def test_a_table_model_is_kept(tmp_path):
    X = np.random.default_rng(0).standard_normal((80, 4))
    y = X @ np.ones((4, 2)) + 0.1
    for target in (y, y[:, 0]):
        model = SambaTranslator(t_r=1.0, random_state=0).fit(X, target)
        model.save(tmp_path / "model", overwrite=True)
        again = read_samba(tmp_path / "model")
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.n_features_in_ == 4
    table = pd.DataFrame(X, columns=list("abcd"))
    model.fit(table, y).save(tmp_path / "model", overwrite=True)
    np.testing.assert_array_equal(
        read_samba(tmp_path / "model").predict(table), model.predict(table)
    )


def test_existing_files_are_kept_unless_told(saved, tmp_path):
    model, _ = saved
    path = tmp_path / "model.samba"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path)
    assert path.read_text() == "precious"
    model.save(str(path), overwrite=True)
    assert isinstance(read_samba(str(path)), SambaTranslator)
    assert [p.name for p in tmp_path.iterdir()] == ["model.samba"]


def test_a_failed_save_leaves_nothing_and_keeps_the_old(people, saved, tmp_path, monkeypatch):
    model, _ = saved
    path = tmp_path / "model.samba"
    model.save(path)
    before = path.read_bytes()

    def broken(arrays, name, metadata):
        with open(name, "wb") as handle:
            handle.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("mne_samba.model_file.save_file", broken)
    with pytest.raises(OSError, match="No space left"):
        model.save(path, overwrite=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.samba"]


def test_what_json_cannot_hold_is_refused(people, tmp_path):
    model = SambaTranslator(
        t_r=2.0,
        model=quick(SambaModel, graph=lambda alike: alike > 0),
        trainer=Trainer(max_epochs=1),
    ).fit(people.raws[:1], people.bolds[:1])
    with pytest.raises(ValueError, match=r"Parameter model__graph=.* cannot be saved"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_missing_files_and_folders(tmp_path, saved):
    with pytest.raises(FileNotFoundError, match="No model file"):
        read_samba(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        read_samba(tmp_path)
    with pytest.raises(OSError):
        saved[0].save(tmp_path / "no" / "such" / "folder")


def header_of(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_config(file, change, tmp_path):
    """The file with another description."""
    header, body = header_of(file)
    config = json.loads(header["__metadata__"]["config"])
    config = change(config) or config
    header["__metadata__"]["config"] = config if isinstance(config, str) else json.dumps(config)
    text = json.dumps(header).encode()
    path = tmp_path / "changed.samba"
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def part(node, kind):
    """The first object of a class in a description."""
    if isinstance(node, dict) and node.get("@class") == kind:
        return node
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((found for item in items if (found := part(item, kind)) is not None), None)


def put(kind, /, **values):
    """Set entries of the object of a class."""
    return lambda config: part(config, kind).update(values)


def test_it_is_plain_json_and_numbers(file, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(file)
    with safe_open(path, framework="numpy") as opened:
        config = json.loads(opened.metadata()["config"])
        assert config["format_version"] == FORMAT_VERSION
        assert all(opened.get_tensor(name).dtype.kind in "fiub" for name in opened.keys())


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 10**6])
def test_newer_files_ask_for_an_update(file, tmp_path, version):
    path = with_config(file, lambda c: c.update(format_version=version), tmp_path)
    with pytest.raises(ValueError, match=rf"format version {version}.*Update mne_samba"):
        read_samba(path)


CHANGES = {
    "no version": lambda c: c.pop("format_version") and None,
    "text version": lambda c: c.update(format_version="new"),
    "negative version": lambda c: c.update(format_version=-1),
    "earlier version": lambda c: c.update(format_version=1),
    "a list": lambda c: "[1, 2]",
    "not JSON": lambda c: "{'a': 1",
    "deep JSON": lambda c: "[" * 100_000,
    "no model": lambda c: c.pop("model") and None,
    "model of text": lambda c: c.update(model="SambaTranslator"),
    "another class": lambda c: c["model"].update({"@class": "os.system"}),
    "no class": lambda c: c["model"].pop("@class") and None,
    "a part alone": lambda c: c.update(model=part(c, "Trainer")),
    "never fitted": lambda c: c["model"].pop("@state") and None,
    "state of a part": lambda c: c["model"].update({"@state": part(c, "Layout")}),
    "unknown parameter": lambda c: c["model"].update(shell="rm -rf /"),
    "bad parameter": put("SambaModel", hrf="x"),
    "text t_r": lambda c: c["model"].update(t_r="2"),
    "no parameters": lambda c: [c["model"].pop(name) for name in ("t_r", "model")] and None,
    "part of another kind": lambda c: c["model"].update(reader=part(c, "Trainer")),
    "code as a graph": put("SambaModel", graph="__import__('os').getcwd()"),
    "fewer channels": lambda c: part(c, "Layout")["ch_names"].pop() and None,
    "more regions": lambda c: part(c, "Layout")["target_names"].append("x"),
    "unknown kind": put("Layout", kind="x"),
    "unknown channel type": put("Layout", channel_types=["soul"] * 8),
    "negative frames": put("Layout", n_frames=-5),
    "text frames": put("Layout", n_frames="many"),
    "no rate": put("Layout", sfreq=0.0),
    "no bands": put("Shannon", bands={}),
    "one band more": lambda c: part(c, "Shannon")["bands"].update(more=[1.0, 2.0]),
    "band of text": lambda c: part(c, "Shannon")["bands"].update(alpha=["a", "b"]),
    "another grid": put("LowRateGrid", n_lags=3),
    "a huge grid": put("LowRateGrid", n_lags=10**12),
    "fewer keys": lambda c: part(c, "PowerScaler")["keys"].pop() and None,
    "core step": put("Core", step="x"),
    "unknown network": put("Network", kind="os.system"),
    "unknown numbers": put("Network", dtype="object"),
    "huge network": lambda c: part(c, "Network")["spec"].update(n_hidden=10**9),
    "other network": lambda c: part(c, "Network")["spec"].update(n_hidden=16),
    "huge history": lambda c: part(c, "Network")["spec"].update(n_lags=10**12),
    "unknown option": lambda c: part(c, "Network")["spec"].update(code="x"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_edited_descriptions_are_refused(file, tmp_path, name):
    path = with_config(file, CHANGES[name], tmp_path)
    with pytest.raises(ValueError, match=r"changed\.samba"):
        read_samba(path)


def test_folders_that_a_file_names_are_not_opened(file, people, tmp_path):
    """The cache of band power holds pickles, and reading a pickle runs code."""
    reader = {"@class": "Reader", **Reader(memory=str(tmp_path / "m")).get_params()}

    def change(config):
        config["model"]["reader"] = reader
        part(config, "Trainer")["checkpoint_dir"] = str(tmp_path / "c")

    model = read_samba(with_config(file, change, tmp_path))
    assert model.reader.memory is None and model.trainer.checkpoint_dir is None
    model.predict(people.raws[:1])
    assert not (tmp_path / "m").exists() and not (tmp_path / "c").exists()


def test_what_lay_on_another_machine_s_gpu_is_read_onto_the_cpu(file, people, tmp_path):
    def change(config):
        part(config, "Trainer")["device"] = part(config, "Network")["device"] = "cuda:99"

    path = with_config(file, change, tmp_path)
    with pytest.warns(RuntimeWarning, match="device='cuda:99' does not exist here"):
        model = read_samba(path)
    assert model.trainer.device == "cpu"
    assert np.isfinite(model.predict(people.raws[2])).all()


def test_changed_numbers_are_refused(file, tmp_path):
    path = tmp_path / "model.samba"
    path.write_bytes(file)
    config, arrays = read_model(path)
    config.pop("format_version")
    for name, array in arrays.items():
        # Iterations and lags of an autocorrelation may be any number.
        if array.ndim and not name.endswith(("elbo", "_acf")):
            write_model(path, config, {**arrays, name: array[:-1]})
            with pytest.raises(ValueError, match=r"model\.samba"):
                read_samba(path)
        write_model(path, config, {k: v for k, v in arrays.items() if k != name})
        with pytest.raises(ValueError, match=r"model\.samba"):
            read_samba(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.samba"

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"other\.samba"):
        read_samba(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"other\.samba"):
        read_samba(path)
    for content in (b"", b"\0", b"\xff" * 64, b"{}", struct.pack("<Q", 2**62) + b"{}"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.samba"):
            read_samba(path)
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a model of mne_samba"):
        read_samba(path)
    assert [p.name for p in tmp_path.iterdir()] == ["other.samba"]


def test_truncated_files_are_refused(file, tmp_path):
    path = tmp_path / "cut.samba"
    for size in np.linspace(0, len(file) - 1, 40).astype(int):
        path.write_bytes(file[:size])
        with pytest.raises(ValueError, match=r"cut\.samba"):
            read_samba(path)


def test_mutated_files_are_read_or_refused(file, tmp_path):
    """200 files with changed bytes: a ValueError, or a model whose numbers changed."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated.samba"
    header = 8 + struct.unpack("<Q", file[:8])[0]
    refused = read = 0
    for i in range(200):
        data = bytearray(file)
        # Three of four hit the description: a changed number in the weights cannot be noticed.
        high = header if i % 4 else len(data)
        for place in rng.integers(0, high, rng.integers(1, 6)):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            assert isinstance(read_samba(path), SambaTranslator)
            read += 1
        except ValueError as error:
            assert "mutated.samba" in str(error)
            refused += 1
    assert refused + read == 200 and refused > 100
    assert [p.name for p in tmp_path.iterdir()] == ["mutated.samba"]


@pytest.mark.parametrize(
    "change",
    [
        {"model__hrf": "fir"}, {"model__band_attention": False}, {"model__hrf_length": 10.0},
        {"model": "paper"}, {"trainer__dtype": "float64"},
    ],
    ids=str,
)  # fmt: skip
def test_parameters_set_after_a_fit_do_not_change_what_is_read(fitted, people, tmp_path, change):
    """They are kept for the next fit; what was fitted needs none of them."""
    changed = pickle.loads(pickle.dumps(fitted)).set_params(**change)
    changed.save(tmp_path / "model.samba")
    read = read_samba(tmp_path / "model.samba")
    np.testing.assert_array_equal(read.predict(people.raws[2]), fitted.predict(people.raws[2]))
    np.testing.assert_array_equal(read.hrf_times_, fitted.hrf_times_)
    assert {name: read.get_params()[name] for name in change} == change
