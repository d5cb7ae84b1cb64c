"""The reference through a codec and back: the ceiling of everything that decodes its latents."""

from __future__ import annotations

from torch import Tensor

from baselines.round_trip import RoundTrip
from speechbase.codec.base import Codec
from speechbase.codec.loading import load_codec

CHUNK_FRAMES = 400


class Adapter(RoundTrip):
    """Latents, in chunks."""

    codec: Codec

    def load(self, device: str) -> None:
        """The codec; errors as `load_codec`."""
        self.codec, self.device = load_codec(self.model_dir).to(device), device

    def decoded(self, wave: Tensor) -> Tensor:
        """Audio [1, s] as latents and back."""
        return self.codec.decode(self.codec.encode(wave, CHUNK_FRAMES), CHUNK_FRAMES)
