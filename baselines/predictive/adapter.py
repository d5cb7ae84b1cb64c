"""The predictive enhancer that this repository trains, as a compared system."""

from __future__ import annotations

import numpy as np
import torch

from baselines.predictive.model import Enhancer, Size
from baselines.weights import load_weights
from speechbase import audio
from speechbase.files import read_json
from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """One pass of the network over the whole utterance."""

    def load(self, device: str) -> None:
        """Build the network from the model folder's configuration and load its EMA weights."""
        self._size = Size.of(read_json(self.model_dir / "config.json")["network"])
        self._model = load_weights(Enhancer(self._size), self.model_dir).to(device)
        self._device = device

    @torch.inference_mode()
    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Enhanced speech at the model's rate, as long as the source."""
        noisy = audio.resample(item.wave("source"), item.rate_hz, self._size.rate_hz)
        enhanced = self._model(torch.from_numpy(noisy)[None].to(self._device))
        return enhanced[0].cpu().numpy(), self._size.rate_hz
