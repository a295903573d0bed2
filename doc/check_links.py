"""Check that links and images within the built site lead somewhere, and that it loads no others."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Anchors of a page, and what it points to."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: list[str] = []
        self.loaded: list[str] = []  # scripts, styles and images
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                self.targets.append(value)
                if name == "src" or tag == "link":
                    self.loaded.append(value)


def broken_links(site: Path) -> list[str]:
    """Links to files or anchors that do not exist, and what other sites have to serve.

    Each as "page: target".
    """
    site = site.resolve()
    files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in files}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme == "data" or target == "#":
                continue
            if parts.scheme or parts.netloc:
                if target in page.loaded:
                    broken.append(f"{path.relative_to(site)}: {target}")
                continue
            found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lost = not found.exists()
            if not lost and parts.fragment and found in pages:
                lost = unquote(parts.fragment) not in pages[found].anchors
            if lost:
                broken.append(f"{path.relative_to(site)}: {target}")
    return broken


if __name__ == "__main__":
    lost = broken_links(Path(sys.argv[1]))
    print("\n".join(lost) or "Every link and image of the site leads somewhere.")
    sys.exit(bool(lost))
