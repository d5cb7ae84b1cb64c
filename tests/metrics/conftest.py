"""Audio files for the metric tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.metrics.signals import RATE_HZ, speech_like


@pytest.fixture
def clean() -> np.ndarray:
    return speech_like()


@pytest.fixture
def write(tmp_path: Path):
    """Write audio into the test's folder and return its path."""

    def write_file(name: str, wave: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "FLOAT") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, rate_hz, subtype=subtype)
        return path

    return write_file
