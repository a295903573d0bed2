import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from assemble import hurry as choose_nothing
from assemble import quick

pytest.importorskip("mne_bids")
pytest.importorskip("pybv")

import mne_samba
from mne_samba import CoreModel, InverseCoreModel, InverseTranslator, SambaTranslator
from mne_samba.baselines import BandPowerRidge
from mne_samba.cli import _bids, main
from mne_samba.cli._bids_group import compare_responses, groups_of
from mne_samba.datasets._bids_tree import write_bids_tree
from mne_samba.io import read_model

QUICK = ["--folds", "2", "--window", "30", "--corrections", "never", "--n-shifts", "19"]


def hurry(patch):
    """Let models choose nothing inside: what is tested is what is done with them."""
    choose_nothing(patch, BandPowerRidge)
    for cls, core in ((SambaTranslator, CoreModel), (InverseTranslator, InverseCoreModel)):

        def hurried(*, model, cls=cls, core=core, **options):
            assert model == "core"
            return cls(model=quick(core, hrf="double_gamma"), **options)

        patch.setattr(_bids, cls.__name__, hurried)


@pytest.fixture(scope="module", autouse=True)
def hurried():
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        yield


SCRIPT = f"""
import sys
import pytest
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_cli_bids as here
here.hurry(pytest.MonkeyPatch())
sys.exit(here.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = write_bids_tree(tmp_path_factory.mktemp("bids") / "ds", 4, 240.0, n_targets=4)
    people = pd.read_csv(tree.root / "participants.tsv", sep="\t").assign(arm=list("xyyx"))
    people.to_csv(tree.root / "participants.tsv", sep="\t", index=False)
    return tree


def command(tree, out, level="participant", *more):
    options = ["--task", "rest", "--atlas", str(tree.atlas), *QUICK]
    return ["bids", str(tree.root), str(out), level, *options, *more]


@pytest.fixture(scope="module")
def unbroken(tree, tmp_path_factory):
    """Results of all four people, computed in one go; reports take longer than all the rest."""
    out = tmp_path_factory.mktemp("unbroken")
    assert main(command(tree, out, "participant", "--no-report")) == 0
    return out


@pytest.fixture(scope="module")
def printed(tree, unbroken):
    """What the command prints of the group, which compares two groups of people."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(command(tree, unbroken, "group", "--group-by", "arm")) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def group(unbroken, printed):
    return unbroken / "group"


def contents(out):
    files = sorted(p for p in Path(out).rglob("*") if p.is_file())
    return {str(p.relative_to(out)): p.read_bytes() for p in files}


