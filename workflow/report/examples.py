"""The utterances that a reader can listen to: input, every system, reference, with spectrograms, transcripts and
scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from speechbase import audio
from speechbase.files import UserError, read_jsonl
from workflow.report import media
from workflow.report.words import Word, align, errors

INPUTS, REFERENCES = ("noisy", "mixture"), ("clean",)


@dataclass
class Player:
    """One clip of an example; `missing` says why there is none."""

    label: str
    sound: str = ""
    picture: str = ""
    seconds: float = 0.0
    words: list[Word] = field(default_factory=list)
    errors: int | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    missing: str = ""


@dataclass
class Example:
    """One utterance of a test set under every system that was run."""

    id: str
    title: str
    text: str
    facts: list[tuple[str, str]]
    players: list[Player]


@dataclass(frozen=True)
class Run:
    """Where a run lies and what measures what."""

    results: Path
    data: Path
    presets: dict[str, dict]
    measures: dict[str, str | None]
    judge: str


def rows_of_set(run: Run, test_set: str) -> list[tuple[str, str]]:
    """(system, label) of every system that a table has on a set: inputs first, references last.

    The label is the first table's, or the first that names no test set after a comma.
    """
    found: dict[str, str] = {}
    for preset in run.presets.values():
        for row in preset["rows"]:
            if row.get("system") and row.get("set", preset["set"]) == test_set and preset["kind"] != "sweep":
                known = found.setdefault(row["system"], row["label"])
                found[row["system"]] = row["label"] if ", " in known and ", " not in row["label"] else known
    return sorted(found.items(), key=lambda pair: (pair[0] not in INPUTS) + (pair[0] in REFERENCES))


def choose(manifest: pd.DataFrame, count: int) -> list[dict]:
    """`count` rows spread evenly over the SNR where there is one, else over the manifest: nobody picks them by ear."""
    snr = pd.to_numeric(manifest.get("snr_db", pd.Series(dtype=float)), errors="coerce")
    ordered = manifest.iloc[snr.argsort(kind="stable")] if len(snr) and snr.notna().any() else manifest
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered)) + 2).round().astype(int)[1:-1]
    return ordered.iloc[np.unique(places)].to_dict("records")


def examples(run: Run, test_set: str, count: int, store: media.Folder | media.Inside) -> list[Example]:
    """The chosen utterances of a set; none where the set was not made or no system ran on it."""
    path = run.data / "testsets" / f"{test_set}.csv"
    systems = [pair for pair in rows_of_set(run, test_set) if (run.results / "audio" / test_set / pair[0]).is_dir()]
    if not path.is_file() or not systems:
        return []
    tracks = [_Track(run, test_set, system, label) for system, label in systems]
    manifest = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [_example(run, test_set, row, tracks, store) for row in choose(manifest, count)]


def _example(run: Run, test_set: str, row: dict, tracks: list[_Track], store) -> Example:
    rate = int(row["rate_hz"])
    players = [_prompt(run, test_set, row, store)] if row.get("prompt") else []
    players += [track.player(row, rate / 2, store) for track in tracks]
    names = {"snr_db": "SNR", "noise_kind": "noise", "edit_type": "edit", "orig_text": "before the edit"}
    facts = [(names[key], _pretty(key, row[key])) for key in names if row.get(key)]
    return Example(row["id"], f"{test_set}: {row['id']}", row.get("text", ""), facts, players)


def _pretty(key: str, value: str) -> str:
    return f"{float(value):.1f} dB" if key == "snr_db" else value.replace("_", " ")


def _prompt(run: Run, test_set: str, row: dict, store) -> Player:
    wave, rate = audio.read(run.data / "testsets" / row["prompt"])
    return _clip(Player("Prompt (same speaker)"), f"{test_set}-{row['id']}-prompt", wave, rate, rate / 2, store)


def _clip(player: Player, name: str, wave: np.ndarray, rate: int, top_hz: float, store) -> Player:
    player.sound = store.audio(name, media.level(wave, rate), rate)
    player.picture = store.picture(name, media.spectrogram(wave, rate, min(top_hz, rate / 2)))
    player.seconds = len(wave) / rate
    return player


class _Track:
    """One system on one set: its audio index, transcripts and scores, read once."""

    def __init__(self, run: Run, test_set: str, system: str, label: str):
        self._name, self._set, self._label = system, test_set, label
        self._folder = run.results / "audio" / test_set / system
        index = pd.read_csv(self._folder / "index.csv", dtype=str, keep_default_na=False)
        self._index = index.set_index("id").to_dict("index")
        self._heard = _by_id(run.results / "transcripts" / test_set / system / f"{run.judge}.jsonl")
        columns = [column for preset in run.presets.values() for column in preset["metrics"]]
        measured = {metric: column for column in reversed(columns) if (metric := run.measures.get(column["role"]))}
        paths = {metric: run.results / "scores" / test_set / system / f"{metric}.jsonl" for metric in measured}
        self._scores = [(measured[metric], _by_id(path)) for metric, path in paths.items() if path.is_file()]

    def player(self, row: dict, top_hz: float, store) -> Player:
        """The system's clip of one utterance, or why there is none."""
        player = Player(self._label)
        entry = self._index.get(row["id"], {"status": "missing from the index", "detail": ""})
        if entry["status"] != "ok":
            player.missing = f"{entry['status']} {entry['detail']}".strip()
            return player
        try:
            wave, rate = audio.read(self._folder / entry["path"])
        except UserError as error:
            player.missing = str(error)
            return player
        _clip(player, f"{self._set}-{row['id']}-{self._name}", wave, rate, top_hz, store)
        heard = self._heard.get(row["id"])
        if heard and heard["status"] == "ok":
            player.words = align(row.get("text", ""), heard["text"])
            player.errors = errors(player.words)
        for column, scores in self._scores:
            score = scores.get(row["id"])
            if score and score["status"] == "ok":
                player.facts.append((column["label"], f"{score['value']:.{column['digits']}f}"))
        return player


def _by_id(path: Path) -> dict[str, dict]:
    return {row["id"]: row for row in read_jsonl(path)} if path.is_file() else {}


def training(models: Path, names: Iterable[str], store: media.Folder | media.Inside) -> list[Example]:
    """What models said while they were trained, step by step: none for weights that came ready-made."""
    found = []
    for name in names:
        clips: dict[str, list[Path]] = {}
        for path in sorted((models / name / "samples").glob("*.flac")):
            clips.setdefault(path.stem.split("-", 1)[1], []).append(path)
        for kind, paths in clips.items():
            players = [_sampled(f"{name}-{path.stem}", path, store) for path in paths]
            found.append(Example(f"{name}-{kind}", f"training {name}: {kind}", "", [], players))
    return found


def _sampled(name: str, path: Path, store) -> Player:
    wave, rate = audio.read(path)
    return _clip(Player(f"step {int(path.stem.split('-')[0]):,}"), name, wave, rate, rate / 2, store)


def sets_of(presets: dict[str, dict]) -> list[str]:
    """Every test set that some table has a system on, in the tables' order."""
    rows = [(row, preset) for preset in presets.values() for row in preset["rows"] if row.get("system")]
    return list(dict.fromkeys(row.get("set", preset["set"]) for row, preset in rows))
