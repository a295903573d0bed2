"""Band power is computed once per recording, and recordings are never held as a whole."""

import tracemalloc

import mne
import numpy as np
import pytest
from _generated import GeneratedRaw
from joblib import Memory
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from mne_samba import CoreModel, PaperModel, Reader, SambaTranslator, Trainer, read_samba
from mne_samba.baselines import BandPowerRidge
from mne_samba.data.power_cache import Recent
from mne_samba.data.segments import Segment
from mne_samba.datasets import simulate_paired
from mne_samba.wavelets import Morlet, Shannon

COMPUTED = []


class Counted:
    """Wavelets that note every recording whose band power is computed."""

    def power(self, *args, **kwargs):
        COMPUTED.append(1)
        return super().power(*args, **kwargs)


class CountedShannon(Counted, Shannon):
    pass


class CountedMorlet(Counted, Morlet):
    pass


@pytest.fixture(scope="module")
def three_people():
    return simulate_paired(3, 240.0, level="source", n_sources=4, n_targets=5, random_state=0)


@pytest.fixture
def computed(monkeypatch):
    """One entry for every recording whose band power was computed, in a process that knows none."""
    monkeypatch.setattr("mne_samba.data.power.recent", Recent(64e6))
    COMPUTED.clear()
    return COMPUTED


@pytest.mark.parametrize(
    "model",
    [
        BandPowerRidge(t_r=2.0, bands=CountedShannon()),
        SambaTranslator(
            t_r=2.0,
            model=CoreModel(
                bands=CountedShannon(),
                power="linear",
                hrf="canonical",
                map_prior="sparse",
                target_bands=False,
            ),
            random_state=0,
        ),
    ],
    ids=["ridge", "translator"],
)
def test_folds_and_refits_share_band_power(three_people, computed, tmp_path, model):
    raws, bolds = three_people.raws, three_people.bolds
    plain = cross_val_score(model, raws, bolds, cv=3)
    # Two people in training and one in the test of every fold: each is measured once.
    assert len(computed) == 3
    computed.clear()
    kept = clone(model).set_params(reader=Reader(memory=tmp_path))
    np.testing.assert_array_equal(cross_val_score(kept, raws, bolds, cv=3), plain)
    assert len(computed) == 3
    kept.fit(raws, bolds)
    assert len(computed) == 3


def test_what_band_power_depends_on_is_computed_anew(three_people, computed, tmp_path):
    raw, bold = three_people.raws[0], three_people.bolds[0]
    ridge = BandPowerRidge(t_r=2.0, bands=CountedShannon(), reader=Reader(memory=tmp_path))
    ridge.fit(raw, bold)
    before = ridge.coef_.copy()
    changed = raw.copy()
    changed._data[1, 5000] += 1e-5
    ridge.fit(changed, bold)
    assert len(computed) == 2
    ridge.set_params(bands=CountedShannon({"alpha": (8.0, 12.0)})).fit(raw, bold)
    assert len(computed) == 3
    ridge.set_params(bands=CountedMorlet()).fit(raw, bold)
    assert len(computed) == 4
    ridge.set_params(bands=CountedShannon()).fit(raw, bold)
    assert len(computed) == 4
    np.testing.assert_array_equal(ridge.coef_, before)


class Held:
    """A cache that gives the very arrays that it holds."""

    def __init__(self):
        self.held = {}

    def cache(self, function, ignore):
        return lambda key, compute: self.held.setdefault(key, function(key, compute))


@pytest.mark.parametrize("kind", ["mapped", "held"])
@pytest.mark.parametrize("model", [CoreModel(power="linear", target_bands=False), PaperModel()])
def test_predictions_leave_kept_band_power_as_it_is(three_people, tmp_path, model, kind):
    raw, bold = three_people.raws[0], three_people.bolds[0]
    memory = Held() if kind == "held" else Memory(tmp_path, mmap_mode="r+", verbose=0)
    model = SambaTranslator(
        t_r=2.0, model=model, reader=Reader(memory=memory), trainer=Trainer(max_epochs=1),
        random_state=0,
    ).fit(raw, bold)  # fmt: skip
    first = model.predict(raw)
    np.testing.assert_array_equal(model.predict(raw), first)


