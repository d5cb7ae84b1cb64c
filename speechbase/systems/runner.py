"""Run one baseline over one test set: `<id>.wav`, `index.csv` and a journal that makes a killed run resumable."""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from speechbase import audio
from speechbase.files import UserError, append_jsonl, atomic, read_jsonl, seed_of, sha256
from speechbase.items import Item, read_items
from speechbase.systems.contract import Baseline

COLUMNS = ["id", "path", "rate_hz", "seconds", "wall_s", "status", "detail", "sha256"]
FREE_LENGTH = ("tts", "edit")


def run_manifest(baseline: Baseline, manifest: Path, out: Path, device: str = "cpu") -> pd.DataFrame:
    """Run a baseline over a test set and write `out/index.csv` (docs/architecture.md), one row an item come what may.

    A row's status is `ok`, `skipped` (the system cannot run here), `not_applicable` (not its task), `length` (not as
    long as the source), `invalid` (no finite mono audio) or `error`; `detail` says why. Finished files of an earlier
    run are kept when item, settings, adapter and weights are the same.

    Returns:
        The index.

    Raises:
        UserError: an unusable manifest.
    """
    items = read_items(manifest)
    for item in items:
        if Path(item.id).name != item.id:
            raise UserError(f"{manifest}: the id {item.id!r} cannot be a file name.")
    reason, rows = baseline.skip(), []
    if not reason:
        try:
            rows = _run_items(baseline, items, out, device)
        except Unloadable as error:
            reason = str(error)
    if reason:
        print(f"{baseline.card.name} is skipped: {reason}", file=sys.stderr)
        rows = [_row(item, "skipped", reason) for item in items]
    index = pd.DataFrame(rows, columns=COLUMNS)
    with atomic(out / "index.csv") as temporary:
        index.to_csv(temporary, index=False)
    _say(baseline.card.name, index)
    return index


def _run_items(baseline: Baseline, items: list[Item], out: Path, device: str) -> list[dict]:
    journal = out / "journal.jsonl"
    done = {row.pop("key"): row for row in (read_jsonl(journal) if journal.is_file() else [])}
    identity = _identity(baseline)
    rows, loaded = [], False
    for item in tqdm(items, desc=baseline.card.name, unit="utt", mininterval=2.0):
        key = f"{seed_of(identity, json.dumps(item.row, sort_keys=True)):016x}"
        row = done.get(key)
        if row is None or not _kept(row, out):
            if not loaded:
                _load(baseline, device)
                loaded = True
            row = _run_item(baseline, item, out)
            append_jsonl(journal, {"key": key, **row})
        rows.append(row)
    return rows


class Unloadable(Exception):
    """The system's weights are there but cannot be used; the message says why."""


def _load(baseline: Baseline, device: str) -> None:
    try:
        baseline.load(device)
    except UserError as error:
        raise Unloadable(str(error)) from None
    baseline.pin()


def _identity(baseline: Baseline) -> str:
    """Everything but the item that decides an output: card, settings, adapter source and weights."""
    folder = baseline.card.folder
    sources = [*sorted(folder.glob("*.py")), *sorted(folder.glob("*.yaml")), *baseline.files()]
    return json.dumps([baseline.settings, baseline.seed, [sha256(path) for path in sources]], sort_keys=True)


def _kept(row: dict, out: Path) -> bool:
    path = out / row["path"]
    return row["status"] == "ok" and path.is_file() and sha256(path) == row["sha256"]


def _run_item(baseline: Baseline, item: Item, out: Path) -> dict:
    if item.task not in baseline.card.tasks:
        return _row(item, "not_applicable", f"{baseline.card.name} does not do {item.task}")
    started = time.perf_counter()
    try:
        wave, rate_hz = baseline.run(item)
    except Exception as error:  # one bad utterance must not lose the run; its row says what happened
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        traceback.print_exc()
        return _row(item, "error", f"{type(error).__name__}: {error}", time.perf_counter() - started)
    wall_s = time.perf_counter() - started
    status, detail = _check(item, np.asarray(wave), rate_hz)
    if status != "ok":
        return _row(item, status, detail, wall_s)
    path = out / f"{item.id}.wav"
    audio.write(path, wave, rate_hz)
    return _row(item, "ok", "", wall_s) | {
        "path": path.name,
        "rate_hz": rate_hz,
        "seconds": round(len(wave) / rate_hz, 6),
        "sha256": sha256(path),
    }


def _check(item: Item, wave: np.ndarray, rate_hz: int) -> tuple[str, str]:
    if wave.ndim != 1 or wave.size == 0 or not np.isfinite(wave).all():
        return "invalid", f"output of shape {wave.shape} is empty, not mono or not finite"
    if item.task not in FREE_LENGTH:
        expected = len(item.wave("source")) * rate_hz / item.rate_hz
        if abs(len(wave) - expected) > 1:
            return "length", f"{len(wave)} samples at {rate_hz} Hz where the source has {expected:.0f}"
    return "ok", ""


def _row(item: Item, status: str, detail: str, wall_s: float = 0.0) -> dict:
    blank = {"id": item.id, "path": "", "rate_hz": None, "seconds": None, "sha256": ""}
    return blank | {"wall_s": round(wall_s, 4), "status": status, "detail": " ".join(detail.split())}


def _say(name: str, index: pd.DataFrame) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in index["status"].value_counts().items())
    print(f"{name}: {len(index)} items: {counts}", file=sys.stderr)
