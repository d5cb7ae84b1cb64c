"""Resumable file-by-file building: what is made already, what is left over, and a pool of one-thread processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from speechbase.files import UserError


def apportion(total: int, shares: list[float]) -> list[int]:
    """Whole numbers that sum to `total`, in proportion to shares that sum to 1 (differences of rounded sums)."""
    edges = np.round(np.concatenate([[0], np.cumsum(shares)]) * total).astype(int)
    return np.diff(edges).tolist()


def of_split(items: list[dict], split: str | None, where: str) -> list[dict]:
    """The planned items of a split; all for None. Raises: UserError: the configuration's `where` has no such split."""
    found = [item for item in items if split in (None, item["split"])]
    if not found:
        raise UserError(f"{where} has nothing of the split {split!r}; name one that it has.")
    return found


def table_name(kind: str, split: str | None) -> str:
    """Name of the table of all noises or rooms, or of one split's."""
    return f"{kind}_{split}.csv" if split else f"{kind}.csv"


def is_made(path: Path, key: str) -> bool:
    """Whether the file is whole and was made from the same plan: its comment carries the plan's key."""
    if not path.is_file():
        return False
    try:
        with soundfile.SoundFile(path) as stream:
            return key in stream.comment and stream.frames > 0
    except soundfile.LibsndfileError:
        return False


def drop_strays(folder: Path, wanted: set[Path]) -> None:
    """Remove files of an older plan, so that the folder holds what its table names and no more."""
    for path in folder.rglob("*.*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def mapped(function: Callable, jobs: list, workers: int) -> Iterator:
    """`map` over processes of one thread each; in this process where one worker is asked for."""
    if workers <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(function, jobs, chunksize=8)
