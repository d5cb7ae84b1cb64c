"""The paper's claims against our scores and against its own printed numbers: results/claims.csv and claims.md.

python -m workflow.claims.judge --results R --data D --models M --settings JSON --out results/claims.csv
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from metrics.statistics import holm
from speechbase.commands import command_line, json_object
from speechbase.files import UserError, atomic, did_you_mean, read_yaml, write_text
from speechbase.settings import checked
from workflow.claims import wording
from workflow.claims.comparisons import (
    EXPECTATIONS,
    SUPPORTED,
    Comparison,
    Evidence,
    Result,
    evidence,
    reading,
    stance,
    verdict,
)
from workflow.claims.evidence import Ours, printed, row_of
from workflow.claims.stated import StatedClaims
from workflow.plan import places, preset_files
from workflow.record.options import Data, Models, Results

CLAIMS = places.ROOT / "workflow" / "presets" / "claims.yaml"
# Rows and roles that no preset of a table states: the toy study's strategies, and the steps of Figure 2's curves.
TOY = {"rows": ["none", "tc_avg", "tc_cfg"], "roles": ["kl_gaussian", "kl_histogram", "kl_kde", "mean", "std"]}
CURVE_ROLE = "steps"
CAUTION = (
    "Intervals are over utterances and speakers, for one trained model and one sampling seed: another training could "
    "move every one of them. SpBS hears through the encoder of the recogniser that guides and judges, so it is no "
    "independent evidence; of words, two judges must agree, one of which guided nothing."
)


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper and what must hold for it.

    Attributes:
        note: what the paper prints where that is no cell, or a caution about its cells.
        beside: another claim whose verdict stands with this one's.
        floor: a row; compared systems that do not reach it are named, since to beat them says little.
    """

    id: str
    table: str
    text: str
    note: str
    comparisons: tuple[Comparison, ...]
    beside: str = ""
    floor: str = ""


def read_claims(presets: dict[str, dict], path: Path = CLAIMS) -> list[Claim]:
    """Read the claims and check their cells. Raises: UserError: an unknown table, row or role, and the nearest name."""
    stated = read_yaml(path)
    checked(StatedClaims, stated, str(path))
    ids = [claim["id"] for claim in stated["claims"]]
    doubled = {name for name in ids if ids.count(name) > 1}
    if doubled:
        raise UserError(f"{path}: the claim {sorted(doubled)[0]} stands there more than once.")
    for claim in stated["claims"]:
        if (beside := claim.get("beside", ids[0])) not in ids:
            raise UserError(f"{path}, {claim['id']}: there is no claim {beside!r}{did_you_mean(beside, ids)}.")
    judges = stated.get("second_judge", {}).get("of", {})
    return [_claim(claim, presets, judges, f"{path.name}, {claim['id']}") for claim in stated["claims"]]


def _claim(stated: dict, presets: dict[str, dict], judges: dict[str, str], where: str) -> Claim:
    table = stated["table"]
    comparisons = []
    for entry in stated["compare"]:
        bound = _bound(entry, where)
        for of, against, role in product(*(_names(entry.get(key)) for key in ("of", "against", "role"))):
            source = stated.get("evidence", "scores")
            comparison = Comparison(
                table,
                role,
                of,
                against,
                entry["expect"],
                bound,
                paper_only=entry.get("paper_only", False),
                larger=entry.get("larger"),
                evidence=source,
                percent="margin_percent" in entry,
                second=judges.get(role),
                over=entry.get("over"),
                needs=entry.get("needs"),
                ceiling=entry.get("ceiling"),
                since=tuple(entry["since"]) if "since" in entry else None,
            )
            for name in filter(None, (table, comparison.larger)):
                _check_cells(replace(comparison, table=name), presets, where)
            if comparison.second and not comparison.paper_only:
                _check_second(comparison, presets, where)
            comparisons.append(comparison)
    beside, floor = stated.get("beside", ""), stated.get("floor", "")
    if floor:
        _check_cells(replace(comparisons[0], of=floor, against=None), presets, where)
    return Claim(stated["id"], table, stated["claim"], stated.get("paper", ""), tuple(comparisons), beside, floor)


