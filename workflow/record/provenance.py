"""Where a result comes from: the facts that go into the record (`*.provenance.json`) beside every output of a rule."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from speechbase.files import UserError, read_json, sha256
from workflow.plan.environment import canonical


@cache
def code() -> dict:
    """The commit, and whether tracked files differ from it; null outside a Git checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "modified": None if changed is None else bool(changed)}


@cache
def versions() -> dict[str, str]:
    """Python's version and that of every installed package, from their metadata (nothing is imported)."""
    installed = {canonical(found.name): found.version for found in metadata.distributions()}
    return {"python": platform.python_version(), **dict(sorted(installed.items()))}


@cache
def machine() -> dict:
    """What floating-point results can depend on: system, architecture and processor."""
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    return {"system": platform.system(), "architecture": platform.machine(), "processor": processor}


def hashes(paths: Iterable[str | Path]) -> dict[str, str]:
    """SHA-256 by path, of the files that exist (an output that a command did not need to write is left out)."""
    return {str(path): sha256(path) for path in paths if Path(path).is_file()}


def read_record(path: str | Path) -> dict:
    """A record; a UserError where the file is missing or holds something else."""
    record = read_json(path)
    if not isinstance(record, dict) or "command" not in record:
        raise UserError(f"{path} is no provenance record; delete it and run the rule again.")
    return record
