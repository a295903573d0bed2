"""Compiled and mixed-precision training: the same networks, files and predictions."""

import pickle

import numpy as np
import pytest
import torch
from assemble import assemble

from mne_samba import read_samba
from mne_samba.datasets import simulate_paired
from mne_samba.hrf import convolve_frames
from mne_samba.models import accelerated
from mne_samba.nn.inverse import Deconvolution
from mne_samba.nn.wavelet import wavedec, waverec

BANDS = {"theta": (4, 8), "alpha": (8, 13)}
KINDS = {
    "default": {}, "paper": {"variant": "paper"},
    "back": {"direction": "hemo_to_ele"},
    "paper back": {"variant": "paper", "direction": "hemo_to_ele"},
}  # fmt: skip
# Parameters that models do not have.
LACKS = {
    "default": (), "back": ("n_hidden", "power"),
    "paper": ("bands", "map_prior", "corrections", "power", "target_bands"),
    "paper back": ("map_prior", "corrections", "power", "target_bands"),
}  # fmt: skip


@pytest.fixture(scope="module")
def person():
    return simulate_paired(
        1, 300.0, sfreq=64.0, level="source", n_sources=4, n_targets=3, snr=4.0, random_state=0,
        bands=BANDS,
    )  # fmt: skip


def pair(person, kind):
    sides = [person.raws, person.bolds]
    return sides[::-1] if "back" in kind else sides


def fit(person, kind, **options):
    given = {
        "t_r": 2.0, "window": 30.0, "corrections": "always", "max_epochs": 3, "n_hidden": 4,
        "map_prior": "gaussian", "power": "linear", "target_bands": False, "bands": BANDS,
        "device": "cpu", "random_state": 3,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if name not in LACKS[kind]}
    return assemble(**given | KINDS[kind] | options).fit(*pair(person, kind))


@pytest.fixture(scope="module", params=KINDS)
def plain(person, request):
    return request.param, fit(person, request.param)


def weights(translator):
    return translator.net_.module_.state_dict()


def losses(translator):
    return [row["train_loss"] for row in translator.history_]


@pytest.fixture
def traced(monkeypatch):
    """Compile without a compiler: traced as for one, then run by torch. What was compiled."""
    compiled, real = [], torch.compile

    def spy(forward, **options):
        compiled.append(forward)
        return real(forward, **options)

    monkeypatch.setattr(accelerated, "_BACKEND", "eager")
    monkeypatch.setattr(torch, "compile", spy)
    yield compiled
    torch.compiler.reset()


@pytest.fixture
def reduced(monkeypatch):
    """Let the CPU do what it would ignore."""
    monkeypatch.setattr(accelerated, "_REDUCED_ON", ("cpu",))


@pytest.mark.slow
# Dynamo looks at tensors between two graphs; it hides its own warning unless that is an error.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_compiled_steps_end_with_the_same_weights(person, plain, traced, tmp_path):
    kind, expected = plain
    found = fit(person, kind, compile=True)
    assert traced
    assert weights(found).keys() == weights(expected).keys()
    for name, value in weights(expected).items():
        torch.testing.assert_close(weights(found)[name], value, atol=2e-3, rtol=1e-3, msg=name)
    np.testing.assert_allclose(losses(found), losses(expected), rtol=1e-4)
    X = pair(person, kind)[0]
    again = pickle.loads(pickle.dumps(found))
    assert vars(again.net_)["forward_"] is None
    np.testing.assert_array_equal(again.predict(X)[0], found.predict(X)[0])
    found.save(tmp_path / "model.samba")
    read = read_samba(tmp_path / "model.samba")
    assert read.trainer.compile
    np.testing.assert_allclose(read.predict(X)[0], found.predict(X)[0], atol=1e-6)


def test_mixed_precision_trains_what_single_precision_does(person, plain, reduced, tmp_path):
    kind, expected = plain
    found = fit(person, kind, mixed_precision=True)
    assert losses(found) != losses(expected)
    np.testing.assert_allclose(losses(found), losses(expected), rtol=0.02)
    if "paper" in kind:  # the others start at their optimum in closed form
        assert losses(found)[-1] < losses(found)[0] - 0.1
    assert {p.dtype for p in found.net_.module_.parameters()} == {torch.float32}
    X = pair(person, kind)[0]
    one, other = found.predict(X)[0], expected.predict(X)[0]
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    assert one.std() > 0.01
    found.save(tmp_path / "model.samba")
    read = read_samba(tmp_path / "model.samba")
    np.testing.assert_allclose(read.predict(X)[0], one, atol=1e-6)


def test_the_processor_stays_in_single_precision_and_says_so(person, plain, capsys):
    kind, expected = plain
    found = fit(person, kind, mixed_precision=True, verbose="INFO")
    assert "training on cpu stays in float32" in capsys.readouterr().out
    for name, value in weights(expected).items():
        assert torch.equal(weights(found)[name], value)


def test_transforms_are_not_in_half_the_bits():
    torch.manual_seed(0)
    drive, kernel = torch.randn(2, 3, 40), torch.rand(3, 8)
    half = drive.bfloat16()
    frames = convolve_frames(half, kernel)
    assert torch.equal(frames, convolve_frames(half.float(), kernel))
    deconvolution = Deconvolution(3, 8, 2.0)
    assert deconvolution(half).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        coefs = wavedec(half, "db2", 2)
        back = waverec([coef.bfloat16() for coef in coefs], "db2", n_times=40)
    for found, true in zip(coefs, wavedec(half.float(), "db2", 2), strict=True):
        assert torch.equal(found, true)
    assert back.dtype == torch.float32
