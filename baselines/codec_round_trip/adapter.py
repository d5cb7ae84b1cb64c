"""The reference through a codec and back: the ceiling of everything that decodes its latents."""

from __future__ import annotations

import numpy as np
import torch

from speechbase import audio
from speechbase.codec.loading import load_codec
from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length

CHUNK_FRAMES = 400


class Adapter(Baseline):
    """Encoding and decoding alone."""

    def load(self, device: str) -> None:
        """The codec; errors as `load_codec`."""
        self._codec = load_codec(self.model_dir).to(device)
        self._device = device

    @torch.inference_mode()
    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The reference's round trip at the codec's rate."""
        reference = item.wave("reference")
        if reference is None:
            raise UserError(f"{item.id} has no reference recording.")
        wave = audio.resample(reference, item.rate_hz, self._codec.rate_hz)
        latents = self._codec.encode(torch.from_numpy(np.ascontiguousarray(wave))[None].to(self._device), CHUNK_FRAMES)
        made = self._codec.decode(latents, CHUNK_FRAMES)[0].float().cpu().numpy()
        return fit_length(made, len(wave), self._codec.rate_hz), self._codec.rate_hz
