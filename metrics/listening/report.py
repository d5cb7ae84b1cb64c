"""report/index.html: one file with results, claims, discards, design, wording and sound, which opens without any
request."""

from __future__ import annotations

import base64
import csv
import io
import subprocess
import sys
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from markupsafe import Markup

from metrics.listening import prolific
from metrics.listening.analyse import TOTAL, read_imported, set_names
from metrics.listening.prepare import frozen
from metrics.listening.results import read_mos
from metrics.listening.study import paper_value
from speechbase.files import UserError, read_json, write_text

PACKAGES = ("numpy", "scipy", "pandas", "soundfile", "soxr", "pyloudnorm")
HISTOGRAM_PX = 40


def write_report(out: Path, *, simulated: bool = False) -> Path:
    """Write the report of a prepared study; without imported ratings its own column says `not run`.

    Raises:
        UserError: not prepared, or samples that pass the size budget.
    """
    settings, prepared = frozen(out)
    folder = out / "simulated" if simulated else out
    ours, status, reason = _ours(folder, simulated)
    measured = status != "not run"
    facts = {
        "settings": settings,
        "prepared": prepared,
        "simulated": simulated,
        "status": status,
        "reason": reason,
        "imported": read_json(folder / "imported" / "import.json") if measured else None,
        "tables": [_table(settings, ours, name, scale) for name in set_names(settings) for scale in settings["scales"]],
        "claims": _claims(folder) if measured else [],
        "discards": _rows(folder / "discards.csv") if measured else [],
        "intelligibility": _rows(folder / "intelligibility.csv") if measured else [],
        "leniency": read_json(folder / "leniency.json") if measured else None,
        "histograms": _histograms(settings, folder) if measured else [],
        "pay": _pay(folder if simulated else out / "private"),
        "audit": read_json(out / "private" / "design_audit.json"),
        "budget": read_json(out / "private" / "budget.json"),
        "listeners": _listeners(folder) if measured else None,
        "provenance": _provenance(),
    }
    players, sounds = _sounds(settings, out)
    html = prolific.templates().get_template("report.html.j2").render(facts | {"players": players, "sounds": sounds})
    budget = settings["report"]["budget_mib"]
    if len(html) > budget * 2**20:
        raise UserError(
            f"The report would have {len(html) / 2**20:.1f} MiB, more than its budget of {budget} MiB: "
            "lower report.samples_per_system or raise report.budget_mib."
        )
    path = folder / "report" / "index.html"
    write_text(path, html)
    return path


def _ours(folder: Path, simulated: bool) -> tuple[dict, str, str]:
    """Cells by (system, scale, set, filtered). Simulated ratings only come into a report that is marked as
    simulated."""
    if simulated:
        table, status, reason = folder / "mos_SIMULATED.csv", "SIMULATED", "invented ratings"
    else:
        found = read_mos(folder)
        table, status, reason = folder / "mos.csv", found.status, found.reason
        if status != "ok":
            return {}, "not run", reason
    rows = pd.read_csv(table).to_dict("records")
    return (
        {(row["system"], row["scale"], row["set"], row["filtered"]): row for row in rows if row["mos"] == row["mos"]},
        status,
        reason,
    )


def _table(settings: dict, ours: dict, set_name: str, scale: str) -> dict:
    rows = []
    for system in settings["systems"]:
        paper = paper_value(system, set_name, scale)
        row = {"label": system["label"], "system": system["name"], "paper": paper}
        row |= {
            "ours": ours.get((system["name"], scale, set_name, True)),
            "all": ours.get((system["name"], scale, set_name, False)),
        }
        rows.append(row)
    for column, value in (
        ("paper_rank", lambda row: row["paper"] and row["paper"][0]),
        ("rank", lambda row: row["ours"] and row["ours"]["mos"]),
    ):
        known = sorted((value(row) for row in rows if value(row)), reverse=True)
        for row in rows:
            row[column] = known.index(value(row)) + 1 if value(row) else None
    title = settings["wording"]["scales"][scale]["name"]
    if len(settings["sets"]) > 1:
        title += f", {'all test sets' if set_name == TOTAL else set_name}"
    return {"title": title, "rows": rows, "plot": _forest(rows)}


