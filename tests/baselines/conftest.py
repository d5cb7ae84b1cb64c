"""A miniature test set in the contract's form (noise bursts as speech), and what the adapters' tests share."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baselines import registry
from speechbase import audio
from speechbase.systems import contract
from speechbase.systems.runner import run_manifest

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
    """Write a three-item manifest of one task, its audio `gain` times as loud, and return its path."""

    def make(task: str = "enhancement", count: int = 3, gain: float = 1.0):
        rows = []
        for i in range(count):
            clean = speechlike(i, 0.8 + 0.1 * i)
            other = np.random.default_rng(100 + i).normal(0, 0.03, len(clean)).astype(np.float32)
            if task == "separation":
                other = speechlike(50 + i, len(clean) / RATE_HZ)
            waves = {"source": clean + other, "reference": clean, "prompt": speechlike(i + 20)}
            for column, wave in waves.items():
                audio.write(tmp_path / f"u{i}-{column}.wav", (gain * wave).astype(np.float32), RATE_HZ)
            paths = {column: f"u{i}-{column}.wav" for column in waves}
            rows.append({"id": f"u{i}", "task": task, "text": "a b", "rate_hz": RATE_HZ, **paths})
        pd.DataFrame(rows).to_csv(tmp_path / "set.csv", index=False)
        return tmp_path / "set.csv"

    return make


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Make a published system's adapter, which takes its weights from below `tmp_path`, or skip where its package is
    absent.

    Its card's checksums are left out, because the weights will be random; code that moves its input to CUDA stays on
    the CPU.
    A method of which only a clone exists is taken from the folder of its name in $BASELINE_CLONES.
    """

    def make(method: str, checkpoint: str = "", **settings):
        import torch

        baseline = registry.create(method, {"weights_dir": str(tmp_path / "weights"), **settings}, checkpoint)
        card = baseline.card
        for module, requirement in card.packages.items():
            if not contract._importable(module):
                pytest.skip(
                    f"{requirement} is not installed: run this file in {card.environment}, as docs/baselines.md says"
                )
        baseline.weights_dir.mkdir(parents=True, exist_ok=True)
        if card.repository:
            clone = Path(os.environ.get("BASELINE_CLONES", "clones")) / method
            if not clone.is_dir():
                pytest.skip(
                    f"{clone} is not there: clone {card.repository['url']}, name its parent folder in BASELINE_CLONES"
                )
            baseline.clone.symlink_to(clone.resolve())
        random = tuple({key: value for key, value in weight.items() if key != "checksum"} for weight in card.weights)
        baseline.card = card.model_copy(update={"weights": random})
        monkeypatch.setattr(contract, "_has_cuda", lambda: True)
        monkeypatch.setattr(torch.Tensor, "cuda", lambda self, *_, **__: self)
        return baseline

    return make


@pytest.fixture
def outputs(tmp_path):
    """Run a baseline over a manifest; every item must come out, at the card's rate: yields pairs of source and
    output."""

    def run(baseline, path: Path, out: str = "out") -> list[tuple[np.ndarray, np.ndarray]]:
        index = run_manifest(baseline, path, tmp_path / out)
        assert set(index["status"]) == {"ok"}, list(index["detail"])
        assert set(index["rate_hz"]) == {baseline.card.rate_hz}
        names = [(tmp_path / f"{name}-source.wav", tmp_path / out / f"{name}.wav") for name in index["id"]]
        return [(audio.read(source)[0], audio.read(output)[0]) for source, output in names]

    return run


@pytest.fixture
def enhanced(manifest, outputs):
    """Run an enhancer over two items and check length and level: sources half as loud give outputs half as loud."""

    def run(baseline) -> None:
        assert baseline.card.scale == "preserved"
        pairs = outputs(baseline, manifest(count=2))
        quieter = outputs(baseline, manifest(count=2, gain=0.5), "quieter")
        for (source, output), (_, half) in zip(pairs, quieter, strict=True):
            assert abs(len(output) - len(source) * baseline.card.rate_hz / RATE_HZ) <= 1
            loudest = abs(output).max()
            assert 0.01 < loudest / abs(source).max() < 100
            assert abs(output - 2 * half).max() < 0.02 * loudest

    return run
