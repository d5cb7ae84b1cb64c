"""The reference through a codec and back: what the ceilings of codecs and of token codecs have in common."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from speechbase import audio
from speechbase.codec.base import Codec
from speechbase.codec.quantiser import TokenCodec
from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length


class RoundTrip(Baseline):
    """Encoding and decoding alone; `load` sets `codec` and `device`."""

    codec: Codec | TokenCodec
    device: str

    def decoded(self, wave: Tensor) -> Tensor:
        """Audio [1, s] through the codec, on its device."""
        raise NotImplementedError

    @torch.inference_mode()
    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The reference's round trip at the codec's rate."""
        reference = item.wave("reference")
        if reference is None:
            raise UserError(f"{item.id} has no reference recording.")
        rate_hz = self.codec.rate_hz
        wave = audio.resample(reference, item.rate_hz, rate_hz)
        made = self.decoded(torch.from_numpy(np.ascontiguousarray(wave))[None].to(self.device))[0]
        return fit_length(made.float().cpu().numpy(), len(wave), rate_hz), rate_hz
