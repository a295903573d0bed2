"""A warm start adapts a model to data like its own, and says what is not like them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small_data import paired

from mne_samba.data.power import BandPower, LowRateGrid, PowerScaler
from mne_samba.data.recordings import Layout
from mne_samba.models import CoreModel, Trainer
from mne_samba.models.paper import FittedPaper
from mne_samba.models.samba_fit import FittedSamba
from mne_samba.models.warm_start import start_of
from mne_samba.wavelets import Shannon

MODEL = CoreModel(map_prior="gaussian", target_bands=False, power="linear")


@pytest.fixture(scope="module")
def data():
    return paired()


@pytest.fixture(scope="module")
def start(data):
    fitted = MODEL.fit(data, Trainer(device="cpu"), 0)
    layout = Layout("recordings", 2.0, 100.0, data.ch_names, data.target_names, 30, 20.0)
    return fitted, SimpleNamespace(
        layout=layout, features=BandPower(Shannon(data.bands), data.grid),
        node_names=layout.ch_names,
    )  # fmt: skip


def test_the_same_layout_is_adapted(data, start):
    assert start_of(start, FittedSamba, data, "linear") is start[0]
    assert start_of(start, FittedSamba, data, "auto") is start[0]
    assert start_of(None, FittedSamba, data) is None
    said = "is of SambaModel or CoreModel, now PaperModel is asked for. Set the same .*=False"
    with pytest.raises(ValueError, match=said):
        start_of(start, FittedPaper, data)
    warm = MODEL.fit(paired(seed=1), Trainer(device="cpu"), 0, start)
    assert "init" in warm.core.evidence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ch_names": ["ch1", "ch0", "ch2"]}, r"channels come in another order: number 1 is 'ch1'"),
        ({"ch_names": ["ch0", "ch1", "Cz"]}, r"the data lack \['ch2'\], \['Cz'\] are new"),
        ({"ch_names": ["ch0", "ch1"]}, r"3 channels against 2"),
        ({"target_names": [*"abcd"]}, r"regions differ: the data lack \['region0'"),
        ({"bands": {"theta": (1.0, 5.0), "alpha": (5.0, 9.0)}}, r"has the bands \['band0', 'band"),
        ({"bands": {"band0": (1.0, 5.0), "band1": (5.0, 10.0)}}, r"'band1' is 5 to 9 Hz, now 5 t"),
        ({"grid": LowRateGrid.from_tr(1.0, 20.0)}, r"t_r=2 s, the data have t_r=1 s"),
        ({"grid": LowRateGrid.from_tr(2.0, 30.0)}, r"responses last 20 s in bins of 0.5 s, now 30"),
    ],
)
def test_differences_are_named(data, start, change, message):
    with pytest.raises(ValueError, match=rf"warm_start=True .*{message}.*warm_start=False"):
        MODEL.fit(replace(data, **change), Trainer(device="cpu"), 0, start)


def test_another_scale_of_power_is_refused(data, start):
    with pytest.raises(ValueError, match=r"fitted to linear band power, now power='log'"):
        CoreModel(power="log").fit(
            data.rescaled(PowerScaler(log=True)), Trainer(device="cpu"), 0, start
        )


def test_the_scale_of_the_fitted_model_is_taken(data, start):
    layout = start[1]
    log = CoreModel(map_prior="gaussian", target_bands=False, power="log").fit(
        data.rescaled(PowerScaler(log=True)), Trainer(device="cpu"), 0
    )
    model = CoreModel(map_prior="gaussian", target_bands=False)
    assert model.fit(data, Trainer(device="cpu"), 0, (log, layout)).scaler.log
    assert not model.fit(data, Trainer(device="cpu"), 0, start).scaler.log


def test_own_bands_are_adapted_with_their_variances(data, start):
    own = CoreModel(target_bands=True, power="linear")
    first = own.fit(data, Trainer(device="cpu"), 0)
    warm = own.fit(data, Trainer(device="cpu"), 0, (first, start[1]))
    assert "init" in warm.core.evidence
    assert warm.core.extra_variance.shape == first.core.extra_variance.shape
    assert np.corrcoef(warm.core.extra.ravel(), first.core.extra.ravel())[0, 1] > 0.9
