"""Build a table from its preset: `<table>.csv` (tidy, one row a cell) and `<table>.md` (ours beside the paper's).

python -m workflow.tables.build --preset P.yaml --results DIR --data DIR --settings JSON --out DIR/table.csv
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from metrics.summary import Summary, summarise
from speechbase.commands import command_line, json_object
from speechbase.files import UserError, atomic, read_jsonl, seed_of, write_text
from workflow.plan import absences, preset_files, system_entries
from workflow.record import curves, hours
from workflow.record.options import Data, Results
from workflow.tables import costs, listened
from workflow.tables.ceilings import quotients
from workflow.tables.text import markdown

COLUMNS = [
    "system", "metric", "value", "low", "high", "n_expected", "n_scored", "status", "provenance", "paper", "paper_se",
    "label", "role", "set",
]  # fmt: skip


def write(
    preset: Annotated[Path, typer.Option()],
    results: Results,
    data: Data,
    settings: Annotated[
        dict, json_object("--settings", "metrics, bootstrap_draws, min_scored, seed, absent, about, models, earlier")
    ],
    out: Annotated[Path, typer.Option(help="the table; its Markdown goes beside it")],
) -> None:
    """Build a table from its preset: tidy, one row a cell, and to be read, ours beside the paper's."""
    stated = preset_files.read_preset(preset)
    table = build(stated, results, data, settings)
    with atomic(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    write_text(out.with_suffix(".md"), markdown(stated, table, settings["about"]))


def build(preset: dict, results: Path, data: Path, settings: dict) -> pd.DataFrame:
    """Every cell of a table, measured and printed, in the preset's order.

    Args:
        preset: a checked preset (`workflow.plan.preset`).
        results: folder that holds `scores/<set>/<system>/<metric>.jsonl`.
        data: folder that holds `testsets/<set>.csv`.
        settings: `metrics` (role -> metric or null), `bootstrap_draws`, `min_scored`, `seed`, `absent` (system -> why)
            and, for what trainings recorded, `models` (a folder) and `earlier` (`workflow.record.hours`).

    Returns:
        A table with the columns COLUMNS. A value is empty unless at least `min_scored` of the utterances have a score.

    Raises:
        UserError: a missing or broken manifest or score file.
    """
    rows = []
    systems = system_entries.read_systems({preset["title"]: preset})
    names = [row["system"] for row in preset["rows"] if "system" in row]
    whose = {name: system_entries.provenance_of(systems, name) for name in names}
    models = {name: systems.get(name, {}).get("model", name) for name in whose}
    settings = settings | {"provenance": whose, "model_of": models, "systems": systems}
    for row in preset["rows"]:
        for column in preset["metrics"]:
            metric = settings["metrics"][column["role"]]
            asked = metric if column["role"] in preset_files.roles_of(preset, row) else None
            measured = _measured(preset, row, asked, results, data, settings)
            if metric is None and row.get("system"):
                metric, measured = column["role"], _unscored(preset, row, column, results, data, settings)
            rows += _merge(preset, row, column, metric, measured)
    return pd.DataFrame(rows, columns=COLUMNS)


def _merge(preset: dict, row: dict, column: dict, metric: str | None, measured: dict | None) -> list[dict]:
    """The measured cell and the printed one: one row where both are of the same metric, else a row each."""
    system = row.get("system") or "paper_" + re.sub(r"[^a-z0-9]+", "_", row["label"].lower()).strip("_")
    head = {"system": system, "label": row["label"], "role": column["role"], "set": row.get("set", preset["set"])}
    printed = row.get("paper", {}).get(column["role"])
    value, error = printed if isinstance(printed, list) else (printed, None)
    paper = {"paper": value, "paper_se": error}
    paper_metric = column.get("paper_metric")
    found = []
    if measured is not None and metric is not None:
        found.append(head | {"metric": metric} | measured | (paper if metric == paper_metric else {}))
    if value is not None and (measured is None or metric != paper_metric):
        found.append(head | {"metric": paper_metric, "status": "printed", "provenance": "paper"} | paper)
    return found


def _unscored(preset: dict, row: dict, column: dict, results: Path, data: Path, settings: dict) -> dict | None:
    """What no score file holds: MOS of an imported listening study, the final validation loss of a model, and for rows
    with these roles quotients to a ceiling and costs."""
    found, role = None, column["role"]
    derived = "of_ceiling" in column or role in costs.ROLES
    if role in curves.ROLES and "models" in settings:
        found = curves.cell(Path(settings["models"]) / settings["model_of"][row["system"]], curves.ROLES[role])
    elif role in listened.SCALES or (derived and role in preset_files.roles_of(preset, row)):
        reason = absences.why_absent(preset, row, settings["absent"])
        found = {"status": reason} if reason else _derived(preset, row, column, results, data, settings)
    return found and found | {"provenance": settings["provenance"][row["system"]]}


def _derived(preset: dict, row: dict, column: dict, results: Path, data: Path, settings: dict) -> dict | None:
    if column["role"] in listened.SCALES:
        return listened.cell(preset, row, column["role"], results)
    if "of_ceiling" in column:
        return _of_ceiling(preset, row, settings["metrics"][column["of_ceiling"]], results, data, settings)
    if column["role"] == costs.REAL_TIME:
        index = results / "audio" / row.get("set", preset["set"]) / row["system"] / "index.csv"
        items = _items(preset, row, data)
        speakers = dict(zip(items["id"], items["speaker"]))
        return _shown(costs.real_time(index, speakers, settings["bootstrap_draws"], _seed(settings)), settings)
    if column["role"] == costs.CORE_HOURS and "models" in settings:
        folder = Path(settings["models"])
        models = hours.models_of(settings["systems"], row["system"], folder)
        return costs.core_hours(folder, models, settings.get("earlier", {}))
    return None


def _of_ceiling(preset: dict, row: dict, metric: str | None, results: Path, data: Path, settings: dict) -> dict | None:
    """The mean quotient to the row's ceiling; only a status where this scale cannot run the ceiling."""
    if metric is None:
        return None
    ceiling = row | {"system": row["ceiling"]}
    if reason := absences.why_absent(preset, ceiling, settings["absent"]):
        return {"status": f"its ceiling {row['ceiling']}: {reason}"}
    own, above = (_sound(_scores(preset, one, metric, results), metric) for one in (row, ceiling))
    return cell(_items(preset, row, data), quotients(own, above), metric, settings)


def _items(preset: dict, row: dict, data: Path) -> pd.DataFrame:
    """The rows of the test set that a table's row is about."""
    name = row.get("set", preset["set"])
    return select(read_manifest(data / "testsets" / f"{name}.csv"), row.get("where", {}))


def _scores(preset: dict, row: dict, metric: str, results: Path) -> list[dict]:
    return read_jsonl(results / "scores" / row.get("set", preset["set"]) / row["system"] / f"{metric}.jsonl")


def _measured(preset: dict, row: dict, metric: str | None, results: Path, data: Path, settings: dict) -> dict | None:
    system = row.get("system")
    if system is None or metric is None:
        return None
    provenance = settings["provenance"][system]
    if reason := absences.why_absent(preset, row, settings["absent"]):
        return {"status": reason, "provenance": provenance}
    items, scores = _items(preset, row, data), _scores(preset, row, metric, results)
    return cell(items, scores, metric, settings) | {"provenance": provenance}


def read_manifest(path: Path) -> pd.DataFrame:
    """The test set's table, its cells as text. Raises: UserError: missing, empty or without ids."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a test set ({error}); make it again.") from None
    if table.empty or not {"id", "speaker"} <= set(table):
        raise UserError(f"{path} has no rows or no columns `id` and `speaker`; delete it and make it again.")
    return table


def select(items: pd.DataFrame, where: dict) -> pd.DataFrame:
    """The rows whose columns have the asked values; [low, high] is an interval with both ends."""
    for column, wanted in where.items():
        if column not in items:
            raise UserError(f"a row asks for {column!r}, and the test set has no such column.")
        if isinstance(wanted, list):
            numbers = pd.to_numeric(items[column], errors="coerce")
            items = items[numbers.between(*wanted)]
        elif isinstance(wanted, str):
            items = items[items[column] == wanted]
        else:
            items = items[pd.to_numeric(items[column], errors="coerce") == wanted]
    if items.empty:
        raise UserError(f"no row of the test set fits {json.dumps(where)}.")
    return items


def cell(items: pd.DataFrame, scores: list[dict], metric: str, settings: dict) -> dict:
    """One cell: the scores of the utterances that are expected, summed up with a bootstrap interval.

    Args:
        items: the rows of the test set that the cell is about.
        scores: score rows of this metric, at least of these utterances.

    Returns:
        value, low, high, n_expected, n_scored, status; the status counts what was not scored, by reason.

    Raises:
        UserError: rows of another metric, two of one utterance, or an `ok` one without a number.
    """
    speakers = dict(zip(items["id"], items["speaker"]))
    rows = _sound([row for row in scores if row.get("id") in speakers], metric)
    return _shown(summarise(rows, metric, speakers, draws=settings["bootstrap_draws"], seed=_seed(settings)), settings)


def _sound(rows: list[dict], metric: str) -> list[dict]:
    """The score rows as they are. Raises: UserError: one is broken."""
    for row in rows:
        number = isinstance(row.get("value"), int | float) and math.isfinite(row["value"])
        if not {"id", "metric", "status", "detail"} <= set(row) or (row["status"] == "ok" and not number):
            raise UserError(f"a row of {metric} lacks its metric, status or value; delete its file and make it again.")
    return rows


def _seed(settings: dict) -> int:
    return seed_of(settings["seed"], "bootstrap")


def _shown(summary: Summary, settings: dict) -> dict:
    """A summary as a cell: without a value where too little is scored."""
    reasons = ", ".join(f"{count} {status}" for status, count in summary.statuses.items() if status != "ok")
    status = f"{summary.n_scored} of {summary.n_expected} scored ({reasons})" if reasons else "ok"
    found = {"n_expected": summary.n_expected, "n_scored": summary.n_scored, "status": status}
    if summary.n_scored < max(1, settings["min_scored"] * summary.n_expected):
        return found
    return found | {"value": summary.value, "low": summary.low, "high": summary.high}


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
