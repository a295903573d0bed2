"""The published network from BOLD to electrophysiology, and both ways through it."""

import mne
import numpy as np
import pytest
from driven_nodes import N_FRAMES, SFREQ, T_R, person
from sklearn.base import clone

from mne_samba import (
    InverseTranslator,
    LatentTranslator,
    PaperModel,
    Reader,
    SambaTranslator,
    Trainer,
    make_windows,
    read_samba,
)
from mne_samba.hrf import HRF_PARAMS
from mne_samba.models import InversePaperModel


@pytest.fixture(scope="module")
def pair():
    return person(0), person(1)


BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0)}
ENOUGH = Trainer(max_epochs=12, lr=6e-3)


def translator(trainer=ENOUGH, tmin=None, warm_start=False, **options):
    return InverseTranslator(
        t_r=T_R, model=InversePaperModel(**({"n_hidden": 8, "bands": BANDS} | options)),
        reader=Reader(sfreq=SFREQ, tmin=tmin), trainer=trainer, warm_start=warm_start,
        random_state=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def back(pair):
    (signal, bold), _ = pair
    return translator().fit([bold], [signal])


@pytest.fixture(scope="module")
def both(pair):
    (signal, bold), _ = pair
    forward = SambaTranslator(
        t_r=T_R, model=PaperModel(n_hidden=8), reader=Reader(sfreq=SFREQ), trainer=ENOUGH,
        random_state=0,
    )  # fmt: skip
    return LatentTranslator(forward, translator()).fit([signal], [bold])


def test_bold_of_a_new_person_tells_of_the_nodes_that_drive_it(back, pair):
    _, (signal, bold) = pair
    scores = back.score_targets([bold], [signal], "pearson")
    assert scores.shape == (4, 2)
    assert scores[:3].min() > 0.6
    # The fourth node drives nothing.
    assert np.abs(scores[3]).max() < 0.2
    assert back.score_targets([bold], [signal], "r2")[:3].min() > 0.3
    shifted = back.score_targets([np.roll(bold, N_FRAMES // 2, axis=0)], [signal], "pearson")
    assert np.abs(shifted).max() < 0.25


def test_same_seed_same_prediction(pair):
    (signal, bold), (_, new) = pair
    short = translator(Trainer(max_epochs=2))
    one, other = (clone(short).fit([bold], [signal]).predict([new])[0] for _ in range(2))
    np.testing.assert_allclose(other, one, atol=1e-5)


def test_file_holds_all_of_it(back, pair, tmp_path):
    _, (signal, bold) = pair
    back.save(tmp_path / "back.samba")
    read = read_samba(tmp_path / "back.samba")
    np.testing.assert_array_equal(read.predict([bold])[0], back.predict([bold])[0])
    assert read.score([bold], [signal]) == back.score([bold], [signal])
    assert read.hrf_params_.equals(back.hrf_params_)
    np.testing.assert_array_equal(read.transform([bold]), back.transform([bold]))


def test_published_attributes(back):
    params = back.hrf_params_
    assert list(params.columns) == list(HRF_PARAMS) and list(params.index) == back.ch_names_in_
    assert params.std().max() > 0  # responses were trained, not left at their start
    assert back.spatial_map_.shape == (3, 4) and back.core_ is None
    assert back.graph_.target.shape == (3, 3) and back.graph_.source.shape == (4, 4)
    assert back.n_parameters_ == sum(p.numel() for p in back.net_.module_.parameters())
    losses = [row["valid_loss"] for row in back.history_]
    assert min(losses) < losses[0]


def test_windows_and_scrubbed_frames(pair):
    (signal, bold), _ = pair
    first = range(30, 270, 30)
    windows = np.stack([bold[i : i + 30] for i in first])
    # Thirty seconds of history come with every window.
    width = T_R * SFREQ
    signals = np.stack([signal[:, int((i - 15) * width) : int((i + 30) * width)] for i in first])
    model = translator(Trainer(max_epochs=2), tmin=-30.0).fit(windows, signals)
    pred = model.predict(windows)
    assert pred.shape == model.target_from(signals).shape == (8, 4, 2, 30)
    windows = windows.copy()
    windows[:, 10] = np.nan
    assert np.isfinite(model.predict(windows)).all()


def test_more_training_starts_from_the_last(pair):
    (signal, bold), _ = pair
    model = translator(Trainer(max_epochs=1), warm_start=True).fit([bold], [signal])
    once = model.history_[-1]["train_loss"]
    assert model.fit([bold], [signal]).history_[-1]["train_loss"] < once
    model.set_params(model__bands={"theta": (4.0, 8.0), "alpha": (8.0, 12.0)})
    with pytest.raises(ValueError, match="band 'alpha' is 8 to 13 Hz, now 8 to 12 Hz"):
        model.fit([bold], [signal])


def test_both_directions_in_one_model(both, back, pair):
    (_, _), (signal, bold) = pair
    assert both.forward_.score_targets([signal], [bold]).min() > 0.6
    np.testing.assert_allclose(
        both.translate([bold], to="ele")[0], back.predict([bold])[0], atol=1e-5
    )
    ele, hemo = (both.latents([x], m)[0] for x, m in ((signal, "ele"), (bold, "hemo")))
    assert np.corrcoef(ele[0, :280], hemo[0, :280])[0, 1] > 0.6


def test_windows_find_their_partners(both, pair):
    _, (signal, bold) = pair
    info = mne.create_info(both.ch_names_in_, SFREQ, "eeg")
    raw = mne.io.RawArray(signal, info, verbose="ERROR")
    epochs, y = make_windows(raw, bold, t_r=T_R, window=20.0)
    found = both.retrieval_score(epochs, y, k=1)
    assert found.top[1] > 10 * found.chance[1]


def test_regions_may_be_missing_in_prediction_alone(back, pair):
    (signal, bold), _ = pair
    lacking = np.column_stack([bold[:, :2], np.full(len(bold), np.nan)])
    with pytest.raises(ValueError, match="NaN in some regions"):
        translator().fit([lacking], [signal])
    # Expected from the others: nodes that drive those are told of as before.
    whole, part = back.predict([bold])[0], back.predict([lacking])[0]
    assert np.isfinite(part).all()
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(whole[0], part[0], strict=True)) > 0.9


def test_what_it_cannot_do_is_said_before_training(pair):
    (signal, bold), _ = pair
    with pytest.raises(ValueError, match="hrf must be one of 'double_gamma', 'canonical'"):
        translator(hrf="fir").fit([bold], [signal])
    with pytest.raises(ValueError, match="graph must be a finite adjacency"):
        translator(graph=np.eye(3)).fit([bold], [signal])
    with pytest.raises(ValueError, match="table"):
        translator().fit(bold, np.zeros((len(bold), 4)))
