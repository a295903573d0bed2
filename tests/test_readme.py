"""The README's lines run as they stand, on a real EEG file with semi-synthetic BOLD."""

import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mne_samba.datasets import load_bold_rest, load_eeg_rest, simulate_bold

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)


def code():
    """Lines of Python in the README; there is one block."""
    (block,) = [text for language, text in BLOCKS if language == "python"]
    return block


def test_at_most_fifteen_lines_and_two_commands():
    assert len([line for line in code().splitlines() if line.strip()]) <= 15
    commands = next(text for language, text in BLOCKS if language == "console")
    assert len(commands.strip().splitlines()) == 2
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    assert {line.split()[1] for line in commands.strip().splitlines()} <= set(targets)


def test_files_that_the_readme_names_exist():
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / name).exists(), name
    assert README.count("![") == 1
    assert "SIMULATED" in README


@pytest.mark.slow
def test_lines_run_on_a_real_recording(tmp_path, monkeypatch, capsys):
    """From an EEG file and masked BOLD to a model, honest scores with nulls, and a report."""
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr("webbrowser.open_new_tab", lambda url: opened.append(url))
    rest, raw = load_bold_rest(), load_eeg_rest()
    raw.crop(0, 150).pick(raw.ch_names[::15]).export(tmp_path / "eeg.edf", verbose="ERROR")
    semi_synthetic = simulate_bold(
        raw, t_r=2.0, n_targets=2, snr=4.0, noise=rest.bold.to_numpy(),
        noise_t_r=rest.t_r, random_state=0,
    )  # fmt: skip
    np.save(tmp_path / "bold.npy", semi_synthetic.bold)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exec(compile(code(), "README.md", "exec"), names)
    plt.close("all")
    summary = names["result"].summary()
    rows = {"SambaTranslator", "ridge_canonical", "ridge_fir", "mean"}
    nulls = {"null: circular_shift", "null: shuffled_pairing"}
    assert rows | nulls <= set(summary.index)
    assert summary["mean"].abs().max() < 1 and summary.loc["mean", "mean"] == 0
    assert 0 < summary.loc["SambaTranslator", "p"] <= 1
    assert "SambaTranslator" in capsys.readouterr().out
    assert names["model"].predict(names["epochs"]).shape == names["y"].shape
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "circular shifts" in html and html.count("data:image/png") > 4
    assert opened
