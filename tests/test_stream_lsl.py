"""Frames from a Lab Streaming Layer stream: those of the same samples pushed, and the command."""

import itertools
import uuid

import numpy as np
import pandas as pd
import pytest
from mne_lsl.player import PlayerLSL
from mne_lsl.stream import StreamLSL

from mne_samba import CoreModel, SambaStream, SambaTranslator, predict_stream
from mne_samba.cli import main
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import Morlet

SFREQ, T_R = 100.0, 0.5


@pytest.fixture(scope="module")
def fitted():
    """A quick model with a short history, and what it was fitted to (SIMULATED)."""
    data = simulate_paired(
        1, 120.0, t_r=T_R, sfreq=SFREQ, n_sources=4, n_targets=2, level="source", random_state=0
    )
    bands = Morlet({"alpha": (8.0, 13.0), "beta": (13.0, 30.0)}, causal=True)
    model = CoreModel(
        bands=bands, power="linear", target_bands=False, hrf="canonical", hrf_length=3.0
    )
    return SambaTranslator(t_r=T_R, model=model, random_state=0).fit(data.raws, data.bolds), data


class Recorder:
    """A source that keeps what was fetched."""

    def __init__(self, source):
        self.source, self.fetched = source, []

    def __getattr__(self, name):
        return getattr(self.source, name)

    def get_data(self, **options):
        self.fetched.append(self.source.get_data(**options))
        return self.fetched[-1]


@pytest.fixture
def player(fitted):
    """The recording, played with its channels in another order."""
    raw = fitted[1].raws[0]
    raw = raw.copy().reorder_channels(raw.ch_names[::-1])
    with PlayerLSL(raw, chunk_size=10, name="played", source_id=uuid.uuid4().hex) as player:
        yield player


def test_frames_are_those_of_the_samples(fitted, player):
    model, data = fitted
    source = StreamLSL(4.0, name="played", source_id=player.source_id).connect()
    recorder = Recorder(source)
    stream = SambaStream(model)
    found = list(itertools.islice(predict_stream(stream, recorder, duration=30.0), 4))
    source.disconnect()
    times = np.concatenate([frames.times for frames in found])
    bold = np.concatenate([frames.bold for frames in found])
    assert len(times) >= 4
    np.testing.assert_allclose(np.diff(times), T_R, atol=0.02)
    assert not stream.lost_
    # The first sample that came, among those that were played.
    samples, stamps = recorder.fetched[0]
    first = samples[::-1, stamps > 0][:, 0]
    signal = data.raws[0].get_data()
    begin = np.flatnonzero(np.abs(signal - first[:, None]).max(axis=0) < 1e-6 * signal.std())
    assert len(begin) == 1
    pushed = SambaStream(model).push(signal[:, begin[0] :])
    np.testing.assert_allclose(bold, pushed.bold[: len(bold)], atol=1e-3 * pushed.bold.std())


def test_the_command_prints_keeps_and_draws(fitted, player, tmp_path, capsys):
    file, out, page = (tmp_path / name for name in ("m.samba", "frames.tsv", "page.html"))
    fitted[0].save(file)
    given = ["--source-id", player.source_id, "--duration", "7", "--out", str(out)]
    assert main(["stream", str(file), *given, "--page", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = pd.read_csv(out, sep="\t")
    assert len(lines) - 1 == len(table) / 2 >= 1
    assert set(table["target"]) == set(fitted[0].target_names_in_)
    assert (table["low"] < table["bold"]).all() and (table["bold"] < table["high"]).all()
    assert table["known"].eq(1).all()
    assert "<svg" in page.read_text() and "Predicted BOLD" in page.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"frames.tsv", "m.samba", "page.html"}


def test_streams_that_do_not_fit_are_refused(fitted, player):
    model, _ = fitted
    source = StreamLSL(4.0, name="played", source_id=player.source_id)
    with pytest.raises(ValueError, match=r"call source.connect\(\) first"):
        next(predict_stream(SambaStream(model), source))
    source.connect()
    source.rename_channels({source.ch_names[0]: "other"})
    with pytest.raises(ValueError, match="lacks 1 of 4 channels of fit"):
        next(predict_stream(SambaStream(model), source))
    source.disconnect()


def test_no_stream_is_an_error_of_the_command(fitted, tmp_path, capsys):
    fitted[0].save(tmp_path / "m.samba")
    assert main(["stream", str(tmp_path / "m.samba"), "--name", "nobody"]) == 1
    assert "error" in capsys.readouterr().err


class Played:
    """A source that gives chunks of samples and their times (n_times,) one after the other."""

    connected, n_new_samples, info = True, 1, {"sfreq": SFREQ}

    def __init__(self, ch_names, chunks):
        self.ch_names, self.chunks = list(ch_names), iter(chunks)

    def get_channel_units(self):
        return [(107, 0)] * len(self.ch_names)

    def get_data(self, picks):
        return next(self.chunks)


def test_gaps_inside_a_fetch_and_clocks_that_go_back_are_seen(fitted):
    model, data = fitted
    signal = data.raws[0].get_data()
    times = 100.0 + np.arange(1000) / SFREQ
    kept = np.r_[0:400, 500:1000]
    chunks = [(signal[:, kept], times[kept]), (signal[:, 1000:1100], np.arange(1.0, 2.0, 0.01))]
    stream = SambaStream(model)
    frames = predict_stream(stream, Played(model.ch_names_in_, chunks))
    with (
        pytest.warns(RuntimeWarning, match=r"from 104.000 to 105.000 s did not come"),
        pytest.raises(ValueError, match=r"went back from 109.990 to 1.990 s.*stream.reset"),
    ):
        list(frames)
    assert stream.lost_ == [(pytest.approx(104.0), pytest.approx(105.0))]
