"""What is heard: utterances that every system has, and the pairs of the hidden tests, from test sets and audio
indexes."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from metrics.listening.study import audio_needed, heard_systems, rated_samples
from speechbase.files import UserError, seed_of


@dataclass(frozen=True)
class Stimulus:
    """A sample and what is played beside it. `touches` are the utterances that its listener must not hear again."""

    kind: str  # rated, or a hidden test: mismatched, identical, clean, noisy
    system: str
    set: str
    utterance: str
    sample: Path
    reference: Path | None
    touches: frozenset[str]
    level_from: Path | None = None  # the file whose loudness sets the gain, where it is not the sample's own

    @property
    def name(self) -> str:
        """What it is called in private files: kind, system, test set and utterance."""
        return "|".join((self.kind, self.system, self.set, self.utterance))


def present(settings: dict, audio: Path) -> tuple[dict, list[str]]:
    """Where `allow_absent` is set: the settings without systems of which some test set has no audio, and notes that say
    so."""
    if not settings["allow_absent"]:
        return settings, []
    notes, systems = [], []
    for system in settings["systems"]:
        reasons = [
            _nothing(audio / name / folder / "index.csv")
            for name, folder in audio_needed(settings | {"systems": [system]})
        ]
        if any(reasons):
            notes.append(f"{system['name']} is left out: {next(filter(None, reasons))}.")
            system = system | {"audio": None}
        systems.append(system)
    return settings | {"systems": systems}, notes


def _nothing(index: Path) -> str:
    """Why an index has no audio at all; empty where it has some."""
    if not index.is_file():
        return f"{index} does not exist"
    rows = _rows(index, ("id", "path", "status"))
    if any(row["status"] == "ok" for row in rows.values()):
        return ""
    first = next(iter(rows.values()))
    return f"{first['status']} ({first['detail']})" if first.get("detail") else first["status"]


def choose(settings: dict, testsets: Path, audio: Path) -> tuple[list[Stimulus], list[Stimulus], list[str]]:
    """Choose the rated stimuli and the pool of hidden tests.

    Args:
        testsets: folder of the test-set tables (`<set>.csv`).
        audio: folder of the audio indexes (`<set>/<system>/index.csv`).

    Returns:
        (rated, hidden, notes): rated has every heard system on the same utterances of each set.

    Raises:
        UserError: a missing table, index or file, or fewer utterances than asked for.
    """
    rated, hidden, notes = [], [], []
    tables = {
        name: _rows(testsets / f"{name}.csv", ("id", "speaker", "source", "reference", "prompt"))
        for name in settings["sets"]
    }
    for name, table in tables.items():
        found = {system["name"]: _files(system, name, table, testsets, audio) for system in heard_systems(settings)}
        chosen, note = _chosen(settings, name, table, found)
        notes += note
        for row in chosen:
            for system in heard_systems(settings):
                rated.append(_rated(settings, system, name, row, found[system["name"]][row["id"]], testsets))
        free = [row for key, row in sorted(table.items()) if key not in {row["id"] for row in chosen}]
        for test in settings["hidden_tests"]:
            size = -(-test.get("pool", 12) // len(tables))
            hidden += _hidden(settings, test, name, free, chosen, testsets, size)
    return rated, hidden, notes


def _rows(path: Path, columns: tuple[str, ...]) -> dict[str, dict]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; make it first (its rule is planned by the target of this study)."
        ) from None
    missing = [column for column in columns if rows and column not in rows[0]]
    if missing or not rows:
        raise UserError(f"{path} " + (f"lacks the column {missing[0]!r}." if missing else "holds no rows."))
    return {row["id"]: row for row in rows}


def _files(system: dict, name: str, table: dict, testsets: Path, audio: Path) -> dict[str, Path]:
    if "column" in system:
        return {key: testsets / row[system["column"]] for key, row in table.items() if row.get(system["column"])}
    index = audio / name / system.get("audio", system["name"]) / "index.csv"
    if not index.is_file():
        raise UserError(
            f"{index} does not exist: make the audio of {system['name']!r}, or leave the system out with "
            f"--config '{{\"only\": [...]}}'."
        )
    rows = _rows(index, ("id", "path", "status"))
    return {key: index.parent / row["path"] for key, row in rows.items() if row["status"] == "ok"}


def _chosen(settings: dict, name: str, table: dict, found: dict[str, dict]) -> tuple[list[dict], list[str]]:
    wanted = settings["utterances"]
    usable = [row for key, row in table.items() if all(key in files for files in found.values())]
    usable = [row for row in usable if not settings["reference"] or row.get(settings["reference"])]
    if len(usable) < wanted and not settings["allow_fewer"]:
        short = min(found, key=lambda system: len(found[system]))
        raise UserError(
            f"The test set {name!r} has {len(usable)} utterances that all systems rendered (fewest: {short}, "
            f"{len(found[short])}), but the study asks for {wanted}; set utterances to {len(usable)}, or allow_fewer "
            "to true."
        )
    notes = (
        [f"{name}: {len(table) - len(usable)} of {len(table)} utterances lack audio of some system."]
        if len(usable) < len(table)
        else []
    )
    # Where all would be rated, some are held back: a hidden test may not use what its listener has rated.
    touched = sum(test["count"] * (2 if test["kind"] == "mismatched" else 1) for test in settings["hidden_tests"])
    most = len(usable)
    if settings["allow_fewer"]:
        most = max(most - 2 * touched, min(rated_samples(settings), most))
    if most < wanted:
        notes.append(f"{name}: {most} utterances instead of {wanted}.")
    return _balanced(usable, min(wanted, most), seed_of(settings["seed"], name)), notes


def _balanced(rows: list[dict], count: int, seed: int) -> list[dict]:
    """Take rows by turns from each speaker, so that speakers count as equally as they can."""
    by_speaker = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["id"]):
        by_speaker[row["speaker"]].append(row)
    draw = random.Random(seed)
    turns = [
        (turn, draw.random(), row)
        for group in by_speaker.values()
        for turn, row in enumerate(draw.sample(group, len(group)))
    ]
    return sorted((row for _, _, row in sorted(turns, key=lambda item: item[:2])[:count]), key=lambda row: row["id"])


def identity(name: str, row: dict) -> str:
    """What makes two recordings the same utterance: the clean target's checksum, else set and id."""
    return row.get("sha256_reference") or f"{name}/{row['id']}"


