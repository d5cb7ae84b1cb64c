"""Transcripts with a known share of wrong words, for asking how recognition errors reach the output (experiment E3).

python -m workflow.experiments.corrupt --manifest M.csv --percent 20 --seed 0 --out T.jsonl
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from speechbase.files import UserError, plain_errors, seed_of, write_jsonl
from workflow.tables.build import read_manifest

# Of 100 errors; recognisers mostly mistake words for others.
KINDS = {"substitution": 60, "deletion": 20, "insertion": 20}


def corrupt(words: Sequence[str], share: float, vocabulary: Sequence[str], draw: random.Random) -> list[str]:
    """Each word is hit with probability `share`: replaced by another of the vocabulary, lost, or followed by an extra one."""
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


@plain_errors
def main(arguments: list[str] | None = None) -> None:
    """The command line; a share of 0 gives the gold transcripts."""
    parser = argparse.ArgumentParser(prog="python -m workflow.experiments.corrupt", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--percent", type=float, required=True, help="expected word error rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if not 0 <= options.percent <= 100:
        raise UserError(f"--percent is {options.percent}: a share of words lies between 0 and 100.")
    items = read_manifest(options.manifest)
    vocabulary = sorted({word for text in items["text"] for word in text.split()})
    if len(vocabulary) < 2:
        raise UserError(f"{options.manifest} has fewer than two different words to replace each other with.")
    rows = []
    for name, text in zip(items["id"], items["text"]):
        draw = random.Random(seed_of(options.seed, "corrupt", options.percent, name))
        heard = corrupt(text.split(), options.percent / 100, vocabulary, draw)
        rows.append(
            {"id": name, "text": " ".join(heard), "words": [], "status": "ok", "asr": "corrupted", "version": "1"}
        )
    write_jsonl(options.out, rows)


if __name__ == "__main__":
    main()
