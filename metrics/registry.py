"""Every metric by name: those that the files of this folder list as `METRICS`. Adding one is adding its file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

from metrics.contract import Metric
from speechbase.files import UserError

MODULES = tuple(
    sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if "\nMETRICS = " in path.read_text(encoding="utf-8")
    )
)


@cache
def families() -> tuple[Metric, ...]:
    """All metrics in registry order; names of those that depend on a recogniser end in `{asr}`."""
    return tuple(metric for module in MODULES for metric in import_module(f"metrics.{module}").METRICS)


@cache
def find(name: str) -> Metric:
    """The metric of a column name. Raises: UserError: unknown; the message names the nearest one."""
    found = None
    for metric in families():
        stem = metric.name.removesuffix("{asr}")
        if name == metric.name or (stem != metric.name and name.startswith(stem) and len(name) > len(stem)):
            found = metric if found is None or len(metric.name) > len(found.name) else found
    if found is None or "{" in name:  # a family's own name is no column
        raise UserError(f"There is no metric {name!r}: {_hint(name)}")
    stem = found.name.removesuffix("{asr}")
    return found if stem == found.name else replace(found, name=name, asr=name.removeprefix(stem))


def _hint(name: str) -> str:
    known = [metric.name.replace("{asr}", "whisper_base") for metric in families()]
    known.sort(key=lambda one: one.endswith("_answer"))  # of systems that answer in words: seldom what is meant
    wanted = name.lower().replace("-", "_")
    near = [one for one in known if one == wanted] or [one for one in known if one.startswith(wanted)]
    near = near or difflib.get_close_matches(wanted, known, 1)
    return f"did you mean {near[0]}?" if near else "`python -m metrics list` names them all."


def find_all(names: Iterable[str]) -> list[Metric]:
    """Metrics by name, in order, each once. Raises: UserError: an unknown name, or none at all."""
    found = [find(name) for name in dict.fromkeys(names)]
    if not found:
        raise UserError("No metric is named; `python -m metrics list` names them all.")
    return found
