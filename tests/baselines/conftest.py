"""A miniature test set in the contract's form: noise bursts as speech, white noise on top."""

import numpy as np
import pandas as pd
import pytest

from fileio import audio

RATE_HZ = 16000


def speechlike(seed: int, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Harmonics of a wandering pitch in syllable-like bursts, which an enhancer keeps: float32 [n]."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    pitch = 120 + 60 * rng.random() + 10 * np.sin(2 * np.pi * 2 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.1 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).astype(np.float32)


@pytest.fixture(scope="session")
def make_speech():
    """The maker of speech-like audio: (seed, seconds, rate_hz) -> float32 [n]."""
    return speechlike


@pytest.fixture
def manifest(tmp_path):
    """Write a three-item manifest of one task and return its path."""

    def make(task: str = "enhancement", count: int = 3):
        rows = []
        for i in range(count):
            clean = speechlike(i, 0.8 + 0.1 * i)
            other = np.random.default_rng(100 + i).normal(0, 0.03, len(clean)).astype(np.float32)
            if task == "separation":
                other = speechlike(50 + i, len(clean) / RATE_HZ)
            waves = {"source": clean + other, "reference": clean, "prompt": speechlike(i + 20)}
            for column, wave in waves.items():
                audio.write(tmp_path / f"u{i}-{column}.wav", wave, RATE_HZ)
            paths = {column: f"u{i}-{column}.wav" for column in waves}
            rows.append({"id": f"u{i}", "task": task, "text": "a b", "rate_hz": RATE_HZ, **paths})
        pd.DataFrame(rows).to_csv(tmp_path / "set.csv", index=False)
        return tmp_path / "set.csv"

    return make
