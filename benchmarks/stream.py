"""Predictions while a recording goes on: time per frame, memory, equality (SIMULATED signals).

64 channels at 500 Hz, in chunks of 40 ms; run ``python benchmarks/stream.py`` or, of two minutes
instead of an hour, with ``--quick``.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from mne_samba import CoreModel, SambaStream, SambaTranslator, make_windows  # noqa: E402
from mne_samba.datasets import simulate_paired  # noqa: E402
from mne_samba.wavelets import Morlet, Shannon  # noqa: E402

SFREQ, CHUNK, T_R = 500.0, 20, 2.0
BANKS = {
    "default (Shannon)": Shannon(), "Morlet": Morlet(), "Morlet, causal": Morlet(causal=True),
}  # fmt: skip


def measure(name: str, bank, seconds: float) -> dict:
    """Stream one person through a model of another one."""
    data = simulate_paired(
        2, 300.0, t_r=T_R, sfreq=SFREQ, n_sources=64, n_targets=16, level="source", random_state=301
    )
    model = CoreModel(bands=bank, power="linear", target_bands=False, unmix=None)
    fitted = SambaTranslator(t_r=T_R, model=model, random_state=0).fit(data.raws[0], data.bolds[0])
    window, _ = make_windows(data.raws[1], data.bolds[1], t_r=T_R, window=200.0, context=40.0)
    whole, onset = fitted.predict(window)[0, :95], window.metadata["onset"][0]
    signal, stream = data.raws[1].get_data(), SambaStream(fitted)
    spent, frames, given, before = [], [], 0.0, None
    for chunk in range(int(seconds * SFREQ / CHUNK)):
        first = chunk * CHUNK % (signal.shape[1] - CHUNK)
        start = time.process_time()
        found = stream.push(signal[:, first : first + CHUNK], chunk * CHUNK / SFREQ)
        given += time.process_time() - start
        if len(found):
            spent.append(given)
            frames.append((found.times[0], found.bold[0]))
            given = 0.0
        if chunk == 3000:
            before = _resident_mb()
    grown = _resident_mb() - before
    same = [(t, f) for t, f in frames if onset <= t < onset + T_R * len(whole)]
    rows = [round((t - onset) / T_R) for t, _ in same]
    error = np.abs(np.stack([f for _, f in same]) - whole[rows]).max() / whole.std()
    return {
        "bank": name, "minutes": seconds / 60, "frames": len(frames), "delay_s": stream.delay,
        "cpu_ms_per_frame": 1000 * np.mean(spent[1:]), "worst_ms": 1000 * np.max(spent[1:]),
        "goal_ms": 20.0, "met": "yes" if 1000 * np.mean(spent[1:]) <= 20.0 else "no",
        "grown_mb": grown, "error_in_sd": f"{error:.1e}",
    }  # fmt: skip


def _resident_mb() -> float:
    """Memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Run, print, write."""
    args = parser(__doc__.splitlines()[0]).parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [measure(*bank, 240.0 if args.quick else 3600.0) for bank in BANKS.items()]
    table = pd.DataFrame(rows)
    print(to_markdown(table))
    table.to_csv(args.out / f"stream{'_quick' if args.quick else ''}.csv", index=False)
    if not args.quick and args.out == parser("").get_default("out"):
        text = (
            "SIMULATED signals, 64 channels at 500 Hz in chunks of 40 ms, one thread; "
            "`python benchmarks/stream.py`. CPU time of all chunks from one frame to the next; "
            "error against `predict` of one window, in standard deviations of predictions.\n\n"
        )
        write_section("stream", "While a recording goes on", text + to_markdown(table))


if __name__ == "__main__":
    main()
