"""Whole-or-nothing files, JSON lines that tolerate a torn tail, checked YAML, checksums, per-item seeds and user
errors."""

from __future__ import annotations

import ctypes
import difflib
import errno
import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import yaml

Returned = TypeVar("Returned")


class UserError(Exception):
    """Something a user can mend; its message names what is wrong and the remedy."""


def install(group: str) -> str:
    """The command that installs what a group of dependencies (pyproject.toml) holds, for messages."""
    return f"pip install 'speechop-replication[{group}]'"


def plain_errors(main: Callable[..., Returned]) -> Callable[..., Returned]:
    """Decorate a command's entry point: a UserError or what the file system refuses becomes one sentence on stderr and
    exit status 2.

    The process also keeps the memory that it frees: see `keep_freed_memory`.
    """

    @wraps(main)
    def wrapped(*args, **kwargs):
        keep_freed_memory()
        try:
            return main(*args, **kwargs)
        except UserError as error:
            sys.exit(_complain(str(error)))
        except BrokenPipeError:  # the reader of our output left: `... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            if (sentence := refusal(error)) is None:
                raise
            sys.exit(_complain(sentence))

    return wrapped


REMEDIES = {
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "this place is read-only: name another one",
    errno.EISDIR: "it is a folder where a file is needed: name a file",
    errno.ENOTDIR: "a part of this path is a file where a folder is needed: name another place",
    errno.EEXIST: "a file is in the way: remove it, or name another place",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n) or use fewer processes",
}


def refusal(error: OSError) -> str | None:
    """What the file system refuses and what to do, as one sentence; None for errors that are not about files."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No space left on the disk that holds {error.filename or os.getcwd()}. Finished files are kept: "
            "free some space and run the same command again."
        )
    if error.filename is None or error.errno is None:
        return None
    return f"{error.filename}: {error.strerror}; {REMEDIES.get(error.errno, 'name another place')}."


def warn(message: str) -> None:
    """Tell the user what is done all the same, in one sentence on stderr."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def check_output(path: str | Path, *, folder: bool = False) -> None:
    """Find out before any work whether `path` can be written, a file's or, with `folder`, a folder's; leaves no trace.

    Raises:
        UserError: a folder where a file is meant (or the other way round), or a place where nothing can be written.
    """
    path = Path(path)
    try:
        if path.is_dir() and not folder:
            raise UserError(f"{path} is a folder; name the file that is to be written.")
        if path.exists() and folder and not path.is_dir():
            raise UserError(f"{path} is a file where a folder is needed; name another place.")
        place = path if folder else path.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
        if path.is_file() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as error:
        why = refusal(OSError(error.errno, error.strerror, str(path))) if error.errno else str(error)
        raise UserError(f"Nothing can be written at {why}") from None


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
def naming(path: str | Path) -> Iterator[None]:
    """What the file system refuses while the block runs names `path` where it names nothing, as a full disk does."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


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
        with naming(path):
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


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or broken file is a UserError that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and make it again.") from None


def parse_json(text: str, where: str) -> dict:
    """The JSON object in a text that a user gave; `where` names it, such as "--config".

    Raises:
        UserError: broken JSON, too deeply nested, or another value than an object.
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise UserError(f'{where} must be a JSON object, such as {{"key": "value"}}.')
    return value


MAX_YAML_NODES = 1_000_000  # aliases written out
MAX_YAML_DEPTH = 100


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping of plain values.

    Raises:
        UserError: missing, unreadable, not YAML, not a mapping, too deep, or multiplied by aliases beyond any use.
    """
    try:
        value = parse_yaml(Path(path).read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML ({error}).") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a mapping of keys to values.")
    return value


def parse_yaml(text: str, where: str) -> Any:
    """A YAML text's plain value; `where` names it in the errors, which are `read_yaml`'s."""
    try:
        if _too_deep(text):  # the loader's own recursion would end the process
            raise UserError(f"{where} is nested deeper than {MAX_YAML_DEPTH} levels; no configuration is.")
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None and _written_out(node, {}) > MAX_YAML_NODES:
            raise UserError(f"{where} multiplies its aliases beyond {MAX_YAML_NODES} values; write it without them.")
        return None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where} is not valid YAML ({' '.join(str(error).split())}).") from None


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _too_deep(text: str) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            return True
    return False


def _written_out(node: yaml.Node, sizes: dict[int, float]) -> float:
    """How many values a node has when every alias is written out; infinite where one holds itself."""
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # while its parts are counted
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        sizes[id(node)] = 1 + sum(_written_out(part, sizes) for part in flat)
    return sizes[id(node)]


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    """Write one JSON object a line, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


def read_jsonl(path: str | Path) -> list[dict]:
    """Read JSON objects, one a line; a torn last line (a killed writer's) is left out, another one is a UserError."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").split("\n")
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
    with naming(path), open(path, "ab+") as stream:
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


def package_version() -> str:
    """The version of this project, as installed; "source" when it runs from a folder that was never installed."""
    try:
        return version("speechop-replication")
    except PackageNotFoundError:
        return "source"


def seed_of(*parts) -> int:
    """A 63-bit seed from any printable parts, the same on every machine: seed_of(seed, utterance_id)."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)' for the nearest known name, or the list of what is known."""
    known = sorted(known)
    if not known:
        return ""
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else f" (known are {', '.join(known)})"