def test_memory_is_no_part_of_a_saved_model(three_people, tmp_path):
    raw, bold = three_people.raws[0], three_people.bolds[0]
    model = SambaTranslator(
        t_r=2.0,
        model=CoreModel(power="linear", target_bands=False),
        reader=Reader(memory=tmp_path / "cache"),
        random_state=0,
    )
    model.fit(raw, bold).save(tmp_path / "model.samba")
    assert read_samba(tmp_path / "model.samba").reader.memory is None


def test_memory_must_be_a_folder_or_a_cache(three_people):
    with pytest.raises(ValueError, match="memory"):
        BandPowerRidge(t_r=2.0, reader=Reader(memory=3)).fit(
            three_people.raws[0], three_people.bolds[0]
        )


def test_recordings_are_read_in_blocks(three_people):
    """Five minutes stand for four hours: what is held does not grow with the recording."""
    names = [f"n{i:03d}" for i in range(4)]
    raws = [raw.copy().rename_channels(dict(zip(raw.ch_names, names, strict=True)))
            for raw in three_people.raws[:1]]  # fmt: skip
    raws[0].resample(1000.0, verbose="ERROR")
    raws[0].set_channel_types(dict.fromkeys(names, "eeg"), verbose="ERROR")
    model = SambaTranslator(
        t_r=2.0, model=CoreModel(power="linear", target_bands=False), random_state=0
    )
    model.fit(raws, three_people.bolds[:1])
    model.predict(GeneratedRaw(4, 60.0, 1000.0))
    used = {}
    for minutes in (4, 16):
        long = GeneratedRaw(4, minutes * 60.0, 1000.0)
        tracemalloc.start()
        predicted = model.predict(long)
        used[minutes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert predicted.shape == (minutes * 30, 5)
        assert np.isfinite(predicted).all()
        assert long.longest_read < 60_000
    # As double precision, twelve minutes more are 23 MB.
    assert used[16] - used[4] < 2e6


def test_generated_samples_do_not_depend_on_how_they_are_read():
    raw = GeneratedRaw(3, 20.0, 500.0)
    whole = raw.get_data()
    np.testing.assert_array_equal(raw.get_data(picks=[1], start=4000, stop=4200)[0],
                                  whole[1, 4000:4200])  # fmt: skip
    assert isinstance(raw.copy().crop(1.0, 3.0).load_data(verbose="ERROR"), mne.io.BaseRaw)


def test_a_long_computation_shows_how_far_it_is(three_people, computed, monkeypatch, capsys):
    monkeypatch.setattr("mne_samba.data.power._LONG", 0)
    ridge = BandPowerRidge(t_r=2.0)
    with mne.use_log_level("INFO"):
        ridge.fit(three_people.raws[0], three_people.bolds[0])
    told = capsys.readouterr()
    assert "Band power" in told.out + told.err
    with mne.use_log_level("ERROR"):
        ridge.fit(three_people.raws[0], three_people.bolds[0])
    told = capsys.readouterr()
    assert "Band power" not in told.out + told.err


def test_folds_and_refits_share_power_without_a_folder():
    calls = []

    def compute(segment):
        calls.append(segment)
        return np.ones((1, 1, 10), np.float32)

    signals = np.random.default_rng(0).standard_normal((3, 2, 100))
    segments = [Segment(lambda a, b, s=s: s[:, a:b], 100, 0.0, 1.0, 2) for s in signals]
    recent = Recent(most_bytes=80)
    first = recent.of(segments[0], 50.0, "bands", compute)
    assert recent.of(segments[0], 50.0, "bands", compute) is first and len(calls) == 1
    with pytest.raises(ValueError, match="read-only"):
        first[:] = 0.0
    # Other bands, another rate and another signal are something else.
    recent.of(segments[0], 50.0, "others", compute)
    recent.of(segments[0], 60.0, "bands", compute)
    recent.of(segments[1], 50.0, "bands", compute)
    assert len(calls) == 4
    # No more is kept than was asked for: the first one has gone.
    recent.of(segments[0], 50.0, "bands", compute)
    assert len(calls) == 5