def _check_second(comparison: Comparison, presets: dict[str, dict], where: str) -> None:
    """Some table must have the second judge hear the same rows, or nobody would ever score them."""
    heard = {
        (row.get("set", preset["set"]), row.get("system"))
        for preset in presets.values()
        for row in preset["rows"]
        if comparison.second in preset_files.roles_of(preset, row)
    }
    for name in filter(None, (comparison.of, comparison.against, *(comparison.since or ()))):
        for table in filter(None, (comparison.table, comparison.larger)):
            row = row_of(presets[table], name)
            cell = row.get("set", presets[table]["set"]), row.get("system")
            if row.get("system") and cell not in heard:
                raise UserError(f"{where}: no table has {comparison.second} of {cell[1]} on {cell[0]}; add it to one.")


def _names(value: str | list[str] | None) -> list:
    return value if isinstance(value, list) else [value]


def _bound(entry: dict, where: str) -> float:
    needed = EXPECTATIONS[entry["expect"]]
    if {"margin", "margin_percent"} <= set(entry):
        raise UserError(f"{where}: `{entry['expect']}` takes one margin, in units or in per cent.")
    given = {"margin" if key == "margin_percent" else key for key in entry}
    for key in ("margin", "value"):
        if (key in given) != (key == needed):
            raise UserError(f"{where}: `{entry['expect']}` {'needs' if key == needed else 'takes no'} {key}.")
    if (entry["expect"] in ("above", "below")) == ("against" in entry):
        raise UserError(f"{where}: above and below are about one cell, everything else about two (`against`).")
    if "ceiling" in entry and entry["expect"] != "above":
        raise UserError(f"{where}: `ceiling` belongs to `above`.")
    return float(entry.get("margin", entry.get("margin_percent", entry.get("value", 0.0))))


def _check_cells(comparison: Comparison, presets: dict[str, dict], where: str) -> None:
    table = comparison.table
    if comparison.evidence == "toy":
        rows, roles = TOY["rows"], TOY["roles"]
    elif table not in presets:
        raise UserError(f"{where}: unknown table {table!r}{did_you_mean(table, presets)}.")
    else:
        preset = presets[table]
        rows = [name for row in preset["rows"] for name in preset_files.names_of(row, preset)]
        roles = [metric["role"] for metric in preset["metrics"]] + [CURVE_ROLE] * ("curves" in preset)
    for row in filter(
        None, (comparison.of, comparison.against, comparison.over, comparison.ceiling, *(comparison.since or ()))
    ):
        if row not in rows:
            raise UserError(f"{where}: {comparison.table} has no row {row!r}{did_you_mean(row, set(rows))}.")
        if rows.count(row) > 1:
            raise UserError(
                f"{where}: {comparison.table} has the row {row!r} more than once: write system@set or its label."
            )
    if comparison.role not in roles:
        role = comparison.role
        raise UserError(f"{where}: {comparison.table} has no column {role!r}{did_you_mean(role, roles)}.")


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
    return reading(results, sure) if results else "not printed"


def report(
    claims: Sequence[Claim], presets: dict[str, dict], ours: Callable[[Comparison], Result]
) -> tuple[list, list]:
    """Judge every claim on our scores and on the printed cells.

    Returns:
        (rows, details): one row a claim, and one row a comparison and source.
    """
    labels = wording.Labels(presets)
    run = [replace(c, comparisons=tuple(x for x in c.comparisons if not x.paper_only)) for c in claims]
    measured = judge(run, ours)
    verdicts = {claim.id: found for claim, (found, _, _) in zip(claims, measured)}
    on_paper = [
        replace(c, comparisons=tuple(x for x in c.comparisons if printed(x, presets).estimate is not None))
        for c in claims
    ]
    stated = judge(on_paper, lambda comparison: printed(comparison, presets))
    rows, details = [], []
    for claim, (found, results, sure), (_, shown, paper_sure) in zip(claims, measured, stated):
        on_its_own = paper_verdict(shown, paper_sure)
        rows.append(
            {
                "id": claim.id,
                "table": claim.table,
                "claim": claim.text,
                "verdict": found,
                "sentence": _sentence(claim, found, results, sure, labels, ours, verdicts),
                "p_supports": sure and wording.number(sure.supports),
                "p_opposes": sure and wording.number(sure.opposes),
                "paper_verdict": on_its_own,
                "paper_sentence": wording.sentence(on_its_own, shown, paper_sure, labels, wording.PAPER_OPENINGS),
                "paper_note": claim.note,
            }
        )
        details += [_detail(claim, "ours", result, labels) for result in results]
        details += [_detail(claim, "paper", result, labels) for result in shown]
    return rows, details


