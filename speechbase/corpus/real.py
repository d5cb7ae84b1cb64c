"""Real recorded speech as a split of its own, `real`: recordings that packages ship, or the user's own files."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np

from speechbase import audio
from speechbase.corpus import build_speech, jobs, speech, text
from speechbase.files import UserError, sha256


def build(config: dict, folder: Path) -> Path:
    """Make `folder/real.csv` and its audio: mono, resampled, trimmed, at the corpus's level.

    Args:
        config: the `corpus` sub-tree; `real` is a list of {id, speaker, sex, text, path} where `package` may name the
            package that `path` lies in, and `channel` the one to take of several.

    Raises:
        UserError: no list, a doubled id, or a recording that is missing, broken, silent or would clip.
    """
    items = config.get("real", [])
    if len({item["id"] for item in items}) < max(1, len(items)):
        raise UserError("corpus.real names no recording, or the same id twice.")
    folder = Path(folder)
    rows = [_make(item, folder, config["rate_hz"], config["level_dbfs"]) for item in items]
    jobs.drop_strays(folder / "audio" / "real", {folder / row["path"] for row in rows})
    speech.write_table(folder / "real.csv", rows, speech.COLUMNS)
    return folder / "real.csv"


def _make(item: dict, folder: Path, rate_hz: int, level_dbfs: float) -> dict:
    from speechbase.corpus.phones import phone_count

    wave = _read(item, rate_hz)
    try:
        wave = build_speech.normalise_level(build_speech.trim(wave, rate_hz), rate_hz, level_dbfs)
    except ValueError as reason:
        raise UserError(
            f"The recording {item['id']!r} ({item['path']}) has {reason}; take it out of corpus.real."
        ) from None
    path = f"audio/real/{item['speaker']}/{item['id']}.flac"
    audio.write(folder / path, wave, rate_hz, comment="recorded speech")
    words = text.plain(item["text"])
    return {
        "id": item["id"], "speaker": item["speaker"], "base": "recorded", "sex": item["sex"], "split": "real",
        "text": words, "path": path, "rate_hz": rate_hz, "seconds": round(len(wave) / rate_hz, 4),
        "phones": phone_count(words), "sha256": sha256(folder / path),
    }  # fmt: skip


def _read(item: dict, rate_hz: int) -> np.ndarray:
    if "package" not in item:
        return audio.read(item["path"], rate_hz, channel=item.get("channel"), resampled=True)[0]
    try:
        inside = importlib.resources.files(item["package"]) / item["path"]
    except ModuleNotFoundError:
        raise UserError(f"The recording {item['id']!r} lies in the package {item['package']}: install it.") from None
    with importlib.resources.as_file(inside) as path:
        return audio.read(path, rate_hz, channel=item.get("channel"), resampled=True)[0]
