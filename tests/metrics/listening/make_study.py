"""A tiny study on synthetic audio: test sets, audio indexes and settings, as the contracts of docs/architecture.md want
them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from metrics.listening.prepare import table
from metrics.listening.study import load
from speechbase.files import seed_of, sha256, write_text

COLUMNS = ("id", "set", "task", "speaker", "sex", "text", "rate_hz", "seconds", "source", "reference", "prompt")


def tone(seed: int, seconds: float, rate_hz: int, level: float = 0.2) -> np.ndarray:
    """A voice-like buzz: harmonics of a random pitch under a slow envelope."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch = draw.uniform(90, 220)
    wave = sum(np.sin(2 * np.pi * pitch * k * time + draw.uniform(0, 6)) / k for k in range(1, 12))
    return level * wave / np.abs(wave).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))


def write(path: Path, wave: np.ndarray, rate_hz: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate_hz)


def make_testset(folder: Path, name: str, rows: int, seconds: float = 0.45, rate_hz: int = 16000) -> list[dict]:
    """Write a test set's table and audio; four speakers, levels and lengths that differ."""
    made = []
    for i in range(rows):
        row = {"id": f"utt{i:03d}", "set": name, "task": "tts", "speaker": f"speaker{i % 4}", "sex": "f", "text": "a b"}
        row |= {"rate_hz": rate_hz, "seconds": seconds}
        for k, role in enumerate(("source", "reference", "prompt")):
            path = folder / name / f"utt{i:03d}_{role}.wav"
            write(path, tone(1000 * k + i, seconds + 0.01 * (i % 3), rate_hz, 0.05 + 0.02 * (i % 5)), rate_hz)
            row[role] = f"{name}/{path.name}"
        row["sha256_reference"] = sha256(folder / row["reference"])
        made.append(row)
    write_text(folder / f"{name}.csv", table(made))
    return made


def make_audio(
    folder: Path, name: str, system: str, rows: list[dict], seconds: float = 0.45, rate_hz: int = 16000
) -> None:
    """Write one system's audio and its index."""
    index = []
    for i, row in enumerate(rows):
        path = folder / name / system / f"{row['id']}.wav"
        write(path, tone(seed_of(system) % 10_000 + i, seconds, rate_hz, 0.3), rate_hz)
        index.append(
            {"id": row["id"], "path": path.name, "rate_hz": rate_hz, "seconds": seconds, "wall_s": 0, "status": "ok"}
        )
    write_text(folder / name / system / "index.csv", table(index))


def make_study(root: Path, study: str = "tts", *, workers: int = 6, samples: int = 8, rows: int = 20, **extra):
    """Settings and folders of a shipped study over two systems and the recordings.

    Returns:
        (settings, testsets, audio, out).
    """
    systems = {"tts": ["tts_baseline", "speechop"], "enhancement": ["speechop", "speechop_itc"]}[study]
    name = {"tts": "tts", "enhancement": "se"}[study]
    only = [*systems, "clean", *(["noisy"] if study == "enhancement" else [])]
    changes = {
        "only": only,
        "workers": workers,
        "samples": samples,
        "utterances": min(rows - 6, 12),
        "audio": {"edge_silence_s": 0.0},
    }
    settings = load(study, changes | extra)
    testsets, audio = root / "testsets", root / "audio"
    table_rows = make_testset(testsets, name, rows)
    for i, system in enumerate(systems):
        make_audio(audio, name, system, table_rows, rate_hz=(16000, 24000)[i % 2])
    return settings, testsets, audio, root / "study"