def test_what_is_written_is_a_derivative(tree, unbroken):
    about = json.loads((unbroken / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    assert about["GeneratedBy"][0]["Name"] == "mne_samba"
    for i, subject in enumerate(tree.subjects):
        folder = unbroken / f"sub-{subject}"
        name = f"sub-{subject}_task-rest"
        stem = folder / "func" / f"{name}_run-01_desc-predicted"
        table = pd.read_csv(f"{stem}_timeseries.tsv", sep="\t")
        assert list(table.columns) == tree.target_names and len(table) == len(tree.bolds[i])
        sidecar = json.loads(Path(f"{stem}_timeseries.json").read_text())
        assert sidecar["RepetitionTime"] == 2.0
        assert sidecar["StartTime"] == pytest.approx(tree.frame_times[i][0])
        # Every row is a frame of BOLD: the first windows begin after 30 s of context.
        first = int(np.flatnonzero(table.notna().all(axis=1))[0])
        assert 30.0 <= tree.frame_times[i][first] < 32.0 and table[:first].isna().all(axis=None)
        space = stem.with_name(stem.name.replace("_desc", "_space-MNI152NLin2009cAsym_desc"))
        image = nib.load(f"{space}_bold.nii.gz")
        assert image.shape[3] == len(table) and image.header.get_zooms()[3] == 2.0
        assert image.header.get_xyzt_units() == ("mm", "sec")
        # nilearn takes it for the time within a volume.
        assert json.loads(Path(f"{space}_bold.json").read_text())["StartTime"] == 1.0
        labels = np.asarray(nib.load(tree.atlas).dataobj)
        frame = int(np.flatnonzero(table.notna().all(axis=1))[0])
        inside = np.asarray(image.dataobj)[labels == 1, frame]
        np.testing.assert_allclose(inside, table.iloc[frame, 0], rtol=1e-5)
        scores = pd.read_csv(folder / f"{name}_desc-samba_scores.tsv", sep="\t")
        models = {"SambaTranslator", "ridge_canonical", "ridge_fir", "mean", "time"}
        assert models == set(scores["model"])
        assert set(scores["target"]) == set(tree.target_names)
        ours = scores[(scores["model"] == "SambaTranslator") & (scores["metric"] == "spearman")]
        statmap = f"{name}_space-MNI152NLin2009cAsym_stat-spearman_desc-samba_statmap.nii.gz"
        where = np.asarray(nib.load(folder / statmap).dataobj)
        mean = ours.groupby("target")["score"].mean()[tree.target_names[1]]
        np.testing.assert_allclose(where[labels == 2], mean, rtol=1e-5)
        model = mne_samba.read_samba(folder / f"{name}_desc-samba_model.samba")
        assert model.provenance_[0]["subject"] == subject
        assert not list(folder.glob("*.html"))


def test_group_predicts_people_not_seen(tree, group):
    report = (group / "task-rest_desc-samba_report.html").read_text(encoding="utf-8")
    assert "Table of scores" in report and "fMRIPrep 24.1.0" in report
    scores = pd.read_csv(group / "task-rest_desc-samba_scores.tsv", sep="\t")
    ours = scores[(scores["model"] == "SambaTranslator") & (scores["metric"] == "spearman")]
    assert set(ours["subject"]) == {"sub-01", "sub-02", "sub-03", "sub-04"}
    assert ours["score"].mean() > 0.15
    assert len(mne_samba.read_samba(group / "task-rest_desc-samba_model.samba").provenance_) == 4


def test_people_of_a_group_are_tested(tree, group):
    for kind, who in (("ModelsOfTheOthers", True), ("OwnModels", False)):
        stem = group / f"task-rest_desc-group{kind}"
        targets = pd.read_csv(f"{stem}_targets.tsv", sep="\t", index_col="target")
        people = pd.read_csv(f"{stem}_people.tsv", sep="\t")
        about = json.loads(Path(f"{stem}_targets.json").read_text())
        assert list(targets.index) == tree.target_names and "p_cluster" in targets
        assert list(people["participant_id"]) == [f"sub-{s}" for s in tree.subjects]
        assert about["SharedTraining"] is who and "4 people" in about["Verdict"]
    own = pd.read_csv(group.parent / "sub-01/sub-01_task-rest_desc-samba_scores.tsv", sep="\t")
    own = own[(own["model"] == "SambaTranslator") & (own["metric"] == "spearman")]
    np.testing.assert_allclose(people["r"][0], np.tanh(np.mean(np.arctanh(
        own.groupby("target")["score"].mean()))))  # fmt: skip
    report = (group / "task-rest_desc-samba_report.html").read_text(encoding="utf-8")
    assert "The group: models of the others" in report and "The group: own models" in report


def test_predictions_lie_at_the_frames_that_were_measured(tree, group):
    # SIMULATED: a prediction shifted by one frame fits worse.
    total = {lag: 0.0 for lag in range(-3, 4)}
    for subject, bold in zip(tree.subjects, tree.bolds, strict=True):
        name = f"sub-{subject}_task-rest_run-01_desc-predicted_timeseries.tsv"
        made = pd.read_csv(group / f"sub-{subject}" / "func" / name, sep="\t").to_numpy()
        assert made.shape == bold.shape
        inside = np.arange(20, len(bold) - 5)
        for lag in total:
            pairs = zip(made[inside].T, bold[inside + lag].T, strict=True)
            total[lag] += sum(np.corrcoef(a, b)[0, 1] for a, b in pairs)
    assert max(total, key=total.get) == 0


def test_a_group_of_other_people_is_another_result(tree, group, capsys):
    out = group.parent
    by = ["--group-by", "arm"]
    assert main(command(tree, out, "group", *by)) == 0
    assert "done before" in capsys.readouterr().out
    assert main(command(tree, out, "group", *by, "--participant-label", "01", "02")) == 1
    assert "made with other options (participants=" in capsys.readouterr().err


def test_an_interruption_ends_with_130(tree, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mne_samba.cli._bids.read_bids_pair", interrupt)
    assert main(command(tree, tmp_path / "out")) == 130
    assert "run again to go on" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("sub-*"))


def test_what_is_done_is_not_done_again(tree, unbroken, capsys):
    before = contents(unbroken)
    start = time.perf_counter()
    assert main(command(tree, unbroken, "participant", "--no-report")) == 0
    assert capsys.readouterr().out.count("done before") == 4
    assert time.perf_counter() - start < 5
    assert contents(unbroken) == before


def test_other_options_are_not_mixed_in(tree, unbroken, capsys):
    assert main([*command(tree, unbroken), "--seed", "5", "--no-report"]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 4 and all("seed=0 instead of 5" in line for line in said)
    assert main(command(tree, unbroken)) == 1
    assert "no_report=True instead of False" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_run_again_gives_the_same(tree, unbroken, tmp_path, capsys):
    people = ["01", "02"]
    arguments = command(tree, tmp_path / "out", "participant", "--no-report")
    arguments += ["--participant-label", *people]
    call = [sys.executable, "-c", SCRIPT, *arguments]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("sub-02 (2/2): 1 run"):
            break
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    out = tmp_path / "out"
    assert (out / "sub-01").is_dir() and not (out / "sub-02").exists()
    # What a kill while results are written leaves behind: half a folder of a process that is gone.
    import socket

    host = socket.gethostname().replace(".", "-")
    left = out / f".sub-02.{host}.{process.pid}.partial"
    left.mkdir(exist_ok=True)
    (left / "half.tsv").write_text("fra")
    done = (out / "sub-01").stat().st_mtime_ns
    assert main(arguments) == 0 and "sub-01 (1/2): done before" in capsys.readouterr().out
    assert (out / "sub-01").stat().st_mtime_ns == done
    assert not left.exists() and not list(out.glob(".*.partial"))
    kept = ("dataset_description.json", *(f"sub-{person}" for person in people))
    whole = {k: v for k, v in contents(unbroken).items() if k.startswith(kept)}
    resumed = contents(out)
    assert resumed.keys() == whole.keys()
    for name, content in whole.items():
        if name.endswith(".samba"):
            (config, arrays), (again, same) = read_model(unbroken / name), read_model(out / name)
            assert config == again and arrays.keys() == same.keys()
            assert all(np.array_equal(arrays[k], same[k], equal_nan=True) for k in arrays)
        else:
            assert resumed[name] == content, name


def test_one_broken_person_does_not_stop_the_others(tree, tmp_path, capsys):
    import shutil

    root = tmp_path / "ds"
    shutil.copytree(tree.root, root)
    path = root / "sub-01/eeg/sub-01_task-rest_run-01_events.tsv"
    table = pd.read_csv(path, sep="\t")
    table.drop(index=20).to_csv(path, sep="\t", index=False)
    arguments = command(tree, tmp_path / "out", "participant", "--participant-label", "01", "02")
    arguments[1] = str(root)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    said = captured.err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("mne_samba: error: sub-01: ")
    assert "sub-01_task-rest_run-01_eeg.vhdr" in said[0] and "volume 20" in said[0]
    assert "sub-02 (2/2): Spearman" in captured.out
    assert not (tmp_path / "out" / "sub-01").exists()
    report = tmp_path / "out" / "sub-02" / "sub-02_task-rest_desc-samba_report.html"
    assert "Table of scores" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({1: "nowhere"}, "BIDS_DIR is no folder: nowhere"),
        ({7: "nothing.nii.gz"}, "No atlas image nothing.nii.gz"),
        ({5: "sleep"}, "Nobody in"),
    ],
)
def test_what_cannot_be_read_ends_with_1(tree, tmp_path, capsys, change, said):
    arguments = command(tree, tmp_path / "out")
    for place, value in change.items():
        arguments[place] = value
    assert main(arguments) == 1
    err = capsys.readouterr().err.strip()
    assert said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out" / "sub-01").exists()


def test_unknown_people_and_a_folder_that_is_a_file(tree, tmp_path, capsys):
    assert main(command(tree, tmp_path / "o", "participant", "--participant-label", "77")) == 1
    assert "No folder sub-77" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(command(tree, tmp_path / "file")) == 1
    assert "mne_samba: error" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["--folds", "1"], ["--folds", "x"], ["--t-r", "-2"], ["--t-r", "x"], ["--t-r", "nan"],
     ["--direction", "up"], ["--seed", "-1"]],
)  # fmt: skip
def test_wrong_arguments_end_with_2(tree, tmp_path, wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command(tree, tmp_path), *wrong])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"argument {wrong[0]}" in said and f"'{wrong[1]}'" in said and "_positive" not in said


