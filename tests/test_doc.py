"""Pages: links that lead nowhere are found, changes are shown, numbers are the measured ones."""

import importlib.util
import re
import shutil
import textwrap
import tomllib
from pathlib import Path

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from assemble import hurry
from nibabel import cifti2

from mne_samba import CoreModel, SambaTranslator, base, make_windows
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_bold_image, simulate_paired
from mne_samba.windows import frame_times

ROOT = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "doc" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(name):
    """One part of the benchmarks' results."""
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    return results.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]


def code_blocks(page):
    """Python code blocks of a page, as they stand."""
    text = (ROOT / "doc" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in blocks]


def run(page, **names):
    """Run the code of a page on a small simulation; give the names that it has then."""
    sim = simulate_paired(
        1, 300.0, t_r=2.0, sfreq=100.0, n_sources=4, n_targets=3, level="source", snr=4.0,
        random_state=0,
    )  # fmt: skip
    raw, bold = sim.raws[0], np.asarray(sim.bolds[0])
    raw.set_annotations(mne.Annotations(2.0 * np.arange(len(bold)), 0.0, "R128"))
    epochs, y = make_windows(raw, bold, t_r=2.0, window=20.0)
    motion = np.random.default_rng(0).standard_normal((*y.shape[:2], 2))
    names |= {"raw": raw, "bold": bold, "epochs": epochs, "y": y, "motion": motion}
    for block in code_blocks(page):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.fixture
def hurried(monkeypatch):
    """Cores alone that choose nothing inside: the first page and the README fit the default."""
    monkeypatch.setitem(SambaTranslator._MODELS, "samba", "CoreModel")
    hurry(monkeypatch, CoreModel, BandPowerRidge)


def test_no_code_is_left_out():
    """Pages with code have a test of their own here, which runs all of it."""
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in sorted((ROOT / "doc").glob("*.rst")):
        text = path.read_text(encoding="utf-8")
        blocks = code_blocks(path.name)
        assert len(blocks) == text.count("code-block:: python"), path.name
        assert not re.search(
            r"\.\. code::|\.\. testcode|^ *>>>|```|^(?!\s*\.\.).*::$", text, re.M
        ), path.name
        languages = set(re.findall(r"code-block:: (\w+)", text))
        # What needs a stream that goes on is text here, and run in test_stream_lsl.py.
        assert languages <= {"python", "console", "text"}, path.name
        assert text.count("code-block:: text") == (path.name == "data.rst"), path.name
        assert not blocks or f'run("{path.name}"' in tests, path.name


@pytest.mark.slow
def test_code_of_the_first_page_runs():
    names = run("index.rst")
    assert names["translator"].predict(names["epochs"]).shape == names["y"].shape


def test_code_of_the_page_for_users_of_ridge_runs():
    names = run("coming_from.rst")
    assert names["ridge"].predict(names["epochs"]).shape == names["y"].shape
    assert names["pipeline"].predict(names["epochs"]).shape == names["y"].shape
    assert names["pipeline"].score(names["epochs"], names["y"]) > 0.3


