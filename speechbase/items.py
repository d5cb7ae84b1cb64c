"""The tasks (section 5, Table 9) and the items that every system receives, read from a test-set manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from speechbase import audio
from speechbase.files import UserError


@dataclass(frozen=True)
class Task:
    """One of SpeechOp's tasks: its row in the task embedding, and Table 9's sampling weight and prompt probability."""

    name: str
    index: int
    weight: float
    prompt_probability: float

    @property
    def has_source(self) -> bool:
        """Whether the audio encoder hears a source (every task but TTS)."""
        return self.name != "tts"


# Table 9. TTS is drawn as often as all speech-to-speech tasks together, so it has no weight among them.
TASKS = {
    task.name: task
    for task in (
        Task("tts", 0, 0.0, 0.75),
        Task("enhancement", 1, 3.0, 0.1),
        Task("separation", 2, 3.0, 0.9),
        Task("noise_isolation", 3, 1.0, 0.1),
        Task("speech_isolation", 4, 1.0, 0.1),
        Task("acoustic_matching", 5, 1.0, 0.9),
    )
}
MANIFEST_TASKS = (*TASKS, "edit")
REQUIRED = {
    "tts": ("text", "prompt"),
    "edit": ("text", "source", "orig_text", "orig_span", "new_span"),
    "separation": ("source", "prompt"),
    "acoustic_matching": ("source", "prompt"),
}


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

    def wave(self, column: str) -> np.ndarray | None:
        """Audio of a path column (`source`, `reference`, `prompt`): float32 [n] at `rate_hz`, None where the cell is empty.

        Raises:
            UserError: the file is missing, unreadable or has another rate than the manifest says.
        """
        if not self.row.get(column):
            return None
        return audio.read(self.root / self.row[column], self.rate_hz)[0]


def read_items(manifest: str | Path) -> list[Item]:
    """Read a test-set manifest (docs/architecture.md) into items, in the manifest's order.

    Raises:
        UserError: no such file, an empty table, missing columns, doubled ids, an unknown task or a cell that the task needs.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise UserError(f"{manifest} does not exist; make it with the rule that builds test sets.")
    try:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{manifest} is not a readable CSV table ({error}); delete it and make it again.") from None
    missing = {"id", "task", "rate_hz", "text"} - set(table.columns)
    if missing:
        raise UserError(f"{manifest} lacks the columns {sorted(missing)}; delete it and make it again.")
    if table.empty:
        raise UserError(f"{manifest} has no rows; delete it and make it again.")
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        raise UserError(f"{manifest} has the id {doubled.iloc[0]!r} more than once.")
    return [_item(manifest, row) for row in table.to_dict("records")]


def _item(manifest: Path, row: dict) -> Item:
    where = f"{manifest}, row {row['id']!r}"
    if row["task"] not in MANIFEST_TASKS:
        raise UserError(f"{where}: unknown task {row['task']!r}; known are {', '.join(MANIFEST_TASKS)}.")
    for column in REQUIRED.get(row["task"], ("source",)):
        if not row.get(column):
            raise UserError(f"{where}: the task {row['task']} needs the column {column!r}, and it is empty.")
    if not row["rate_hz"].isdigit():
        raise UserError(f"{where}: rate_hz is {row['rate_hz']!r}, not a whole number of hertz.")
    return Item(row["id"], row["task"], int(row["rate_hz"]), row["text"], row, manifest.parent)