@pytest.mark.slow
def test_the_way_back(tree, tmp_path):
    out = tmp_path / "out"
    assert main(command(tree, out, "group", "--direction", "hemo_to_ele", "--no-report")) == 0
    path = out / "group" / "task-rest_dir-back_desc-samba_scores.tsv"
    scores = pd.read_csv(path, sep="\t")
    assert set(scores["channel"]) == set(tree.raws[0].ch_names)
    # SIMULATED people: BOLD holds what the slow part of alpha power did.
    assert scores.groupby("band")["score"].mean().max() > 0.05


def cli(root, out, level, *more, atlas=None):
    atlas = atlas or next(root.glob("derivatives/atlas/*.nii.gz"))
    options = ["--task", "rest", "--atlas", str(atlas), *QUICK, "--no-report"]
    return ["bids", str(root), str(out), level, *options, *more]


@pytest.fixture
def copy(tree, tmp_path):
    import shutil

    return Path(shutil.copytree(tree.root, tmp_path / "ds"))


def test_people_who_spell_channels_otherwise_keep_them_all(copy, tmp_path, capsys):
    """One person's channels are FP1 and FP2, another one's C3 is bad."""
    for subject, change in (
        ("01", lambda table: table.assign(name=table["name"].str.upper())),
        ("02", lambda table: table.assign(status=np.where(table["name"] == "C3", "bad", "good"))),
    ):
        path = next(copy.glob(f"sub-{subject}/eeg/*channels.tsv"))
        change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(cli(copy, tmp_path / "out", "group")) == 0
    assert "channels ['C3'] are not in all runs and are left out" in capsys.readouterr().out
    model = mne_samba.read_samba(tmp_path / "out/group/task-rest_desc-samba_model.samba")
    assert list(model.ch_names_in_) == ["FP1", "FP2", "C4", "P3", "P4", "O1", "O2"]


