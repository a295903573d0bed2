"""A recording is read no oftener than it must be."""

import mne
import pytest

from mne_samba import CoreModel, InverseTranslator, SambaTranslator, WaveletBandAttention


class Counted(mne.io.RawArray):
    """A recording that knows how many of its samples were asked for."""

    read = 0

    def __getitem__(self, item):
        data, times = super().__getitem__(item)
        self.read += data.shape[1]
        return data, times

    def lengths(self) -> float:
        """Samples that were read since the last call, in lengths of the recording."""
        n, self.read = self.read / self.n_times, 0
        return n


@pytest.fixture
def recording(people):
    raw = people.raws[0]
    return Counted(raw.get_data(), raw.info, verbose=False), people.bolds[0]


# Chunks overlap by what wavelets need at their edges; a fit reads once more to refuse bad channels.
ONCE, TWICE = 1.3, 2.3


def test_band_power_is_measured_once_on_the_way_there(recording):
    raw, bold = recording
    translator = SambaTranslator(t_r=2.0, model=CoreModel(unmix=None), random_state=0).fit(
        [raw], [bold]
    )
    assert 1 < raw.lengths() < TWICE
    for call in (
        lambda: translator.predict([raw]),
        lambda: translator.predict([raw], return_std=True),
        lambda: translator.predict_interval([raw]),
        lambda: translator.score([raw], [bold]),
    ):
        call()
        assert 1 <= raw.lengths() < ONCE


def test_band_power_is_measured_once_on_the_way_back(recording):
    raw, bold = recording
    translator = InverseTranslator(t_r=2.0, model="core", random_state=0).fit([bold], [raw])
    assert 1 < raw.lengths() < TWICE
    translator.predict([bold])
    assert raw.lengths() == 0
    translator.score([bold], [raw])
    assert 1 <= raw.lengths() < ONCE


def test_what_a_reader_cannot_be_is_refused_by_transformers(recording):
    raw, _ = recording
    for name, value in (("detrend", "foo"), ("n_dummy", -3), ("slice_time_ref", 7), ("sfreq", -1)):
        attention = WaveletBandAttention().set_params(**{f"reader__{name}": value})
        with pytest.raises(ValueError, match=f"^{name} must be "):
            attention.fit([raw])
    assert raw.lengths() == 0
