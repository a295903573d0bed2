"""Sharing: a model goes to a hub with its score, and comes back from there as the same file."""

import base64
import hashlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from mne_samba import CoreModel, InverseTranslator, SambaTranslator, make_model_card, read_samba
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate
from mne_samba.model_card import split_of

CORE = CoreModel(power="linear", target_bands=False, unmix=None, loss="squared", hrf="canonical")


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks a hub for; files by commit and path."""

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        host = f"http://127.0.0.1:{self.server.server_port}"
        if self.path == "/api/repos/create":
            self.answer({"url": f"{host}/me/model", "id": "me/model"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            told = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self.answer({"files": [{"path": file["path"], **told} for file in files]})
        elif "/commit/" in self.path:
            rows = [json.loads(line) for line in body.splitlines()]
            files = {
                row["value"]["path"]: base64.b64decode(row["value"]["content"])
                for row in rows if row["key"] == "file"
            }  # fmt: skip
            commit = hashlib.sha1(body).hexdigest()
            self.server.commits[commit] = files
            told = {"success": True, "pullRequestUrl": None, "hookOutput": ""}
            self.answer(
                {**told, "commitOid": commit, "commitUrl": f"{host}/me/model/commit/{commit}"}
            )
        else:
            self.send_error(404)

    def do_GET(self, body=True):
        place, _, asked = self.path.partition("/resolve/")
        commit, _, path = asked.partition("/")
        content = self.server.commits.get(commit, {}).get(path)
        if place != "/me/model" or content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET(body=False)

    def answer(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.commits, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        import_module("huggingface_hub.constants"), "HF_HUB_CACHE", str(tmp_path / "cache")
    )
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def data():
    """Two people of four minutes."""
    return simulate_paired(
        2, 240.0, level="source", n_sources=4, n_targets=2, snr=4.0, sfreq=100.0, random_state=0
    )


@pytest.fixture(scope="module")
def scored(data):
    model = SambaTranslator(t_r=2.0, model=CORE, random_state=0)
    bolds = [pd.DataFrame(bold, columns=data.target_names) for bold in data.bolds]
    result = evaluate(
        model, data.raws, bolds, data.subjects, baselines=("ridge_canonical", "time"),
        nulls=("circular_shift",), n_shifts=19, verbose="ERROR",
    )  # fmt: skip
    return model.fit(data.raws, bolds), result


def test_card_says_what_must_be_known(scored, data):
    model, result = scored
    card = make_model_card(model, result, licence="cc0-1.0", data="Simulated people.")
    assert card.startswith("---\nlibrary_name: mne_samba\nlicense: cc0-1.0\n")
    table = result.summary()
    for name in (result.translator, "ridge_canonical", "time"):
        row = table.loc[name]
        assert f"{row['mean']:.3f} | {row['ci_low']:.3f} to {row['ci_high']:.3f}" in card
    assert "| <= 0.05 |" in card  # as few shifts allow no less
    for fact in (
        "**Split**: people left out, 2 people in 2 folds.", "**Repetition time**: 2 s",
        "**Channels**: 4 eeg at 100 Hz", "alpha 8-13 Hz",
        "**People of the score**: 2, 2 recordings, 8 min",
        "**Data**: Simulated people.", "not for decisions about patients", result.verdict,
        f"**Regions**: 2: {data.target_names[0]}",
    ):  # fmt: skip
        assert fact in card, fact


def test_card_names_the_split_by_what_was_tested(scored):
    result = scored[1]

    def said(*folds, who=("a", "b")):
        people = result.recordings_.assign(subject=list(who))
        return split_of(replace(result, folds_=[np.array(f) for f in folds], recordings_=people))

    assert said([-1, 0, 0], [1, 1, 1]) == "people left out, 2 people in 2 folds"
    one = said([0, 0], [1, 1], who="aa")
    assert one == "recordings left out in 2 folds; a person may be on both sides"
    blocks = said([-1, 0, 0, 1, 1], [0, 0, -1, 1])
    assert blocks == "contiguous blocks of time within recordings, 2 folds"
    assert "neighbours are in training and test, which raises" in said([0, 1, 0, 1], [0, 1, 1, 0])
    with pytest.raises(ValueError, match="No frame of this result was tested"):
        said([-1, -1], [-1])


def test_card_refuses_what_says_nothing(scored, data):
    model, result = scored
    with pytest.raises(TypeError, match=r"A score without its split says nothing, got 0\.5"):
        make_model_card(model, 0.5)
    options = {"n_shifts": 19, "verbose": "ERROR"}
    bare = evaluate(
        model, data.raws, data.bolds, baselines=(), nulls=(), target_names=data.target_names,
        **options,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"a ridge .*, time alone .*, the null"):
        make_model_card(model, bare)
    bare.target_names_ = ["other", "names"]
    with pytest.raises(ValueError, match="other regions"):
        make_model_card(model, bare)
    with pytest.raises(TypeError, match="A card describes a SambaTranslator"):
        make_model_card(InverseTranslator(), result)
    bare.translator = "InverseTranslator"
    with pytest.raises(ValueError, match="evaluate the model itself"):
        make_model_card(model, bare)


def test_there_and_back(scored, data, hub, tmp_path):
    model, result = scored
    card = make_model_card(model, result)
    revision = model.push_to_hub("me/model", card, token="secret")
    assert all(token == "Bearer secret" for _, token in hub.asked)
    files = hub.commits[revision]
    # The file that is saved, as it is, and the page beside it.
    (tmp_path / "model.samba").write_bytes(files["model.samba"])
    assert files["README.md"].decode() == card and len(files) == 2
    for again in (
        read_samba(tmp_path / "model.samba"), SambaTranslator.from_hub("me/model", revision)
    ):  # fmt: skip
        assert_array_equal(again.predict(data.raws[0]), model.predict(data.raws[0]))
    with pytest.raises(TypeError, match="holds a SambaTranslator, not a InverseTranslator"):
        InverseTranslator.from_hub("me/model", revision)


def test_revisions_are_pinned_and_scores_go_along(scored, hub):
    model, _ = scored
    for moving in ("main", "v1.0", "a" * 39, None):
        with pytest.raises(ValueError, match="revision must be the whole hash of a commit"):
            SambaTranslator.from_hub("me/model", moving)
    errors = import_module("huggingface_hub.errors")
    with pytest.raises(errors.RevisionNotFoundError):
        SambaTranslator.from_hub("me/model", "a" * 40)
    with pytest.raises(ValueError, match="A model is shared with its honest score"):
        model.push_to_hub("me/model", "a fine model")
    assert not hub.asked


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        SambaTranslator.from_hub("me/model", "a" * 40)