def _forest(rows: list[dict]) -> Markup:
    """Intervals of ours (line and dot) and the paper's mean (diamond) on the scale from 1 to 5, as SVG."""
    left, width, step = 240, 440, 26
    height = step * len(rows) + 34

    def x(value: float) -> float:
        return round(left + (value - 1) / 4 * width, 1)

    parts = [f'<line x1="{x(v)}" y1="4" x2="{x(v)}" y2="{height - 26}" class="grid"/>' for v in range(1, 6)]
    parts += [f'<text x="{x(v)}" y="{height - 8}" text-anchor="middle">{v}</text>' for v in range(1, 6)]
    for i, row in enumerate(rows):
        y = 18 + step * i
        parts.append(f'<text x="{left - 12}" y="{y + 5}" text-anchor="end">{Markup.escape(row["label"])}</text>')
        if row["paper"]:
            px = x(row["paper"][0])
            parts.append(f'<path d="M{px} {y - 6}L{px + 6} {y}L{px} {y + 6}L{px - 6} {y}Z" class="paper"/>')
        if row["ours"] and row["ours"]["low"] == row["ours"]["low"]:
            ours = row["ours"]
            parts.append(f'<line x1="{x(ours["low"])}" y1="{y}" x2="{x(ours["high"])}" y2="{y}" class="ours"/>')
            parts.append(f'<circle cx="{x(ours["mos"])}" cy="{y}" r="4.5" class="ours-dot"/>')
    label = "Mean opinion scores by system; the numbers stand in the table beside it"
    return Markup(f'<svg viewBox="0 0 700 {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>')


def _claims(folder: Path) -> list[dict]:
    return [row for row in _rows(folder / "contrasts.csv") if row["filtered"] == "True"]


def _rows(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _histograms(settings: dict, folder: Path) -> list[dict]:
    ratings, _ = read_imported(folder)
    rated = ratings[ratings["kind"] == "rated"]
    made = []
    for system in settings["systems"]:
        own = rated[rated["system"] == system["name"]]
        if own.empty:
            continue
        bars = {scale: Counter(own["rating"][own["scale"] == scale]) for scale in settings["scales"]}
        made.append({"label": system["label"], "bars": {scale: _bars(counts) for scale, counts in bars.items()}})
    return made


def _bars(counts: Counter) -> Markup:
    most = max(counts.values(), default=1)
    parts = []
    for value in range(1, 6):
        tall = round(HISTOGRAM_PX * counts[value] / most, 1)
        parts.append(f'<rect x="{18 * value - 16}" y="{HISTOGRAM_PX - tall}" width="14" height="{tall}" class="bar"/>')
    words = ", ".join(f"{value}: {counts[value]}" for value in range(1, 6))
    return Markup(
        f'<svg viewBox="0 0 92 {HISTOGRAM_PX}" role="img" aria-label="Ratings {words}">{"".join(parts)}</svg>'
    )


def _listeners(folder: Path) -> dict:
    _, raters = read_imported(folder)
    minutes = pd.to_numeric(raters["seconds"], errors="coerce").dropna() / 60
    return {
        "submissions": len(raters),
        "median_minutes": round(float(np.median(minutes)), 1) if len(minutes) else None,
        "listen_with": dict(Counter(raters["headphones"].fillna("not stated"))),
    }


def _pay(folder: Path) -> dict | None:
    path = folder / "pay" / "pay.json"
    return read_json(path) if path.exists() else None


def _sounds(settings: dict, out: Path) -> tuple[list[dict], dict[str, str]]:
    """Players (utterances of the first lists that every system has) and their MP3 data by name."""
    by_utterance: dict[tuple[str, str], dict[str, dict]] = defaultdict(dict)
    for row in _rows(out / "private" / "key.csv"):
        if row["kind"] == "rated":
            by_utterance[row["set"], row["utterance"]].setdefault(row["system"], row)
    heard = {row["system"] for systems in by_utterance.values() for row in systems.values()}
    whole = [(place, systems) for place, systems in sorted(by_utterance.items()) if set(systems) == heard]
    sounds: dict[str, str] = {}

    def sound(file: str) -> str:
        sounds.setdefault(file, _mp3(out / "public" / file))
        return file

    players = []
    for (set_name, utterance), systems in whole[: settings["report"]["samples_per_system"]]:
        first = next(iter(systems.values()))
        row = {"title": f"{set_name}, {utterance}", "clips": []}
        if first["reference"]:
            row["clips"].append({"label": "Reference", "file": sound(first["reference"])})
        order = [system for system in settings["systems"] if system["name"] in systems]
        row["clips"] += [
            {"label": system["label"], "file": sound(systems[system["name"]]["sample"])} for system in order
        ]
        players.append(row)
    return players, sounds


def _mp3(path: Path) -> str:
    wave, rate = soundfile.read(path, dtype="float32")
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format="MP3", subtype="MPEG_LAYER_III")
    return base64.b64encode(stream.getvalue()).decode()


def _provenance() -> dict[str, str]:
    found = {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in PACKAGES}
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, timeout=20
        )
        found["commit"] = git.stdout.strip() or "outside a Git checkout"
    except (FileNotFoundError, subprocess.TimeoutExpired):
        found["commit"] = "Git is not installed"
    return found
