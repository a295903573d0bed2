"""Results that are there whole or not at all: power cuts, other processes, folders of others."""

import json
import os

import pytest

from mne_samba.cli import _staging, main
from mne_samba.cli._staging import clear_stale, is_done, staged, write_text
from mne_samba.cli._sys_info import _device, sys_info

OPTIONS = {"seed": 0, "task": "rest"}


def fill(folder, options=OPTIONS, text="new"):
    with staged(folder, options) as partial:
        assert partial.parent == folder.parent and partial.name.startswith(".")
        (partial / "scores.tsv").write_text(text)


def test_a_folder_appears_with_everything_in_it(tmp_path):
    folder = tmp_path / "sub-01"
    assert not is_done(folder, OPTIONS)
    fill(folder)
    assert is_done(folder, OPTIONS)
    assert sorted(p.name for p in folder.iterdir()) == ["options.json", "scores.tsv"]
    assert json.loads((folder / "options.json").read_text()) == OPTIONS
    assert [p.name for p in tmp_path.iterdir()] == ["sub-01"]


def test_a_new_result_replaces_the_old_one_whole(tmp_path):
    folder = tmp_path / "sub-01"
    fill(folder, text="old")
    (folder / "left.txt").touch()
    fill(folder, {**OPTIONS, "seed": 1})
    assert (folder / "scores.tsv").read_text() == "new" and not (folder / "left.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["sub-01"]
    with pytest.raises(ValueError, match=r"other options \(seed=1 instead of 0\)"):
        is_done(folder, OPTIONS)


def test_a_kill_between_old_and_new_leaves_nothing_for_good(tmp_path, monkeypatch):
    folder = tmp_path / "sub-01"
    fill(folder, text="old")
    replace = os.replace

    def killed(source, target):
        if target == folder:
            raise SystemExit
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(SystemExit):
        fill(folder)
    assert not is_done(folder, OPTIONS)
    monkeypatch.setattr(_staging, "_alive", lambda pid: False)
    clear_stale(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_fails_half_way_leaves_the_old_one(tmp_path):
    folder = tmp_path / "sub-01"
    fill(folder, text="old")
    with pytest.raises(OSError, match="No space left"), staged(folder, OPTIONS) as partial:
        (partial / "scores.tsv").write_text("half")
        raise OSError("No space left on device")
    assert (folder / "scores.tsv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["sub-01"]


@pytest.mark.parametrize("content", [None, "", "{"])
def test_folders_of_others_are_not_touched(tmp_path, content):
    folder = tmp_path / "sub-01"
    folder.mkdir()
    if content is not None:
        (folder / "options.json").write_text(content)
    with pytest.raises(ValueError, match=r"was not made by this command .*--overwrite"):
        is_done(folder, OPTIONS)


def test_only_what_dead_processes_of_this_machine_left_is_removed(tmp_path, monkeypatch):
    host = _staging._host()

    def kill(pid, signal):
        assert signal == 0
        if pid == 41:
            raise ProcessLookupError
        if pid == 42:
            raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    names = {
        "dead": f".sub-01.{host}.41.partial", "another's": f".sub-01.{host}.42.partial",
        "alive": f".sub-01.{host}.43.partial", "no number": f".sub-01.{host}.x.partial",
        "another machine": ".sub-01.elsewhere.41.partial", "unknown": ".partial",
    }  # fmt: skip
    for name in names.values():
        (tmp_path / name).mkdir()
    clear_stale(tmp_path)
    left = {label for label, name in names.items() if (tmp_path / name).exists()}
    assert left == {"another's", "alive", "another machine", "unknown"}


def test_small_files_are_whole_too(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_text(path, "first")

    def broken(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "second")
    assert path.read_text() == "first" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("cuda", "mps", "said"),
    [(False, False, "cpu"), (False, True, "mps"), (True, False, "cuda (Big one, Small one; CUDA ")],
)
def test_the_device_is_named(monkeypatch, cuda, mps, said):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: ["Big one", "Small one"][i])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert _device().startswith(said)


def test_packages_that_are_missing_are_said(monkeypatch):
    monkeypatch.setattr("mne_samba.cli._sys_info._PACKAGES", ("numpy", "no-such-package"))
    lines = sys_info().splitlines()
    assert lines[-1].split() == ["no-such-package:", "not", "installed"]
    assert lines[0].split()[0] == "mne_samba:" and lines[-2].startswith("numpy:")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(OSError("disk full"), 1, "mne_samba: error: disk full"),
     (KeyboardInterrupt(), 130, "mne_samba: interrupted")],
)  # fmt: skip
def test_a_demo_that_cannot_end(tmp_path, monkeypatch, capsys, error, code, said):
    def stop(*args, **kwargs):
        raise error

    monkeypatch.setattr("mne_samba.cli._demo.run_demo", stop)
    assert main(["demo", "--out", str(tmp_path / "out")]) == code
    assert capsys.readouterr().err.strip() == said
    assert list((tmp_path / "out").iterdir()) == []


def test_the_module_is_the_command(monkeypatch):
    import runpy

    monkeypatch.setattr("sys.argv", ["mne_samba", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("mne_samba", run_name="__main__")
    assert ended.value.code == 0
