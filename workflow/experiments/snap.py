"""Transcripts snapped to the grammar of a slot source: the sentences that are nearest to what was heard, in letters.

python -m workflow.experiments.snap --transcripts T.jsonl --source matrix --out S.jsonl
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line
from speechbase.corpus import text
from speechbase.files import UserError, read_jsonl, write_jsonl
from workflow.report.words import plain

Column = list[tuple[int, tuple[str, ...]]]  # by how many letters were heard: edits so far, and the words said


def snapped(heard: str, slots: Sequence[Sequence[str]]) -> str:
    """The sentences of the grammar with the fewest edits of letters to `heard`; "" for what has no letters.

    Viterbi's search: the edit distance to a word continues from the column that the slot before left, so that words are
    compared wherever they begin, whether or not they were heard as one or several. How many sentences there are is
    searched too.
    """
    letters = "".join(c for c in heard.lower() if c.isalnum())
    if not letters:
        return ""
    column: Column = [(place, ()) for place in range(len(letters) + 1)]
    best: tuple[int, tuple[str, ...]] | None = None
    shortest = sum(min(map(len, slot)) for slot in slots)
    for _ in range(max(1, round(len(letters) / shortest)) + 1):
        for slot in slots:
            column = _least(_spelt(column, word, letters) for word in slot)
        if best is None or column[-1] < best:
            best = column[-1]
    return " ".join(best[1]) if best else ""


def _spelt(before: Column, word: str, letters: str) -> Column:
    """The column after one more word: Levenshtein's recursion, a row a letter of the word."""
    row = before
    for letter in word:
        entered = [(row[0][0] + 1, row[0][1])]
        for place, other in enumerate(letters, 1):
            kept, lost, extra = row[place - 1], row[place], entered[-1]
            entered.append(
                min((kept[0] + (letter != other), kept[1]), (lost[0] + 1, lost[1]), (extra[0] + 1, extra[1]))
            )
        row = entered
    return [(edits, (*said, word)) for edits, said in row]


def _least(columns) -> Column:
    return [min(cells) for cells in zip(*columns, strict=True)]


def as_spelt(heard: str, slots: Sequence[Sequence[str]]) -> str:
    """What was heard with the grammar's own spelling, where a recogniser wrote digits for a number."""
    spelt = {" ".join(plain(word)): word for slot in slots for word in slot}
    return " ".join(spelt.get(word, word) for word in plain(heard))


def write(
    transcripts: Annotated[Path, typer.Option(help="what a recogniser heard, JSON lines")],
    source: Annotated[str, typer.Option(help="the corpus's sentences (corpus.text.source)")],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Write every transcript as the nearest sentences of a slot source."""
    slots = text.SLOTS.get(source)
    if slots is None:
        raise UserError(f"The source {source!r} has no grammar to snap to; {' and '.join(text.SLOTS)} have one.")
    rows = read_jsonl(transcripts)
    write_jsonl(out, [{**row, "text": snapped(as_spelt(row["text"], slots), slots), "words": []} for row in rows])


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
