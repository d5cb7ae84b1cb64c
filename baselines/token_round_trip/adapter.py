"""The reference through the token codec and back, with all levels of codes or the first few."""

from __future__ import annotations

from torch import Tensor

from baselines.round_trip import RoundTrip
from speechbase.codec.loading import load_token_codec
from speechbase.codec.quantiser import TokenCodec


class Adapter(RoundTrip):
    """Codes of the first `levels` levels."""

    codec: TokenCodec

    def load(self, device: str) -> None:
        """The token codec; errors as `load_token_codec`."""
        self.codec, self.device = load_token_codec(self.model_folders[0]).to(device), device

    def decoded(self, wave: Tensor) -> Tensor:
        """Audio [1, s] as codes and back."""
        return self.codec.decode(self.codec.encode(wave)[..., : self.settings["levels"]])
