"""XTTS v2 (Casanova et al. 2024) through the maintained fork of Coqui's package."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """One call of the package's `TTS.tts` an utterance."""

    def load(self, device: str) -> None:
        """Load the model from the weights folder: so no download, no terms accepted unasked.

        The package rewrites the published `model.pth` in another form when it first reads it; it is given a copy, so
        that the file in the weights folder stays the one of its checksum.
        """
        from TTS.api import TTS

        with tempfile.TemporaryDirectory() as folder:
            for weight in self.card.weights:
                shutil.copy(self.weights_dir / weight["file"], folder)
            config = str(Path(folder) / "config.json")
            self._tts = TTS(model_path=folder, config_path=config, progress_bar=False).to(device)

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The text in the prompt's voice at 24 kHz; the prompt is not part of it."""
        import torch

        torch.manual_seed(self.seed_of(item))
        wave = self._tts.tts(item.text, speaker_wav=[str(item.root / item.row["prompt"])], **self.settings)
        return np.asarray(wave, np.float32), self.rate_hz
