import html
from types import SimpleNamespace

import matplotlib
import mne
import nibabel
import numpy as np
import pandas as pd
import pytest

from mne_samba import (
    CoreModel,
    LearnableHRF,
    NeuroBOLTModel,
    PaperModel,
    Reader,
    SambaTranslator,
    Trainer,
)
from mne_samba.datasets import simulate_paired
from mne_samba.evaluation import evaluate, group_test
from mne_samba.report import add_to_report, response_table

matplotlib.use("Agg")


CORE = CoreModel(target_bands=False, power="linear")


@pytest.fixture(scope="module")
def people():
    return simulate_paired(
        2, 150.0, sfreq=100.0, n_sources=5, n_targets=6, level="source", random_state=0
    )


@pytest.fixture(scope="module")
def translator(people):
    bolds = [pd.DataFrame(bold, columns=people.target_names) for bold in people.bolds]
    model = SambaTranslator(t_r=2.0, model=CORE, random_state=0, verbose="ERROR")
    return model.fit(people.raws, bolds)


@pytest.fixture
def report():
    return mne.Report(title="test", verbose="ERROR")


def _page(report, tmp_path):
    path = tmp_path / "report.html"
    report.save(path, overwrite=True, open_browser=False, verbose="ERROR")
    return path.read_text(encoding="utf-8")


def test_translator_in_a_report(report, people, translator, tmp_path):
    same = add_to_report(
        report, translator, coords=people.target_coords, networks=people.target_networks,
        source_coords=people.source_coords, truth=people.truth.hrf_params, note="<simulated>",
    )  # fmt: skip
    assert same is report
    text = _page(report, tmp_path)
    for title in (
        "Haemodynamic responses by network", "Time to peak", "Response shapes",
        "Band attention", "Band weights", "Activation patterns", "Map from channels to regions",
    ):  # fmt: skip
        assert title in text
    # What was not used is said, and not drawn.
    assert "Graph attention and recurrence are not used" in text
    assert "Graph between regions" not in text and "Graph between channels" not in text
    assert "&lt;simulated&gt;" in text and "<simulated>" not in text
    assert people.target_names[0] in text
    peak = f"{translator.hrf_peak_time_[0]:.2f}"
    assert peak in text
    # No correction was trained: there is no history to draw.
    assert "Training of graph attention" not in text
    assert "is said by an evaluation alone" in text


def test_result_in_a_report(report, people, tmp_path):
    bolds = [pd.DataFrame(bold, columns=people.target_names) for bold in people.bolds]
    result = evaluate(
        SambaTranslator(t_r=2.0, model=CORE, random_state=0, verbose="ERROR"),
        people.raws, bolds, groups=people.subjects, baselines=("ridge_canonical", "mean"),
        nulls=("circular_shift",), n_shifts=19, verbose="ERROR",
    )  # fmt: skip
    add_to_report(report, result, coords=people.target_coords)
    text = _page(report, tmp_path)
    for title in ("Table of scores", "Scores by region", "Null", "Predicted and measured BOLD"):
        assert title in text
    assert "Scores of SambaTranslator" in text and "mean of training frames" in text
    assert "mean Spearman" in text and "r: Pearson correlation" in text
    score = result.summary().loc["SambaTranslator", "mean"]
    assert f"{score:.3f}" in text
    assert (
        "6 regions, 2 recordings of 2 people; 2 folds, each of people that training had not seen"
        in text
    )
    # Baselines have in sentences the names that they have in the table.
    words = result.verdict.replace("baseline (mean)", "baseline (mean of training frames)")
    words = words.replace("baseline (ridge_canonical)", "baseline (ridge, canonical)")
    first, rest = words.split(". ", 1)
    at = [text.index(html.escape(words)) for words in (first, rest, "translator is higher by")]
    assert at == sorted(at)


def test_models_are_veiled_where_nothing_was_shown(people, translator, tmp_path, monkeypatch):
    veils = []
    monkeypatch.setattr("mne_samba.report.fade", lambda fig, words: veils.append(words))
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal((75, 6)) for _ in people.raws]
    options = {"baselines": ("mean",), "nulls": ("circular_shift",), "n_shifts": 19}
    result = evaluate(translator, people.raws, noise, verbose="ERROR", **options)
    report = add_to_report(mne.Report(verbose="ERROR"), translator, result=result)
    page = _page(report, tmp_path)
    assert "must not be interpreted" in page
    assert page.index("Table of scores") < page.index("What may be made of it")
    assert set(veils) == {"not to be interpreted: see the scores"}
    veils.clear()
    monkeypatch.setattr("mne_samba.report.may_be_interpreted", lambda result: True)
    add_to_report(mne.Report(verbose="ERROR"), translator, result=result)
    assert not veils
    with pytest.raises(TypeError, match="result stands beside a fitted model"):
        add_to_report(report, result, result=result)


