"""Whose wrong words are in the output: the guiding transcript's, or the model's own (experiment E3).

python -m workflow.experiments.error_sources --manifest M.csv --guides G.jsonl --outputs T.jsonl --names 10 --out
e3_sources.csv
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from speechbase.commands import command_line, words
from speechbase.files import UserError, atomic, read_jsonl
from workflow.report.words import align, plain
from workflow.tables.build import read_manifest


def spoken(reference: str, text: str) -> list[str | None]:
    """For each word of the reference, what `text` has in its place; None where it has nothing."""
    return [
        {"ok": word.text, "substituted": word.text, "deleted": None}[word.kind]
        for word in align(reference, text)
        if word.kind != "inserted"
    ]


def sources(reference: str, guide: str, output: str) -> Counter:
    """Counts over the reference's words: followed (wrong as the guide is), own (wrong where the guide is right, or in
    another way), resisted (right though the guide is wrong), and words (all).
    """
    found = Counter(words=len(plain(reference)))
    for right, guided, said in zip(plain(reference), spoken(reference, guide), spoken(reference, output), strict=True):
        if said == right:
            found["resisted"] += guided != right
        else:
            found["followed" if said == guided else "own"] += 1
    return found


def write(
    manifest: Annotated[Path, typer.Option()],
    guides: Annotated[list[Path], words("the guiding transcripts", "FILE")],
    outputs: Annotated[list[Path], words("what a recogniser heard in the outputs", "FILE")],
    names: Annotated[list[str], words("what to call each pair", "NAME")],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Whose wrong words are in the output: one row a guide, in words per 100 words of the reference."""
    if not len(guides) == len(outputs) == len(names):
        raise UserError("--guides, --outputs and --names must be as many as each other.")
    items = read_manifest(manifest)
    texts = dict(zip(items["id"], items["text"]))
    rows = []
    for name, *paths in zip(names, guides, outputs):
        guide, output = ({row["id"]: row for row in read_jsonl(path)} for path in paths)
        total: Counter = Counter()
        for key, text in texts.items():
            heard = output.get(key)
            if heard is not None and heard["status"] == "ok":
                total += sources(text, guide[key]["text"], heard["text"])
        rates = {kind: 100 * total[kind] / max(1, total["words"]) for kind in ("followed", "own", "resisted")}
        rows.append({"guide": name, **rates, "words": total["words"]})
    with atomic(out) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