def _rated(settings: dict, system: dict, name: str, row: dict, sample: Path, testsets: Path) -> Stimulus:
    reference = testsets / row[settings["reference"]] if settings["reference"] else None
    level_from = testsets / row["reference"] if system.get("level") == "reference_gain" else None
    return Stimulus(
        "rated", system["name"], name, row["id"], sample, reference, frozenset({identity(name, row)}), level_from
    )


def _hidden(
    settings: dict, test: dict, name: str, free: list[dict], chosen: list[dict], testsets: Path, size: int
) -> list[Stimulus]:
    draw = random.Random(seed_of(settings["seed"], name, test["kind"]))
    column, beside = test["sample"], test.get("reference")
    spare, rated = (
        [row for row in rows if row.get(column) and (not beside or row.get(beside))] for rows in (free, chosen)
    )
    # Utterances that nobody rates come first: they never meet a list's rated samples.
    usable = draw.sample(spare, len(spare)) + draw.sample(rated, len(rated))
    pool = usable[:size]
    if not pool:
        raise UserError(
            f"The test set {name!r} has no row with {column!r}, which the hidden test {test['kind']!r} needs."
        )
    stimuli = []
    for row in pool:
        other = _other_speaker(row, usable, draw, name) if test["kind"] == "mismatched" else row
        reference = testsets / other[beside] if beside else None
        touches = frozenset({identity(name, row), identity(name, other)})
        stimuli.append(
            Stimulus(
                test["kind"], f"hidden_{test['kind']}", name, row["id"], testsets / row[column], reference, touches
            )
        )
    return stimuli


def _other_speaker(row: dict, rows: list[dict], draw: random.Random, name: str) -> dict:
    """One of the first rows (those that nobody rates come first) of another speaker."""
    others = [other for other in rows if other["speaker"] != row["speaker"]]
    if not others:
        raise UserError(f"The test set {name!r} has one speaker only; the mismatched-speaker test needs two.")
    return draw.choice(others[: max(len(others) // 4, 4)])
