"""The predictive enhancer that this repository trains, as a compared system."""

from __future__ import annotations

import numpy as np
import torch

from baselines.predictive.model import Enhancer
from baselines.predictive.settings import Size
from speechbase import audio
from speechbase.items import Item
from speechbase.settings import checked
from speechbase.systems.contract import Baseline
from speechbase.training import checkpoint


class Adapter(Baseline):
    """One pass of the network over the whole utterance."""

    def load(self, device: str) -> None:
        """Build the network from the model folder's configuration and load its EMA weights."""
        tensors, config = checkpoint.read_model(self.model_dir)
        self._size = checked(Size, config["network"], "network")
        self._model = checkpoint.load_into(Enhancer(self._size), tensors, self.model_dir).eval().to(device)
        self._device = device

    @torch.inference_mode()
    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Enhanced speech at the model's rate, as long as the source."""
        noisy = audio.resample(item.wave("source"), item.rate_hz, self._size.rate_hz)
        enhanced = self._model(torch.from_numpy(noisy)[None].to(self._device))
        return enhanced[0].cpu().numpy(), self._size.rate_hz
