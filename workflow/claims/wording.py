"""Plain sentences for verdicts: one for what we measured, one for what the paper's own numbers say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workflow.claims.comparisons import (
    INCONCLUSIVE,
    LEVEL,
    NOT_RUN,
    OPPOSITE,
    SUPPORTED,
    Bare,
    Comparison,
    Evidence,
    Result,
    holds,
    p_values,
)

OPENINGS = {SUPPORTED: "Reproduced", OPPOSITE: "The opposite came out", INCONCLUSIVE: "Undecided", NOT_RUN: "Not run"}
PAPER_OPENINGS = {
    SUPPORTED: "The printed errors support it",
    OPPOSITE: "The printed errors say the opposite",
    INCONCLUSIVE: "The printed errors leave it undecided",
    "holds as printed": "The printed values agree, but carry no errors",
    "fails as printed": "The printed values disagree",
    "not printed": "The paper prints no numbers of it in a table",
}


class Labels:
    """What rows and columns are called, and how many digits they are printed with."""

    def __init__(self, presets: dict[str, dict]):
        self._presets = presets

    def role(self, comparison: Comparison) -> str:
        """A column's printed name."""
        for metric in self._columns(comparison):
            if metric["role"] == comparison.role:
                return metric["label"]
        return {"steps": "training steps", "std": "standard deviation"}.get(
            comparison.role, comparison.role.replace("_", " ")
        )

    def digits(self, comparison: Comparison) -> int:
        """Decimal places of a column."""
        return next((metric["digits"] for metric in self._columns(comparison) if metric["role"] == comparison.role), 2)

    def row(self, comparison: Comparison, name: str) -> str:
        """A row's printed label."""
        for row in self._presets.get(comparison.table, {}).get("rows", []):
            if name in (row["label"], row.get("system"), f"{row.get('system')}@{row.get('set', '')}"):
                return row["label"]
        return name

    def _columns(self, comparison: Comparison) -> list[dict]:
        return self._presets.get(comparison.table, {}).get("metrics", [])


def describe(result: Result, labels: Labels) -> str:
    """One comparison with its numbers: names, both cells, difference, interval and how many units."""
    comparison = result.comparison
    names = [labels.row(comparison, name) for name in (comparison.of, comparison.against) if name]
    head = f"{labels.role(comparison)} of {' against '.join(names)}"
    if result.estimate is None:
        return f"{head}: {result.reason}"
    digits = labels.digits(comparison)
    if comparison.role == "steps":
        first, whole = result.cells
        reached = f"reached after {first:.0f} of {whole:.0f} steps" if first is not None else "never reached"
        return f"{head}: {reached} (at most {comparison.bound:g} of them was claimed; {result.estimate.units})"
    cells = " against ".join(f"{cell:.{digits}f}" for cell in result.cells if cell is not None)
    confidence = 90 if comparison.expect == "within" else 95
    interval = result.estimate.interval(confidence / 100)
    if interval is None:
        return f"{head}: {cells} ({result.estimate.units})"
    low, high = (_signed(end, digits + 1) for end in interval)
    span = f"{confidence} % interval {low} to {high}{_bound(comparison)}"
    change = f"difference {_signed(result.estimate.point, digits)}, " if comparison.against else ""
    return f"{head}: {cells} ({change}{span}; {result.estimate.units})"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def _bound(comparison: Comparison) -> str:
    if comparison.expect == "within":
        return f", margin ±{comparison.bound:g}"
    return f", margin {comparison.bound:g}" if comparison.expect.startswith("not_") else ""


def stance(result: Result) -> str:
    """A single comparison's own verdict, without the correction over its family."""
    if result.estimate is None:
        return NOT_RUN
    if isinstance(result.estimate, Bare):
        return SUPPORTED if holds(result.comparison, result.estimate.point) else OPPOSITE
    supports, opposes = p_values(result.comparison, result.estimate)
    return SUPPORTED if supports < LEVEL else OPPOSITE if opposes < LEVEL else INCONCLUSIVE


def sentence(
    verdict: str, results: Sequence[Result], sure: Evidence | None, labels: Labels, openings: dict[str, str] = OPENINGS
) -> str:
    """The verdict in one sentence: the comparison where there is one, else how many hold and the one that decides."""
    opening = openings[verdict]
    if not results:
        return f"{opening}."
    if all(result.estimate is None for result in results):
        return f"{opening}: {'; '.join(dict.fromkeys(result.reason for result in results))}."
    if len(results) == 1:
        return f"{opening}: {describe(results[0], labels)}{_correction(verdict, results, sure)}."
    held = sum(stance(result) == SUPPORTED for result in results)
    which = "one of them" if sure is None else "the least sure"
    which = which if held == len(results) else "the one that decides"
    deciding = f"{which} is {describe(_deciding(results), labels)}{_correction(verdict, results, sure)}"
    return f"{opening}: {held} of {len(results)} comparisons hold; {deciding}."


def _correction(verdict: str, results: Sequence[Result], sure: Evidence | None) -> str:
    alone = all(stance(result) == SUPPORTED for result in results)
    if verdict == INCONCLUSIVE and alone and sure is not None:
        return f"; by itself it would hold, but not after Holm's correction over its table (p = {sure.supports:.3f})"
    return ""


def _deciding(results: Sequence[Result]) -> Result:
    """The comparison that speaks most against the claim; one that was not run comes before one that is undecided."""
    rank = {OPPOSITE: 0, NOT_RUN: 1, INCONCLUSIVE: 2, SUPPORTED: 3}

    def doubt(result: Result) -> tuple[int, float]:
        if result.estimate is None or isinstance(result.estimate, Bare):
            return rank[stance(result)], 0.0
        return rank[stance(result)], -p_values(result.comparison, result.estimate)[0]

    return min(results, key=doubt)


def number(value: float | None, digits: int = 6) -> float | None:
    """A value for a CSV cell: rounded, None where there is none or it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