def test_repetition_times_that_contradict_each_other(copy, tree, tmp_path, capsys):
    """What the message advises ends in the frames that were measured."""
    path = next(copy.glob("sub-01/func/*_bold.json"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"RepetitionTime": 2.5}))
    one = ["--participant-label", "01"]
    assert main(cli(copy, tmp_path / "out", "participant", *one)) == 1
    said = capsys.readouterr().err
    assert "says 2.5 s" in said and "in the command line --t-r" in said
    assert main(cli(copy, tmp_path / "out", "participant", *one, "--t-r", "2.0")) == 0
    made = next((tmp_path / "out").glob("sub-01/func/*timeseries.json"))
    sidecar = json.loads(made.read_text())
    assert sidecar["RepetitionTime"] == 2.0
    assert sidecar["StartTime"] == pytest.approx(tree.frame_times[0][0])


def on_surfaces(root, tree):
    """Put the first person's BOLD onto surfaces of 20 vertices, as fMRIPrep does; the atlas."""
    folder = next(root.glob("derivatives/fmriprep/sub-01/func"))
    for side in "LR":
        arrays = [
            nib.gifti.GiftiDataArray(np.repeat(frame, 5).astype("f4"), "NIFTI_INTENT_TIME_SERIES")
            for frame in 10 * tree.bolds[0] + (side == "R")
        ]
        path = folder / f"sub-01_task-rest_run-01_hemi-{side}_space-fsaverage5_bold.func.gii"
        nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
        path.with_name(path.name.replace(".func.gii", ".json")).write_text(
            '{"RepetitionTime": 2.0, "StartTime": 1.0, "SliceTimingCorrected": true}'
        )
    for side, names in (("lh", "unknown A B C D"), ("rh", "unknown E F G H")):
        colours = np.arange(25).reshape(5, 5)
        keys = np.repeat([1, 2, 3, 0], 5)
        nib.freesurfer.write_annot(root / f"{side}.x.annot", keys, colours, names.split())
    return root / "lh.x.annot"


