"""EnCodec (Defossez et al. 2022), the codec of SpeechX, VALL-E and PolySpeech: its published weights as a token codec.

Its residual quantiser is the one of `ResidualQuantiser`, so its codes are taken and given back by the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from speechbase.codec.base import Codec
from speechbase.codec.quantiser import TokenCodec
from speechbase.codec.settings import EncodecConfig
from speechbase.files import UserError


class EncodecCodec(Codec):
    """Encoder and decoder of EnCodec for mono audio, as transformers has them; other sizes are those of 24 kHz.

    A frame hears all that came before it (LSTM), so nothing is done in chunks.
    """

    def __init__(self, config: EncodecConfig):
        from transformers import EncodecConfig as Sizes  # seconds to import, and no other codec needs it
        from transformers import EncodecModel

        super().__init__(config.hidden_size)
        sizes = config.model_dump(exclude={"kind"}) | {"upsampling_ratios": list(config.upsampling_ratios)}
        model = EncodecModel(Sizes(**sizes, codebook_dim=config.hidden_size))
        self.encoder, self.decoder = model.encoder, model.decoder
        self.rate_hz, self.hop, self.context_frames = config.sampling_rate, math.prod(config.upsampling_ratios), 0

    def posterior(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output [b, n, c], which has no variance, for audio [b, s]."""
        mean = self.encoder(wave[:, None]).transpose(1, 2)  # [b, n, c]
        return mean, torch.full_like(mean, -math.inf)

    def synthesise(self, latents: Tensor) -> Tensor:
        """Audio [b, n * hop] of latents [b, n, c]."""
        return self.decoder(latents.transpose(1, 2))[:, 0]  # [b, s]

    def _chunks(self, n: int, chunk: int | None) -> Iterator[tuple[int, int, int, int]]:
        yield 0, n, 0, n


def published(folder: str, levels: int) -> tuple[TokenCodec, dict]:
    """The published weights in `folder` with their first `levels` codebooks, and the sizes to build the codec again.

    Raises:
        UserError: no such weights, stereo ones, or fewer levels.
    """
    from transformers import EncodecModel

    if not Path(folder, "config.json").is_file():
        raise UserError(f"{folder} has no EnCodec: download facebook/encodec_24khz (safetensors) to that folder.")
    try:
        model = EncodecModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise UserError(f"EnCodec cannot be read from {folder!r} ({error}); download it again.") from None
    codebooks = [layer.codebook.embed for layer in model.quantizer.layers]  # each [k, c]
    if model.config.audio_channels != 1 or model.config.normalize or levels > len(codebooks):
        raise UserError(f"{folder}: needed is a mono EnCodec of at least {levels} levels, without normalisation.")
    named = EncodecConfig.model_fields.keys() - {"kind"}
    sizes = EncodecConfig(**{name: getattr(model.config, name) for name in named})
    codec = EncodecCodec(sizes)
    codec.encoder.load_state_dict(model.encoder.state_dict())
    codec.decoder.load_state_dict(model.decoder.state_dict())
    tokens = TokenCodec(codec, levels, len(codebooks[0]))
    tokens.quantiser.codewords.copy_(torch.stack(codebooks[:levels]))
    return tokens, {"codec": sizes.model_dump(), "levels": levels, "codes": len(codebooks[0])}
