"""MOS cells of the tables, and differences of MOS for the claims: from imported listening studies, never simulated
ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metrics.listening.results import Mos, read_mos

# The scale behind a column's role.
SCALES = {
    "mos": "quality",
    "mos_q": "quality",
    "mos_n": "naturalness",
    "mos_vs": "voice_similarity",
    "mos_ss": "style_similarity",
}


def study_of(preset: dict, results: Path) -> tuple[str, Path, Mos]:
    """The table's study: its name, its folder, and what was imported (or why nothing was)."""
    name = preset.get("study", "")
    folder = results / "listening" / name
    return name, folder, read_mos(folder) if name else Mos("not run", "no listening study belongs to this table")


def key_of(preset: dict, row: dict, role: str) -> tuple[str, str, str]:
    """How a study calls a cell: system, scale and test set."""
    return row.get("system", ""), SCALES[role], row.get("set", preset["set"])


def cell(preset: dict, row: dict, role: str, results: Path) -> dict:
    """A table's MOS cell: value, low, high, n_scored (ratings) and status; only a status, `not run: <why>`, without
    ratings."""
    name, _, mos = study_of(preset, results)
    found = mos.cells.get(key_of(preset, row, role))
    if found is None:
        return {"status": f"not run: {mos.reason or f'nobody rated it in the listening study {name}'}"}
    return {
        "value": found["mos"],
        "low": found["low"],
        "high": found["high"],
        "status": "ok",
        "n_scored": found["n_ratings"],
    }


def contrast(preset: dict, rows: list[dict], role: str, results: Path) -> dict | str:
    """The study's own difference of two rows, its error clustered by rater and utterance; or the reason why there is
    none.

    Returns:
        difference, se, and for both sides mos and n_ratings.
    """
    name, folder, mos = study_of(preset, results)
    if mos.status != "ok":
        return mos.reason
    one, other = (key_of(preset, row, role) for row in rows)
    if one not in mos.cells or other not in mos.cells:
        return f"the listening study {name} has no ratings of both"
    table = pd.read_csv(folder / "contrasts.csv")
    wanted = table["filtered"] & (table["a"] == one[0]) & (table["b"] == other[0])
    wanted &= (table["scale"] == one[1]) & (table["set"] == one[2]) & table["se"].notna()
    if not wanted.any():
        return f"the listening study {name} does not compare {one[0]} with {other[0]}"
    found = table[wanted].iloc[0]
    sides = {side: [mos.cells[key][side] for key in (one, other)] for side in ("mos", "n_ratings")}
    return {"difference": float(found["difference"]), "se": float(found["se"])} | sides
