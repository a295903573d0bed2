"""Shared fixtures: one torch thread, real recordings, small simulations."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from pathlib import Path

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
