"""Noise like that of a recording: what the source's copy of a clean voice prompt is heard in.

Training gives 10 % of the enhancement items their own first frames, clean, before a source that is noisy throughout. A
clean prompt in latent and source alike is another thing; with noise over its copy in the source the two agree.
"""

from __future__ import annotations

import numpy as np

WINDOW, QUIET = 512, 0.1  # samples of a frame; share of the frames that are taken for noise alone


def noise_spectrum(source: np.ndarray) -> np.ndarray:
    """Root mean square magnitudes [257] of the quietest tenth of a recording's [s] frames; flat for digital silence."""
    padded = np.pad(source, (0, max(0, WINDOW - len(source))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[:: WINDOW // 2] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    heard = power[power.sum(1) > 0]
    if not len(heard):
        return np.ones(WINDOW // 2 + 1)
    quietest = heard[np.argsort(heard.sum(1))[: max(1, round(QUIET * len(heard)))]]
    return np.sqrt(quietest.mean(0))


def in_noise(voice: np.ndarray, source: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """A clean voice [p] in stationary noise with the spectrum of the source's [s] own, at so many decibels."""
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(voice)))
    at = np.linspace(0, 1, len(white))
    shape = np.interp(at, np.linspace(0, 1, WINDOW // 2 + 1), noise_spectrum(source))
    noise = np.fft.irfft(white * shape, len(voice))
    level = np.sqrt(np.mean(np.square(voice))) / max(np.sqrt(np.mean(np.square(noise))), 1e-12)
    return (voice + noise * level * 10 ** (-snr_db / 20)).astype(np.float32)
