"""A recording that is generated as it is read: it stands for files larger than memory."""

from __future__ import annotations

import mne
import numpy as np

# Samples that are generated together: what a sample holds does not depend on how it is read.
_BLOCK = 4096


class GeneratedRaw(mne.io.BaseRaw):
    """Noise whose amplitude waxes and wanes, never held as a whole."""

    def __init__(self, n_channels: int, duration: float, sfreq: float, seed: int = 0):
        info = mne.create_info([f"n{i:03d}" for i in range(n_channels)], sfreq, "eeg")
        # MNE hands readers nothing of a recording but this.
        extras = {"seed": seed, "n_channels": n_channels, "sfreq": sfreq, "longest_read": 0}
        last = round(duration * sfreq) - 1
        super().__init__(info, preload=False, last_samps=[last], raw_extras=[extras])

    @property
    def longest_read(self) -> int:
        """Samples of the longest stretch that was read at once."""
        return self._raw_extras[0]["longest_read"]

    def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
        extras = self._raw_extras[fi]
        extras["longest_read"] = max(extras["longest_read"], stop - start)
        for block in range(start // _BLOCK, (stop - 1) // _BLOCK + 1):
            first = block * _BLOCK
            low, high = max(start, first), min(stop, first + _BLOCK)
            part = _generate(extras, block)[:, low - first : high - first]
            part = mult @ part if mult is not None else part[idx]
            data[:, low - start : high - start] = part


def _generate(extras: dict, block: int) -> np.ndarray:
    shape = (extras["n_channels"], _BLOCK)
    rng = np.random.default_rng([extras["seed"], block])
    data = rng.standard_normal(shape, dtype=np.float32)
    times = (block * _BLOCK + np.arange(_BLOCK)) / extras["sfreq"]
    # Every channel waxes and wanes at a pace of its own, 0.02 to 0.08 Hz.
    pace = np.linspace(0.02, 0.08, shape[0], dtype=np.float32)[:, np.newaxis]
    data *= 1e-5 * (1.5 + np.sin(2 * np.pi * pace * times.astype(np.float32)))
    return data
