"""Claims about ratings: difference, interval, p value, verdict; for our ratings and for the paper's printed numbers
alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Verdict:
    """`difference` is a less b; `p` belongs to the claim's own test (two-sided for greater, one-sided for the
    margins)."""

    difference: float
    se: float
    low: float
    high: float
    p: float
    verdict: str  # supported, opposite, inconclusive


def judge(kind: str, difference: float, se: float, df: float = math.inf, margin: float = 0.0) -> Verdict:
    """Judge a claim from a difference and its standard error.

    greater: supported if the 95 % interval lies above 0, opposite if below. equivalent: two one-sided 5 % tests against
        the
    margin. not_worse: one one-sided 5 % test against minus the margin. For the latter two, opposite means that the 95 %
    interval lies beyond the margin. A missing error is inconclusive.
    """
    law = stats.norm if math.isinf(df) else stats.t(df)
    half = float(law.ppf((1 + LEVEL) / 2)) * se
    low, high = difference - half, difference + half
    if not math.isfinite(se) or se <= 0:
        return Verdict(difference, se, math.nan, math.nan, math.nan, "inconclusive")
    above = float(law.sf((difference + margin) / se))  # p of "not worse"
    below = float(law.cdf((difference - margin) / se))
    if kind == "greater":
        p, opposite = 2 * float(law.sf(abs(difference) / se)), high < 0
        supported = low > 0
    elif kind == "equivalent":
        p, opposite = max(above, below), low > margin or high < -margin
        supported = p < 1 - LEVEL
    else:
        p, opposite = above, high < -margin
        supported = p < 1 - LEVEL
    return Verdict(
        difference, se, low, high, p, "supported" if supported else "opposite" if opposite else "inconclusive"
    )


def judge_printed(kind: str, a: tuple[float, float], b: tuple[float, float], margin: float = 0.0) -> Verdict:
    """Judge a claim from two printed means and standard errors, taken as independent (as the paper's difference rows
    do)."""
    return judge(kind, a[0] - b[0], math.hypot(a[1], b[1]), margin=margin)
