"""SGMSE+ (Richter et al. 2023) through the authors' package."""

from __future__ import annotations

import numpy as np

from speechbase import audio
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length


class Adapter(Baseline):
    """One call of the package's `ScoreModel.enhance` an utterance."""

    def load(self, device: str) -> None:
        """Load the checkpoint with its EMA weights."""
        from sgmse.model import ScoreModel

        self._model = ScoreModel.load_from_checkpoint(self.weights_dir / "checkpoint.ckpt", map_location=device)
        self._model.to(device).eval()

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Enhanced speech at the checkpoint's rate, as long as the source."""
        import torch

        rate_hz = self.rate_hz
        noisy = audio.resample(item.wave("source"), item.rate_hz, rate_hz)
        torch.manual_seed(self.seed_of(item))
        with torch.no_grad():
            enhanced = self._model.enhance(torch.from_numpy(noisy)[None], **self.settings)
        return fit_length(np.asarray(enhanced, np.float32), len(noisy), rate_hz), rate_hz
