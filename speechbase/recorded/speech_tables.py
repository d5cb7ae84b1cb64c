"""Speech tables of the paper's scale: one a corpus part, and the training and validation tables made of them.

Training leaves out what a test set contains: readers of LibriSpeech test-clean and of LibriTTS dev (RealEdit,
validation), who also read for MLS under the same LibriVox number, and restorations that failed. What is left out is
listed.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import pandas

from speechbase.corpus.speech import COLUMNS
from speechbase.files import UserError, atomic, seed_of
from speechbase.recorded import fingerprint
from speechbase.recorded.corpora import Location
from speechbase.recorded.sources import MLS, READ, Utterance, failed_restorations

SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def write_part(location: Location, part: str, out: Path) -> str:
    """Write `out` (the speech table of one part of a corpus) and its fingerprint beside it, and check the fingerprint.

    Returns:
        What the comparison with the published fingerprint says.
    """
    lengths = []

    def rows() -> Iterator[dict]:
        for utterance in READ[location.name](location, part):
            lengths.append((utterance.id, utterance.samples))
            yield _row(utterance, location.name, SPLITS[part.replace("_", "-").split("-")[0]], out.parent)

    _write(out, rows())
    name = f"{location.name}_{part}"
    return fingerprint.check(name, fingerprint.fingerprint(lengths), out.with_suffix(".fingerprint.json"))


def _row(utterance: Utterance, corpus: str, split: str, folder: Path) -> dict:
    """A row of the contract; phones and checksums stay empty: the archives were checked, and training needs neither."""
    return {
        "id": utterance.id,
        "speaker": utterance.speaker,
        "base": corpus,
        "sex": utterance.sex,
        "split": split,
        "text": utterance.text,
        "path": os.path.relpath(utterance.path, folder),
        "rate_hz": utterance.rate_hz,
        "seconds": round(utterance.seconds, 4),
        "phones": "",
        "sha256": "",
    }


def _write(out: Path, rows: Iterable[dict], columns: list[str] = COLUMNS) -> None:
    """Stream rows to a CSV table: 10.8 million of them do not belong into memory."""
    with atomic(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def speakers_of(tables: Iterable[Path]) -> set[str]:
    """All speakers of some speech tables."""
    return {
        speaker for table in tables for speaker in pandas.read_csv(table, usecols=["speaker"], dtype=str)["speaker"]
    }


def write_training(
    parts: list[Path],
    out: Path,
    *,
    held_out: set[str],
    failed: Set[str] = frozenset(),
    seconds: dict[str, tuple[float, float]] | None = None,
    shares: dict[str, float] | None = None,
    languages: bool = False,
) -> dict[str, dict[str, float]]:
    """Join part tables into a training table and list what was left out in `<out stem>.excluded.csv`.

    Args:
        held_out: speakers of the test sets, by LibriVox number.
        failed: ids of failed restorations.
        seconds: corpus -> the lengths kept, [low, high).
        shares: corpus -> the share kept, chosen by ids.
        languages: with a column that says each row's language.

    Returns:
        Corpus -> {utterances, hours} kept.

    Raises:
        UserError: nothing is left.
    """
    kept: dict[str, dict[str, float]] = defaultdict(lambda: {"utterances": 0, "hours": 0.0})
    left_out: dict[tuple, list[float]] = defaultdict(lambda: [0, 0.0])

    def rows() -> Iterator[dict]:
        for part in parts:
            with open(part, encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    reason = _reason(row, held_out, failed, seconds or {}, shares or {})
                    hours = float(row["seconds"]) / 3600
                    if reason:
                        tally = left_out[
                            row["base"], reason, row["speaker"] if reason == "reader of a test set" else ""
                        ]
                        tally[0] += 1
                        tally[1] += hours
                        continue
                    kept[row["base"]]["utterances"] += 1
                    kept[row["base"]]["hours"] += hours
                    yield row | {"split": "train"} | ({"language": MLS[row["base"]]} if languages else {})

    _write(out, rows(), [*COLUMNS, "language"] if languages else COLUMNS)
    with atomic(out.with_suffix(".excluded.csv")) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["corpus", "reason", "speaker", "utterances", "hours"])
        writer.writerows([*key, count, round(hours, 4)] for key, (count, hours) in sorted(left_out.items()))
    if not kept:
        raise UserError(f"{out} would be empty: every utterance was left out (see {out.with_suffix('.excluded.csv')}).")
    return {corpus: {name: round(value, 2) for name, value in tally.items()} for corpus, tally in kept.items()}


def _reason(row: dict, held_out: set[str], failed: Set[str], seconds: dict, shares: dict) -> str | None:
    if row["speaker"] in held_out:
        return "reader of a test set"
    if row["id"] in failed:
        return "failed restoration"
    low, high = seconds.get(row["base"], (0.0, float("inf")))
    if not low <= float(row["seconds"]) < high:
        return "length"
    if seed_of("share", row["id"]) % 10_000 >= shares.get(row["base"], 1.0) * 10_000:
        return "share"
    return None


def failed_ids(location: Location, parts: list[str]) -> set[str]:
    """The failed restorations of some parts of LibriTTS-R."""
    return set().union(*(failed_restorations(location, part) for part in parts))
