"""Transcripts with a known share of wrong words, for asking how recognition errors reach the output (experiment E3).

python -m workflow.experiments.corrupt --manifest M.csv --percent 20 [--confusions C.csv] --seed 0 --out T.jsonl
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line
from speechbase.files import UserError, seed_of, write_jsonl
from workflow.experiments.confusions import Confusions
from workflow.report.words import plain
from workflow.tables.build import read_manifest

# Of 100 errors inside the vocabulary; recognisers mostly mistake words for others.
KINDS = {"substitution": 60, "deletion": 20, "insertion": 20}

Corruption = Callable[[str, random.Random], list[str]]


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


def _inside(texts: Sequence[str], share: float, manifest: Path) -> Corruption:
    vocabulary = sorted({word for text in texts for word in text.split()})
    if len(vocabulary) < 2:
        raise UserError(f"{manifest} has fewer than two different words to replace each other with.")
    return lambda text, draw: corrupt(text.split(), share, vocabulary, draw)


def _confused(texts: Sequence[str], share: float, confusions: Path) -> Corruption:
    """Errors of a confusion table. Words are as WER compares them: digits for numbers, as recognisers write them."""
    table = Confusions.read(confusions)
    strength = table.strength([plain(text) for text in texts], share)
    return lambda text, draw: table.corrupt(plain(text), strength, draw)


def write(
    manifest: Annotated[Path, typer.Option()],
    percent: Annotated[float, typer.Option(min=0, max=100, help="expected word error rate")],
    out: Annotated[Path, typer.Option()],
    seed: Annotated[int, typer.Option()] = 0,
    confusions: Annotated[
        Path | None, typer.Option(help="draw from this confusion table, not from the vocabulary")
    ] = None,
) -> None:
    """Write transcripts with a known share of wrong words; a share of 0 gives the gold ones."""
    items = read_manifest(manifest)
    texts = list(items["text"])
    made = _confused(texts, percent / 100, confusions) if confusions else _inside(texts, percent / 100, manifest)
    rows = []
    for name, text in zip(items["id"], texts):
        heard = made(text, random.Random(seed_of(seed, "corrupt", percent, name)))
        rows.append(
            {"id": name, "text": " ".join(heard), "words": [], "status": "ok", "asr": "corrupted", "version": "1"}
        )
    write_jsonl(out, rows)


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
