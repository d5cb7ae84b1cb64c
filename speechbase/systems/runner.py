"""Run any system over one test set: answers, one index, and a journal that makes a killed run resumable."""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from speechbase import audio
from speechbase.files import UserError, append_jsonl, atomic, read_jsonl, seed_of, sha256
from speechbase.items import TASKS, Item, read_items
from speechbase.systems.contract import Answer, System

COLUMNS = ["id", "path", "text", "label", "rate_hz", "seconds", "wall_s", "status", "detail", "sha256"]
STATUSES = {
    "ok": "answered",
    "skipped": "the system cannot run here",
    "not_applicable": "not one of the system's tasks",
    "failed": "the item lacks something, or the system raised an error",
    "invalid": "no finite mono audio in [-1, 1]'s range of levels, no text or no label where the task asks for one",
    "length": "not as long as the source",
    "no_end": "generation came to its longest without an end, and nothing is made of a cut-off answer",
}
JOURNAL = "journal.jsonl"
OLD_JOURNAL = "done.jsonl"  # of folders that were made before all systems had one runner


def run_manifest(system: System, manifest: Path, out: Path, device: str = "cpu") -> pd.DataFrame:
    """Answer a test set and write `out/index.csv` (docs/architecture.md), one row an item come what may.

    Finished answers of an earlier run are kept where item, evidence, system and weights are the same
    (`System.identity`).

    Returns:
        The index; `status` is one of `STATUSES`, `detail` says why.

    Raises:
        UserError: an unusable manifest, or a folder that an earlier version made.
    """
    items = read_items(manifest)
    if (out / OLD_JOURNAL).exists():
        raise UserError(f"{out} was begun by an earlier version of this project; delete the folder and run again.")
    reason = system.skip()
    rows: dict[str, dict] = {}
    if not reason:
        try:
            rows = _answered(system, items, out, device)
        except Unloadable as error:
            reason = str(error)
    if reason:
        print(f"{system.name} is skipped: {reason}", file=sys.stderr)
        rows = {item.id: _row(item, Answer(status="skipped", detail=reason)) for item in items}
    index = pd.DataFrame([rows[item.id] for item in items], columns=COLUMNS)
    with atomic(out / "index.csv") as temporary:
        index.to_csv(temporary, index=False)
    counts = ", ".join(f"{count} {status}" for status, count in index["status"].value_counts().items())
    print(f"{system.name}: {len(index)} items: {counts}", file=sys.stderr)
    return index


class Unloadable(Exception):
    """The system's weights are there but cannot be used; the message says why."""


def _answered(system: System, items: list[Item], out: Path, device: str) -> dict[str, dict]:
    identity = json.dumps(system.identity(), sort_keys=True)
    done = _journal(out)
    rows, waiting, keys, loaded = {}, [], {}, False
    for item in items:
        if item.task not in system.tasks:
            detail = f"{system.name} does not do {item.task}"
            rows[item.id] = _row(item, Answer(status="not_applicable", detail=detail))
            continue
        try:
            keys[item.id] = _key(identity, system, item)
            waiting.append((system.likeness(item), item))
        except Exception as error:
            rows[item.id] = _row(item, _failure(error))
    with tqdm(total=len(waiting), desc=system.name, unit="utt", mininterval=2.0) as bar:
        for group in _groups(waiting, system.batch):
            kept = {item.id: row for item in group if (row := _kept(done, keys[item.id], out))}
            if len(kept) < len(group):
                if not loaded:
                    _load(system, device)
                    loaded = True
                # The whole group again: a batch's make-up changes the last bits, and a resumed run must give the same
                # bytes.
                for item, answer, wall_s in _ask(system, group):
                    if item.id not in kept:
                        kept[item.id] = _keep(item, answer, wall_s, out, system.mark)
                        append_jsonl(out / JOURNAL, {"key": keys[item.id], **kept[item.id]})
            rows |= kept
            bar.update(len(group))
    return rows


def _key(identity: str, system: System, item: Item) -> str:
    parts = json.dumps([item.row, system.evidence(item)], sort_keys=True)
    return f"{seed_of(identity, parts):016x}"


def _load(system: System, device: str) -> None:
    try:
        system.load(device)
        system.pin()
    except UserError as error:
        raise Unloadable(str(error)) from None


