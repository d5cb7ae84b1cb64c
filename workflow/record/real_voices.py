"""Real voices for training and validation: cut, multiplied, and heard by two recognisers, whose common words are
sure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metrics import transcripts
from speechbase.commands import command_line, json_object
from speechbase.corpus import recorded, speech
from speechbase.files import UserError

SPLITS = ("train", "valid")
JUDGES = ("whisper_base", "moonshine_tiny_en")  # of two families, so that they err apart


def write(
    config: Annotated[dict, json_object("--config", "the corpus sub-tree")],
    out: Annotated[Path, typer.Option(help="folder of the scale, such as data/mini")],
    workers: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Make OUT/speech/<split>_recorded.csv with the words that two recognisers agree on."""
    if recorded.folder_of(config["real_voices"]) is None:
        raise UserError("No folder holds the real voices: name it under corpus.real_voices.have.")
    for split in SPLITS:
        recorded.build(config, split, out / "speech", workers)
    heard = [[row for split in SPLITS for row in _heard(out / recorded.BESIDE, split, judge)] for judge in JUDGES]
    sure = recorded.sure_words(*heard)
    speech.write_table(out / recorded.BESIDE / recorded.TEXTS, sure, ["id", "text"])
    for split in SPLITS:
        recorded.build(config, split, out / "speech", workers)
    typer.echo(f"{len(sure)} of {len(heard[0])} texts are sure")


def _heard(folder: Path, split: str, judge: str) -> list[dict]:
    return transcripts.transcribe_index(folder / f"{split}.csv", {"model": judge}, folder / f"{split}.{judge}.jsonl")


main = command_line(write)

if __name__ == "__main__":
    raise SystemExit(main())
