"""Plain sentences for verdicts: one for what we measured, one for what the paper's own numbers say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from workflow.claims.comparisons import (
    EXPECTATIONS,
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
    Printed,
    Resampled,
    Result,
    Seeded,
    own_p,
    stance,
)
from workflow.plan.preset_files import names_of

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
        preset = self._presets.get(comparison.table, {"rows": []})
        return next((row["label"] for row in preset["rows"] if name in names_of(row, preset)), name)

    def _columns(self, comparison: Comparison) -> list[dict]:
        return self._presets.get(comparison.table, {}).get("metrics", [])


def describe(result: Result, labels: Labels) -> str:
    """One comparison with its numbers: names, both cells, difference, interval, how many units, and the second
    judge's."""
    comparison = result.comparison
    return f"{_head(comparison, labels)}: {_numbers(result, labels.digits(comparison))}{_second_judge(result, labels)}"


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


def _head(comparison: Comparison, labels: Labels) -> str:
    names = [labels.row(comparison, name) for name in (comparison.of, comparison.against) if name]
    if comparison.since:
        names = [f"{name} since {labels.row(comparison, start)}" for name, start in zip(names, comparison.since)]
    return f"{labels.role(comparison)} of {' against '.join(names)}"


def _numbers(result: Result, digits: int) -> str:
    comparison = result.comparison
    if result.estimate is None:
        return result.reason
    interval = result.estimate.interval(confidence(comparison))
    if comparison.role == "steps":
        return _steps(result, result.estimate, interval)
    cells = " against ".join(f"{cell:.{digits}f}" for cell in result.cells if cell is not None)
    if interval is None:
        return f"{cells} ({result.estimate.units})"
    low, high = (_signed(end, digits + 1) for end in interval)
    span = f"{100 * confidence(comparison):.0f} % interval {low} to {high}{_bound(comparison)}"
    change = f"difference {_signed(result.estimate.point, digits)}, " if comparison.against else ""
    return f"{cells} ({change}{span}; {result.estimate.units})"


def confidence(comparison: Comparison) -> float:
    """Of the interval that a comparison's verdict answers to: `within` is two one-sided tests."""
    return 0.90 if comparison.expect == "within" else 0.95


def _steps(result: Result, estimate: Resampled | Printed | Seeded | Bare, interval: tuple[float, float] | None) -> str:
    """After how many of the other's steps its loss is reached: the share with its interval, where seeds give one."""
    first, whole = result.cells
    reached = f"reached after {first:.0f} of {whole:.0f} steps" if first is not None else "never reached"
    share = ""
    if interval is not None:
        alike = interval[0] == interval[1]  # no shorter run tells the seeds apart: that is no interval of width 0
        spread = "in every seed" if alike else f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}"
        share = f"a share of {estimate.point:.3f}, {spread}; "
    return f"{reached} ({share}at most {result.comparison.bound:g} of them was claimed; {estimate.units})"


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
    small = _too_small(results, labels)
    if len(results) == 1:
        return f"{opening}: {describe(results[0], labels)}{_correction(verdict, results, sure)}{small}."
    held = sum(stance(result) in (SUPPORTED, HOLDS) for result in results)
    which = "one of them" if sure is None else "the least sure"
    which = which if held == len(results) else "the one that decides"
    deciding = f"{which} is {describe(_deciding(results), labels)}{_correction(verdict, results, sure)}"
    return f"{opening}: {held} of {len(results)} comparisons hold; {deciding}{small}."


def _too_small(results: Sequence[Result], labels: Labels) -> str:
    """The comparison whose interval is wider than its margin by most, and how many such there are: these could hardly
    have been supported, whatever is true. What is decided all the same had data enough, and for a margin of 0 no
    amount would do."""
    doubted = [result for result in results if stance(result) not in (SUPPORTED, HOLDS, OPPOSITE, LESS)]
    judged = [one for result in doubted for one in (result, result.second) if one is not None]
    wide = [(half, one) for one in judged if (half := _half_width(one)) > max(0.0, one.comparison.bound)]
    if not wide:
        return ""
    half, worst = max(wide, key=lambda found: found[0] / found[1].comparison.bound)
    which = "this margin" if len(results) == 1 else f"the margin of {_head(worst.comparison, labels)}"
    more = f" (and of {len(wide) - 1} more)" if len(wide) > 1 else ""
    width = f"±{half:.{labels.digits(worst.comparison) + 1}f} wide" if math.isfinite(half) else "not to be had"
    return f"; {_too_few(worst)} for {which}{more}: the interval is {width}, the margin {worst.comparison.bound:.3g}"


def _half_width(result: Result) -> float:
    """Half of the interval that a margin is held against, infinite where too few units were resampled for one; 0 where
    there is no margin, or where no error is known."""
    comparison, estimate = result.comparison, result.estimate
    margin = EXPECTATIONS[comparison.expect] == "margin" and comparison.bound > 0
    if estimate is None or isinstance(estimate, Bare) or not margin:
        return 0.0
    interval = estimate.interval(confidence(comparison))
    return math.inf if interval is None else (interval[1] - interval[0]) / 2


def _too_few(result: Result) -> str:
    units = result.estimate.units if result.estimate else ""
    return next((f"too few {kind}" for kind in ("utterances", "ratings", "seeds") if kind in units), "too large errors")


def _correction(verdict: str, results: Sequence[Result], sure: Evidence | None) -> str:
    if verdict != INCONCLUSIVE:
        return ""
    bare = [result for result in results if isinstance(result.estimate, Bare) and not result.estimate.printed]
    if bare:
        return "; a number without an error decides nothing"
    if sure is None:
        return ""
    stances, corrected = {stance(result) for result in results}, "but not after Holm's correction over its table"
    if stances <= {SUPPORTED}:
        return f"; by itself it would hold, {corrected} (p = {sure.supports:.3f})"
    if stances & {OPPOSITE, LESS}:
        return f"; by itself that speaks against it, {corrected} (p = {sure.opposes:.3f})"
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
