"""Whole-or-nothing files, JSON lines that tolerate a torn tail, checksums, per-item seeds and user errors."""

from __future__ import annotations

import ctypes
import difflib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path


class UserError(Exception):
    """Something a user can mend; its message names what is wrong and the remedy."""


def plain_errors(main):
    """Decorate a command's entry point: a UserError or a full disk becomes one sentence on stderr and exit status 2.

    The process also keeps the memory that it frees: see `keep_freed_memory`.
    """

    @wraps(main)
    def wrapped(*args, **kwargs):
        keep_freed_memory()
        try:
            return main(*args, **kwargs)
        except UserError as error:
            sys.exit(_complain(str(error)))
        except OSError as error:
            if error.errno == 28:
                sys.exit(
                    _complain(
                        f"No space left on the disk that holds {error.filename or os.getcwd()}. Finished files are kept: "
                        "free some space and run the same command again."
                    )
                )
            raise

    return wrapped


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed_memory() -> None:
    """Let glibc use freed blocks again instead of handing them back; other C libraries are left as they are.

    A network on a CPU frees and asks for the same large blocks at every layer. Handed back, each costs its page faults
    anew: a sixth of the time of sampling.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, 2**30)


def _complain(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; it takes the name `path` only when the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it (soundfile, pandas) do as asked.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value) -> None:
    """Write indented JSON, whole or not at all. NaN is refused: a number that is missing is null plus a status."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path):
    """Read JSON; a missing or broken file is a UserError that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and make it again.") from None


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_jsonl(path: str | Path) -> list[dict]:
    """Read JSON objects, one a line; a torn last line (a killed writer's) is left out, another one is a UserError."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            if number == len(lines):
                break
            raise UserError(f"{path} line {number} is not valid JSON; delete the file and make it again.") from None
        if not isinstance(row, dict):
            raise UserError(f"{path} line {number} is not a JSON object; delete the file and make it again.")
        rows.append(row)
    return rows


def append_jsonl(path: str | Path, row: dict) -> None:
    """Append one JSON object durably (flushed and fsynced), mending a torn last line first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.seek(0)
                keep = stream.read().rfind(b"\n") + 1
                stream.truncate(keep)
        stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seed_of(*parts) -> int:
    """A 63-bit seed from any printable parts, the same on every machine: seed_of(seed, utterance_id)."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)' for the nearest known name, or the list of what is known."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else f" (known are {', '.join(known)})"