def _sentence(
    claim: Claim, found: str, results: list[Result], sure: Evidence | None, labels: wording.Labels, ours, verdicts: dict
) -> str:
    """The verdict in a sentence, with whom it was compared and what the claim beside it came to."""
    unrun = [x for x in claim.comparisons if x.paper_only]
    absent = list(dict.fromkeys(labels.row(x, x.against) for x in unrun if x.against))
    if not results:
        return f"Not run: nobody here runs {_named(absent)}."
    parts = [wording.sentence(found, results, sure, labels)]
    if absent and any(result.estimate is not None for result in results):
        heard = [r.comparison for r in results if r.estimate]
        against = list(dict.fromkeys(labels.row(x, x.against) for x in heard if x.against))
        parts.append(
            f"Compared here with {_named(against)} alone, not with {_named(absent, 4)}, which nobody here runs."
        )
    if weak := _below_floor(claim, results, ours):
        parts.append(
            f"{_named([labels.row(x, x.against) for x in weak if x.against])}: worse than "
            f"{labels.row(weak[0], claim.floor)}, so that to be better than it says little."
        )
    if claim.beside:
        parts.append(f"Beside it, {claim.beside}: {verdicts[claim.beside]}.")
    return " ".join(parts)


def _below_floor(claim: Claim, results: Sequence[Result], ours) -> list[Comparison]:
    """Comparisons with a system that is itself on the wrong side of the floor."""
    if not claim.floor:
        return []
    side = [replace(r.comparison, of=claim.floor, second=None) for r in results if r.estimate]
    return [x for x in side if stance(ours(x)) == SUPPORTED]


def _named(names: Sequence[str], most: int = 2) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _detail(claim: Claim, source: str, result: Result, labels: wording.Labels) -> dict:
    comparison, estimate, second = result.comparison, result.estimate, result.second
    interval = (estimate.interval(wording.confidence(comparison)) if estimate else None) or (None, None)
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
        "verdict": stance(result),
        "second_difference": wording.number(second.estimate.point) if second and second.estimate else None,
        "second_verdict": stance(second) if second else None,
        "units": estimate.units if estimate else None,
        "reason": result.reason,
    }


def markdown(rows: Sequence[dict]) -> str:
    """The claims as a page: a count, a table of verdicts, and both sentences of each claim."""
    counts = pd.Series([row["verdict"] for row in rows]).value_counts()
    lines = ["# Claims", "", ", ".join(f"{name}: {count}" for name, count in counts.items()) + f" of {len(rows)}.", ""]
    lines += [CAUTION, ""]
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


def write(
    results: Results,
    data: Data,
    models: Models,
    settings: Annotated[dict, json_object("--settings", "metrics, absent, lacks, bootstrap_draws, min_scored, seed")],
    out: Annotated[Path, typer.Option(help="claims.csv")],
) -> None:
    """Write claims.csv, the comparisons beside it, and claims.md."""
    presets = preset_files.read_presets()
    ours = Ours(
        presets, settings["metrics"], results, data, models, settings["absent"], settings["bootstrap_draws"],
        settings["min_scored"], settings["seed"], settings.get("lacks", {}),
    )  # fmt: skip
    rows, details = report(read_claims(presets), presets, ours)
    for path, table in ((out, rows), (out.with_name("claims_comparisons.csv"), details)):
        with atomic(path) as temporary:
            pd.DataFrame(table).to_csv(temporary, index=False)
    write_text(out.with_suffix(".md"), markdown(rows))


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
