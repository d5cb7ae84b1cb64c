"""Features of references and prompts, kept between runs: computed once a test set, not once a system."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from speechbase.files import atomic, sha256


def content(path: Path | None) -> str | None:
    """SHA-256 of a file (read again only if its time or size changed), or None if there is no file."""
    if path is None or not path.is_file():
        return None
    info = path.stat()
    return _content(path, info.st_mtime_ns, info.st_size)


@cache
def _content(path: Path, mtime_ns: int, size: int) -> str:
    return sha256(path)


@cache
def _code() -> str:
    """Hash of this package's sources: a changed metric makes its features anew, even if nobody raised its version."""
    return hashlib.sha256(
        b"".join(
            path.read_bytes()
            for path in [
                *sorted(Path(__file__).parent.glob("*.py")),
                *sorted(Path(__file__).parent.glob("judges/*.py")),
            ]
        )
    ).hexdigest()


@cache
def _prune(folder: Path) -> None:
    """Delete what older sources kept: nobody will ask for it again."""
    for path in folder.glob("*.npy"):
        if not path.name.startswith(_code()[:8]):
            path.unlink(missing_ok=True)


def keep(folder: Path, key: tuple, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array of `make()`, from `folder` if it was kept there under `key`, bit for bit the same.

    Args:
        key: everything that the array depends on but this package's sources; its `repr` must tell different ones apart.
    """
    _prune(folder)
    path = folder / f"{_code()[:8]}-{hashlib.sha256(repr((_code(), *key)).encode()).hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):  # not there, or not whole: make it again
        return np.load(path, allow_pickle=False)
    array = make()
    with atomic(path) as unfinished:
        np.save(unfinished, array, allow_pickle=False)
    return array
