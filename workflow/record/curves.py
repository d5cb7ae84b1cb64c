"""Losses of trained models, by step: Figure 2, and the report's training curves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from speechbase.files import read_jsonl

TEXT_GAP = "valid_text_gap"  # validation loss without the transcript minus with it
LOSS = "valid_s2s"  # over the speech-to-speech tasks that the model was trained on, with their source
DROPPED = "valid_s2s_unconditional"  # the same with every condition dropped
ROLES = {"val_mse": LOSS, "val_mse_dropped": DROPPED}  # of a table: the final value of a validation curve
RUN = re.compile(r"_1of([0-9]+)_seed([0-9]+)")


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


def cell(folder: Path, column: str = LOSS) -> dict | None:
    """A table's cell: the final validation loss; None where there is none. One run has no interval."""
    value = final(folder, column)
    return None if value is None else {"value": value, "status": "ok"}


def final(folder: Path, column: str = LOSS) -> float | None:
    """The last value of a validation curve of the model in `folder`; None where it has none."""
    curve = validation(folder)
    if curve is None or column not in curve or curve[column].dropna().empty:
        return None
    return float(curve[column].dropna().iloc[-1])


Runs = dict[int, dict[int, tuple[float, float]]]


def matched(models: Path, name: str) -> Runs:
    """Seed -> part -> (steps, final loss) of a model's runs over 1/part of its steps, each with its own cooldown.

    A seed whose whole run is not there is left out.
    """
    found: Runs = {}
    for folder in sorted(models.glob(f"{name}_1of*")):
        rest = RUN.fullmatch(folder.name.removeprefix(name))
        curve = validation(folder) if rest else None
        if rest and curve is not None and len(curve):
            last = float(curve["step"].iloc[-1]), float(curve[LOSS].iloc[-1])
            found.setdefault(int(rest[2]), {})[int(rest[1])] = last
    return {seed: runs for seed, runs in found.items() if 1 in runs}


def shares(of: Runs, against: Runs) -> list[float]:
    """By seed, the share of `against`'s steps in which runs of `of` end at its final loss.

    Between runs the loss is taken as linear in the logarithm of the steps. Where the shortest run is there already the
    share is that of its steps, which is too much; where the whole run is not there it is 1, which is too little. Seeds
    that have no shorter runs are left out.
    """
    found = []
    for seed in sorted(of.keys() & against.keys()):
        steps, losses = np.array(sorted(of[seed].values())).T
        if len(steps) > 1:
            whole, goal = against[seed][1]
            found.append(float(np.exp(_reached(np.log(steps), losses, goal)) / whole))
    return found


def _reached(places: np.ndarray, losses: np.ndarray, goal: float) -> float:
    """Where a broken line first comes down to `goal`; its first place if it starts there, its last if it never does."""
    for i in np.flatnonzero(losses <= goal)[:1]:
        if i == 0:
            return float(places[0])
        share = (losses[i - 1] - goal) / (losses[i - 1] - losses[i])
        return float(places[i - 1] + share * (places[i] - places[i - 1]))
    return float(places[-1])


def matched_table(models: Path, names: Mapping[str, str]) -> pd.DataFrame:
    """A row a run of each model (name -> label): seed, part, steps, final loss."""
    rows = [
        {"model": name, "label": label, "seed": seed, "part": part, "steps": steps, "loss": loss}
        for name, label in names.items()
        for seed, runs in matched(models, name).items()
        for part, (steps, loss) in runs.items()
    ]
    return pd.DataFrame(rows, columns=["model", "label", "seed", "part", "steps", "loss"])
