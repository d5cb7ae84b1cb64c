"""Recorded speech, noises and measured rooms for test sets alone (`split: recorded`): never trained, tuned or chosen
on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas

from speechbase import audio
from speechbase.corpus import build_speech, jobs, noise, recorded, rooms, speech, text
from speechbase.files import UserError, sha256

TABLES = {"speech": "speech/recorded.csv", "noise": "noise_recorded.csv", "rir": "rir_recorded.csv"}


def build(config: dict, out: Path) -> Path | None:
    """Make OUT's tables of TABLES and their audio from the user's folder; None where there is none.

    Args:
        config: the `corpus` sub-tree; `real_tests` names the `list` of ids and checksums, and the folder by `have` or
            `variable`. The words lie there as LibriSpeech's `*.trans.txt`, or as a `manifest.csv` with `id` and `text`.

    Raises:
        UserError: a file that is missing or is not the listed one, or an utterance without words.
    """
    settings, rate_hz, out = config["real_tests"], config["rate_hz"], Path(out)
    folder = recorded.folder_of(settings)
    if folder is None:
        return None
    listed = pandas.read_csv(files("speechbase.corpus") / "lists" / settings["list"], dtype=str, keep_default_na=False)
    found = recorded.checked(listed, folder)
    words = transcripts(folder)
    makers = {
        "speech": lambda row: _speech(row, found[row.id], words, out, config),
        "noise": lambda row: _noise(row, found[row.id], out, rate_hz),
        "rir": lambda row: _room(row, found[row.id], out, rate_hz),
    }
    columns = {"speech": speech.COLUMNS, "noise": noise.COLUMNS, "rir": rooms.COLUMNS}
    for kind, make in makers.items():
        rows = [make(row) for row in listed[listed["kind"] == kind].itertuples()]
        table = out / TABLES[kind]
        jobs.drop_strays(table.parent / _folder(kind), {table.parent / row["path"] for row in rows})
        speech.write_table(table, rows, columns[kind])
    return out / TABLES["speech"]


def transcripts(folder: Path) -> dict[str, str]:
    """Plain words by utterance of every `*.trans.txt` and of a `manifest.csv` under a folder."""
    found = {}
    for path in sorted(folder.rglob("*.trans.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, words = line.partition(" ")
            found[name] = text.plain(words)
    if (folder / "manifest.csv").is_file():
        rows = speech.read_table(folder / "manifest.csv", ["id", "text"])
        found |= {row.id: text.plain(str(row.text)) for row in rows.itertuples() if row.text}
    return found


def _folder(kind: str) -> str:
    return "audio/recorded" if kind == "speech" else f"{kind}_recorded"


def _speech(row, path: Path, words: dict[str, str], out: Path, config: dict) -> dict:
    rate_hz = config["rate_hz"]
    if row.id not in words:
        raise UserError(f"{path} has no words: neither a *.trans.txt nor a manifest.csv in its folder names {row.id}.")
    wave = audio.read(path, rate_hz, channel=0, resampled=True)[0]
    wave = build_speech.levelled(wave, rate_hz, config["level_dbfs"])
    inside = f"{_folder('speech')}/{row.speaker}/{row.id}.flac"
    audio.write(out / "speech" / inside, wave, rate_hz, comment="recorded speech")
    return {
        "id": row.id,
        "speaker": row.speaker,
        "base": speech.RECORDED,
        "sex": "",
        "split": "recorded",
        "text": words[row.id],
        "path": inside,
        "rate_hz": rate_hz,
        "seconds": round(len(wave) / rate_hz, 4),
        "phones": 0,
        "sha256": sha256(out / "speech" / inside),
    }


def _noise(row, path: Path, out: Path, rate_hz: int) -> dict:
    wave = audio.read(path, rate_hz, channel=0, resampled=True)[0]
    inside = f"{_folder('noise')}/{row.id}.flac"
    audio.write(out / inside, wave, rate_hz, comment=f"recorded noise; {row.licence}")
    return {
        "id": row.id, "split": "recorded", "kind": "recorded", "path": inside, "rate_hz": rate_hz,
        "seconds": len(wave) / rate_hz, "sha256": sha256(out / inside),
    }  # fmt: skip


def _room(row, path: Path, out: Path, rate_hz: int) -> dict:
    """The impulse response from its direct path on, at a peak of 1."""
    wave = audio.read(path, rate_hz, channel=0, resampled=True)[0]
    wave = wave[int(np.argmax(np.abs(wave))) :] / np.abs(wave).max()
    inside = f"{_folder('rir')}/{row.id}.wav"
    audio.write(out / inside, wave.astype(np.float32), rate_hz, comment=f"measured room; {row.licence}")
    return {
        "id": row.id,
        "split": "recorded",
        "rt60_s": round(rt60_s(wave, rate_hz), 3),
        "path": inside,
        "rate_hz": rate_hz,
        "sha256": sha256(out / inside),
    }


def rt60_s(response: np.ndarray, rate_hz: int) -> float:
    """Reverberation time: the slope of Schroeder's backward integral between -5 and -25 dB, carried on to -60 dB."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level_db = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
    first, last = int(np.argmax(level_db < -5)), int(np.argmax(level_db < -25))
    return 3 * (last - first) / rate_hz if last > first else 0.0
