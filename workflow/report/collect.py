"""Everything on the page but the audio, read from a run's files into plain data for the templates."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from speechbase.files import UserError, read_json
from workflow.claims.comparisons import NOT_RUN, VERDICTS
from workflow.record.provenance import read_record
from workflow.tables import moved
from workflow.tables.text import ARROWS, missing, ratings


def claims(results: Path) -> list[dict]:
    """The claims with their comparisons; empty where claims.csv has not been made."""
    path = results / "claims.csv"
    if not path.is_file():
        return []
    rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
    details = pd.read_csv(results / "claims_comparisons.csv")
    for row in rows:
        mine = details[details["id"] == row["id"]]
        row["comparisons"] = [_comparison(found) for found in mine.to_dict("records")]
    return rows


def _comparison(row: dict) -> dict:
    shown = {key: ("" if isinstance(value, float) and math.isnan(value) else value) for key, value in row.items()}
    for key in ("value_of", "value_against", "difference", "low", "high"):
        shown[key] = f"{shown[key]:.4g}" if shown[key] != "" else ""
    return shown


def counts(rows: list[dict]) -> list[tuple[str, int]]:
    """How many claims have each verdict, in the order good, bad, open, not run."""
    return [(verdict, sum(row["verdict"] == verdict for row in rows)) for verdict in VERDICTS]


def table(preset: dict, path: Path) -> dict | None:
    """A table as heads and rows of cells, ours and the paper's in columns of their own; None where it has not been
    made."""
    if not path.is_file():
        return None
    cells = pd.read_csv(path)
    groups = [_group(column, cells) for column in preset["metrics"]]
    groups = [group for group in groups if group["columns"]]
    rows = []
    for row in preset["rows"]:
        mine = cells[cells["label"] == row["label"]]
        shown = [_cell(mine, column, group["digits"]) for group in groups for column in group["columns"]]
        rows.append({"label": row["label"], "ours": bool(row.get("system")), "cells": shown})
    return {
        "title": preset["title"],
        "source": preset["source"],
        "groups": groups,
        "rows": rows,
        "notes": _notes(preset, cells),
        "name": path.stem,
    }


def _group(column: dict, cells: pd.DataFrame) -> dict:
    mine = cells[cells["role"] == column["role"]]
    measured = mine.loc[mine["provenance"] != "paper", "metric"].unique()
    printed = mine.loc[mine["paper"].notna(), "metric"].unique()
    columns = [{"kind": "ours", "metric": metric} for metric in measured]
    columns += [{"kind": "paper", "metric": metric} for metric in printed]
    return {"label": column["label"] + ARROWS[column["better"]], "digits": column["digits"], "columns": columns}


def _cell(cells: pd.DataFrame, column: dict, digits: int) -> dict:
    empty = {"kind": column["kind"], "text": "", "interval": "", "status": ""}
    found = cells[cells["metric"] == column["metric"]]
    found = found[found["paper"].notna()] if column["kind"] == "paper" else found[found["provenance"] != "paper"]
    if found.empty:
        return empty
    cell = found.iloc[0]
    if column["kind"] == "paper":
        error = "" if pd.isna(cell["paper_se"]) else f"± {cell['paper_se']:.{digits}f}"
        return empty | {"text": f"{cell['paper']:.{digits}f}", "interval": error}
    status = "" if cell["status"] == "ok" else str(cell["status"])
    if pd.isna(cell["value"]):
        return empty | {"text": missing(status), "status": status}
    interval = "" if pd.isna(cell["low"]) else f"{cell['low']:.{digits}f} to {cell['high']:.{digits}f}"
    return empty | {"text": f"{cell['value']:.{digits}f}", "interval": interval, "status": status}


def _notes(preset: dict, cells: pd.DataFrame) -> list[str]:
    ours = cells[cells["provenance"] != "paper"]
    notes = [preset["notes"]] if preset.get("notes") else []
    expected = ours["n_expected"].dropna()
    if len(expected):
        span = sorted({int(expected.min()), int(expected.max())})
        notes.append(f"Ours: {' to '.join(map(str, span))} utterances a cell, with 95 % bootstrap intervals.")
    notes += [*ratings(ours), *moved.notes(ours)]
    for kind, found in ours.groupby("provenance", sort=True):
        if kind != "ours":
            notes.append(f"Provenance {kind}: {', '.join(found['label'].unique())}.")
    for (label, status), found in ours[ours["status"] != "ok"].groupby(["label", "status"], sort=False):
        notes.append(f"{label} ({', '.join(found['metric'].astype(str))}): {status}.")
    return notes


def models(folder: Path, planned: dict[str, dict]) -> list[dict]:
    """How far each model of the configuration was trained: steps done of steps planned, minutes, parameters, hardware.

    Of a model that is trained in several runs, the steps are the last one's, as in its record.
    """
    found = []
    for name, entry in planned.items():
        training = entry.get("training", {})
        last = training | (training.get("runs") or [{}])[-1]
        row = {"name": name, "planned": last.get("steps"), "record": None}
        path = folder / name / "config.json"
        if path.is_file():
            row["record"] = read_json(path).get("record")
        found.append(row)
    return found


def records(*folders: Path) -> list[dict]:
    """The provenance record of everything that was made under the folders, with where it lies."""
    found = []
    for folder in folders:
        for path in sorted([*folder.rglob("*.provenance.json"), *folder.rglob("provenance.json")]):
            try:
                found.append(read_record(path) | {"of": _made(path)})
            except UserError:
                continue  # a record that is no record belongs to something that is being made again
    return found


def _made(path: Path) -> str:
    return str(
        path.parent if path.name == "provenance.json" else path.with_name(path.name.removesuffix(".provenance.json"))
    )


def weights(rows: list[dict]) -> list[tuple[str, str]]:
    """SHA-256 of every weights file that some result was made from or that was trained."""
    found: dict[str, str] = {}
    for row in rows:
        for path, digest in {**row.get("inputs", {}), **row.get("outputs", {})}.items():
            if path.endswith((".safetensors", ".onnx", ".bin")):
                found[path] = digest
    return sorted(found.items())


def gaps(tables: list[dict], rows: list[dict], absent: dict[str, str]) -> list[str]:
    """What is missing, in sentences: systems that this scale lacks, cells without a value, claims that were not run."""
    found = [f"{name}: {reason}." for name, reason in sorted(absent.items())]
    for shown in tables:
        empty = [row["label"] for row in shown["rows"] if any(cell["text"] == "none" for cell in row["cells"])]
        if empty:
            found.append(f"{shown['source']} has cells without a value: {', '.join(empty)}.")
    missing = [row["id"] for row in rows if row["verdict"] == NOT_RUN]
    if missing:
        found.append(f"Claims not run: {', '.join(missing)}; each says why.")
    return found


def sweeps(presets: dict[str, dict], results: Path) -> list[dict]:
    """The experiments beyond the paper that have been run: title, question, plot and table."""
    found = []
    for name, preset in presets.items():
        if preset["kind"] == "sweep" and (results / "beyond" / f"{name}.csv").is_file():
            picture = results / "beyond" / f"{name}.png"
            shown = table(preset, results / "beyond" / f"{name}.csv")
            found.append({"name": name, "picture": picture if picture.is_file() else None, "table": shown})
    return found


def check_folder(results: Path) -> None:
    """A UserError where there is nothing to report on."""
    if not results.is_dir():
        raise UserError(f"{results} does not exist: run `snakemake --cores all` first.")


def scale_of(settings: dict) -> str:
    """The sentence that says how far to trust the numbers."""
    return f"The scale “{settings['scale']}”. {settings['about']}"
