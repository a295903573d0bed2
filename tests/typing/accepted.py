"""Code that type checkers accept: the README's forms, options, chains, attributes of a fit."""

import mne
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import mne_samba
from mne_samba import (
    CoreModel,
    InverseTranslator,
    LatentTranslator,
    LearnableHRF,
    PaperModel,
    Reader,
    SambaModel,
    SambaStream,
    SambaTranslator,
    StreamedFrames,
    Trainer,
    WaveletBandAttention,
    read_samba,
)
from mne_samba.baselines import BandPowerRidge
from mne_samba.evaluation import evaluate
from mne_samba.models import InverseCoreModel
from mne_samba.wavelets import Morlet


def fit(raw: mne.io.BaseRaw, bold: np.ndarray) -> SambaTranslator:
    reader = Reader(picks=["Cz", "Pz"], volume_event="R128", detrend="linear")
    model = SambaModel(bands={"alpha": (8.0, 13.0)}, graph=np.eye(2), unmix=None, recurrent=None)
    translator = SambaTranslator(t_r=[2.0, 1.5], model=model, reader=reader, trainer=Trainer())
    return translator.fit(raw, bold)


def attributes(raw, bold) -> tuple[float, list[str], int]:
    translator = fit(raw, bold)
    peaks = translator.hrf_peak_time_.mean()
    if translator.unmixing_ is not None:
        print(translator.unmixing_.method)
    assert translator.info_["sfreq"] > 0
    return float(peaks), translator.target_names_in_, translator.n_parameters_


def latest(stream: SambaStream, chunk: np.ndarray) -> StreamedFrames:
    return stream.push(chunk)


models = [
    SambaTranslator(model="core", random_state=np.random.RandomState(0), verbose="info"),
    SambaTranslator(model=PaperModel(recurrent="gru")),
    SambaTranslator(t_r=2.0, model=CoreModel(bands=Morlet(n_cycles=5.0), target_bands=False)),
]
both = LatentTranslator(SambaTranslator(), InverseTranslator(model=InverseCoreModel()))
search = GridSearchCV(SambaTranslator(t_r=2.0), {"model__hrf": ["fir", "double_gamma"]})
pipeline = make_pipeline(WaveletBandAttention(t_r=2.0), LearnableHRF(hrf="fir"))
ridge = mne_samba.baselines.BandPowerRidge(alphas=[0.1, 1.0])
shape = read_samba("model.samba").predict(np.zeros((1, 2, 3))).shape
verdict = str(evaluate(BandPowerRidge(t_r=2.0), [np.zeros((2, 9))], [np.zeros((3, 4))]))
