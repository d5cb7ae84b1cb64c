"""Audio indexes to transcript files: one row an utterance, resumable, whatever becomes of single files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from metrics.judges import recognisers
from metrics.utterance import Rules
from speechbase import audio
from speechbase.files import UserError, append_jsonl, check_output, read_jsonl, sha256, write_jsonl
from speechbase.texts import read_table

MAX_SECONDS = 600.0


def read_index(path: Path) -> list[dict[str, str]]:
    """Rows of an audio index; `path` becomes absolute. Raises: UserError: missing file or columns, an id twice."""
    rows = read_table(path, ("id", "path", "status"))
    if any(not row["status"] for row in rows):
        raise UserError(f"{path} has a row that is too short; make it again.")
    if len({row["id"] for row in rows}) < len(rows):
        raise UserError(f"{path} holds an id twice; make it again.")
    return [{**row, "path": str(path.parent / row["path"]) if row["path"] else ""} for row in rows]


def transcribe_index(index: Path, asr: Mapping[str, Any], out: Path, rules: Rules | None = None) -> list[dict]:
    """Transcribe every file of an audio index into `out` (JSONL, in the index's order).

    A file that cannot be transcribed has text "" and a status with the reason. Finished rows of an interrupted run lie
    beside `out` and are used again if the audio, its channel, the recogniser and its version are the same.

    Raises:
        UserError: see `recognisers.resolve`; a recogniser that cannot be loaded.
    """
    recogniser = recognisers.resolve(asr)
    check_output(out)
    unfinished = out.with_name(f".unfinished-{out.name}")
    done = _finished(out, unfinished)
    rows = []
    for entry in read_index(index):
        row = _row(entry, recogniser, done, rules or Rules())
        if row["inputs"] not in done:
            append_jsonl(unfinished, row)
        rows.append(row)
    write_jsonl(out, rows)
    unfinished.unlink(missing_ok=True)
    return rows


def _finished(*paths: Path) -> dict[str, dict]:
    rows = [row for path in paths if path.is_file() for row in read_jsonl(path)]
    return {row["inputs"]: row for row in rows if row.get("inputs") and row["status"] == "ok"}


def _row(entry: Mapping[str, str], recogniser: recognisers.Recogniser, done: Mapping[str, dict], rules: Rules) -> dict:
    path = Path(entry["path"])
    row = {"id": entry["id"], "text": "", "words": [], "status": "ok", "asr": recogniser.description}
    row |= {"version": recogniser.version, "inputs": ""}
    if entry["status"] != "ok":
        return row | {"status": f"no audio: {entry['status']}"}
    if not path.is_file():
        return row | {"status": f"no audio: {path.name} does not exist"}
    key = f"{entry['id']}:{sha256(path)[:16]}:{recogniser.description}:{recogniser.version}"
    key += f":channel {rules.channel}" if rules.channel is not None else ""
    if key in done:
        return done[key]
    heard = transcribe_file(path, recogniser, rules)
    return row | heard | ({"inputs": key} if heard["status"] == "ok" else {})


def transcribe_file(path: Path, recogniser: recognisers.Recogniser, rules: Rules) -> dict[str, str]:
    """`text` and `status` of one audio file: a file that cannot be heard has no text and a status with the reason.

    Raises:
        UserError: the recogniser cannot be loaded, which is no file's fault.
    """
    try:
        wave, rate_hz = _read(path, rules)
    except UserError as error:
        return {"text": "", "status": f"unusable audio: {error}"}
    text = recognisers.transcribe(recogniser, audio.resample(wave, rate_hz, recognisers.RATE_HZ))
    return {"text": text, "status": "ok"}


def _read(path: Path, rules: Rules) -> tuple[np.ndarray, int]:
    with suppress(soundfile.LibsndfileError), soundfile.SoundFile(path) as header:  # audio.read names what is wrong
        if (seconds := header.frames / header.samplerate) > MAX_SECONDS:
            raise UserError(f"{path} lasts {seconds:.0f} s; cut it to at most {MAX_SECONDS:.0f} s.")
    return audio.read_mono(path, rules.channel)


def read_transcripts(paths: Sequence[Path]) -> dict[str, dict[str, dict]]:
    """Recogniser -> utterance id -> transcript row. Raises: UserError: two files by one recogniser, or mixed ones in
    one."""
    found: dict[str, dict[str, dict]] = {}
    for path in paths:
        rows = read_jsonl(path)
        if any(not isinstance(row.get(key), str) for row in rows for key in ("id", "text", "status", "asr")):
            raise UserError(f"{path} has a row without id, text, status or asr; make it again.")
        names = {row["asr"].split()[0] for row in rows if row["asr"].strip()}
        if len(names) != 1 or names & set(found):
            raise UserError(
                f"{path} holds transcripts of {sorted(names) or 'no recogniser'}; give one file a recogniser."
            )
        found[names.pop()] = {row["id"]: row for row in rows}
    return found
