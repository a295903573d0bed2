"""Shared fixtures: one torch thread, real recordings, small simulations."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


def _shared_data() -> Path:
    default = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("MNE_SAMBA_SHARED", default))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings; a test that needs it is skipped where it is absent."""
    folder = _shared_data()
    if not folder.is_dir():
        pytest.skip(f"real recordings not found in {folder}; set MNE_SAMBA_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def people():
    """Three simulated people of 400 s, 8 sources and 10 targets. Shared: copy before changing."""
    from mne_samba.datasets import simulate_paired

    return simulate_paired(
        3, 400.0, level="source", n_sources=8, n_targets=10, snr=4.0, sfreq=100.0, random_state=0
    )


@pytest.fixture(scope="session")
def windows(people):
    """Windows of 40 s of the three people, BOLD of each, and whose they are."""
    from mne_samba import make_windows

    epochs, y = make_windows(
        people.raws, people.bolds, t_r=2.0, window=40.0, subject=list(people.subjects)
    )
    return epochs, y, np.asarray(epochs.metadata["subject"])


@pytest.fixture(scope="session")
def fitted(people):
    """Translator fitted on the first two people. Shared: clone or copy before changing."""
    from mne_samba import SambaTranslator

    translator = SambaTranslator(t_r=2.0, model="core", random_state=0)
    return translator.fit(people.raws[:2], people.bolds[:2])


@pytest.fixture(scope="session")
def fitted_full(people):
    """The same with trained graph attention and recurrence."""
    from mne_samba import SambaModel, SambaTranslator, Trainer

    translator = SambaTranslator(
        t_r=2.0,
        model=SambaModel(corrections="always"),
        trainer=Trainer(max_epochs=3),
        random_state=0,
    )
    return translator.fit(people.raws[:2], people.bolds[:2])


@pytest.fixture
def error_of_transfer():
    """Train attention to average over a neighbourhood; error as a share of variance."""

    def train(layer, average, lr):
        readout = torch.nn.Linear(8, 1)
        optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()], lr=lr)
        for _ in range(300):
            x = torch.randn(64, average.shape[1], 1)
            loss = (readout(layer(x)) - average @ x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        x = torch.randn(500, average.shape[1], 1)
        with torch.no_grad():
            return (readout(layer(x)) - average @ x).square().mean() / (average @ x).var()

    return train
