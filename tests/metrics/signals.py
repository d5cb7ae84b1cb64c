"""Deterministic speech-like signals."""

from __future__ import annotations

import numpy as np

RATE_HZ = 16000


def speech_like(seconds: float = 2.0, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Voiced syllables with pauses: harmonics of a moving pitch under moving formants, peak .5, float32 [n]."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch_hz = 120 + 30 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    formants_hz = [
        500 + 200 * np.sin(2 * np.pi * 1.3 * time_s + seed),
        1500 + 500 * np.sin(2 * np.pi * 0.9 * time_s + 2 * seed),
    ]
    wave = np.zeros_like(time_s)
    for harmonic in range(1, 40):
        gain = sum(np.exp(-(((harmonic * pitch_hz - f) / 150) ** 2)) for f in formants_hz)
        wave += gain * np.sin(harmonic * phase)
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time_s + seed), 0, None) ** 0.5
    wave = wave * envelope + 1e-4 * rng.standard_normal(len(time_s))
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def noisy(clean: np.ndarray, snr_db: float, seed: int = 1) -> np.ndarray:
    """`clean` plus white noise at an exact signal-to-noise ratio."""
    noise = np.random.default_rng(seed).standard_normal(len(clean))
    noise *= np.sqrt(np.mean(clean.astype(np.float64) ** 2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return (clean + noise).astype(np.float32)
