"""Results that are there whole or not at all, also after a power cut."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from ..model_file import written_whole

_DONE = "options.json"


def write_text(path: Path, text: str) -> None:
    """Write a small file beside its place, then put it there."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_json(content) -> str:
    """Readable JSON that is the same for the same content."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def clear_stale(out: Path) -> None:
    """Remove what processes of this machine left unfinished."""
    for path in out.glob(".*.partial"):
        parts = path.name.removesuffix(".partial").rsplit(".", 2)
        if len(parts) == 3 and parts[1] == _host() and not _alive(parts[2]):
            shutil.rmtree(path, ignore_errors=True)


def _host() -> str:
    return socket.gethostname().replace(".", "-")


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def is_done(folder: Path, options: dict, may_change: str = "") -> bool:
    """Whether results are there, made with the same options; others, but for one, are refused."""
    if not folder.is_dir():
        return False
    try:
        made = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(
            f"{folder} was not made by this command ({_DONE} is missing or damaged): choose "
            "another folder, or use --overwrite."
        ) from None
    names = (options.keys() | made.keys()) - {may_change}
    other = sorted(k for k in names if options.get(k) != made.get(k))
    if not other:
        return made.get(may_change) == options.get(may_change)
    said = ", ".join(f"{k}={made.get(k)!r} instead of {options.get(k)!r}" for k in other[:4])
    raise ValueError(
        f"{folder} was made with other options ({said}): choose another folder, or use --overwrite."
    )


@contextlib.contextmanager
def staged(folder: Path, options: dict) -> Iterator[Path]:
    """Fill a folder under another name; rename it, with the options inside, when all is written."""
    partial = folder.with_name(f".{folder.name}.{_host()}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        write_text(partial / _DONE, to_json(options))
        old = folder.with_name(f".{folder.name}-old.{_host()}.{os.getpid()}.partial")
        if folder.is_dir():
            os.replace(folder, old)
        os.replace(partial, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
