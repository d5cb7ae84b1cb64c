"""Means of ratings with honest errors: listeners and utterances both recur, so both are clusters.

Two-way clustered variance: Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering", with a
G/(G-1) correction for each clustering and t quantiles of min(G) - 1 degrees of freedom. Camp et al. (Interspeech 2023)
show that the usual standard error of MOS (SD / sqrt n, the paper's "standard error") is too small; it is computed for
comparison only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Ratings:
    """Ratings of one system on one scale, with who gave them and on which utterance; equal lengths [n]."""

    values: np.ndarray
    raters: np.ndarray
    utterances: np.ndarray

    def __post_init__(self):
        if not len(self.values) == len(self.raters) == len(self.utterances):
            raise ValueError("ratings, raters and utterances differ in length")


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means; `se_simple` is the paper's kind, `se` the clustered one. NaN: too few
    clusters."""

    value: float
    se_simple: float
    se: float
    df: float
    n: int
    n_raters: int
    n_utterances: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval from the clustered error."""
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.value - half, self.value + half


def mean(ratings: Ratings) -> Estimate:
    """Mean opinion score with both kinds of error."""
    values = np.asarray(ratings.values, float)
    n = len(values)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 1, 0, 0, 0)
    centre = float(values.mean())
    simple = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return _estimate(centre, simple, (values - centre) / n, ratings.raters, ratings.utterances, alike=True)


def difference(a: Ratings, b: Ratings) -> Estimate:
    """Mean of `a` less mean of `b`. Clusters that both share make it more certain than two independent means."""
    first, second = mean(a), mean(b)
    if not first.n or not second.n:
        return Estimate(math.nan, math.nan, math.nan, 1, 0, 0, 0)
    influence = np.concatenate([(a.values - first.value) / first.n, -(b.values - second.value) / second.n])
    raters, utterances = np.concatenate([a.raters, b.raters]), np.concatenate([a.utterances, b.utterances])
    return _estimate(
        first.value - second.value, math.hypot(first.se_simple, second.se_simple), influence, raters, utterances
    )


def total(groups: Sequence[Ratings]) -> Ratings:
    """Ratings of several test sets as one, for Table 4's total column."""
    return Ratings(
        *(np.concatenate([getattr(one, field) for one in groups]) for field in ("values", "raters", "utterances"))
    )


def crossed_bootstrap(a: Ratings, b: Ratings | None = None, *, draws: int = 2000, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of a mean, or of a difference: raters and utterances are resampled independently.

    Owen (2007), "The pigeonhole bootstrap". A check on the interval above that errs on the wide side: it counts the
    residual three times where a rater meets an utterance once.

    Returns:
        float [draws].
    """
    groups = [a] if b is None else [a, b]
    raters, rater_codes = np.unique(np.concatenate([one.raters for one in groups]), return_inverse=True)
    utterances, codes = np.unique(np.concatenate([one.utterances for one in groups]), return_inverse=True)
    draw = np.random.default_rng(seed)
    weigh_raters = draw.multinomial(len(raters), np.full(len(raters), 1 / len(raters)), draws)
    weigh_utterances = draw.multinomial(len(utterances), np.full(len(utterances), 1 / len(utterances)), draws)
    means, start = [], 0
    for one in groups:
        span = slice(start, start + len(one.values))
        start = span.stop
        weights = weigh_raters[:, rater_codes[span]] * weigh_utterances[:, codes[span]]
        means.append(weights @ np.asarray(one.values, float) / np.maximum(weights.sum(1), 1))
    return means[0] if b is None else means[0] - means[1]


def _estimate(
    value: float, simple: float, influence: np.ndarray, raters, utterances, *, alike: bool = False
) -> Estimate:
    _, rater_codes = np.unique(raters, return_inverse=True)
    _, utterance_codes = np.unique(utterances, return_inverse=True)
    counts = [int(codes.max()) + 1 for codes in (rater_codes, utterance_codes)]
    both = rater_codes * counts[1] + utterance_codes
    variances = [
        _clustered(influence, codes)
        for codes in (rater_codes, utterance_codes, np.unique(both, return_inverse=True)[1])
    ]
    variance = variances[0] + variances[1] - variances[2]
    # Ratings of one rater or utterance are alike, so a mean is no surer than one clustering says; a difference may be,
    # where both systems share their listeners. Small samples can give less, even a negative variance.
    if variance <= 0 or (alike and variance < max(variances[:2])):
        variance = max(variances[:2])
    error = math.sqrt(variance) if min(counts) > 1 else math.nan
    return Estimate(value, simple, error, max(min(counts) - 1, 1), len(influence), *counts)


def _clustered(influence: np.ndarray, codes: np.ndarray) -> float:
    sums = np.bincount(codes, weights=influence)
    return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else math.nan
