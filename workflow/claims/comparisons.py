"""A claim's comparisons: what they expect of a difference, and what an estimate says about it. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.stats import norm, t

from metrics.statistics import Bootstrap

SUPPORTED, OPPOSITE, INCONCLUSIVE, NOT_RUN = "supported", "opposite", "inconclusive", "not run"
LESS = "not to that extent"  # the direction is sure, and so is it that the size that the claim names is not reached
UNTESTABLE = "not testable here"  # nothing could come out otherwise with this codec, judge or architecture
VERDICTS = (SUPPORTED, LESS, OPPOSITE, INCONCLUSIVE, UNTESTABLE, NOT_RUN)
HOLDS, FAILS = "holds as printed", "fails as printed"  # readings of numbers without errors, which decide nothing
LEVEL = 0.05
TINY = 1e-9  # for sums of decimal fractions
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

    Attributes:
        evidence: `toy` where the table is the toy study's, `scores` where it is a preset's.
        bound: the margin or value; in per cent of the value of `against` where `percent` says so.
        larger: a table with the same rows on more utterances, which decides where a scale has its test set.
        second: the role of the judge that guided nothing, for word errors: both must agree.
        over: the row beyond which `of` must lie for a threshold's direction to hold, whatever becomes of its size.
        needs: what a scale must have for the comparison to be able to come out either way.
        ceiling: the row whose whole interval must itself lie above a threshold, or no system could be sure to.
        since: the rows from which `of` and `against` are counted, where two gains are compared instead of two values.
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
    percent: bool = False
    second: str | None = None
    over: str | None = None
    needs: str | None = None
    ceiling: str | None = None
    since: tuple[str, str] | None = None

    def at(self, base: float | None) -> Comparison:
        """The comparison with an absolute bound, from the value of the row `against`."""
        if not self.percent or base is None:
            return self
        return replace(self, bound=abs(base) * self.bound / 100, percent=False)


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
        """Two-sided, or None where too few units were resampled."""
        low, high = self.bootstrap.interval(confidence)
        return None if math.isnan(low) else (low, high)

    def p_below(self, bound: float) -> float:
        """p of "the difference is at least `bound`"."""
        return self.bootstrap.p_below(bound)

    def p_above(self, bound: float) -> float:
        """p of "the difference is at most `bound`"."""
        return self.bootstrap.p_above(bound)


@dataclass(frozen=True)
class Printed:
    """A difference of printed values with their standard errors, taken as independent, as the paper takes them."""

    point: float
    error: float
    units: str = "printed standard errors"

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided, of the normal law."""
        half = norm.ppf((1 + confidence) / 2) * self.error
        return self.point - half, self.point + half

    def p_below(self, bound: float) -> float:
        """p of "the difference is at least `bound`"."""
        return float(norm.cdf((self.point - bound) / self.error))

    def p_above(self, bound: float) -> float:
        """p of "the difference is at most `bound`"."""
        return float(norm.sf((self.point - bound) / self.error))


@dataclass(frozen=True)
class Bare:
    """A difference whose error nobody knows: printed without one, or one training run against another. It decides
    nothing."""

    point: float
    units: str
    printed: bool = False

    def interval(self, confidence: float) -> None:
        """Nobody knows one."""
        return None


@dataclass(frozen=True)
class Seeded:
    """One value a training seed: its mean with Student's law; of `ratio`s the geometric mean, with the law of the
    logarithms. Values that are all alike (such as shares that no shorter run could tell apart) have no spread to judge
    by: what they say is taken as it stands."""

    values: tuple[float, ...]
    units: str
    ratio: bool = False

    def _scaled(self) -> np.ndarray:
        return np.log(self.values) if self.ratio else np.array(self.values)

    def _error(self) -> float:
        return float(self._scaled().std(ddof=1) / math.sqrt(len(self.values)))

    @property
    def point(self) -> float:
        """The mean."""
        mean = float(self._scaled().mean())
        return math.exp(mean) if self.ratio else mean

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided."""
        half = t.ppf((1 + confidence) / 2, len(self.values) - 1) * self._error()
        low, high = (float(self._scaled().mean()) + side * half for side in (-1, 1))
        return (math.exp(low), math.exp(high)) if self.ratio else (low, high)

    def p_below(self, bound: float) -> float:
        """p of "the mean is at least `bound`"."""
        if not self._error():
            return float(self.point > bound + TINY)
        at = (math.log(bound) if bound > 0 else -math.inf) if self.ratio else bound
        return float(t.cdf((self._scaled().mean() - at) / self._error(), len(self.values) - 1))

    def p_above(self, bound: float) -> float:
        """p of "the mean is at most `bound`"."""
        if not self._error():
            return float(self.point <= bound + TINY)
        return 1 - self.p_below(bound)


Sure = (Resampled, Printed, Seeded)


def p_values(comparison: Comparison, estimate: Resampled | Printed | Seeded) -> tuple[float, float]:
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
    """Whether a printed number without error is on the claimed side; the tolerance is for sums of decimal fractions
    only."""
    bound, tiny = comparison.bound, TINY
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
    """A comparison with its estimate, or with the reason why there is none.

    Attributes:
        second: what the second judge says, where the comparison asks for one.
        direction: the difference from the row `over`.
        untestable: the reason is that nothing could come out otherwise.
    """

    comparison: Comparison
    estimate: Resampled | Printed | Seeded | Bare | None
    reason: str = ""
    cells: tuple[float | None, float | None] = (None, None)
    second: Result | None = None
    direction: Resampled | Printed | Seeded | Bare | None = None
    untestable: bool = False


@dataclass(frozen=True)
class Evidence:
    """A claim's p-values."""

    supports: float
    opposes: float


