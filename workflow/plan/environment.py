"""environment.yml from pyproject.toml and the lock: run `python -m workflow.plan.environment` after making the lock
anew."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from speechbase.files import UserError, write_text

HEAD = """\
# For conda users and clusters (activate makes the same environment from the lock, with every version and hash).
# Written by `python -m workflow.plan.environment`: direct dependencies at the lock's versions; a test compares them.
# Resemblyzer asks pip for `typing`, a backport that the standard library's own module hides: it does no harm.
name: speechop-replication
channels:
  - conda-forge
dependencies:
  - python=3.11
  - c-compiler
  - pip
  - pip:
"""


def canonical(name: str) -> str:
    """A package's name as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def group(pyproject: Path, *names: str) -> set[str]:
    """Canonical names of the direct dependencies: those of the command line and of `names`, with the groups in
    these."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    asked, left = list(project["dependencies"]), list(names)
    while left:
        for line in project["optional-dependencies"][left.pop()]:
            if own := re.fullmatch(rf"{project['name']}\[([\w,]+)\]", line):
                left += own[1].split(",")
            else:
                asked.append(line)
    return {canonical(re.split(r"[<>=!~ \[;]", line, maxsplit=1)[0]) for line in asked}


def direct(pyproject: Path) -> list[str]:
    """Canonical names of all direct dependencies, the development ones included."""
    return sorted(group(pyproject, "dev"))


def locked(lock: Path) -> dict[str, str]:
    """Canonical name -> version of every package in the lock (the first, where Python versions differ)."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(canonical(name), version)
    return found


def render(root: Path = Path()) -> str:
    """The text of environment.yml. Raises: UserError: a dependency that the lock lacks."""
    versions = locked(root / "requirements.lock")
    names = direct(root / "pyproject.toml")
    missing = [name for name in names if name not in versions]
    if missing:
        raise UserError(f"requirements.lock lacks {', '.join(missing)}; make it again (its second line says how).")
    return HEAD + "".join(f"      - {name}=={versions[name]}\n" for name in names)


if __name__ == "__main__":
    write_text("environment.yml", render())
