"""Resemble Enhance, a public restoration model at 44.1 kHz."""

from __future__ import annotations

import numpy as np

from speechbase import audio
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length


class Adapter(Baseline):
    """One call of the package's `enhance` an utterance, with weights from the weights folder."""

    def load(self, device: str) -> None:
        """Have the package load and cache the model now: left to its first call, that would draw from the first item's
        seed."""
        from resemble_enhance.enhancer.inference import load_enhancer

        self._device, self._folder = device, self.weights_dir / "enhancer_stage2"
        load_enhancer(self._folder, device)

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Enhanced speech at 44.1 kHz, as long as the source."""
        import torch
        from resemble_enhance.enhancer.inference import enhance

        rate_hz = self.rate_hz
        noisy = audio.resample(item.wave("source"), item.rate_hz, rate_hz)
        torch.manual_seed(self.seed_of(item))
        enhanced, rate = enhance(torch.from_numpy(noisy), rate_hz, self._device, run_dir=self._folder, **self.settings)
        return fit_length(enhanced.cpu().numpy(), len(noisy), rate), rate
