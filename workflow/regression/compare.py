"""Did a metric move? The frozen evaluation's table against the committed reference.

    python -m workflow.regression.compare compare --table T.csv --reference R.json --out results/regression.md
    python -m workflow.regression.compare verdict results/regression.json
    python -m workflow.regression.compare update --table T.csv --reference R.json --reason "..." [--runs OTHER.csv ...]

A cell's tolerance comes from measured spread: three times the largest difference to other runs (`--runs`) of the same
code, on other machines or with other thread counts, and at least half of the last digit that the table prints. An
update without other runs keeps the tolerances of the reference before it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line, words
from speechbase.files import UserError, read_json, write_json, write_text
from workflow.regression import text as regression_text
from workflow.regression.facts import observe

REGRESSION, IMPROVEMENT, SAME, NEW = "regression", "improvement", "same", "new"
KEPT = "; measured on an earlier reference"
SPREAD_FACTOR = 3


@dataclass(frozen=True)
class Finding:
    """What became of one cell (or of one test set's draws)."""

    name: str
    verdict: str
    reference: float | None
    value: float | None
    tolerance: float | None
    detail: str


Table = Annotated[Path, typer.Option(help="the run's frozen evaluation")]
Reference = Annotated[Path, typer.Option(help="the committed one")]


def write_comparison(
    table: Table, reference: Reference, out: Annotated[Path, typer.Option(help=".md; .json and .xml go beside it")]
) -> None:
    """Compare a run with the reference."""
    seen, before = observe(table), read_reference(reference)
    findings = compare(before, seen)
    write_json(out.with_suffix(".json"), [asdict(finding) for finding in findings])
    write_text(out.with_suffix(".xml"), regression_text.junit(findings))
    write_text(out, regression_text.markdown(findings, before, seen))


def write_update(
    table: Table,
    reference: Reference,
    reason: Annotated[str, typer.Option(help="kept in the reference's history")],
    runs: Annotated[list[Path] | None, words("tables of other runs", "FILE")] = None,
) -> None:
    """Write the reference anew from a run."""
    update(reference, observe(table), reason, [observe(path) for path in runs or ()])


def read_reference(path: Path) -> dict:
    """The committed reference. Raises: UserError: missing or of another form."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; make it with `python -m workflow.regression.compare update --reason ...`."
        )
    reference = read_json(path)
    if not isinstance(reference, dict) or not {"cells", "facts", "history"} <= set(reference):
        raise UserError(f"{path} is no reference of this project; take it from Git again.")
    return reference


def compare(reference: dict, seen: dict) -> list[Finding]:
    """Every cell of the reference against the run's, then cells that only the run has, then the test sets' draws."""
    findings = [_compare_cell(name, cell, seen["cells"].get(name)) for name, cell in reference["cells"].items()]
    for name in sorted(set(seen["cells"]) - set(reference["cells"])):
        value = seen["cells"][name]["value"]
        findings.append(Finding(name, NEW, None, value, None, "not in the reference; `update` takes it in"))
    for name, drawn in reference["facts"]["drawn"].items():
        same = seen["facts"]["drawn"].get(name) == drawn
        detail = (
            ""
            if same
            else "the test set's rows (texts, speakers, levels, degradations, seeds) are others than the reference's"
        )
        findings.append(Finding(f"{name}/draws", SAME if same else REGRESSION, None, None, None, detail))
    return findings


def _compare_cell(name: str, cell: dict, now: dict | None) -> Finding:
    def finding(kind: str, detail: str = "") -> Finding:
        return Finding(name, kind, cell["value"], now["value"] if now else None, cell["tolerance"], detail)

    if now is None:
        return finding(REGRESSION, "the cell is gone")
    if now["value"] is None and cell["value"] is not None:
        return finding(REGRESSION, f"no value any more: {now['status']}")
    if now["n_scored"] < cell["n_scored"]:
        return finding(
            REGRESSION, f"{now['n_scored']} utterances scored where {cell['n_scored']} were: {now['status']}"
        )
    if cell["value"] is None:
        return finding(SAME if now["value"] is None else IMPROVEMENT)
    moved = now["value"] - cell["value"]
    if abs(moved) <= cell["tolerance"]:
        return finding(SAME)
    better = (moved > 0) == (cell["better"] == "higher")
    return finding(IMPROVEMENT if better else REGRESSION, f"{'better' if better else 'worse'} by {abs(moved):.4g}")


def verdict(path: Annotated[Path, typer.Argument(metavar="FINDINGS")]) -> None:
    """Say what the findings come to; status 1 where something regressed."""
    findings = [Finding(**finding) for finding in read_json(path)]
    worse = [finding for finding in findings if finding.verdict == REGRESSION]
    better = [finding for finding in findings if finding.verdict == IMPROVEMENT]
    for finding in worse + better:
        print(f"{finding.verdict}: {finding.name}: {finding.detail}", file=sys.stderr)
    if worse:
        report = path.with_suffix(".md")
        remedy = "If it is meant, take it in with `python -m workflow.regression.compare update --reason ...`."
        print(f"{len(worse)} of {len(findings)} checks regressed; {report} says by how much. {remedy}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"{len(findings)} checks, none regressed, {len(better)} improved.")


def update(path: Path, seen: dict, reason: str, runs: list[dict]) -> None:
    """Write the reference anew from a run, with tolerances from the spread over other runs; the reason is kept.

    Without other runs the tolerances of the reference before stay: its spread is better than none.
    """
    if not reason.strip():
        raise UserError("--reason is empty; say why the reference changes.")
    before = read_reference(path) if path.is_file() else {"cells": {}, "history": []}
    history = before["history"]
    entry = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": seen["facts"]["commit"], "reason": reason.strip()}
    kept = {} if runs else before["cells"]
    cells = {name: _with_tolerance(name, cell, runs, kept.get(name)) for name, cell in seen["cells"].items()}
    write_json(path, {"cells": cells, "facts": seen["facts"], "history": [*history, entry]})


def _with_tolerance(name: str, cell: dict, runs: list[dict], before: dict | None) -> dict:
    if before:
        note = "" if before["why"].endswith(KEPT) else KEPT
        return cell | {"tolerance": before["tolerance"], "why": before["why"] + note}
    least = 0.5 * 10 ** -cell["digits"]
    others = [run["cells"][name]["value"] for run in runs if name in run["cells"]]
    spread = max([abs(value - cell["value"]) for value in others if None not in (value, cell["value"])], default=0.0)
    tolerance = max(least, SPREAD_FACTOR * spread)
    why = f"half of the last printed digit ({least:g})"
    if others:
        why += f"; {SPREAD_FACTOR} times the largest difference over {len(others)} other runs ({spread:.3g})"
    return cell | {"tolerance": tolerance, "why": f"the larger of: {why}" if others else why}


main = command_line(
    about="Did a metric move? The frozen evaluation's table against the committed reference.",
    compare=write_comparison,
    verdict=verdict,
    update=write_update,
)


if __name__ == "__main__":
    raise SystemExit(main())
