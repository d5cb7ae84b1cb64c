"""What a system costs: its machine's seconds a second of audio, and the core-hours of its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metrics import statistics
from metrics.summary import Summary
from speechbase.files import UserError
from speechbase.texts import read_table
from workflow.plan.wanted import REAL_TIME
from workflow.record import hours

CORE_HOURS = "core_hours"
ROLES = (REAL_TIME, CORE_HOURS)  # of a table's columns
NOTHING_TRAINED = "not recorded: its weights were not trained here"


def real_time(index: Path, speakers: Mapping[str, str], draws: int, seed: int) -> Summary:
    """Real-time factor over a test set: all seconds that answers took / all seconds of audio that were answered.

    Wall time of the machine that made them (`wall_s`, an item's share of its batch), alone or not, without loading
    weights, transcribing the input or writing files.

    Args:
        index: a system's audio index.
        speakers: utterance id -> speaker, of all that are expected.

    Returns:
        Over the utterances that were answered with audio; the others are counted by status, `no_audio` where an answer
        is text.

    Raises:
        UserError: an index that cannot be read, or a time that is no number.
    """
    rows = {row["id"]: row for row in read_table(index, ("id", "seconds", "wall_s", "status"))}
    statuses = {name: _status(rows.get(name)) for name in speakers}
    timed = [name for name, status in statuses.items() if status == "ok"]
    try:
        times = np.array([[float(rows[name][key]) for key in ("wall_s", "seconds")] for name in timed]).reshape(-1, 2)
    except ValueError:
        raise UserError(f"{index} has a time that is no number; delete it and make it again.") from None
    clusters = [speakers[name] for name in timed]
    found = statistics.bootstrap(times[:, 0], times[:, 1], clusters=clusters, draws=draws, seed=seed)
    low, high = found.interval()
    counts = dict(sorted(Counter(statuses.values()).items()))
    return Summary(found.value, max(low, 0.0), high, len(speakers), len(timed), counts, found.unit, found)


def _status(row: Mapping[str, str] | None) -> str:
    if row is None:
        return "missing"
    return "no_audio" if row["status"] == "ok" and not row["seconds"] else row["status"]


def core_hours(folder: Path, models: list[str], earlier: Mapping[str, dict]) -> dict:
    """A table's cell: the core-hours of every run that led to a system's models, each run counted once.

    Args:
        folder: of the models.
        models: those that the system is made of.
        earlier: what `hours.runs_of` takes.

    Returns:
        value and status. Minutes of a GPU are no core-hours: the status names them. Without a record of some run
        there is no value, and the status says of which.
    """
    if not models:
        return {"status": NOTHING_TRAINED}
    try:
        runs = {name: run for model in models for name, run in hours.runs_of(folder, model, earlier).items()}
    except hours.Unrecorded as reason:
        return {"status": f"not recorded: {reason}"}
    value, besides = hours.total(runs.values())
    if value is None:
        return {"status": f"trained on no processor, but for {besides}"}
    return {"value": value, "status": f"and {besides} besides" if besides else "ok"}
