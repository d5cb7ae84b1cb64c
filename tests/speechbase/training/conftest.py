"""A tiny corpus for trainings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from speechbase import audio
from speechbase.corpus.speech import COLUMNS


def write_corpus(root: Path) -> Path:
    """Two speakers (tones of two pitches), three sentences each, one noise and one impulse response a split.

    The same speech stands in a table of two languages.
    """
    rng = np.random.default_rng(0)
    for split in ("train", "valid"):
        rows = []
        for speaker, hz in (("low", 120), ("high", 240)):
            for number in range(3):
                identity = f"{split}-{speaker}-{number}"
                time = np.arange(16_000 + 800 * number) / 16_000
                wave = 0.1 * np.sign(np.sin(2 * np.pi * hz * time)) * np.sin(2 * np.pi * 3 * time) ** 2
                audio.write(root / "speech" / f"{identity}.flac", wave.astype(np.float32), 16_000)
                rows.append({"id": identity, "speaker": speaker, "base": "x", "sex": "m" if speaker == "low" else "f",
                             "split": split, "phones": 9, "language": "en" if number else "it",
                             "text": f"sentence {['one', 'two', 'three'][number]}", "path": f"{identity}.flac",
                             "rate_hz": 16_000, "seconds": len(wave) / 16_000, "sha256": ""})  # fmt: skip
        pd.DataFrame(rows, columns=COLUMNS).to_csv(root / "speech" / f"{split}.csv", index=False)
        several = pd.DataFrame(rows, columns=[*COLUMNS, "language"])
        several.to_csv(root / "speech" / f"languages_{split}.csv", index=False)
    sounds = {
        "noise": rng.standard_normal(16_000) * 0.1,
        "rir": np.exp(-np.arange(2000) / 300) * rng.standard_normal(2000),
    }
    for name, wave in sounds.items():
        rows = []
        for split in ("train", "valid"):
            audio.write(root / f"{name}-{split}.flac", (wave / np.abs(wave).max() * 0.9).astype(np.float32), 16_000)
            rows.append({"id": f"{name}-{split}", "split": split, "path": f"{name}-{split}.flac"})
        pd.DataFrame(rows).to_csv(root / f"{name}.csv", index=False)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of a tiny corpus."""
    return write_corpus(tmp_path_factory.mktemp("data"))


def learned_by_heart(learner, batch, steps: int) -> float:
    """The loss of one batch before the last of so many steps on it alone: whatever is wrong with sequences, labels or
    masks keeps it up."""
    optimiser = torch.optim.Adam(learner.network.parameters(), 1e-2)
    for _ in range(steps):
        loss = learner.scores(learner.network, batch)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()
