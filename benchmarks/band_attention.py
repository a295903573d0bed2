"""Band attention on simulated rhythms: is the driving band found, and is its signal cleaner?

Simulated: three channels, ten minutes at 200 Hz, 1/f background, rhythms at 6, 10 and 20 Hz in
every channel, each as strong as the background in its band and amplitude-modulated below 0.1 Hz.
BOLD (one region, TR 2 s, Glover response, AR(1) noise, SNR 1) follows one channel's power in one
band.

Run ``python benchmarks/band_attention.py`` (``--quick``: 5 seeds instead of 20).
"""

from __future__ import annotations

from _common import one_thread, parser, to_markdown, write_section

one_thread()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy import signal, stats  # noqa: E402

from mne_samba import Reader  # noqa: E402
from mne_samba.hrf import double_gamma, glover_params  # noqa: E402
from mne_samba.transformers._band_attention import WaveletBandAttention  # noqa: E402

SFREQ, DURATION, T_R = 200.0, 600.0, 2.0
RHYTHMS = {"theta": (6.0, (4.0, 8.0)), "alpha": (10.0, (8.0, 13.0)), "beta": (20.0, (13.0, 30.0))}


def _slow(rng, n_times, sfreq=SFREQ, highest=0.1):
    """Unit-variance Gaussian time course below ``highest`` Hz; made longer and cropped."""
    n_long = 2 * n_times
    spectrum = np.fft.rfft(rng.standard_normal(n_long))
    spectrum[np.fft.rfftfreq(n_long, 1 / sfreq) > highest] = 0.0
    course = np.fft.irfft(spectrum, n_long)[n_times // 2 : n_times // 2 + n_times]
    return (course - course.mean()) / course.std()


def _background(rng, n_times):
    spectrum = np.fft.rfft(rng.standard_normal(n_times))
    freqs = np.fft.rfftfreq(n_times, 1 / SFREQ)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(freqs, 0.5)), n_times)


def _band_rms(x, band):
    sos = signal.butter(4, band, "bandpass", fs=SFREQ, output="sos")
    return signal.sosfiltfilt(sos, x).std()


def simulate(seed, n_channels=3):
    """Return signals, BOLD, the driving channel and band, and every rhythm's envelope."""
    rng = np.random.default_rng(seed)
    n_times = int(DURATION * SFREQ)
    times = np.arange(n_times) / SFREQ
    signals, envelopes = np.empty((n_channels, n_times)), {}
    for channel in range(n_channels):
        background = _background(rng, n_times)
        signals[channel] = background
        for name, (freq, band) in RHYTHMS.items():
            envelope = np.exp(0.5 * _slow(rng, n_times))
            phase = np.cumsum(rng.standard_normal(n_times)) * np.sqrt(2 * np.pi * 0.2 / SFREQ)
            rhythm = envelope * np.sin(2 * np.pi * freq * times + phase)
            signals[channel] += rhythm * (_band_rms(background, band) / rhythm.std())
            envelopes[channel, name] = envelope
    driver = int(rng.integers(n_channels))
    band = list(RHYTHMS)[int(rng.integers(len(RHYTHMS)))]
    power = envelopes[driver, band] ** 2
    lags = np.arange(0, 32, 1 / SFREQ)
    drive = signal.fftconvolve(power - power.mean(), double_gamma(lags, glover_params()))[:n_times]
    clean = drive[:: int(T_R * SFREQ)]
    noise = signal.lfilter([1], [1, -0.4], rng.standard_normal(len(clean) + 100))[100:]
    inner = slice(16, None)
    bold = clean / clean[inner].std() + noise / noise.std()
    return signals, bold[:, None], driver, band, envelopes


def known_frequencies(seed):
    """Weight of the true band, and the gain of idle channels relative to the driving one."""
    signals, bold, driver, band, _ = simulate(seed)
    attention = WaveletBandAttention(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit(
        [signals], [bold]
    )
    weights = attention.band_attention_[driver]
    true = list(attention.bands_).index(band)
    strength = np.abs(attention.band_gain_).max(1)
    idle = np.delete(strength, driver).max() / max(strength[driver], 1e-12)
    sign = np.sign(attention.band_gain_[driver, true])
    return {
        "seed": seed, "band": band, "weight": weights[true], "largest": weights.argmax() == true,
        "idle_gain": idle, "sign": sign,
    }  # fmt: skip


def _envelope(x):
    sos = signal.butter(4, 1.0, "lowpass", fs=SFREQ, output="sos")
    return signal.sosfiltfilt(sos, np.abs(signal.hilbert(x)))


def _decibels(truth, estimate):
    """Variance of what the envelope explains of the true one over what it leaves, in dB."""
    r2 = np.corrcoef(truth, estimate)[0, 1] ** 2
    return 10 * np.log10(r2 / (1 - r2))


def denoising(seed):
    """Correlation of the driving rhythm's envelope with that of three reconstructions."""
    signals, bold, driver, band, envelopes = simulate(seed)
    truth = envelopes[driver, band][2000:-2000]
    attention = WaveletBandAttention(t_r=T_R, verbose=False, reader=Reader(sfreq=SFREQ)).fit(
        [signals], [bold]
    )
    attended = attention.reconstruct([signals])[0][driver]
    attention.band_attention_ = np.full_like(attention.band_attention_, 1.0)
    equal = attention.reconstruct([signals])[0][driver]
    row = {"seed": seed, "band": band}
    for name, x in {"broadband": signals[driver], "equal": equal, "attended": attended}.items():
        estimate = _envelope(x)[2000:-2000]
        row[f"r_{name}"] = np.corrcoef(truth, estimate)[0, 1]
        row[f"db_{name}"] = _decibels(truth, estimate)
    return row


def _interval(values):
    """Mean and 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.3f} [{values.mean() - half:+.3f}, {values.mean() + half:+.3f}]"


def main() -> None:
    """Run, print, write."""
    args = parser(__doc__.splitlines()[0]).parse_args()
    seeds = range(5 if args.quick else 20)
    rows = pd.DataFrame([known_frequencies(seed) | denoising(seed) for seed in seeds])
    args.out.mkdir(parents=True, exist_ok=True)
    name = "band_attention" + ("_quick" if args.quick else "")
    rows.to_csv(args.out / f"{name}.csv", index=False, float_format="%.6g")
    found = [
        (
            "true band largest and at least .5",
            f"{(rows['largest'] & (rows['weight'] >= 0.5)).sum()}",
        ),
        ("gain of idle channels under a fifth", f"{(rows['idle_gain'] < 0.2).sum()}"),
    ]
    found = [(what, f"{hits} of {len(rows)}") for what, hits in found]
    for unit, quantity in (("r", "correlation"), ("db", "SNR in dB")):
        for other in ("broadband", "equal"):
            gain = rows[f"{unit}_attended"] - rows[f"{unit}_{other}"]
            found.append((f"{quantity}, attended minus {other}", _interval(gain)))
    table = pd.DataFrame(found, columns=["what", f"{len(rows)} seeds"])
    print(to_markdown(table))
    write_section(
        name,
        f"Band attention ({len(rows)} seeds)",
        "SIMULATED. `python benchmarks/band_attention.py"
        + (" --quick" if args.quick else "")
        + "`: one of three channels drives BOLD with one of its three rhythms. Below, the true "
        "envelope against that of the signal made anew from attended bands, from equally weighted "
        "ones, and as measured (broadband); mean and 95 % interval.\n\n" + to_markdown(table),
    )


if __name__ == "__main__":
    main()
