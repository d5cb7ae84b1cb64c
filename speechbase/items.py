"""The suite's tasks, and the items that every system receives, read from a test-set manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbase import audio
from speechbase.files import UserError, did_you_mean
from speechbase.texts import read_table


@dataclass(frozen=True)
class Task:
    """What a task of the suite asks of a system; how a system is trained for it is the system's own knowledge.

    Attributes:
        needs: columns of a test set that must not be empty.
        gives: `audio`, `text` or `label`.
        length: what an answer's length is checked against: the `source`, or nothing (`free`).
    """

    name: str
    needs: tuple[str, ...] = ("source",)
    gives: str = "audio"
    length: str = "source"


TASKS = {
    task.name: task
    for task in (
        Task("tts", needs=("text", "prompt"), length="free"),
        Task("edit", needs=("text", "source", "orig_text", "orig_span", "new_span"), length="free"),
        Task("enhancement"),
        Task("separation", needs=("source", "prompt")),
        Task("noise_isolation"),
        Task("speech_isolation"),
        Task("acoustic_matching", needs=("source", "prompt")),
        Task("asr", needs=("source", "text"), gives="text", length="free"),
        Task("lid", needs=("source", "label"), gives="label", length="free"),
        Task("gid", needs=("source", "label"), gives="label", length="free"),
    )
}


UNKNOWN = "unknown"  # the label of what nothing is heard in, or that is none of the labels that a system knows


@dataclass(frozen=True)
class Item:
    """What a system is given for one utterance; audio is loaded on demand.

    `row` is the manifest's row with empty cells as "". Paths are absolute.
    """

    id: str
    task: str
    rate_hz: int
    text: str
    row: dict
    root: Path

    def has(self, column: str) -> bool:
        """Whether the manifest names audio in a path column."""
        return bool(self.row.get(column))

    def wave(self, column: str) -> np.ndarray:
        """Audio of a path column (`source`, `reference`, `prompt`): float32 [n] at `rate_hz`.

        Raises:
            UserError: the column is empty, or the file is missing, unreadable or has another rate than the manifest
                says.
        """
        if not self.has(column):
            raise UserError(f"{self.id} has no {column} recording.")
        return audio.read(self.root / self.row[column], self.rate_hz)[0]


def read_items(manifest: str | Path) -> list[Item]:
    """Read a test-set manifest (docs/architecture.md) into items, in the manifest's order.

    Raises:
        UserError: no such file, an empty table, missing columns, doubled ids, an unknown task or a cell that the task
            needs.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise UserError(f"{manifest} does not exist; make it with the rule that builds test sets.")
    rows = read_table(manifest, ("id", "task", "rate_hz", "text"))
    if not rows:
        raise UserError(f"{manifest} has no rows; delete it and make it again.")
    name, count = Counter(row["id"] for row in rows).most_common(1)[0]
    if count > 1:
        raise UserError(f"{manifest} has the id {name!r} more than once.")
    return [_item(manifest, row) for row in rows]


def _item(manifest: Path, row: dict) -> Item:
    where = f"{manifest}, row {row['id']!r}"
    if Path(row["id"]).name != row["id"] or row["id"] in ("", ".", ".."):
        raise UserError(f"{where}: this id cannot be a file name.")
    for column in task_of(row["task"], where).needs:
        if not row.get(column):
            raise UserError(f"{where}: the task {row['task']} needs the column {column!r}, and it is empty.")
    if not row["rate_hz"].isdigit():
        raise UserError(f"{where}: rate_hz is {row['rate_hz']!r}, not a whole number of hertz.")
    return Item(row["id"], row["task"], int(row["rate_hz"]), row["text"], row, manifest.parent)


def task_of(name: str, where: str) -> Task:
    """The task of a name. Raises: UserError: there is none; `where` names the place that asks for it."""
    if name not in TASKS:
        raise UserError(f"{where}: unknown task {name!r}{did_you_mean(name, TASKS)}.")
    return TASKS[name]
