"""Transcripts with a known share of wrong words, for asking how recognition errors reach the output (experiment E3).

python -m workflow.experiments.corrupt --manifest M.csv --percent 20 --seed 0 --out T.jsonl
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line
from speechbase.files import UserError, seed_of, write_jsonl
from workflow.tables.build import read_manifest

# Of 100 errors; recognisers mostly mistake words for others.
KINDS = {"substitution": 60, "deletion": 20, "insertion": 20}


def corrupt(words: Sequence[str], share: float, vocabulary: Sequence[str], draw: random.Random) -> list[str]:
    """Each word is hit with probability `share`: replaced by another of the vocabulary, lost, or followed by an extra
    one."""
    found = []
    for word in words:
        if draw.random() >= share:
            found.append(word)
            continue
        kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
        others = [other for other in vocabulary if other != word]
        if kind == "insertion":
            found.append(word)
        if kind != "deletion":
            found.append(draw.choice(others))
    return found


def write(
    manifest: Annotated[Path, typer.Option()],
    percent: Annotated[float, typer.Option(min=0, max=100, help="expected word error rate")],
    out: Annotated[Path, typer.Option()],
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write transcripts with a known share of wrong words; a share of 0 gives the gold ones."""
    items = read_manifest(manifest)
    vocabulary = sorted({word for text in items["text"] for word in text.split()})
    if len(vocabulary) < 2:
        raise UserError(f"{manifest} has fewer than two different words to replace each other with.")
    rows = []
    for name, text in zip(items["id"], items["text"]):
        draw = random.Random(seed_of(seed, "corrupt", percent, name))
        heard = corrupt(text.split(), percent / 100, vocabulary, draw)
        rows.append(
            {"id": name, "text": " ".join(heard), "words": [], "status": "ok", "asr": "corrupted", "version": "1"}
        )
    write_jsonl(out, rows)


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
