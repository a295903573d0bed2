"""Long benchmarks continue where they stopped: finished parts are kept beside the table."""

from __future__ import annotations

import json
from pathlib import Path


def cached(path: Path, function, *arguments, only_read: bool = False) -> list[dict] | None:
    """Rows of ``function(*arguments)``, from the file if they are there.

    With ``only_read``, None where they are not.
    """
    key = json.dumps([function.__name__, *arguments])
    if path.exists():
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["key"] == key:
                return entry["rows"]
    if only_read:
        return None
    rows = function(*arguments)
    with path.open("a") as file:
        file.write(json.dumps({"key": key, "rows": rows}, default=float) + "\n")
    return rows
