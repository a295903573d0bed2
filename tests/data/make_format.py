"""Make the stored file of this format, once when the format is new: ``python make_format.py``."""

from pathlib import Path

import numpy as np
import pandas as pd

from mne_samba import SambaModel, SambaTranslator, Trainer
from mne_samba.datasets import simulate_paired
from mne_samba.io import FORMAT_VERSION

BANDS = {"theta": (4, 8), "alpha": (8, 13)}


def main():
    """Fit a small model with corrections; keep it, a signal, and what it predicts of it."""
    people = simulate_paired(
        3, 240.0, sfreq=64.0, level="source", n_sources=4, n_targets=3, bands=BANDS, snr=4.0,
        random_state=0,
    )  # fmt: skip
    raws = [raw.set_channel_types(dict.fromkeys(raw.ch_names, "eeg")) for raw in people.raws]
    known = pd.DataFrame(people.bolds[0], columns=[f"target{i:03d}" for i in range(3)])
    known.attrs["provenance"] = {"subject": "01", "task": "rest"}
    translator = SambaTranslator(
        t_r=2.0,
        model=SambaModel(bands=BANDS, power="linear", target_bands=False, n_hidden=4,
                         corrections="always"),
        trainer=Trainer(window=30.0, max_epochs=1),
        random_state=0,
    ).fit(raws[:2], [known, people.bolds[1]])  # fmt: skip
    path = Path(__file__).parent / f"format_{FORMAT_VERSION}.samba"
    translator.save(path)
    signal = raws[2].crop(0.0, 90.0, include_tmax=False)
    # As it is stored: predictions are of these numbers.
    signal.load_data().apply_function(lambda x: x.astype(np.float32).astype(float))
    np.savez_compressed(
        path.with_suffix(".npz"),
        data=signal.get_data().astype(np.float32),
        predicted=translator.predict(signal),
        hrf_peak_time=translator.hrf_peak_time_,
        band_attention=translator.band_attention_,
    )


if __name__ == "__main__":
    main()
