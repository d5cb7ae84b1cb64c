"""Which output of a blind separator belongs to the item's target: the best permutation by SI-SDR over the utterance."""

from __future__ import annotations

import numpy as np

from speechop.tasks import Item


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Scale-invariant SDR in dB of float [n] against float [n], means removed (Le Roux et al. 2019)."""
    estimate, reference = (np.asarray(x, np.float64) - np.mean(x) for x in (estimate, reference))
    target = (estimate @ reference) / max(reference @ reference, 1e-12) * reference
    return float(10 * np.log10((target @ target + 1e-12) / (np.sum((target - estimate) ** 2) + 1e-12)))


def target_of(estimates: np.ndarray, item: Item) -> np.ndarray:
    """The output, of two [2, n], that stands for the item's target under the best permutation.

    The other speaker's reference is `interferer`, or mixture minus target where the test set has no such recording. So a
    blind separator is told which output to hand in; a system that hears a prompt of its target is not: the former gains.
    """
    target = item.wave("reference")
    other = item.wave("interferer") if item.row.get("interferer") else item.wave("source") - target
    length = min(estimates.shape[1], len(target), len(other))
    score = np.array([[si_sdr_db(e[:length], r[:length]) for r in (target, other)] for e in estimates])
    return estimates[0] if score[0, 0] + score[1, 1] >= score[0, 1] + score[1, 0] else estimates[1]
