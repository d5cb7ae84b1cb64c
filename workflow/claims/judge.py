"""The paper's claims against our scores and against its own printed numbers: results/claims.csv and claims.md.

python -m workflow.claims.judge --results R --data D --models M --settings JSON --out results/claims.csv
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pandas as pd

from metrics.statistics import holm
from speechbase.files import UserError, atomic, did_you_mean, plain_errors, write_text
from workflow.claims import wording
from workflow.claims.comparisons import EXPECTATIONS, Comparison, Evidence, Result, evidence, verdict
from workflow.claims.evidence import Ours, printed
from workflow.plan import planning
from workflow.record import provenance

CLAIMS = planning.ROOT / "workflow" / "presets" / "claims.yaml"
# Rows and roles that no preset of a table states: the toy study's strategies, and the steps of Figure 2's curves.
TOY = {"rows": ["none", "tc_avg", "tc_cfg"], "roles": ["kl_gaussian", "kl_histogram", "kl_kde", "mean", "std"]}
CURVE_ROLE = "steps"


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper and what must hold for it."""

    id: str
    table: str
    text: str
    note: str
    comparisons: tuple[Comparison, ...]


def read_claims(presets: dict[str, dict], path: Path = CLAIMS) -> list[Claim]:
    """Read the claims and check their cells. Raises: UserError: an unknown table, row or role, and the nearest name."""
    stated = planning.read_yaml(path)
    planning.check(stated, "claims", str(path))
    ids = [claim["id"] for claim in stated["claims"]]
    doubled = {name for name in ids if ids.count(name) > 1}
    if doubled:
        raise UserError(f"{path}: the claim {sorted(doubled)[0]} stands there more than once.")
    return [_claim(claim, presets, f"{path.name}, {claim['id']}") for claim in stated["claims"]]


def _claim(stated: dict, presets: dict[str, dict], where: str) -> Claim:
    table = stated["table"]
    comparisons = []
    for entry in stated["compare"]:
        bound = _bound(entry, where)
        for of, against, role in product(*(_names(entry.get(key)) for key in ("of", "against", "role"))):
            paper_only, larger = entry.get("paper_only", False), entry.get("larger")
            source = stated.get("evidence", "scores")
            comparison = Comparison(table, role, of, against, entry["expect"], bound, paper_only, larger, source)
            for name in filter(None, (table, larger)):
                _check_cells(replace(comparison, table=name), presets, where)
            comparisons.append(comparison)
    return Claim(stated["id"], table, stated["claim"], stated.get("paper", ""), tuple(comparisons))


def _names(value: str | list[str] | None) -> list:
    return value if isinstance(value, list) else [value]


def _bound(entry: dict, where: str) -> float:
    needed = EXPECTATIONS[entry["expect"]]
    for key in ("margin", "value"):
        if (key in entry) != (key == needed):
            raise UserError(f"{where}: `{entry['expect']}` {'needs' if key == needed else 'takes no'} {key}.")
    if (entry["expect"] in ("above", "below")) == ("against" in entry):
        raise UserError(f"{where}: above and below are about one cell, everything else about two (`against`).")
    return float(entry.get("margin", entry.get("value", 0.0)))


def _check_cells(comparison: Comparison, presets: dict[str, dict], where: str) -> None:
    table = comparison.table
    if comparison.evidence == "toy":
        rows, roles = TOY["rows"], TOY["roles"]
    elif table not in presets:
        raise UserError(f"{where}: unknown table {table!r}{did_you_mean(table, presets)}.")
    else:
        preset = presets[table]
        rows = [name for row in preset["rows"] for name in names_of(row, preset)]
        roles = [metric["role"] for metric in preset["metrics"]] + [CURVE_ROLE] * ("curves" in preset)
    for row in filter(None, (comparison.of, comparison.against)):
        if row not in rows:
            raise UserError(f"{where}: {comparison.table} has no row {row!r}{did_you_mean(row, set(rows))}.")
        if rows.count(row) > 1:
            raise UserError(
                f"{where}: {comparison.table} has the row {row!r} more than once: write system@set or its label."
            )
    if comparison.role not in roles:
        role = comparison.role
        raise UserError(f"{where}: {comparison.table} has no column {role!r}{did_you_mean(role, roles)}.")


def names_of(row: dict, preset: dict) -> list[str]:
    """What a claim may call a row of a table: its label, its system, and its system@set."""
    names = [row["label"]]
    if row.get("system"):
        names += [row["system"], f"{row['system']}@{row.get('set', preset['set'])}"]
    return names


def judge(
    claims: Sequence[Claim], estimate: Callable[[Comparison], Result]
) -> list[tuple[str, list[Result], Evidence | None]]:
    """Each claim's verdict, its comparisons' results, and its p-values after Holm over the claims of its table."""
    results = [[estimate(comparison) for comparison in claim.comparisons] for claim in claims]
    adjusted: list[Evidence | None] = [evidence(found) for found in results]
    for table in {claim.table for claim in claims}:
        family = [i for i, claim in enumerate(claims) if claim.table == table and adjusted[i] is not None]
        supports, opposes = (holm([getattr(adjusted[i], side) for i in family]) for side in ("supports", "opposes"))
        for i, *pair in zip(family, supports, opposes):
            adjusted[i] = Evidence(*pair)
    return [(verdict(found, sure), found, sure) for found, sure in zip(results, adjusted)]


