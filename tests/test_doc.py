"""The built site is checked for links that lead nowhere: the check itself."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "doc" / "check_links.py"


def broken_links(site):
    spec = importlib.util.spec_from_file_location("check_links", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.broken_links(site)


def test_finds_lost_pages_images_and_anchors(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "image 1.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">T</h1><a href="#top">a</a><a href="sub/page.html#here">b</a>'
        '<a href="#lost">c</a><img src="image%201.png"><img src="lost.png">'
        '<a href="https://example.org/x">d</a><a href="sub/page.html#there">e</a>'
    )
    (tmp_path / "sub" / "page.html").write_text('<p id="here"><a href="../index.html">f</a></p>')
    assert broken_links(tmp_path) == [
        "index.html: #lost",
        "index.html: lost.png",
        "index.html: sub/page.html#there",
    ]
