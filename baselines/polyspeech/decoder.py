"""From semantic tokens and a voice to the codec's latents, all frames at once.

The reference encoder that hears the prompt is trained here: the speaker encoder that judges must not help to make.

Legend: b batch, n frames, p frames of the prompt, c latent channels, e width of the embeddings, d width.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.polyspeech import weights
from baselines.polyspeech.hubert import everything
from speechbase.codec.mel import ConvNeXtBlock
from speechbase.settings import checked
from speechbase.tokens.lm import TokenLM
from speechbase.tokens.settings import LMConfig
from speechbase.training import checkpoint

REFERENCE_LAYERS = 2


class LatentDecoder(nn.Module):
    """Embeddings as tokens say them [b, n, e] and latents of a prompt [b, p, c] -> latents [b, n, c]."""

    def __init__(self, width: int, channels: int, sizes: LMConfig):
        super().__init__()
        self.enter, self.leave = nn.Linear(width, sizes.dim), nn.Linear(sizes.dim, channels)
        blocks = [ConvNeXtBlock(sizes.dim, 2 * sizes.dim) for _ in range(REFERENCE_LAYERS)]
        self.reference = nn.Sequential(nn.Linear(channels, sizes.dim), *blocks, nn.LayerNorm(sizes.dim))
        self.voice = nn.Linear(sizes.dim, sizes.dim)
        self.lm = TokenLM(sizes)

    def forward(self, embeddings: Tensor, prompt: Tensor) -> Tensor:
        """Latents [b, n, c] of equally long items; prompts of equal length."""
        voice = self.voice(self.reference(prompt).mean(1, keepdim=True))  # [b, 1, d]
        places, visible = everything(embeddings)
        return self.leave(self.lm(self.enter(embeddings) + voice, places, visible))


def load_decoder(folder: Path, tokens: dict, channels: int, device: torch.device | str = "cpu") -> LatentDecoder:
    """A trained decoder.

    Args:
        tokens: the record of the tokeniser whose tokens it must be for.
        channels: of the codec's latents.

    Raises:
        UserError: missing or foreign weights, a model of another kind, or one for other tokens.
    """
    tensors, config = weights.read(folder, "polyspeech_decoder")
    weights.check(config, "tokens", tokens, folder)
    with checkpoint.building(folder):
        network = dict(config["network"])
        decoder = LatentDecoder(network.pop("width"), channels, checked(LMConfig, network, "network"))
    checkpoint.load_into(decoder, tensors, folder)
    return decoder.to(device).eval().requires_grad_(False)
