"""The SepFormer that this repository trains, as a compared system."""

from __future__ import annotations

import numpy as np
import torch

from baselines.permutation import remix, target_of
from baselines.sepformer.model import build
from baselines.sepformer.settings import Size
from speechbase import audio
from speechbase.items import Item
from speechbase.settings import checked
from speechbase.systems.contract import Baseline
from speechbase.training import checkpoint


class Adapter(Baseline):
    """Separates blindly and hands in the output that fits the target."""

    def load(self, device: str) -> None:
        """Build the network from the model folder's configuration and load its EMA weights."""
        tensors, config = checkpoint.read_model(self.model_dir)
        self._size = checked(Size, config["network"], "network")
        self._model = checkpoint.load_into(build(self._size), tensors, self.model_dir).eval().to(device)
        self._device = device

    @torch.inference_mode()
    def separate(self, mixture: np.ndarray) -> np.ndarray:
        """Both speakers, float32 [2, n], of a mixture, float32 [n], at the model's rate."""
        return self._model(torch.from_numpy(mixture)[None].to(self._device))[0].T.cpu().numpy()

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The target's estimate at the model's rate, as long as the mixture."""
        rate_hz = self._size.rate_hz
        mixture = audio.resample(item.wave("source"), item.rate_hz, rate_hz)
        return target_of(remix(self.separate(mixture), mixture), item, rate_hz), rate_hz
