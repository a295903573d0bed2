"""Band power that was measured elsewhere is input like signals."""

import mne
import numpy as np
import pandas as pd
import pytest
from mne.time_frequency import RawTFRArray

from mne_samba import (
    InverseTranslator,
    LearnableHRF,
    PaperModel,
    Reader,
    SambaTranslator,
    WaveletBandAttention,
    make_windows,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate
from mne_samba.model_selection import BlockedTimeSplit
from mne_samba.models import CoreModel, InverseCoreModel
from mne_samba.models.inverse_data import longer
from mne_samba.wavelets import Precomputed

T_R, RATE = 2.0, 2.0


def core(bands=None, power="linear", **reader):
    model = CoreModel(power=power, target_bands=False, bands=bands)
    return SambaTranslator(t_r=T_R, model=model, random_state=0, reader=Reader(**reader))


@pytest.fixture(scope="module")
def people():
    """Signals, their own band power as the model measures it, and BOLD, of two people."""
    data = simulate_paired(
        2, 200.0, n_sources=3, n_targets=2, sources_per_target=2, level="source", random_state=0
    )
    translator = core()
    rec = translator._reader().read_pair(data.raws, data.bolds, T_R)
    features = translator.model.features(rec)
    power = [p[..., features.grid.n_lags :] for p in features.measure(longer(rec))]
    return data.raws, [p.astype(np.float64) for p in power], data.bolds, dict(features.bands)


@pytest.fixture(scope="module")
def of_signals(people):
    raws, _, bolds, _ = people
    return core().fit(raws, bolds).predict(raws)


SCALES = {
    "linear": lambda p: p,
    "log": np.log,
    "log10": np.log10,
    "dB": lambda p: 10 * np.log10(p),
}


@pytest.mark.parametrize("scale", SCALES)
def test_power_predicts_what_its_signal_predicts(people, of_signals, scale, tmp_path):
    _, power, bolds, bands = people
    given = [SCALES[scale](p) for p in power]
    translator = core(Precomputed(scale, bands), sfreq=RATE).fit(given, bolds)
    for one, other in zip(translator.predict(given), of_signals, strict=True):
        # Power is in single precision, whose last digits are those of a processor's transforms.
        np.testing.assert_allclose(one, other, atol=1e-5 * other.std())
    assert translator.bands_ == bands
    if scale == "log":
        translator.save(tmp_path / "model.samba")
        again = read_samba(tmp_path / "model.samba").predict(given)
        np.testing.assert_array_equal(again[0], translator.predict(given)[0])


def test_ridge_of_power_is_the_ridge_of_signals(people):
    raws, power, bolds, _ = people
    signals = BandPowerRidge(t_r=T_R, hrf="fir").fit(raws, bolds).predict(raws)
    ridge = BandPowerRidge(
        t_r=T_R, hrf="fir", bands=Precomputed("linear"), reader=Reader(sfreq=RATE)
    )
    found = ridge.fit(power, bolds).predict(power)
    np.testing.assert_allclose(found[0], signals[0], atol=1e-6 * signals[0].std())


def test_tables_and_tfr_of_mne_name_their_channels_and_bands(people, of_signals):
    raws, power, bolds, bands = people
    names = raws[0].ch_names
    columns = pd.MultiIndex.from_product([names, list(bands)])
    tables = [pd.DataFrame(np.log(p).reshape(-1, p.shape[-1]).T, columns=columns) for p in power]
    translator = core(Precomputed("log"), sfreq=RATE).fit(tables, bolds)
    assert translator.ch_names_in_ == names
    assert list(translator.bands_) == list(bands)
    # Columns are found by their names.
    backwards = [table[table.columns[::-1]] for table in tables]
    np.testing.assert_allclose(translator.predict(backwards)[0], of_signals[0], atol=1e-5)
    with pytest.raises(ValueError, match="are missing"):
        translator.predict([tables[0].rename(columns={"alpha": "mu"}, level=1)])
    # MNE's samples are instants, here in the middle of what each stands for.
    info = mne.create_info(names, RATE, "eeg")
    times = (np.arange(power[0].shape[-1]) + 0.5) / RATE
    tfrs = [RawTFRArray(info, p, times, np.arange(1.0, len(bands) + 1)) for p in power]
    translator = core(Precomputed("linear"), first_volume=-0.5 / RATE).fit(tfrs, bolds)
    np.testing.assert_allclose(translator.predict(tfrs)[0], of_signals[0], atol=1e-5)
    assert next(iter(translator.bands_)) == "1Hz"


def test_windows_of_power(people):
    raws, power, bolds, bands = people
    options = {"t_r": T_R, "window": 20.0, "context": 30.0}
    epochs, y = make_windows(raws, bolds, **options)
    power = [np.log(p) for p in power]
    power[0][0, 0, 30] = np.nan
    windows, same = make_windows(power, bolds, reader=Reader(sfreq=RATE), **options)
    np.testing.assert_array_equal(same, y)
    assert windows.data.shape == (len(epochs), 3, len(bands), 100)
    translator = core(Precomputed("log", bands)).fit(windows, y)
    assert translator.predict(windows[:2]).shape == (2, 10, 2)
    result = evaluate(
        translator, windows, y, cv=BlockedTimeSplit(2, gap=0.0), nulls=(), baselines=("ridge_fir",)
    )
    assert result.models_ == ["SambaTranslator", "ridge_fir"]
    arrays = core(Precomputed("log", bands), sfreq=RATE, tmin=-30.0)
    assert arrays.fit(windows.data, y).predict(windows.data).shape == y.shape


def test_frames_within_values_of_power_keep_their_time(people):
    """Half a value later is half a value later, in windows as in recordings."""
    _, _, bolds, _ = people
    rng = np.random.default_rng(0)
    slow = rng.standard_normal((1, 1, 100))
    reader = Reader(sfreq=0.5, slice_time_ref=0.5)
    windows, _ = make_windows([slow], bolds[:1], t_r=T_R, window=20.0, context=30.0, reader=reader)
    bands = Precomputed("log")
    model = CoreModel(bands=bands, power="log", target_bands=False)
    recording = reader.read([slow], T_R)
    whole = model.features(recording).measure(recording)[0]
    rec = Reader().read(windows, T_R)
    part = model.features(rec).measure(rec)[0]
    first = int(windows.metadata["frame"].iloc[0])
    np.testing.assert_allclose(part, whole[..., first : first + part.shape[-1]], rtol=1e-6)


def test_slow_power_gets_no_finer_bins_and_unknown_power_is_not_learnt_from(people):
    _, _, bolds, _ = people
    rng = np.random.default_rng(0)
    power = rng.standard_normal((1, 2, 100))
    reader, model = Reader(sfreq=0.5), CoreModel(bands=Precomputed("log"), power="log")
    rec = reader.read_pair([power], bolds[:1], T_R)
    features = model.features(rec)
    assert (features.grid.step, features.grid.dt) == (1, T_R)
    np.testing.assert_allclose(
        np.log(features.measure(rec)[0][:, :, 15:]), power[..., :99], rtol=1e-5
    )
    power[0, 1, 40] = np.nan
    known = reader.read_pair([power], bolds[:1], T_R)
    bins = features.measure(known)[0]
    assert np.flatnonzero(np.isnan(bins[0, 0])).tolist() == [*range(15), 55]
    translator = core(Precomputed("log"), "log", sfreq=0.5).fit([power], bolds[:1])
    assert np.isfinite(translator.predict([power])[0]).all()
    # Four values per bin, one of them unknown: the others are averaged.
    fine = np.repeat(rng.uniform(1, 2, (1, 1, 50)), 4, axis=-1)
    fine[..., 5] = np.nan
    bank = Precomputed("linear").resolve({"power": ()}, 8.0)
    found = bank.power(lambda a, b: fine[0][:, a:b], 200, 8.0, start=0.0, width=4.0, n_bins=50)
    np.testing.assert_allclose(found[0, 0], np.nanmean(fine.reshape(50, 4), axis=1), rtol=1e-6)


def test_every_model_that_needs_no_signal_takes_power(people):
    _, power, bolds, bands = people
    power = [np.log(p) for p in power]
    common = {"t_r": T_R, "reader": Reader(sfreq=RATE)}
    drives = LearnableHRF(verbose=False, **common).fit(power, bolds)
    assert drives.coef_.shape == (2, 15)
    assert drives.predict(power)[0].shape == bolds[0].shape
    attention = WaveletBandAttention(bands=Precomputed("log"), **common).fit(power, bolds)
    assert attention.transform(power)[0].shape == power[0][:, 0].shape
    with pytest.raises(ValueError, match="give y"):
        WaveletBandAttention(bands=Precomputed("log"), **common).fit(power)
    back = InverseTranslator(
        model=InverseCoreModel(bands=Precomputed("log", bands)), random_state=0, **common
    ).fit(bolds, power)
    assert back.score_targets(bolds, power).shape == (3, 5)
    with pytest.raises(ValueError, match="PaperModel decomposes signals"):
        SambaTranslator(model=PaperModel(), **common).fit(power, bolds)


def test_mistakes_are_told_and_mended(people):
    raws, power, bolds, _ = people
    log = [np.log(p) for p in power]
    with pytest.raises(ValueError, match=r"say its scale, bands=Precomputed"):
        core(sfreq=RATE).fit(log, bolds)
    with pytest.raises(ValueError, match="negative values"):
        core(Precomputed("linear"), sfreq=RATE).fit(log, bolds)
    with pytest.raises(ValueError, match="too little for logarithmic power"):
        core(Precomputed("log"), sfreq=RATE).fit(power, bolds)
    with pytest.raises(ValueError, match="in decibels"):
        core(Precomputed("log"), sfreq=RATE).fit([10 * np.log10(p) for p in power], bolds)
    # Signals are no power, whether volts or microvolts.
    signals = [raw.get_data() for raw in raws]
    with pytest.raises(ValueError, match="negative values"):
        core(Precomputed("linear"), sfreq=200.0).fit(signals, bolds)
    with pytest.raises(ValueError, match="a signal in volts"):
        core(Precomputed("log"), sfreq=200.0).fit(signals, bolds)
    with pytest.raises(ValueError, match="names 2 bands"):
        core(Precomputed("log", ["alpha", "beta"]), sfreq=RATE).fit(log, bolds)
    with pytest.raises(ValueError, match="infinite power"):
        core(Precomputed("log"), sfreq=RATE).fit(
            [np.where(p > np.median(p), -np.inf, p) for p in log], bolds
        )
    with pytest.raises(ValueError, match="carries no sampling rate"):
        core(Precomputed("log")).fit(log, bolds)
    with pytest.raises(ValueError, match="scale must say"):
        Precomputed("decibel")
    fitted = core(Precomputed("log"), sfreq=RATE).fit(log, bolds)
    with pytest.raises(ValueError, match="fit saw band power, but X holds signals"):
        fitted.predict(raws)
    with pytest.raises(ValueError, match="fitted on 3 in 5"):
        fitted.predict([log[0][:, :4]])