def test_surfaces_are_read_and_written_in_their_space(copy, tree, tmp_path, capsys):
    atlas = on_surfaces(copy, tree)
    arguments = cli(copy, tmp_path / "out", "participant", "--participant-label", "01", atlas=atlas)
    assert main([*arguments, "--space", "fsLR"]) == 1
    said = capsys.readouterr().err
    assert "No preprocessed BOLD (.func.gii or .dtseries.nii) of sub-01_task-rest_run-01" in said
    assert main([*arguments, "--space", "fsaverage5"]) == 0
    folder = tmp_path / "out" / "sub-01"
    stem = folder / "func" / "sub-01_task-rest_run-01"
    table = pd.read_csv(f"{stem}_desc-predicted_timeseries.tsv", sep="\t")
    assert list(table.columns) == ["A-lh", "B-lh", "C-lh", "E-rh", "F-rh", "G-rh"]
    frame = int(np.flatnonzero(table.notna().all(axis=1))[0])
    for side, name in (("L", "B-lh"), ("R", "F-rh")):
        path = f"{stem}_hemi-{side}_space-fsaverage5_desc-predicted_bold"
        image = nib.load(f"{path}.func.gii")
        assert image.agg_data().shape == (20, len(table))
        assert float(image.darrays[0].meta["TimeStep"]) == 2000.0
        np.testing.assert_allclose(image.agg_data()[5:10, frame], table[name][frame], rtol=1e-5)
        assert json.loads(Path(f"{path}.json").read_text())["StartTime"] == 1.0
    statmap = "hemi-R_space-fsaverage5_stat-spearman_desc-samba_statmap.shape.gii"
    assert not nib.load(folder / f"sub-01_task-rest_{statmap}").agg_data()[15:].any()


def test_an_image_is_chosen_by_its_entities(copy, tmp_path, capsys):
    import shutil

    for path in list(copy.glob("derivatives/fmriprep/sub-01/func/*desc-preproc_bold.*")):
        shutil.copy(path, str(path).replace("_desc", "_res-2_desc"))
    one = ["--participant-label", "01"]
    assert main(cli(copy, tmp_path / "out", "participant", *one)) == 1
    assert "--entities res=2" in capsys.readouterr().err
    assert main(cli(copy, tmp_path / "out", "participant", *one, "--entities", "res=2")) == 0
    sidecar = json.loads(next((tmp_path / "out").glob("sub-01/func/*series.json")).read_text())
    assert "_res-2_" in sidecar["Sources"][1]
    for wrong in ("res", "Res=2", "ses=1"):
        with pytest.raises(SystemExit) as ended:
            main(cli(copy, tmp_path / "out", "participant", *one, "--entities", wrong))
        assert ended.value.code == 2 and "argument --entities" in capsys.readouterr().err


def test_an_atlas_that_was_not_fetched(copy, tmp_path, capsys):
    atlas = next(copy.glob("derivatives/atlas/*.nii.gz"))
    atlas.unlink()
    atlas.symlink_to(".git/annex/objects/xx/yy")
    assert main(cli(copy, tmp_path / "out", "participant", atlas=atlas)) == 1
    assert f"has not been fetched: datalad get {atlas}" in capsys.readouterr().err


