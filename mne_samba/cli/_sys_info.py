"""Versions and device, for bug reports."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from .._version import __version__

_PACKAGES = (
    "mne", "numpy", "scipy", "scikit-learn", "pandas", "torch", "torch-geometric", "skorch",
    "nilearn", "PyWavelets", "joblib", "safetensors", "matplotlib", "tqdm",
)  # fmt: skip


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"cuda ({', '.join(names)}; CUDA {torch.version.cuda})"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def sys_info() -> str:
    """Collect versions and device, one line per item."""
    import torch

    lines = [
        ("mne_samba", __version__),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("platform", platform.platform()),
        ("processors", str(os.cpu_count())),
        ("torch threads", str(torch.get_num_threads())),
        ("device", _device()),
    ]
    for package in _PACKAGES:
        try:
            lines.append((package, version(package)))
        except PackageNotFoundError:
            lines.append((package, "not installed"))
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name + ':':<{width}}{value}" for name, value in lines)
