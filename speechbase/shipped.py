"""Weights that ship with the package: a folder of models for each scale that has them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PRETRAINED = Path(str(files("speechbase") / "pretrained"))
TOKEN_MODELS = "nano"  # the scale whose SpeechX and PolySpeech ship


def scales() -> list[str]:
    """Names of the scales whose weights ship."""
    return sorted(path.name for path in PRETRAINED.iterdir() if path.is_dir()) if PRETRAINED.is_dir() else []


def find(name: str | Path) -> Path:
    """The folder of a scale that ships, by its name; any other name is a folder itself."""
    return PRETRAINED / name if str(name) in scales() else Path(name)
