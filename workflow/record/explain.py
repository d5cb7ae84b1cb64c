"""Walk back from a table's cell to everything that it comes from, and print the command that makes it again.

python -m workflow.record.explain results/table3.csv "SpeechOp + ITC" WER
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from speechbase.commands import command_line
from speechbase.files import UserError, read_jsonl, sha256
from workflow.plan import places, preset_files
from workflow.record.provenance import read_record
from workflow.tables import costs

WORST = 5


def show(
    table: Annotated[Path, typer.Argument(help="a table's CSV file, such as results/table3.csv")],
    system: Annotated[str, typer.Argument(help="a system's name or its row's label")],
    metric: Annotated[str, typer.Argument(help="a metric's name, or its column's role")],
) -> None:
    """Walk back from a table's cell to everything that it comes from."""
    for line in explain(table, system, metric):
        print(line)


def explain(table: Path, system: str, metric: str) -> list[str]:
    """The walk from one cell, as lines of text.

    Raises:
        UserError: no such table, or no such cell in it (the message lists what there is).
    """
    cell = find_cell(table, system, metric)
    head = [f"{cell['label']}, {cell['metric']}, test set {cell['set']} ({table})"]
    if cell["provenance"] == "paper":
        return [*head, f"  {cell['paper']:g}, as the paper prints it: nothing here computed it."]
    value = "none" if pd.isna(cell["value"]) else f"{cell['value']:g} [{cell['low']:g}, {cell['high']:g}]"
    head.append(f"  value {value}, {cell['status']}, provenance {cell['provenance']}")
    if pd.isna(cell["n_expected"]) or _is_derived(table, cell["role"]):
        return head
    head.append(f"  utterances {cell['n_scored']:.0f} scored of {cell['n_expected']:.0f}")
    scores = table.parent / "scores" / cell["set"] / cell["system"] / f"{cell['metric']}.jsonl"
    lines = [
        *head,
        *_utterances(scores, table, cell),
        "",
        "Made of (every file with its record's commit, and whether it changed since):",
    ]
    lines += [*_walk(table, None, 1, set()), *_walk(scores, None, 1, set())]
    return [*lines, "", "To make it again:", f"  {remake(table, scores)}"]


def find_cell(table: Path, system: str, metric: str) -> pd.Series:
    """The cell by system (name or label) and metric (name or role); case and punctuation do not matter.

    Raises:
        UserError: a file that is no table, or a cell that it does not have.
    """
    try:
        cells = pd.read_csv(table)
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(
            f"{table} cannot be read as a table ({error}); make it with `snakemake --cores all {table}`."
        ) from None
    if not {"system", "label", "metric", "role", "set"} <= set(cells):
        raise UserError(f"{table} is not a table of this project.")
    rows = cells[_same(cells["system"], system) | _same(cells["label"], system)]
    if rows.empty:
        known = ", ".join(
            f"{name} ({label})" for name, label in cells[["system", "label"]].drop_duplicates().to_numpy()
        )
        raise UserError(f"{table} has no system {system!r}; it has {known}.")
    found = rows[_same(rows["metric"], metric) | _same(rows["role"], metric)]
    if found.empty:
        raise UserError(
            f"{table} has no metric {metric!r} for {system!r}; it has {', '.join(rows['metric'].unique())}."
        )
    measured = found[found["provenance"] != "paper"]
    return (found if measured.empty else measured).iloc[0]


def _same(column: pd.Series, wanted: str) -> pd.Series:
    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    return column.astype(str).map(bare) == bare(wanted)


def _utterances(scores: Path, table: Path, cell: pd.Series) -> list[str]:
    """The utterances that weigh most against the system, or, where no direction is better, both ends; with where to
    listen to them."""
    rows = [row for row in read_jsonl(scores) if row["status"] == "ok"]
    better = next(column["better"] for column in _preset(table)["metrics"] if column["role"] == cell["role"])
    rows.sort(key=lambda row: row["value"], reverse=better == "lower")
    ends = {"lowest": rows[:WORST], "highest": rows[: -WORST - 1 : -1]} if better == "none" else {"worst": rows[:WORST]}
    audio = table.parent / "audio" / cell["set"] / cell["system"]
    return [
        line
        for name, shown in ends.items()
        for line in (f"  {name}:", *(f"    {row['id']}  {row['value']:.4g}  {audio / row['id']}.wav" for row in shown))
    ]


def _is_derived(table: Path, role: str) -> bool:
    """Whether no file holds a column's scores: a quotient of two, or a cost."""
    return role in costs.ROLES or role in preset_files.quotients_of(_preset(table))


def _preset(table: Path) -> dict:
    return preset_files.read_preset(places.ROOT / preset_files.preset_file(table.stem))


def record_of(path: Path) -> Path | None:
    """The record, in the file's folder, that lists it among the outputs."""
    for place in sorted(path.parent.glob("*provenance.json")):
        if str(path) in read_record(place)["outputs"]:
            return place
    return None


def _walk(path: Path, expected: str | None, depth: int, seen: set[Path]) -> list[str]:
    """The file, its record and, one step in, each of the record's inputs; a file met before is not walked again."""
    indent = "  " * depth
    if not path.is_file():
        return [f"{indent}{path}  is gone"]
    digest = sha256(path)
    changed = "" if expected in (None, digest) else "  CHANGED since it was used here"
    line = f"{indent}{path}  {digest[:12]}{changed}"
    place = record_of(path)
    if place is None or path in seen:
        return [line + ("" if place is None else "  (above)")]
    seen.add(path)
    record = read_record(place)
    commit = (record["code"]["commit"] or "no commit")[:12] + (
        " with local changes" if record["code"]["modified"] else ""
    )
    lines = [
        f"{line}  by {commit}, {record['wall_s']:g} s, {record['peak_memory_mb']:g} MB",
        f"{indent}  $ {record['command']}",
    ]
    for name, used in record["inputs"].items():
        # The table's record lists every cell's scores; only the asked cell's are walked.
        if "/scores/" not in name:
            lines += _walk(Path(name), used, depth + 1, seen)
    return lines


def remake(table: Path, scores: Path) -> str:
    """The command that makes the cell's audio, transcripts and scores, and then the table, again."""
    scale = places.DEFAULT_SCALE if table.parent.name == "results" else table.parent.name
    index = str(scores.parent / "index.csv").replace("scores", "audio", 1)
    chosen = "" if scale == places.DEFAULT_SCALE else f" --config scale={scale}"
    return f"snakemake --cores all{chosen} --forcerun {index} -- {table}"


main = command_line(show)


if __name__ == "__main__":
    raise SystemExit(main())
