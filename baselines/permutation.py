"""Which output of a blind separator belongs to the item's target: the best permutation by SI-SDR over the utterance."""

from __future__ import annotations

import numpy as np

from speechbase import audio
from speechbase.items import Item


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Scale-invariant SDR in dB of float [n] against float [n], means removed (Le Roux et al. 2019)."""
    estimate, reference = (np.asarray(x, np.float64) - np.mean(x) for x in (estimate, reference))
    target = (estimate @ reference) / max(reference @ reference, 1e-12) * reference
    return float(10 * np.log10((target @ target + 1e-12) / (np.sum((target - estimate) ** 2) + 1e-12)))


def remix(estimates: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Give scale-free estimates [2, n] the gains with which they sum to the mixture [n] best (least squares).

    SI-SNR leaves a separator's output level free; this level is what the mixture itself says, not the reference.
    """
    length = len(mixture)
    estimates = np.pad(estimates[:, :length], ((0, 0), (0, max(0, length - estimates.shape[1]))))
    gains, *_ = np.linalg.lstsq(estimates.T.astype(np.float64), mixture.astype(np.float64), rcond=None)
    return (estimates * gains[:, None]).astype(np.float32)


def target_of(estimates: np.ndarray, item: Item, rate_hz: int) -> np.ndarray:
    """The output, of two [2, n] at `rate_hz`, that stands for the item's target under the best permutation.

    The other speaker's reference is `interferer`, or mixture minus target where the test set has no such recording. A
    blind separator is so told which output to hand in; a system with a prompt of its target is not: the former gains.
    """
    target = item.wave("reference")
    other = item.wave("interferer") if item.has("interferer") else item.wave("source") - target
    target, other = (audio.resample(wave, item.rate_hz, rate_hz) for wave in (target, other))
    length = min(estimates.shape[1], len(target), len(other))
    score = np.array([[si_sdr_db(e[:length], r[:length]) for r in (target, other)] for e in estimates])
    return estimates[0] if score[0, 0] + score[1, 1] >= score[0, 1] + score[1, 0] else estimates[1]