def eeg_and_light():
    """Give recordings of three minutes: noise, and the intensity of light of two pairs."""
    rng = np.random.default_rng(0)
    eeg = mne.io.RawArray(1e-5 * rng.standard_normal((3, 18_000)), mne.create_info(3, 100.0, "eeg"))
    names = [f"S{i}_D{i} {wavelength}" for i in (1, 2) for wavelength in (760, 850)]
    info = mne.create_info(names, 10.0, "fnirs_cw_amplitude")
    for i, channel in enumerate(info["chs"]):
        source, detector = np.array([0.02 * (i // 2), 0.0, 0.09]), np.array([0.02, 0.03, 0.09])
        channel["loc"][:10] = [*(source + detector) / 2, *source, *detector, (760, 850)[i % 2]]
    light = np.exp(0.01 * rng.standard_normal((4, 1800)))
    return {"eeg": eeg, "nirs": mne.io.RawArray(light, info)}


def in_scanner():
    """Give a recording of three minutes with heartbeat and breathing, its BOLD, and motion."""
    rng, times = np.random.default_rng(0), np.arange(18_000) / 100
    heart, breath = (times % 0.9 < 0.02) * 1e-3, np.sin(times * (1.5 + 0.002 * times))
    signals = [*(1e-5 * rng.standard_normal((3, 18_000))), heart, breath]
    info = mne.create_info(5, 100.0, ["eeg"] * 3 + ["ecg", "resp"])
    return {
        "raw_in_scanner": mne.io.RawArray(signals, info),
        "bold_in_scanner": rng.standard_normal((90, 3)),
        "confounds": pd.DataFrame({"framewise_displacement": rng.random(90)}),
    }


def test_code_of_the_page_about_data_runs():
    (formula,) = (block for block in code_blocks("data.rst") if block.startswith("first_volume"))
    where = {"t_r": 2.0, "first_volume": 3.0, "n_dummy": 4, "slice_time_ref": 0.5}
    raw = mne.io.RawArray(np.zeros((1, 6000)), mne.create_info(1, 100.0), verbose="ERROR")
    times = frame_times(raw, 10, **where)
    assert eval(formula.strip(), {**where, "k": np.arange(10)}) == pytest.approx(times)
    power = [np.random.default_rng(0).standard_normal((4, 3, 150))]
    people = simulate_paired(3, 200.0, t_r=0.735, sfreq=100.0, n_sources=4, n_targets=3,
                             level="source", random_state=0)  # fmt: skip
    others = dict(zip(("raw_a", "raw_b", "raw_c"), people.raws, strict=True))
    others |= {"bold_a": people.bolds[0][:100], "bold_b": people.bolds[1]}
    others |= eeg_and_light() | in_scanner()
    names = run("data.rst", **where, k=0, power=power, **others)
    assert names["beside"].physiology_.peak_time.shape == (3, 3)
    assert not names["stream"].lost_
    assert list(names["translator"].bands_) == ["delta", "theta", "alpha"]
    assert names["y"].shape == (len(names["epochs"]), 30, 3)
    columns = re.findall(r"^``(\w+)`` +", (ROOT / "doc" / "data.rst").read_text(), re.M)
    elsewhere = {"late", "target_names", "first_volume"}
    assert set(columns) - elsewhere == set(names["epochs"].metadata.columns)


def test_code_of_the_page_about_formats_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    surface = cifti2.BrainModelAxis.from_surface(np.arange(9), 9, "CortexLeft")
    table = {k: (f"region{k}", (0, 0, 0, 1)) for k in range(4)}
    keys = np.repeat([1, 2, 3], 3).astype("f4")[np.newaxis]
    nib.save(nib.Cifti2Image(keys, (cifti2.LabelAxis(["x"], table), surface)), "parcels.dlabel.nii")
    series = cifti2.SeriesAxis(0, 2.0, 150)
    nib.save(nib.Cifti2Image(rng.random((150, 9)), (series, surface)), "rest.dtseries.nii")
    labels = [mne.Label([0], hemi="lh", name=f"{name}-lh") for name in ("V1", "M1")]
    given = {
        "labels": labels,
        "label_ts": rng.random((2, 20_000)),
        "label_bold": rng.random((2, 90)),
    }
    names = run("formats.rst", **given)
    predicted = names["masker"].transform("predicted.dtseries.nii")
    frames = names["translator"].predict(names["raw"])
    np.testing.assert_allclose(predicted, frames, rtol=1e-5)
    peaks = nib.load("time_to_peak.dscalar.nii").get_fdata()[0, ::3]
    np.testing.assert_allclose(peaks, names["peaks"], rtol=1e-6)
    assert (
        names["by_label"].ch_names_in_ == names["by_label"].target_names_in_ == ["V1-lh", "M1-lh"]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_code_of_the_page_about_evaluation_runs():
    data = simulate_paired(1, 60.0, n_sources=4, n_targets=3, level="source", random_state=0)
    image = simulate_bold_image(data.bolds[0], data.target_coords, 2.0)
    scores = pd.DataFrame(np.random.default_rng(0).normal(0.2, 0.1, (8, 3)))
    names = run("evaluation.rst", results=scores, atlas=image.labels_img)
    assert names["group"].mean_["p"] < 0.05
    summary = names["result"].summary()
    assert {"SambaTranslator", "ridge_canonical", "null: circular_shift"} <= set(summary.index)
    assert names["found"].verdict.startswith("Electrophysiology adds to confounds and time")


@pytest.mark.usefixtures("hurried")
def test_code_of_the_recipes_runs():
    people = simulate_paired(
        4, 160.0, sfreq=100.0, n_sources=4, n_targets=4, level="source", random_state=0
    )
    image = simulate_bold_image(people.bolds[0], people.target_coords, 2.0)
    given = {"raws": people.raws, "bolds": people.bolds, "subjects": people.subjects}
    given |= {"labels_img": image.labels_img, "bold_img": image.img, "confounds": None}
    signals = 1e-13 * np.random.default_rng(0).standard_normal((3, 30_000))
    given["raw_meg"] = mne.io.RawArray(signals, mne.create_info(3, 100.0, "mag"))
    names = run("recipes.rst", **given, sample_mask=np.r_[0:70, 75:150])
    assert np.isnan(names["whole"][70:75]).all() and len(names["whole"]) == 150
    assert names["clean"].shape == (80, 4) and len(names["coords"]) == 4
    assert names["meg"].ch_names_in_ == ["0", "1", "2"]
    assert names["search"].best_params_.keys() == {"model__hrf"}
    assert names["named"].get_montage().ch_names == ["Fz", "Cz", "Pz"]
    assert names["windows"].metadata["target_names"].notna().all()
    assert names["responses"].attrs["labels"] == ["young", "old"]


def test_code_of_the_page_about_peers_runs():
    names = run("peers.rst")
    assert names["translator"]._check_params()[1].max_epochs == 12


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_code_of_the_page_about_sharing_runs(monkeypatch, tmp_path):
    # tests/test_hub.py talks to a hub.
    def upload(repo, path, card, **options):
        shutil.copy(path, tmp_path / "model.samba")
        return "a" * 40

    monkeypatch.setattr(base, "upload", upload)
    monkeypatch.setattr(base, "download", lambda *_: tmp_path / "model.samba")
    people = simulate_paired(
        2, 200.0, sfreq=100.0, n_sources=4, n_targets=2, level="source", random_state=0
    )
    given = {"raws": people.raws, "bolds": people.bolds, "subjects": people.subjects}
    names = run("sharing.rst", **given)
    again = names["again"].predict(people.raws[0])
    np.testing.assert_array_equal(again, names["translator"].predict(people.raws[0]))
    assert "people left out, 2 people" in names["card"]


def test_layers_are_those_that_the_linter_enforces():
    rows = re.findall(
        r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M
    )
    with open(ROOT / "pyproject.toml", "rb") as file:
        layers = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]["layers"]
    assert [re.findall(r"`(\w+)`", row) for row in rows] == [row.split(" | ") for row in layers]


def test_finds_lost_pages_images_and_anchors(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "image 1.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">T</h1><a href="#top">a</a><a href="sub/page.html#here">b</a>'
        '<a href="#lost">c</a><img src="image%201.png"><img src="lost.png">'
        '<script src="https://example.org/x.js"></script><img src="data:image/png;base64,AA==">'
        '<a href="https://example.org/x">d</a><a href="sub/page.html#there">e</a>'
    )
    (tmp_path / "sub" / "page.html").write_text('<p id="here"><a href="../index.html">f</a></p>')
    assert load("check_links").broken_links(tmp_path) == [
        "index.html: #lost",
        "index.html: lost.png",
        "index.html: https://example.org/x.js",
        "index.html: sub/page.html#there",
    ]


def test_changes_that_no_release_holds_are_in_the_change_log(tmp_path):
    (tmp_path / "+a.fix.rst").write_text("One thing,\nmended.\n")
    (tmp_path / "+b.feature.rst").write_text("A new thing.\n")
    text = load("conf").unreleased(tmp_path)
    assert text.index("**New**") < text.index("- A new thing.") < text.index("**Fixed**")
    assert "- One thing, mended." in text and "**Changed**" not in text


def test_numbers_of_the_way_back_are_the_measured_ones():
    page = (ROOT / "doc" / "choosing.rst").read_text(encoding="utf-8")
    written = re.findall(r"^ +([\d.]+ to [\d.]+) +(\.\d\d.*)$", page, re.M)
    assert len(written) == 5
    for rate, values in written:
        row = re.search(rf"^\| simulator \| {re.escape(rate)} \|(.*)\|$", section("reverse"), re.M)
        measured = [float(value) for value in row[1].split("|")[1:6]]
        assert [float(v) for v in values.split()] == pytest.approx(measured, abs=0.0055), rate


def test_numbers_of_every_part_are_the_measured_ones():
    page = (ROOT / "doc" / "choosing.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w ()]+) \| ([\d.]+) \| [\d.]+ \| (\S*)", section("ablation"), re.M)
    found = {name: (float(r), change) for name, r, change in reversed(rows)}
    assert f"{found['default'][0]:.3f} for the default" in page
    names = {
        "no band attention": "no band weights", "log power": "log power",
        "canonical response": "canonical response", "no whitening": "no whitening of the noise",
        "own bands for every region": "bands of their own for every region",
        "gaussian map": "Gaussian map", "free response (FIR)": "free responses",
        "graph attention": "graph attention, kept", "lstm": "LSTM, kept", "gru": "GRU, kept",
        "transformer": "transformer, kept",
    }  # fmt: skip
    for name, words in names.items():
        (written,) = re.findall(rf"^   {re.escape(words)}.* (-?[\d.]+)$", page, re.M)
        assert float(written) == pytest.approx(float(found[name][1]), abs=0.0055), name


def test_code_is_no_wider_than_pages():
    """70 columns fit beside both sidebars; prose of the gallery is wrapped by browsers."""
    code = {}
    for page in (ROOT / "doc").glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"code-block:: \w+\n(?:   :.*\n)*\n((?:   .*\n|\n)+)", text):
            code.setdefault(page.name, []).extend(textwrap.dedent(block).splitlines())
    for page in (ROOT / "examples").rglob("plot_*.py"):
        _, _, text = page.read_text(encoding="utf-8").split('"""', 2)
        code[page.name] = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(code) > 25
    wide = [f"{name}: {x}" for name, lines in code.items() for x in lines if len(x) > 70]
    assert not wide
    assert not [name for name, lines in code.items() if "# fmt:" in "\n".join(lines)]