def paper_verdict(results: Sequence[Result], sure: Evidence | None) -> str:
    """The printed numbers' verdict: as ours where errors are printed, else only on which side the values lie."""
    if not results:
        return "not printed"
    found = verdict(results, sure)
    return found if sure is not None else {"supported": "holds as printed", "opposite": "fails as printed"}[found]


def report(
    claims: Sequence[Claim], presets: dict[str, dict], ours: Callable[[Comparison], Result]
) -> tuple[list, list]:
    """Judge every claim on our scores and on the printed cells.

    Returns:
        (rows, details): one row a claim, and one row a comparison and source.
    """
    labels = wording.Labels(presets)
    run = [Claim(c.id, c.table, c.text, c.note, tuple(x for x in c.comparisons if not x.paper_only)) for c in claims]
    measured = judge(run, ours)
    on_paper = [
        Claim(
            c.id, c.table, c.text, c.note, tuple(x for x in c.comparisons if printed(x, presets).estimate is not None)
        )
        for c in claims
    ]
    stated = judge(on_paper, lambda comparison: printed(comparison, presets))
    rows, details = [], []
    for claim, (found, results, sure), (_, shown, paper_sure) in zip(claims, measured, stated):
        reading = paper_verdict(shown, paper_sure)
        unrun = [x for x in claim.comparisons if x.paper_only]
        rows.append(
            {
                "id": claim.id,
                "table": claim.table,
                "claim": claim.text,
                "verdict": found,
                "sentence": wording.sentence(found, results, sure, labels) if results else _nobody(unrun, labels),
                "p_supports": sure and wording.number(sure.supports),
                "p_opposes": sure and wording.number(sure.opposes),
                "paper_verdict": reading,
                "paper_sentence": wording.sentence(reading, shown, paper_sure, labels, wording.PAPER_OPENINGS),
                "paper_note": claim.note,
            }
        )
        details += [_detail(claim, "ours", result, labels) for result in results]
        details += [_detail(claim, "paper", result, labels) for result in shown]
    return rows, details


def _nobody(comparisons: Sequence[Comparison], labels: wording.Labels) -> str:
    names = list(dict.fromkeys(labels.row(x, x.against) for x in comparisons if x.against))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"Not run: nobody here runs {', '.join(names[:2])}{more}."


def _detail(claim: Claim, source: str, result: Result, labels: wording.Labels) -> dict:
    comparison, estimate = result.comparison, result.estimate
    interval = (estimate.interval(0.90 if comparison.expect == "within" else 0.95) if estimate else None) or (
        None,
        None,
    )
    return {
        "id": claim.id,
        "source": source,
        "role": comparison.role,
        "of": labels.row(comparison, comparison.of),
        "against": labels.row(comparison, comparison.against) if comparison.against else None,
        "expect": comparison.expect,
        "bound": comparison.bound,
        "value_of": wording.number(result.cells[0]),
        "value_against": wording.number(result.cells[1]),
        "difference": wording.number(estimate.point) if estimate else None,
        "low": wording.number(interval[0]),
        "high": wording.number(interval[1]),
        "verdict": wording.stance(result),
        "units": estimate.units if estimate else None,
        "reason": result.reason,
    }


def markdown(rows: Sequence[dict]) -> str:
    """The claims as a page: a count, a table of verdicts, and both sentences of each claim."""
    counts = pd.Series([row["verdict"] for row in rows]).value_counts()
    lines = ["# Claims", "", ", ".join(f"{name}: {count}" for name, count in counts.items()) + f" of {len(rows)}.", ""]
    lines += ["| claim | where | verdict | the paper's own numbers |", "|---|---|---|---|"]
    lines += [f"| {row['id']} | {row['table']} | **{row['verdict']}** | {row['paper_verdict']} |" for row in rows]
    for row in rows:
        note = f" ({row['paper_note']})" if row["paper_note"] else ""
        lines += [
            "",
            f"**{row['id']}** {row['claim']}",
            f"- {row['sentence']}",
            f"- Paper{note}: {row['paper_sentence']}",
        ]
    return "\n".join(lines) + "\n"


@plain_errors
def main(arguments: list[str] | None = None) -> None:
    """Write claims.csv, the comparisons beside it, and claims.md."""
    parser = argparse.ArgumentParser(prog="python -m workflow.claims.judge", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON: metrics, absent, bootstrap_draws, min_scored, seed")
    parser.add_argument("--out", type=Path, required=True, help="claims.csv")
    options = parser.parse_args(arguments)
    settings = provenance.parse_settings(options.settings)
    presets = planning.read_presets()
    ours = Ours(
        presets,
        settings["metrics"],
        options.results,
        options.data,
        options.models,
        settings["absent"],
        settings["bootstrap_draws"],
        settings["min_scored"],
        settings["seed"],
    )
    rows, details = report(read_claims(presets), presets, ours)
    for path, table in ((options.out, rows), (options.out.with_name("claims_comparisons.csv"), details)):
        with atomic(path) as temporary:
            pd.DataFrame(table).to_csv(temporary, index=False)
    write_text(options.out.with_suffix(".md"), markdown(rows))


if __name__ == "__main__":
    main()