def _groups(waiting: list[tuple[tuple, Item]], size: int) -> Iterator[list[Item]]:
    """Batches of like items, of similar length so that little is padded."""
    for like in sorted({likeness[0] for likeness, _ in waiting}):
        alike = [pair for pair in waiting if pair[0][0] == like]
        if size > 1:
            alike.sort(key=lambda pair: (pair[0][1:], pair[1].id))
        for start in range(0, len(alike), size):
            yield [item for _, item in alike[start : start + size]]


def _ask(system: System, group: list[Item]) -> Iterator[tuple[Item, Answer, float]]:
    """Each item's answer with its share of the seconds; a batch that fails is asked item by item, to find whose fault
    it is."""
    started = time.perf_counter()
    try:
        answers = system.answer(group)
        if len(answers) != len(group):
            raise ValueError(f"{len(answers)} answers to {len(group)} items")
    except Exception as error:  # one bad item must not lose the run; its row says what happened
        failure = _failure(error)
        if len(group) > 1:
            for item in group:
                yield from _ask(system, [item])
            return
        answers = [failure]
    share = (time.perf_counter() - started) / len(group)
    for item, answer in zip(group, answers):
        yield item, _checked(item, answer), share


def _failure(error: Exception) -> Answer:
    """The row of an error, unless it is the machine's: a full disk or exhausted memory stops the run."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        raise error
    if isinstance(error, UserError):
        return Answer(status="failed", detail=str(error))
    traceback.print_exception(error)
    return Answer(status="failed", detail=f"{type(error).__name__}: {error}")


def _checked(item: Item, answer: Answer) -> Answer:
    """The one rule for answers: what the task gives, finite, mono, of a sane level, as long as the source where it is
    heard."""
    task = TASKS[item.task]
    if answer.status != "ok":
        return answer
    if task.gives != "audio":
        given = answer.text if task.gives == "text" else answer.label
        return answer if given is not None else Answer(status="invalid", detail=f"no {task.gives}")
    wave = np.asarray(answer.wave)
    if wave.ndim != 1 or wave.size == 0 or not np.isfinite(wave).all():
        return Answer(status="invalid", detail=f"output of shape {wave.shape} is empty, not mono or not finite")
    if not answer.rate_hz or answer.rate_hz < 1:
        return Answer(status="invalid", detail=f"output at a rate of {answer.rate_hz} Hz")
    if np.abs(wave).max() > audio.LOUDEST:
        return Answer(
            status="invalid", detail=f"samples of up to {np.abs(wave).max():.0f}: not on the scale of [-1, 1]"
        )
    if task.length == "source":
        expected = len(item.wave("source")) * answer.rate_hz / item.rate_hz
        if abs(len(wave) - expected) > 1:
            detail = f"{len(wave)} samples at {answer.rate_hz} Hz where the source has {expected:.0f}"
            return Answer(status="length", detail=detail)
    return answer


def _keep(item: Item, answer: Answer, wall_s: float, out: Path, mark: str | None) -> dict:
    row = _row(item, answer, wall_s)
    if answer.status != "ok" or answer.wave is None or answer.rate_hz is None:
        return row
    path = out / f"{item.id}.wav"
    audio.write(path, answer.wave, answer.rate_hz, comment=mark)
    seconds = round(len(answer.wave) / answer.rate_hz, 6)
    return row | {"path": path.name, "rate_hz": answer.rate_hz, "seconds": seconds, "sha256": sha256(path)}


def _row(item: Item, answer: Answer, wall_s: float = 0.0) -> dict:
    blank = {"id": item.id, "path": "", "rate_hz": None, "seconds": None, "sha256": ""}
    said = {"text": answer.text or "", "label": answer.label or ""}
    return (
        blank | said | {"wall_s": round(wall_s, 4), "status": answer.status, "detail": " ".join(answer.detail.split())}
    )


def _journal(out: Path) -> dict[str, dict]:
    path = out / JOURNAL
    return {row.pop("key"): row for row in (read_jsonl(path) if path.is_file() else [])}


def _kept(done: dict[str, dict], key: str, out: Path) -> dict | None:
    """An earlier run's row, where its answer is still whole."""
    row = done.get(key)
    if row is None or row["status"] != "ok":
        return None
    path = out / row["path"]
    return row if not row["path"] or (path.is_file() and sha256(path) == row["sha256"]) else None
