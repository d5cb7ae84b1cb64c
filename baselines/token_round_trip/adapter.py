"""The reference through the token codec and back, with all levels of codes or the first few."""

from __future__ import annotations

import numpy as np
import torch

from speechbase import audio
from speechbase.codec.loading import load_token_codec
from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length


class Adapter(Baseline):
    """Encoding and decoding alone."""

    def load(self, device: str) -> None:
        """The token codec; errors as `load_token_codec`."""
        self._codec = load_token_codec(self.model_folders[0]).to(device)
        self._device = device

    @torch.inference_mode()
    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The reference's round trip at the codec's rate."""
        reference = item.wave("reference")
        if reference is None:
            raise UserError(f"{item.id} has no reference recording.")
        wave = audio.resample(reference, item.rate_hz, self._codec.rate_hz)
        codes = self._codec.encode(torch.from_numpy(np.ascontiguousarray(wave))[None].to(self._device))
        made = self._codec.decode(codes[..., : self.settings["levels"]])[0].float().cpu().numpy()
        return fit_length(made, len(wave), self._codec.rate_hz), self._codec.rate_hz
