"""Bootstrap intervals, paired differences, equivalence and multiplicity: the one module that tables, claims and studies
use.

Every statistic here is a ratio of sums: a mean (denominators 1) or a corpus error rate (errors over reference words).
Whole speakers are resampled where there are at least `MIN_CLUSTERS`, else utterances, and the result says which.

A percentile interval from few units is too narrow. The draws are therefore stretched about the estimate by
sqrt(g / (g - 1)) * t(g - 1) / z, g being the number of units (the expanded percentile interval of Hesterberg,
What teachers should know about the bootstrap, The American Statistician 2015); for many units this is 1.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MIN_CLUSTERS = 5
DRAWS = 10_000
CHUNK = 1000


@dataclass(frozen=True)
class Bootstrap:
    """An estimate with its bootstrap distribution.

    Attributes:
        value: the statistic of the sample.
        draws: the statistic of each resample [draws].
        units: how many units were resampled.
        unit: what they are: "speaker" or "utterance".
    """

    value: float
    draws: np.ndarray
    units: int
    unit: str

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided interval (low, high); NaN where fewer than two units exist."""
        if self.units < 2:
            return float("nan"), float("nan")
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.draws - self.value, [tail, 1 - tail]) * _stretch(1 - tail, self.units)
        return float(self.value + low), float(self.value + high)

    def p_below(self, bound: float) -> float:
        """One-sided p of the null hypothesis "the true value is at least `bound`"."""
        return self._p(self.draws - self.value, bound - self.value)

    def p_above(self, bound: float) -> float:
        """One-sided p of the null hypothesis "the true value is at most `bound`"."""
        return self._p(self.value - self.draws, self.value - bound)

    def p_zero(self) -> float:
        """Two-sided p of the null hypothesis "the true value is 0"."""
        return min(1.0, 2 * min(self.p_below(0.0), self.p_above(0.0)))

    def equivalence(self, margin: float) -> float:
        """p of two one-sided tests: the null hypothesis is "the true value is at least `margin` away from 0".

        It is below .05 exactly where the 90 % interval lies inside the margin.
        """
        return max(self.p_below(margin), self.p_above(-margin))

    def _p(self, deviations: np.ndarray, distance: float) -> float:
        """The level whose one-sided interval ends `distance` away from the estimate (1 where fewer than two units
        exist)."""
        if self.units < 2:
            return 1.0
        draws = len(deviations)
        level = 1 - (np.arange(draws) + 0.5) / draws
        reach = np.sort(deviations)[::-1] * _stretch(level, self.units)
        return float((1 + np.count_nonzero(reach >= distance)) / (draws + 1))


def _stretch(level: np.ndarray | float, units: int) -> np.ndarray:
    t_over_z = stats.t.ppf(level, units - 1) / stats.norm.ppf(level)
    return np.sqrt(units / (units - 1)) * t_over_z


def bootstrap(
    numerators: np.ndarray,
    denominators: np.ndarray | None = None,
    *,
    clusters: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Bootstrap:
    """Bootstrap of sum(numerators) / sum(denominators) over utterances.

    Args:
        numerators: [n]; [n, 2] for a paired difference of two ratios (first minus second); or [n, 4] for a difference
            of two differences, (first - second) - (third - fourth).
        denominators: same shape; None is 1 everywhere, so that the statistic is a mean or a difference of means.
        clusters: [n] the speaker of each utterance; None resamples utterances.
        draws: number of resamples.
        seed: of the resampling; equal arguments give equal draws.
    """
    numerators = np.asarray(numerators, np.float64)
    numerators = numerators if numerators.ndim == 2 else numerators[:, None]
    denominators = np.ones_like(numerators) if denominators is None else np.asarray(denominators, np.float64)
    sums = np.concatenate([numerators, denominators.reshape(numerators.shape)], axis=1)
    if not len(sums):
        return Bootstrap(float("nan"), np.full(draws, np.nan), 0, "utterance")
    unit = "utterance"
    if clusters is not None and len(set(clusters)) >= MIN_CLUSTERS:
        index = np.unique(np.asarray([str(c) for c in clusters]), return_inverse=True)[1]
        pooled = np.zeros((index.max() + 1, sums.shape[1]))
        np.add.at(pooled, index, sums)
        sums, unit = pooled, "speaker"
    return Bootstrap(float(_statistic(sums.sum(0))), _resample(sums, draws, seed), len(sums), unit)


def _statistic(sums: np.ndarray) -> np.ndarray:
    """Ratio, difference of two ratios, or of two differences, of sums [..., 2, 4 or 8]: numerators first."""
    half = sums.shape[-1] // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = sums[..., :half] / sums[..., half:]
    return ratios @ np.array([1, -1, -1, 1])[:half]


def _resample(sums: np.ndarray, draws: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    units = len(sums)
    chunks = []
    for start in range(0, draws, CHUNK):
        size = min(CHUNK, draws - start)
        picks = rng.integers(units, size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(picks.ravel(), minlength=size * units).reshape(size, units)
        chunks.append(_statistic(counts @ sums))
    return np.concatenate(chunks)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979); a missing one stays so and is not counted."""
    from statsmodels.stats.multitest import multipletests  # a second and more, which those who only count must not pay

    adjusted = np.array(p_values, np.float64)
    known = np.isfinite(adjusted)
    if known.any():
        adjusted[known] = multipletests(adjusted[known], method="holm")[1]
    return adjusted.tolist()
