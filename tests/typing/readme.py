"""The README's lines, for type checkers; a test compares them with the README."""

import mne
import numpy as np
from mne_samba import SambaTranslator, make_windows
from mne_samba.evaluation import evaluate
from mne_samba.report import add_to_report

raw = mne.io.read_raw("eeg.edf")
bold = np.load("bold.npy")  # (n_frames, n_regions), the first frame at the first sample
epochs, y = make_windows(raw, bold, t_r=2.0, window=20.0)
model = SambaTranslator(t_r=2.0, random_state=0)
result = evaluate(model, epochs, y)  # held-out blocks, ridge regression, nulls
print(result)  # what it shows, in words, and a short table
report = mne.Report(title="EEG to BOLD")
add_to_report(report, model.fit(epochs, y), result=result)
report.save("report.html")