def test_groups_of_people_are_read_once(tmp_path):
    people = tmp_path / "participants.tsv"
    rows = [("participant_id", "arm"), ("sub-1", "a"), ("sub-2", "n/a"), ("sub-3", "b")]
    people.write_text("".join(f"{person}\t{arm}\n" for person, arm in rows))
    assert groups_of(tmp_path, "arm", ["1", "2", "3", "4"]) == {"1": "a", "3": "b"}
    with pytest.raises(ValueError, match="has no column sex"):
        groups_of(tmp_path, "sex", ["1", "3"])
    people.write_text(people.read_text() + "sub-4\tc\n")
    with pytest.raises(ValueError, match=r"two groups are compared, .* has \['a', 'b', 'c'\]"):
        groups_of(tmp_path, "arm", ["1", "2", "3", "4"])
    people.write_text(people.read_text() + "sub-1\tb\n")
    with pytest.raises(ValueError, match="has sub-1 more than once: keep one row each"):
        groups_of(tmp_path, "arm", ["1", "2", "3"])


def test_responses_of_two_groups_of_people_are_compared(unbroken, group, printed):
    assert "Responses of 2 people of y against 2 of x: 0 of 12 measures of regions" in printed
    path = group / "task-rest_desc-groupResponses_hrf.tsv"
    table, about = pd.read_csv(path, sep="\t"), json.loads(path.with_suffix(".json").read_text())
    assert about["Groups"] == {"a": "x", "b": "y"} and about["Verdict"] in printed
    models = sorted(unbroken.glob("sub-*/*.samba"))
    peak = [mne_samba.read_samba(path).hrf_peak_time_ for path in models]
    first, second = (np.mean([peak[i] for i in of], axis=0) for of in ((0, 3), (1, 2)))
    np.testing.assert_allclose(table["difference"][:4], second - first)
    report = (group / "task-rest_desc-samba_report.html").read_text(encoding="utf-8")
    assert "The group: responses" in report and "undershoot_ratio" in report
    arms = {"01": "a", "02": "b", "03": "b", "04": "b"}
    with pytest.raises(ValueError, match="two or more in each group: 1 of a, 3 of b"):
        compare_responses(unbroken, arms, "rest", 0)


@pytest.mark.slow
def test_a_group_takes_up_own_models(tmp_path, capsys):
    """Regions are called by numbers, as those of an atlas without a table of names are."""
    tree = write_bids_tree(tmp_path / "ds", 3, 200.0, n_targets=3)
    tree.atlas.with_name(tree.atlas.name.replace(".nii.gz", ".tsv")).unlink()
    out = tmp_path / "out"
    call = cli(tree.root, out, "group", "--channels", "infer")
    assert main(call) == 0
    assert not list(out.glob("group/*OwnModels*")) and "own models" not in capsys.readouterr().out
    assert main(cli(tree.root, out, "participant")) == 0
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "group of 3: again, as people's own models changed" in said and "own models:" in said
    own = pd.read_csv(out / "group/task-rest_desc-groupOwnModels_targets.tsv", sep="\t")
    assert list(own["target"]) == [1, 2, 3] and (own["n"] == 3).all()
    assert main(call) == 0 and "group of 3: done before" in capsys.readouterr().out
    model = mne_samba.read_samba(out / "group/task-rest_desc-samba_model.samba")
    assert model.reader.channels == "infer"


def test_bold_as_it_was_acquired(copy, tmp_path, capsys):
    import shutil

    shutil.move(copy / "derivatives/atlas", copy / "atlas")
    shutil.rmtree(copy / "derivatives")
    atlas = next(copy.glob("atlas/*.nii.gz"))
    one = ["--participant-label", "01"]
    call = cli(copy, tmp_path / "out", "participant", *one, atlas=atlas)
    assert main(call) == 1 and "--derivatives none" in capsys.readouterr().err
    assert main([*call, "--derivatives", "none"]) == 0
    sidecar = json.loads(next((tmp_path / "out").glob("sub-01/func/*series.json")).read_text())
    assert sidecar["Sources"][1].startswith("sub-01/func/")
