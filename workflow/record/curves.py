"""Losses of trained models, by step: Figure 2, and the report's training curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from speechbase.files import read_jsonl

TEXT_GAP = "valid_text_gap"  # validation loss without the transcript minus with it
LOSS = "valid_s2s"  # over the speech-to-speech tasks that the model was trained on


def read(folder: Path) -> pd.DataFrame:
    """All that the training of the model in `folder` recorded, a row a step; empty where nothing was."""
    path = folder / "curves.jsonl"
    return pd.DataFrame(read_jsonl(path)) if path.is_file() else pd.DataFrame()


def validation(folder: Path) -> pd.DataFrame | None:
    """Columns step and LOSS of the model in `folder`, steps rising; None where it has no such curve."""
    rows = read(folder)
    return rows.dropna(subset=[LOSS]).sort_values("step") if LOSS in rows else None


def first_at(curve: pd.DataFrame, goal: float) -> float | None:
    """The first step whose validation loss is at most `goal`; None where it never is."""
    reached = curve.loc[curve[LOSS] <= goal, "step"]
    return None if reached.empty else float(reached.iloc[0])


def cell(folder: Path) -> dict | None:
    """A table's cell: the final validation loss; None where there is none. One run has no interval."""
    curve = validation(folder)
    return None if curve is None else {"value": float(curve[LOSS].iloc[-1]), "status": "ok"}
