"""Plain sentences for verdicts: one for what we measured, one for what the paper's own numbers say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from workflow.claims.comparisons import (
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    LESS,
    NOT_RUN,
    OPPOSITE,
    SUPPORTED,
    UNTESTABLE,
    Bare,
    Comparison,
    Evidence,
    Result,
    own_p,
    stance,
)

OPENINGS = {
    SUPPORTED: "Reproduced",
    LESS: "The direction holds, the size that is claimed does not",
    OPPOSITE: "The opposite came out",
    INCONCLUSIVE: "Undecided",
    UNTESTABLE: "Not testable here",
    NOT_RUN: "Not run",
}
PAPER_OPENINGS = {
    SUPPORTED: "The printed errors support it",
    OPPOSITE: "The printed errors say the opposite",
    INCONCLUSIVE: "The printed errors leave it undecided",
    LESS: "The printed errors support the direction, not the size",
    HOLDS: "The printed values agree, but carry no errors",
    FAILS: "The printed values disagree",
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
        names = {"steps": "training steps", "std": "standard deviation"}
        return names.get(comparison.role, comparison.role.replace("_", " "))

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
    """One comparison with its numbers: names, both cells, difference, interval, how many units, and the second
    judge's."""
    return _described(result, labels) + _second_judge(result, labels)


def _second_judge(result: Result, labels: Labels) -> str:
    second = result.second
    if second is None or result.estimate is None:
        return ""
    if second.estimate is None:
        return f"; the second judge did not hear them ({second.reason}), so nothing about words is decided"
    shown = _numbers(second, labels.digits(result.comparison))
    if stance(replace(result, second=None, comparison=replace(result.comparison, second=None))) == stance(second):
        return f"; the second judge, which guided nothing: {shown}"
    return f"; the judges do not agree: the second, which guided nothing, has {shown}"


def _described(result: Result, labels: Labels) -> str:
    comparison = result.comparison
    names = [labels.row(comparison, name) for name in (comparison.of, comparison.against) if name]
    if comparison.since:
        names = [f"{name} since {labels.row(comparison, start)}" for name, start in zip(names, comparison.since)]
    head = f"{labels.role(comparison)} of {' against '.join(names)}"
    if result.estimate is None:
        return f"{head}: {result.reason}"
    digits = labels.digits(comparison)
    if comparison.role == "steps":
        first, whole = result.cells
        reached = f"reached after {first:.0f} of {whole:.0f} steps" if first is not None else "never reached"
        return f"{head}: {reached} (at most {comparison.bound:g} of them was claimed; {result.estimate.units})"
    return f"{head}: {_numbers(result, digits)}"


def _numbers(result: Result, digits: int) -> str:
    comparison = result.comparison
    if result.estimate is None:
        return result.reason
    cells = " against ".join(f"{cell:.{digits}f}" for cell in result.cells if cell is not None)
    confidence = 90 if comparison.expect == "within" else 95
    interval = result.estimate.interval(confidence / 100)
    if interval is None:
        return f"{cells} ({result.estimate.units})"
    low, high = (_signed(end, digits + 1) for end in interval)
    span = f"{confidence} % interval {low} to {high}{_bound(comparison)}"
    change = f"difference {_signed(result.estimate.point, digits)}, " if comparison.against else ""
    return f"{cells} ({change}{span}; {result.estimate.units})"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def _bound(comparison: Comparison) -> str:
    if comparison.expect == "within":
        return f", margin ±{comparison.bound:.3g}"
    return f", margin {comparison.bound:.3g}" if comparison.expect.startswith("not_") else ""


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
    held = sum(stance(result) in (SUPPORTED, HOLDS) for result in results)
    which = "one of them" if sure is None else "the least sure"
    which = which if held == len(results) else "the one that decides"
    deciding = f"{which} is {describe(_deciding(results), labels)}{_correction(verdict, results, sure)}"
    return f"{opening}: {held} of {len(results)} comparisons hold; {deciding}."


def _correction(verdict: str, results: Sequence[Result], sure: Evidence | None) -> str:
    alone = all(stance(result) == SUPPORTED for result in results)
    bare = [result for result in results if isinstance(result.estimate, Bare) and not result.estimate.printed]
    if bare and verdict == INCONCLUSIVE:
        return "; a number without an error decides nothing"
    if verdict == INCONCLUSIVE and alone and sure is not None:
        return f"; by itself it would hold, but not after Holm's correction over its table (p = {sure.supports:.3f})"
    return ""


def _deciding(results: Sequence[Result]) -> Result:
    """The comparison that speaks most against the claim; one that was not run comes before one that is undecided."""
    order = (FAILS, OPPOSITE, LESS, NOT_RUN, UNTESTABLE, INCONCLUSIVE, HOLDS, SUPPORTED)

    def doubt(result: Result) -> tuple[int, float]:
        p = own_p(result)
        return order.index(stance(result)), 0.0 if p is None else -p[0]

    return min(results, key=doubt)


def number(value: float | None, digits: int = 6) -> float | None:
    """A value for a CSV cell: rounded, None where there is none or it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
