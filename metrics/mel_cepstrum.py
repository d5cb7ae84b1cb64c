"""Mel-cepstral analysis of many frames at once, with the steps and the convergence of SPTK's `mcep`, which takes one.

The mel-cepstrum is the minimum of a convex criterion of the frame's power spectrum, found by Newton's method (Fukada et
al., An adaptive algorithm for mel-cepstral analysis of speech, ICASSP 1992). Warping the frequency axis and Fourier
transforms are linear, so that a step is two products with fixed matrices and a small system of equations a frame.
Shapes: b frames, k = n_fft // 2 + 1 bins, m order.
"""

from __future__ import annotations

from functools import cache

import numpy as np

MIN_ITERATIONS, MAX_ITERATIONS = 2, 30
THRESHOLD = 0.001  # relative change of the criterion at which a frame is done


def mel_cepstrum(frames: np.ndarray, order: int, alpha: float, floor: float) -> np.ndarray:
    """Mel-cepstra [b, order + 1] of windowed frames [b, n_fft] (n_fft even).

    Args:
        order: of the cepstrum.
        alpha: all-pass constant of the frequency warping.
        floor: added to the power spectrum.
    """
    half = frames.shape[1] // 2
    power = np.abs(np.fft.rfft(frames)) ** 2 + floor
    cepstrum = np.fft.irfft(np.log(power))[:, : half + 1]
    cepstrum[:, [0, half]] /= 2
    mel = cepstrum @ _warp(half, order, alpha)
    _refine(power, mel, alpha, before=cepstrum[:, 0].copy())
    return mel


def _refine(power: np.ndarray, mel: np.ndarray, alpha: float, before: np.ndarray) -> None:
    """Newton's method on mel [b, m + 1] in place; `before` [b] is what the start has in place of the criterion."""
    order, half = mel.shape[1] - 1, power.shape[1] - 1
    to_log_amplitude, to_correlation = _matrices(order, half, alpha)
    impulse = (-alpha) ** np.arange(order + 1)
    todo = np.arange(len(mel))
    for iteration in range(1, MAX_ITERATIONS + 1):
        r = (power[todo] * np.exp(-2 * (mel[todo] @ to_log_amplitude))) @ to_correlation  # [b, 2 m + 1]
        if iteration >= MIN_ITERATIONS:
            far = ~(np.abs((r[:, 0] - before[todo]) / r[:, 0]) < THRESHOLD)
            before[todo] = r[:, 0]
            todo, r = todo[far], r[far]
            if not len(todo):
                return
        mel[todo] += np.linalg.solve(_hessian(r), (r[:, : order + 1] - impulse)[..., None])[..., 0]


def _hessian(r: np.ndarray) -> np.ndarray:
    """Toeplitz plus Hankel matrices [b, m + 1, m + 1] of warped correlations [b, 2 m + 1]."""
    size = r.shape[1] // 2 + 1
    toeplitz, hankel = r[:, :size].copy(), r.copy()
    toeplitz[:, ::2] += r[:, :1]
    hankel[:, ::2] -= r[:, :1]
    both = np.concatenate([toeplitz[:, :0:-1], toeplitz], axis=1)  # of lag -m .. m
    windows = np.lib.stride_tricks.sliding_window_view
    return windows(both, size, axis=1)[:, ::-1] + windows(hankel, size, axis=1)


@cache
def _matrices(order: int, half: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Mel-cepstrum -> log amplitude [m + 1, k]; power spectrum without the model's -> warped correlation
    [k, 2 m + 1]."""
    cosines = np.cos(np.pi / half * np.outer(np.arange(half + 1), np.arange(half + 1)))
    weights = np.full(half + 1, 1 / half)  # of the inverse transform of an even sequence
    weights[[0, half]] /= 2
    return _warp(order, half, -alpha) @ cosines, weights[:, None] * cosines @ _warp_correlation(half, 2 * order, alpha)


@cache
def _warp(inside: int, outside: int, alpha: float) -> np.ndarray:
    """Frequency warping of a cepstrum by the all-pass of constant alpha: matrix [inside + 1, outside + 1] (Oppenheim
    and Johnson, Discrete representation of signals, 1972)."""
    return _repeated_all_pass([1.0] + [0.0] * outside, inside, alpha, first=alpha)


@cache
def _warp_correlation(inside: int, outside: int, alpha: float) -> np.ndarray:
    """The same for the one-sided correlation of which Newton's step is made."""
    return _repeated_all_pass([(-alpha) ** n for n in range(outside + 1)], inside, alpha, first=0.0)


def _repeated_all_pass(start: list[float], times: int, alpha: float, first: float) -> np.ndarray:
    """Rows 0 .. `times`: the sequence `start` after so many all-passes, whose output begins with `first` times its
    input's beginning."""
    rows = [start]
    for _ in range(times):
        before, row = rows[-1], [first * rows[-1][0]]
        for n in range(1, len(before)):
            row.append(before[n - 1] + alpha * (before[n] - row[-1]))
        rows.append(row)
    return np.array(rows)