def own_p(result: Result) -> tuple[float, float] | None:
    """A comparison's `p_values`; of two judges, each must say it: the larger of both. None without errors or a
    judge."""
    if not isinstance(result.estimate, Sure):
        return None
    supports, opposes = p_values(result.comparison, result.estimate)
    if result.comparison.second is None:
        return supports, opposes
    if result.second is None or (other := own_p(result.second)) is None:
        return None
    return max(supports, other[0]), max(opposes, other[1])


def stance(result: Result) -> str:
    """A single comparison's own verdict, without the correction over its family."""
    if result.untestable:
        return UNTESTABLE
    if result.estimate is None:
        return NOT_RUN
    if isinstance(result.estimate, Bare):
        if not result.estimate.printed:
            return INCONCLUSIVE
        return HOLDS if holds(result.comparison, result.estimate.point) else FAILS
    if (p := own_p(result)) is None:
        return INCONCLUSIVE
    if p[0] < LEVEL:
        return SUPPORTED
    return INCONCLUSIVE if p[1] >= LEVEL else LESS if _direction_holds(result) else OPPOSITE


def _direction_holds(result: Result) -> bool:
    """Whether a threshold's direction is sure: fewer steps than the other needed, or beyond the row `over`."""
    comparison, estimate = result.comparison, result.estimate
    if comparison.expect == "fraction" and isinstance(estimate, Sure):
        return estimate.point < 1.0 - TINY and 2 * estimate.p_below(1.0) < LEVEL
    if not isinstance(result.direction, Sure):
        return False
    p = result.direction.p_above(0.0) if comparison.expect == "above" else result.direction.p_below(0.0)
    return 2 * p < LEVEL


def evidence(results: Sequence[Result]) -> Evidence | None:
    """All comparisons must hold, so the claim is as sure as its least sure one (intersection-union); one that lies
    on the other side is enough against it, corrected for how many there are. None where no comparison has an error.
    """
    pairs = [p for result in results if not result.untestable and (p := own_p(result)) is not None]
    if not pairs:
        return None
    return Evidence(min(1.0, max(p for p, _ in pairs)), min(1.0, len(pairs) * min(p for _, p in pairs)))


def verdict(results: Sequence[Result], adjusted: Evidence | None) -> str:
    """The claim's verdict, from Holm-adjusted evidence; numbers without error decide nothing.

    A claim of which a part has no error, no second judge, or could not be run or tested is never `supported`.
    """
    if results and all(result.untestable for result in results):
        return UNTESTABLE
    if all(result.estimate is None for result in results):
        return NOT_RUN
    if adjusted is not None and adjusted.opposes < LEVEL:
        return OPPOSITE if any(stance(result) == OPPOSITE for result in results) else LESS
    whole = all(not result.untestable and own_p(result) is not None for result in results)
    return SUPPORTED if whole and adjusted is not None and adjusted.supports < LEVEL else INCONCLUSIVE


def reading(results: Sequence[Result], adjusted: Evidence | None) -> str:
    """What printed numbers say: their verdict where all carry errors, else whether they hold as printed."""
    bare = [stance(result) for result in results if isinstance(result.estimate, Bare)]
    if FAILS in bare:
        return FAILS
    found = verdict([result for result in results if not isinstance(result.estimate, Bare)], adjusted)
    return HOLDS if bare and found in (SUPPORTED, NOT_RUN) else found
