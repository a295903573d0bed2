import contextlib
import io
import subprocess
import sys

import mne
import pandas as pd
import pytest

import mne_samba
from mne_samba.cli import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Output of one quick demo, and what it printed."""
    out = tmp_path_factory.mktemp("demo")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        assert main(["demo", "--out", str(out), "--quick", "--quiet"]) == 0
    (out / "printed.txt").write_text(printed.getvalue(), encoding="utf-8")
    return out


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"mne_samba {mne_samba.__version__}"


def test_help_names_the_commands_and_is_quick():
    script = """
import runpy, sys, time
sys.argv = ["mne_samba", "--help"]
try:
    runpy.run_module("mne_samba", run_name="__main__")
finally:
    print(time.process_time(), file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0
    # Seconds of CPU: help must not wait for torch, mne or numpy.
    assert float(run.stderr) < 1
    assert "demo" in run.stdout and "sys-info" in run.stdout


def test_sys_info_lists_versions_and_device(capsys):
    assert main(["sys-info"]) == 0
    text = capsys.readouterr().out
    found = dict(line.split(":", 1) for line in text.strip().splitlines())
    assert found["mne"].strip() == mne.__version__
    assert found["mne_samba"].strip() == mne_samba.__version__
    assert found["device"].strip()
    for name in ("python", "platform", "numpy", "scipy", "scikit-learn", "torch", "nilearn"):
        assert found[name].strip() not in ("", "not installed")
    assert {"torch-geometric", "skorch", "PyWavelets"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["nothing"], "invalid choice"),
        (["demo", "--seed", "one"], "'one' is not an integer"),
        (["demo", "--seed", "-1"], "'-1' is not an integer"),
    ],
)
def test_wrong_arguments_end_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path, capsys):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(path)])
    assert ended.value.code == 2
    assert "is a file; give a folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_ends_with_1(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot write to" in capsys.readouterr().err


def test_demo_is_silent_when_asked(demo):
    assert (demo / "printed.txt").read_text(encoding="utf-8") == ""


def test_demo_scores(demo):
    scores = pd.read_csv(demo / "scores.csv", index_col="model")
    models = {"SambaTranslator", "ridge_canonical", "ridge_fir", "mean", "null: circular_shift"}
    assert models <= set(scores.index)
    assert scores.loc["mean", "mean"] == 0
    by_region = pd.read_csv(demo / "scores_by_region.csv")
    rows = by_region[(by_region.model == "SambaTranslator") & (by_region.metric == "spearman")]
    assert rows["target"].nunique() == 8 and set(rows["subject"]) == {"sub-01", "sub-02"}
    assert rows["score"].mean() == pytest.approx(scores.loc["SambaTranslator", "mean"])


def test_demo_begins_with_real_people(demo):
    table = pd.read_csv(demo / "eeg_fmri_sleep.csv", index_col="model")
    models = ["SambaTranslator", "ridge_canonical", "ridge_fir", "mean", "time"]
    assert list(table.index) == [*models, "null: circular_shift"]
    # Two people are few: what real EEG tells of their fMRI is a little.
    assert -0.1 < table.loc["ridge_fir", "mean"] < 0.5
    text = (demo / "report.html").read_text(encoding="utf-8")
    assert text.index("Real EEG-fMRI") < text.index("Simulated people: scores")
    assert "No raw EEG and no BOLD of regions" in text


def test_demo_learns_the_response_of_the_real_recording(demo):
    table = pd.read_csv(demo / "calcium_bold.csv")
    mean = table.groupby("model")["Pearson"].mean()
    assert mean["learnt response"] > mean["fixed Glover response"] > 0.3
    assert mean["free response (FIR)"] > mean["fixed Glover response"]
    peaks = table[table.model == "learnt response"]["time to peak (s)"]
    # Responses of small animals are faster than those of people.
    assert (peaks < 4).all()


def test_demo_saves_a_model_that_can_be_read(demo):
    translator = mne_samba.read_samba(demo / "translator.samba")
    assert translator.hrf_params_.shape == (8, 6)


def test_demo_report_says_what_is_simulated(demo):
    text = (demo / "report.html").read_text(encoding="utf-8")
    assert text.count("SIMULATED data") >= 3 and "REAL data" in text
    for title in ("Table of scores", "Band attention", "Time to peak", "Haemodynamic responses"):
        assert title in text
    assert text.count("data:image/png;base64") >= 10
