"""Whose wrong words are in the output: the guiding transcript's, or the model's own (experiment E3).

python -m workflow.experiments.error_sources --manifest M.csv --guides G.jsonl --outputs T.jsonl --names 10 --out e3_sources.csv
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd

from speechbase.files import UserError, atomic, plain_errors, read_jsonl
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
    """Counts over the reference's words: followed (wrong as the guide is), own (wrong where the guide is right, or in another
    way), resisted (right though the guide is wrong), and words (all).
    """
    found = Counter(words=len(plain(reference)))
    for right, guided, said in zip(plain(reference), spoken(reference, guide), spoken(reference, output), strict=True):
        if said == right:
            found["resisted"] += guided != right
        else:
            found["followed" if said == guided else "own"] += 1
    return found


@plain_errors
def main(arguments: list[str] | None = None) -> None:
    """The command line: one row a guide, in words per 100 words of the reference."""
    parser = argparse.ArgumentParser(prog="python -m workflow.experiments.error_sources", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--guides", type=Path, nargs="+", required=True, help="the guiding transcripts")
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="what a recogniser heard in the outputs")
    parser.add_argument("--names", nargs="+", required=True, help="what to call each pair")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if not len(options.guides) == len(options.outputs) == len(options.names):
        raise UserError("--guides, --outputs and --names must be as many as each other.")
    items = read_manifest(options.manifest)
    texts = dict(zip(items["id"], items["text"]))
    rows = []
    for name, *paths in zip(options.names, options.guides, options.outputs):
        guide, output = ({row["id"]: row for row in read_jsonl(path)} for path in paths)
        total: Counter = Counter()
        for key, text in texts.items():
            heard = output.get(key)
            if heard is not None and heard["status"] == "ok":
                total += sources(text, guide[key]["text"], heard["text"])
        rates = {kind: 100 * total[kind] / max(1, total["words"]) for kind in ("followed", "own", "resisted")}
        rows.append({"guide": name, **rates, "words": total["words"]})
    with atomic(options.out) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
