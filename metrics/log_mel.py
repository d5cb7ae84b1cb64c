"""Log-mel distance: a plain spectral distance without a cepstral model."""

from __future__ import annotations

from functools import cache

import numpy as np

from metrics.contract import Metric, Value

RATE_HZ = 16000
N_FFT = 1024
HOP = 256
N_MELS = 80
FLOOR = 1e-5


@cache
def mel_filters(rate_hz: int = RATE_HZ, n_fft: int = N_FFT, n_mels: int = N_MELS) -> np.ndarray:
    """Triangular filters [n_mels, n_fft // 2 + 1] with peak 1, equally spaced on the HTK mel scale from 0 to
    Nyquist."""
    mel_edges = np.linspace(0, 2595 * np.log10(1 + rate_hz / 2 / 700), n_mels + 2)
    edges_hz = 700 * (10 ** (mel_edges / 2595) - 1)
    bins_hz = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(wave: np.ndarray) -> np.ndarray:
    """Natural logarithm of mel magnitudes [frames, 80] at 16 kHz: Hann frames of 1024, hop 256, floor 1e-5."""
    wave = np.pad(wave.astype(np.float64), (0, max(0, N_FFT - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, N_FFT)[::HOP]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1]))
    return np.log(np.maximum(magnitudes @ mel_filters().T, FLOOR))


def log_mel_distance(*, reference: np.ndarray, estimate: np.ndarray) -> float:
    """Mean absolute difference of log-mel magnitudes of aligned float [n] signals at 16 kHz."""
    reference, estimate = log_mel(reference), log_mel(estimate)
    frames = min(len(reference), len(estimate))
    return float(np.abs(reference[:frames] - estimate[:frames]).mean())


def _compute(utterance, settings) -> Value:
    reference, estimate, _ = utterance.pair(RATE_HZ)
    return Value(log_mel_distance(reference=reference, estimate=estimate))


METRICS = (
    Metric(
        name="log_mel",
        compute=_compute,
        definition="Mean absolute difference of 80-band log-mel magnitudes (natural logarithm), frame by frame.",
        unit="nepers",
        range="0 (identical) upwards",
        higher=False,
        rate="16 kHz",
        source="own definition (HTK mel scale, 1024-sample Hann frames, hop 256, floor 1e-5)",
        pitfalls="Sensitive to gain (a factor g adds ln g) and to the floor in silent passages; an L1 distance "
        "rewards blurring.",
        version="1",
        aligned=True,
        min_seconds=0.02,
        libraries=("soxr",),
    ),
)
