"""Which source files a command depends on, and their digest: Snakemake does not see the code behind `python -m`."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from speechbase.files import UserError, sha256
from workflow.plan.places import ROOT

IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|.+)", re.MULTILINE)


@cache
def code_of(*roots: str) -> str:
    """The digest of the sources that a command depends on: a parameter of its rule, so that an edit runs it again.

    Roots are those of `sources`. As inputs, some 65 files of every job, they made a third of the time of planning.
    """
    told = "".join(f"{path} {_digest(path)}\n" for path in sources(*roots))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@cache
def _digest(path: str) -> str:
    return sha256(ROOT / path)


def sources(*roots: str) -> list[str]:
    """Our own source files that a command depends on.

    Args:
        roots: modules ("speechop.system"), of which everything that they import (in functions too) is followed, and
            rooms ("metrics") or globs ("baselines/noisy/*.py") for what is imported by a name in a table only.
    """
    files: set[Path] = set()
    for root in roots:
        if "/" in root:
            files |= {path.relative_to(ROOT) for path in ROOT.glob(root)}
        elif "." not in root:
            files |= {path.relative_to(ROOT) for path in (ROOT / root).rglob("*.py")}
        else:
            files |= _closure(_known(root))
    return [str(path) for path in sorted(files)]


def _known(module: str) -> Path:
    path = _module_file(module)
    if path is None:
        raise UserError(f"There is no module {module!r} in this project.")
    return path


@cache
def _closure(start: Path) -> frozenset[Path]:
    found, waiting = {start}, [start]
    while waiting:
        new = _imports(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)


@cache
def _imports(path: Path) -> frozenset[Path]:
    """Our modules that a file imports directly, with the packages that they lie in; its syntax is not parsed."""
    names: set[str] = set()
    for module, listed in IMPORT.findall((ROOT / path).read_text(encoding="utf-8")):
        told = re.findall(r"[\w.]+", listed)  # `as` and aliases among them name no file of ours
        names |= {module, *(f"{module}.{name}" for name in told)} if module else set(told)
    packages = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    return frozenset(file for name in names | packages if (file := _module_file(name)))


@cache
def _module_file(name: str) -> Path | None:
    """The file of one of our modules, relative to the root; None for anything else."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    base = Path(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if (ROOT / path).is_file()), None)
