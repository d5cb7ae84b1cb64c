"""Where sources and results lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_SCALE = "nano"


def results_folder(scale: str) -> str:
    """Where a scale's results go: `results` for the default scale, `results/<scale>` for another."""
    return "results" if scale == DEFAULT_SCALE else f"results/{scale}"


def any_of(names: Iterable[str]) -> str:
    """A wildcard's pattern that matches just these names (nothing at all, where there are none)."""
    return "|".join(sorted(names)) or "(?!)"
