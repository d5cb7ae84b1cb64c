"""A claim's comparisons: what they expect of a difference, and what an estimate says about it. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scipy.stats import norm

from metrics.statistics import Bootstrap

SUPPORTED, OPPOSITE, INCONCLUSIVE, NOT_RUN = "supported", "opposite", "inconclusive", "not run"
LEVEL = 0.05
EXPECTATIONS = {
    "lower": None,
    "higher": None,
    "not_higher": "margin",
    "not_lower": "margin",
    "within": "margin",
    "above": "value",
    "below": "value",
    "fraction": "value",
}


@dataclass(frozen=True)
class Comparison:
    """One difference that a claim is about: a role's value in the row `of`, less that in the row `against`.

    `larger` names a table with the same rows on more utterances, which decides where a scale has its test set. With the
    evidence `toy` the table is the toy study's, with `scores` a preset's.
    """

    table: str
    role: str
    of: str
    against: str | None
    expect: str
    bound: float = 0.0
    paper_only: bool = False
    larger: str | None = None
    evidence: str = "scores"


class Estimate(Protocol):
    """A difference (or a single cell) with what is known of its error."""

    point: float
    units: str

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """The two-sided interval; None where no error is known."""
        ...

    def p_below(self, bound: float) -> float:
        """One-sided p of the hypothesis that the true value is at or above `bound`."""
        ...


@dataclass(frozen=True)
class Resampled:
    """A bootstrap's estimate; `units` says in words what was resampled."""

    point: float
    bootstrap: Bootstrap
    units: str

    def interval(self, confidence: float) -> tuple[float, float] | None:
        low, high = self.bootstrap.interval(confidence)
        return None if math.isnan(low) else (low, high)

    def p_below(self, bound: float) -> float:
        return self.bootstrap.p_below(bound)

    def p_above(self, bound: float) -> float:
        return self.bootstrap.p_above(bound)


@dataclass(frozen=True)
class Printed:
    """A difference of printed values with their standard errors, taken as independent, as the paper takes them."""

    point: float
    error: float
    units: str = "printed standard errors"

    def interval(self, confidence: float) -> tuple[float, float]:
        half = norm.ppf((1 + confidence) / 2) * self.error
        return self.point - half, self.point + half

    def p_below(self, bound: float) -> float:
        return float(norm.cdf((self.point - bound) / self.error))

    def p_above(self, bound: float) -> float:
        return float(norm.sf((self.point - bound) / self.error))


@dataclass(frozen=True)
class Bare:
    """A difference whose error nobody knows: printed without one, or one training run against another."""

    point: float
    units: str

    def interval(self, confidence: float) -> None:
        return None


def p_values(comparison: Comparison, estimate: Resampled | Printed) -> tuple[float, float]:
    """(p that the claimed side is wrong, p that the other side is wrong), both to be held against LEVEL.

    Directions are two-sided (doubled), so that p < .05 and "the 95 % interval lies on that side" say the same; `within`
    is the larger of the two one-sided p's (TOST), which answers to the 90 % interval.
    """
    bound, expect = comparison.bound, comparison.expect
    below, above = estimate.p_below, estimate.p_above
    if expect == "within":
        return max(below(bound), above(-bound)), 2 * min(above(bound), below(-bound))
    if expect in ("lower", "not_higher", "below", "fraction"):
        return 2 * below(bound), 2 * above(bound)
    at = -bound if expect == "not_lower" else bound
    return 2 * above(at), 2 * below(at)


def holds(comparison: Comparison, point: float) -> bool:
    """Whether a bare number is on the claimed side; the tolerance is for sums of decimal fractions only."""
    bound, tiny = comparison.bound, 1e-9
    return {
        "lower": point < -tiny,
        "higher": point > tiny,
        "not_higher": point <= bound + tiny,
        "not_lower": point >= -bound - tiny,
        "within": abs(point) <= bound + tiny,
        "above": point >= bound - tiny,
        "below": point <= bound + tiny,
        "fraction": point <= bound + tiny,
    }[comparison.expect]


@dataclass(frozen=True)
class Result:
    """A comparison with its estimate, or with the reason why there is none."""

    comparison: Comparison
    estimate: Resampled | Printed | Bare | None
    reason: str = ""
    cells: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Evidence:
    """A claim's p-values before the correction over its family."""

    supports: float
    opposes: float


def evidence(results: Sequence[Result]) -> Evidence | None:
    """All comparisons must hold, so the claim is as sure as its least sure one (intersection-union); one that lies
    on the other side is enough against it, corrected for how many there are. None where no comparison has an error.
    """
    tested = [result for result in results if isinstance(result.estimate, (Resampled, Printed))]
    if not tested:
        return None
    pairs = [p_values(result.comparison, result.estimate) for result in tested]
    return Evidence(min(1.0, max(p for p, _ in pairs)), min(1.0, len(pairs) * min(p for _, p in pairs)))


def verdict(results: Sequence[Result], adjusted: Evidence | None) -> str:
    """The claim's verdict, from Holm-adjusted evidence; comparisons without error count by their side, and are said to.

    A claim of which a part could not be run is never `supported`.
    """
    ran = [result for result in results if result.estimate is not None]
    if not ran:
        return NOT_RUN
    bare = [holds(result.comparison, result.estimate.point) for result in ran if isinstance(result.estimate, Bare)]
    if (adjusted is not None and adjusted.opposes < LEVEL) or not all(bare):
        return OPPOSITE
    if len(ran) < len(results) or (adjusted is not None and adjusted.supports >= LEVEL):
        return INCONCLUSIVE
    return SUPPORTED
