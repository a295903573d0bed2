"""Pages: links that lead nowhere are found, changes are shown, numbers are the measured ones."""

import importlib.util
import re
from pathlib import Path

import pytest

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


def test_finds_lost_pages_images_and_anchors(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "image 1.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">T</h1><a href="#top">a</a><a href="sub/page.html#here">b</a>'
        '<a href="#lost">c</a><img src="image%201.png"><img src="lost.png">'
        '<a href="https://example.org/x">d</a><a href="sub/page.html#there">e</a>'
    )
    (tmp_path / "sub" / "page.html").write_text('<p id="here"><a href="../index.html">f</a></p>')
    assert load("check_links").broken_links(tmp_path) == [
        "index.html: #lost",
        "index.html: lost.png",
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
    page = " ".join((ROOT / "doc" / "choosing.rst").read_text(encoding="utf-8").split())
    rows = re.findall(r"^\| ([\w ]+) \| ([\d.]+) \| [\d.]+ \| (\S*)", section("ablation"), re.M)
    found = {name: (float(r), change) for name, r, change in reversed(rows)}
    assert f"{found['default'][0]:.3f} for the default" in page
    texts = {
        "no band attention": "(``band_attention=False``) {} is lost",
        "log power": "where the simulation couples power itself, {};",
        "canonical response": "with the canonical response {};",
        "no whitening": "without whitening of the noise {};",
        "own bands for every region": "with bands of their own for every region {};",
        "gaussian map": "with a Gaussian map {}.",
    }
    for name, text in texts.items():
        assert text.format(f"{-float(found[name][1]):.2f}") in page, name