def test_the_published_network_in_a_report(report, people, tmp_path):
    """Its responses belong to channels, of which there are fewer than regions."""
    trainer = Trainer(max_epochs=1, window=40.0, gap=4.0, device="cpu")
    model = SambaTranslator(t_r=2.0, model=PaperModel(), trainer=trainer, random_state=0)
    model.set_params(verbose="ERROR").fit(people.raws, people.bolds)
    text = _page(
        add_to_report(
            report, model, coords=people.target_coords, networks=people.target_networks,
            truth=people.truth.hrf_params,
        ),
        tmp_path,
    )  # fmt: skip
    assert "of channels, as the published network has them" in text
    assert "Band attention" in text and "Band weights" not in text
    assert people.source_names[0] in text


def test_a_network_without_responses_in_a_report(report, people, tmp_path):
    model = NeuroBOLTModel(
        depth=1, n_embed=25, n_heads=1, spectrum_depth=1, n_spectrum_heads=1, window=4
    )  # fmt: skip
    trainer = Trainer(max_epochs=1, batch_size=64, gap=4.0, device="cpu")
    model = SambaTranslator(t_r=2.0, model=model, trainer=trainer, random_state=0)
    text = _page(add_to_report(report, model.fit(people.raws, people.bolds)), tmp_path)
    assert "The published network" in text and "Training" in text
    assert "Band attention" not in text and "Haemodynamic responses" not in text


def test_a_response_that_was_not_learnt_is_not_drawn(report, people, tmp_path):
    model = SambaTranslator(
        t_r=2.0, model=CoreModel(hrf="canonical", power="linear", target_bands=False),
        random_state=0, verbose="ERROR",
    )  # fmt: skip
    add_to_report(report, model.fit(people.raws, people.bolds), coords=people.target_coords)
    text = _page(report, tmp_path)
    assert "No response was learnt" in text and "one fixed response for all regions" in text
    assert "Response shapes" not in text and "Time to peak" not in text


def test_responses_at_a_bound_are_marked():
    names = ["a", "b"]
    model = SimpleNamespace(
        hrf_=np.exp(-0.5 * (np.arange(0, 30, 0.1) - np.array([[4.0], [6.0]])) ** 2),
        hrf_times_=np.arange(0, 30, 0.1), hrf_peak_time_=[4.0, 6.0], confidence=0.95,
        hrf_params_=pd.DataFrame(np.nan, index=names, columns=["x"]),
        hrf_at_bounds_=np.array([False, True]),
    )  # fmt: skip
    table, caption = response_table(model)
    assert list(table.index) == ["a", "b *"] and "* A bound of its parameters" in caption
    np.testing.assert_allclose(table["width (s)"], 2.355, atol=0.01)
    assert "Intervals are not estimated here" in caption


def test_learnt_response_in_a_report(report, tmp_path):
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((1, 1500))
    bold = np.convolve(drive[0], np.ones(40))[:1500:20, np.newaxis]
    model = LearnableHRF(
        t_r=2.0, n_bootstrap=5, random_state=0, verbose="ERROR", reader=Reader(sfreq=10.0)
    )
    add_to_report(report, model.fit([drive], [bold]), section="One response")
    text = _page(report, tmp_path)
    assert "One response" in text and f"In brackets: {100 * model.confidence:g} % intervals" in text
    peak, low = model.hrf_peak_time_[0], model.hrf_intervals_["peak_time_low"].iloc[0]
    assert f"{peak:.2f} [{low:.2f}, " in text
    assert "Time to peak of every" not in text


def test_a_group_in_a_report(report, tmp_path):
    r = 0.1 * np.random.default_rng(0).standard_normal((8, 4)) + [0.3, 0, 0, 0]
    group = group_test(pd.DataFrame(r, columns=["V1", "A1", "M1", "S1"]))
    labels = np.repeat(np.arange(1, 5, dtype="int16"), 25).reshape(4, 5, 5)
    atlas = nibabel.Nifti1Image(labels, np.diag([9.0, 9, 9, 1]))
    places = np.array([[-30.0, -80, 5], [30, -80, 5], [-5, 50, 20], [12, 10, -8]])
    add_to_report(report, group, section="Group", coords=places, atlas=atlas)
    content = _page(report, tmp_path)
    assert "1 of 4 targets (V1) pass corrected for their number." in content
    for title in ("Places", "Map", "People", "Regions", "Table of people"):
        assert title in content
    with pytest.raises(TypeError, match="atlas is for a GroupTest"):
        add_to_report(report, LearnableHRF(t_r=2.0), atlas=atlas)


def test_report_refuses(report, translator):
    with pytest.raises(TypeError, match=r"must be an mne\.Report, got str"):
        add_to_report("report.html", translator)
    with pytest.raises(TypeError, match="is it fitted"):
        add_to_report(report, SambaTranslator(t_r=2.0))
    with pytest.raises(ValueError, match="image_format"):
        add_to_report(report, translator, image_format="gif")
