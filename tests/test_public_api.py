"""Every public name can be imported, stands in the reference, and is used in an example or test."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mne_samba

ROOT = Path(__file__).parents[1]
MODULES = (
    "mne_samba",
    "mne_samba.baselines",
    "mne_samba.datasets",
    "mne_samba.evaluation",
    "mne_samba.io",
    "mne_samba.metrics",
    "mne_samba.model_selection",
    "mne_samba.report",
    "mne_samba.transformers",
    "mne_samba.translator",
    "mne_samba.viz",
    "mne_samba.windows",
)
NAMES = sorted(
    (module, name)
    for module in MODULES
    for name in importlib.import_module(module).__all__
    if not name.startswith("__")
    and not inspect.ismodule(getattr(importlib.import_module(module), name))
)
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "doc").glob("api*.rst")}
REFERENCE = "\n".join(PAGES.values())
WHOLE_MODULES = set(re.findall(r"automodule:: ([\w.]+)\n   :members:", REFERENCE))


@pytest.fixture(scope="module")
def uses():
    """Words of all examples and tests but this one."""
    files = [*(ROOT / "examples").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    text = "\n".join(p.read_text(encoding="utf-8") for p in files if p.name != Path(__file__).name)
    return set(re.findall(r"\w+", text))


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_importable_and_in_the_reference(module, name):
    found = getattr(importlib.import_module(module), name)
    short = {f"{module}.{name}".removeprefix("mne_samba."), name}
    listed = set(re.findall(r"^   ([\w.]+)$", REFERENCE, re.M))
    listed |= set(re.findall(r"py:data:: mne_samba\.([\w.]+)", REFERENCE))
    at_top = name in mne_samba.__all__ and name in listed
    assert at_top or short & listed or module in WHOLE_MODULES, f"{module}.{name} is not listed"
    assert found is not None


def test_every_name_is_used_in_an_example_or_test(uses):
    missing = {f"{module}.{name}" for module, name in NAMES if name not in uses}
    assert not missing


def test_building_blocks_that_pages_name_are_in_the_reference():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "doc").glob("*.rst"))
    named = set(re.findall(r":mod:`~?(mne_samba\.(?:core|hrf|nn\.\w+))`", pages))
    assert len(named) > 5 and named <= WHOLE_MODULES


def test_top_level_names_are_what_people_import():
    promised = {
        "FramewiseRegressor", "LearnableHRF", "SambaClassifier", "SambaTranslator",
        "WaveletBandAttention", "compare_hrfs", "make_windows", "read_samba",
    }  # fmt: skip
    assert promised <= set(mne_samba.__all__) <= set(dir(mne_samba))
    with pytest.raises(AttributeError, match="Translator"):
        _ = mne_samba.Translator


def test_every_listed_name_exists():
    entries = re.findall(r"^   ([A-Za-z]\w*(?:\.\w+)*)$", PAGES["api.rst"], re.M)
    assert len(entries) > 40
    for entry in entries:
        if entry.startswith("api_"):
            continue
        module, _, name = f"mne_samba.{entry}".rpartition(".")
        assert hasattr(importlib.import_module(module), name), entry


def test_examples_say_what_their_data_are():
    for path in sorted((ROOT / "examples").rglob("plot_*.py")):
        header = path.read_text(encoding="utf-8").split('"""')[1]
        assert re.search(r"\*\*(simulated|semi-synthetic|real)", header, re.I), path.name


SCRIPT = """
import sys, time
import mne, sklearn.base
floor = time.process_time()
from mne_samba import CoreModel, Reader, SambaTranslator
model = CoreModel(
    power="linear", target_bands=False, hrf="canonical", unmix=None, loss="squared",
    map_prior="gaussian",
)
translator = SambaTranslator(t_r=2.0, model=model, reader=Reader(sfreq=100.0))
translator.get_params()
heavy = {"torch", "skorch", "nilearn", "matplotlib", "scipy.signal", "sklearn.linear_model"}
print(sorted(heavy & set(sys.modules)), time.process_time() < 1.5 * floor)

import numpy as np
from mne_samba import read_samba
rng = np.random.default_rng(0)
raw, bold = rng.standard_normal((2, 20000)), rng.standard_normal((100, 1))
translator.fit([raw], [bold]).save(sys.argv[1])
read_samba(sys.argv[1]).predict([raw])
print(sorted({"skorch", "torch_geometric", "torch._dynamo"} & set(sys.modules)))
"""


def test_what_is_loaded_when(tmp_path):
    """The first touch of an estimator loads little more than its bases.

    What fits need takes as long once more, and comes then; skorch, which brings torch-geometric and
    torch's compiler, comes when a network is trained: not for a core, its file and back.
    """
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "model.samba"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [line for line in run.stdout.splitlines() if line.startswith("[")]
    assert said == ["[] True", "[]"]
