"""Scale-invariant signal-to-distortion ratio, its improvement over the mixture, and the best permutation of both."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from metrics.contract import Metric, Unscorable, Value


def si_sdr_db(*, reference: np.ndarray, estimate: np.ndarray) -> float:
    """SI-SDR in dB of float [n] signals in float64, means removed, no epsilon (Le Roux et al. 2019, Eq. 4).

    An estimate without error gives +inf, one orthogonal to the reference -inf. torchmetrics has the same, in float32
    and with an epsilon that turns silence into a number; it is the tests' oracle.

    Raises:
        Unscorable: either signal is constant, so that the ratio is 0/0.
    """
    reference, estimate = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (reference, estimate))
    for name, signal in (("reference", reference), ("estimate", estimate)):
        if not signal.any():
            raise Unscorable(f"silent_{name}", f"The {name} is constant.")
    target = (estimate @ reference) / (reference @ reference) * reference
    error = target - estimate
    signal_energy, error_energy = target @ target, error @ error
    if error_energy <= 1e-28 * signal_energy:  # nothing is left but float64's own rounding
        return float("inf")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal_energy / error_energy))


def best_permutation(*, references: list[np.ndarray], estimates: list[np.ndarray]) -> tuple[int, ...]:
    """For each reference the index of its estimate, under the assignment with the highest mean SI-SDR."""
    table = [[si_sdr_db(reference=r, estimate=e) for e in estimates] for r in references]
    return max(permutations(range(len(estimates))), key=lambda p: sum(table[i][j] for i, j in enumerate(p)))


def _compute_si_sdr(utterance, settings) -> Value:
    reference, estimate, _ = utterance.pair()
    return Value(si_sdr_db(reference=reference, estimate=estimate))


def _compute_si_sdri(utterance, settings) -> Value:
    reference, estimate, mixture = _with_mixture(utterance)
    after = si_sdr_db(reference=reference, estimate=estimate)
    return Value(after - (before := si_sdr_db(reference=reference, estimate=mixture)), {"mixture_db": before})


def _with_mixture(utterance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    reference, estimate, rate_hz = utterance.pair()
    mixture = utterance.wave("mixture", rate_hz)
    length = min(len(reference), len(mixture))
    return reference[:length], estimate[:length], mixture[:length]


def _permuted(utterance) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """(reference, the estimate that belongs to it, mixture, permutation) among all talkers of the mixture."""
    if not utterance.files.others:
        raise Unscorable("no_others", "A permutation needs the rows of the mixture's other talkers.")
    reference, estimate, mixture = _with_mixture(utterance)
    rate_hz = utterance.native("reference")[1]
    pairs = [(reference, estimate)]
    for other_estimate, other_reference in utterance.files.others:
        waves = utterance.open(other_reference, "other_reference"), utterance.open(other_estimate, "other_estimate")
        if {rate for _, rate in waves} != {rate_hz}:
            raise Unscorable("rate_mismatch", "The talkers of one mixture have different rates.")
        pairs.append((waves[0][0], waves[1][0]))
    length = min(len(mixture), *(len(wave) for pair in pairs for wave in pair))
    references, estimates = ([pair[side][:length] for pair in pairs] for side in (0, 1))
    order = best_permutation(references=references, estimates=estimates)
    return references[0], estimates[order[0]], mixture[:length], order


def _compute_si_sdr_pit(utterance, settings) -> Value:
    reference, estimate, _, order = _permuted(utterance)
    return Value(si_sdr_db(reference=reference, estimate=estimate), {"permuted": order[0] != 0})


def _compute_si_sdri_pit(utterance, settings) -> Value:
    reference, estimate, mixture, order = _permuted(utterance)
    after = si_sdr_db(reference=reference, estimate=estimate)
    return Value(after - si_sdr_db(reference=reference, estimate=mixture), {"permuted": order[0] != 0})


_COMMON: dict[str, Any] = {
    "unit": "dB",
    "higher": True,
    "rate": "the reference's",
    "source": "Le Roux et al., SDR: half-baked or well done?, ICASSP 2019",
    "version": "1",
    "aligned": True,
    "range": "-inf to +inf; an infinite value has status `infinite`",
}
_PITFALLS = (
    "Means are removed and there is no epsilon: tools that add one, or keep the mean, differ by up to 0.1 dB. A delay "
    "of a few samples ruins it, so it says nothing about generative systems that keep no phase, or about devices with "
    "latency."
)
_BLIND = " Best permutation: it favours a blind separator over a system that is told its target; say so in the table."

METRICS = (
    Metric(
        name="si_sdr",
        compute=_compute_si_sdr,
        definition="Scale-invariant signal-to-distortion ratio of the estimate against the reference.",
        pitfalls=_PITFALLS,
        **_COMMON,
    ),
    Metric(
        name="si_sdri",
        compute=_compute_si_sdri,
        definition="SI-SDR of the estimate minus SI-SDR of the mixture, against the same reference.",
        pitfalls=_PITFALLS + " Infinite for a clean mixture as well.",
        needs=("reference", "mixture"),
        **_COMMON,
    ),
    Metric(
        name="si_sdr_pit",
        compute=_compute_si_sdr_pit,
        definition="SI-SDR under the best permutation of the mixture's estimates (its rows), over the utterance.",
        pitfalls=_PITFALLS + _BLIND,
        needs=("reference", "mixture", "others"),
        **_COMMON,
    ),
    Metric(
        name="si_sdri_pit",
        compute=_compute_si_sdri_pit,
        definition="SI-SDR improvement under the best permutation of the mixture's estimates, over the utterance.",
        pitfalls=_PITFALLS + _BLIND,
        needs=("reference", "mixture", "others"),
        **_COMMON,
    ),
)
