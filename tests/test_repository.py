"""Files around the package: recipes, workflows and forms name what there is, and agree."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import mne_samba

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if "==" in line
)


def load(*parts):
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in load(workflow)["jobs"].values() for step in job["steps"]]


def test_all_systems_and_pythons_are_tested_and_the_ends_of_dependencies():
    matrix = load(".github", "workflows", "tests.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    classified = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if "Python :: 3" in c]
    assert matrix["python"] == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"
    assert {job["dependencies"] for job in matrix["include"]} == {"oldest", "newest", "mne-main"}
    assert all(set(job) == {"os", "python", "dependencies"} for job in matrix["include"])
    assert {job["os"] for job in matrix["include"]} <= set(matrix["os"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_pinned_and_may_only_read(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if "checkout" in step["uses"]:
                assert step["with"]["persist-credentials"] is False
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(re.search(r"  # v\d+\.\d+", line) for line in lines if "uses:" in line)
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(workflow["jobs"])


def test_workflows_run_what_there_is():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    commands = "\n".join(step.get("run", "") for path in WORKFLOWS for step in steps(path))
    assert set(re.findall(r"make (\w+)", commands)) == {"lint", "doc", "package"} <= targets
    for name in re.findall(r"[\w./-]+\.(?:py|txt)\b", commands):
        assert name == "pins.txt" or (ROOT / name).exists(), name
    assert all(extra in PROJECT["optional-dependencies"] for extra in ("test", "package"))


def test_release_compares_the_tag_with_the_version():
    (check,) = (s["run"] for s in steps(ROOT / ".github/workflows/release.yml") if "name" in s)
    pattern = re.search(r'"(__version__.*)" (\S+)$', check)
    line = pattern[1].replace('\\"', '"').replace("${GITHUB_REF_NAME#v}", mne_samba.__version__)
    assert line in (ROOT / pattern[2]).read_text(encoding="utf-8").splitlines()


def test_forms_have_what_github_asks_for():
    for name in ("bug", "feature"):
        form = load(".github", "ISSUE_TEMPLATE", f"{name}.yml")
        assert {"name", "description", "body"} <= set(form)
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids)) > 1
        assert all(field["attributes"]["label"] for field in form["body"])
    updates = load(".github", "dependabot.yml")["updates"]
    assert [u["package-ecosystem"] for u in updates] == ["github-actions", "pip", "docker"]


def test_hooks_are_of_the_versions_that_lint_uses():
    known = {"ruff-pre-commit": "ruff"}
    for repo in load(".pre-commit-config.yaml")["repos"]:
        name = repo["repo"].rsplit("/", 1)[-1]
        if repo["repo"] != "local":
            assert repo["rev"].removeprefix("v") == PINS[known.get(name, name)], name


def test_conda_recipe_asks_for_what_the_package_asks_for():
    recipe = load("conda", "recipe.yaml")
    names = {
        "matplotlib": "matplotlib-base", "mne": "mne-base", "PyWavelets": "pywavelets",
        "torch": "pytorch", "torch-geometric": "pytorch_geometric",
    }  # fmt: skip
    wanted = {f"python {PROJECT['requires-python']}"}
    for requirement in PROJECT["dependencies"]:
        name, bounds = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        wanted.add(f"{names.get(name, name)} {bounds}")
    assert set(recipe["requirements"]["run"]) == wanted
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]
    assert recipe["context"]["version"] == mne_samba.__version__
    assert load("CITATION.cff")["version"] == mne_samba.__version__


def test_container_is_a_bids_app_that_needs_no_rights():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    given = [line.split(maxsplit=1) for line in lines if line.strip()]
    last = {key: value for key, value in given}
    assert last["USER"] == "1000:1000"
    assert last["ENTRYPOINT"] == '["python", "-m", "mne_samba", "bids"]'
    images = [value.split()[0] for key, value in given if key == "FROM"]
    assert all(re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", i) for i in images)
    assert "ADD" not in last and "sudo" not in text
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [v.split()[:-1] for k, v in given if k == "COPY" and not v.startswith("--from")]
    for name in [name for names in copied for name in names]:
        assert (ROOT / name).exists() and f"!{name}" in ignored, name
    # BIDS Apps take these three by place, and their options with an underscore.
    positions = "DATASET RESULTS participant --participant_label 01 --task rest --atlas a.nii"
    from mne_samba.cli import _parser

    args = _parser().parse_args(["bids", *positions.split()])
    assert (args.level, args.participant_label) == ("participant", ["01"])


def test_change_log_can_be_built(tmp_path):
    pytest.importorskip("towncrier")
    run = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "0.1.0"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    news = len(list((ROOT / "doc" / "changes" / "devel").glob("*.rst")))
    assert "Version 0.1.0" in run.stdout and run.stdout.count("\n- ") == news > 0


@pytest.mark.slow
def test_the_wheel_alone_runs(tmp_path):
    """Stubs, data and commands come with the wheel; everything else is the environment's."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("mne_samba-*.whl")
    site = tmp_path / "site"
    options = ["--no-deps", "--no-index", "--no-compile", "-t", site]
    subprocess.run([*pip, "install", *options, wheel], check=True)

    code = (
        "import mne_samba; from mne_samba.datasets import load_bold_rest; load_bold_rest(); "
        "print(mne_samba.__file__, mne_samba.SambaTranslator(), mne_samba.models.Trainer); "
        "import runpy, sys; sys.argv[1:] = ['--help']; "
        "runpy.run_module('mne_samba', run_name='__main__')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith(str(site)) and "sys-info" in said
    assert (site / "mne_samba" / "py.typed").exists()
