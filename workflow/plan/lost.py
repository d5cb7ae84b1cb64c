"""Audio that was deleted after it was made: Snakemake knows the index of a system's audio, not the files that it
names."""

from __future__ import annotations

import json
from pathlib import Path

from speechbase.files import write_text
from speechbase.texts import read_table
from workflow.plan.places import results_folder

RECORD = "provenance.json"  # what a job writes last into the folder of its index
SETTLED_S = 1.0  # by so much a folder's time may be later than that of the last file written into it


def lost_audio(scale: str, test_set: str, system: str) -> list[str]:
    """An input for the rule of a system's audio on a test set: a note that is newer than the index once a file is gone.

    It makes the job run again for just that; the note stays, so that the rule's inputs do not change once more.

    Returns:
        The note's path, or nothing where nothing was ever lost.
    """
    place = f"audio/{test_set}/{system}"
    return note_of(f"{results_folder(scale)}/{place}", f".state/{scale}/lost/{place}.json")


def note_of(folder: str | Path, note: str | Path) -> list[str]:
    """The same for the index in `folder` and a note of one's own choice."""
    index, note = Path(folder) / "index.csv", Path(note)
    if (
        index.is_file()
        and _touched(index)
        and not (note.is_file() and note.stat().st_mtime_ns > index.stat().st_mtime_ns)
    ):
        paths = [row.get("path") for row in read_table(index)]
        if gone := [path for path in paths if path and not (index.parent / path).is_file()]:
            # The index's time makes each loss another content: Snakemake compares small files by that.
            write_text(note, json.dumps({"gone": gone, "index_ns": index.stat().st_mtime_ns}) + "\n")
    return [str(note)] if note.is_file() else []


def _touched(index: Path) -> bool:
    """Whether a file came or went in the index's folder since its job ended; every planning asks, so nothing is
    read."""
    last = [path.stat().st_mtime for path in (index, index.with_name(RECORD)) if path.is_file()]
    return index.parent.stat().st_mtime > max(last) + SETTLED_S
