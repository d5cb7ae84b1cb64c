"""SpeechX's two transformers: autoregressive over level 1 of the output, the other over its further levels.

At 40 Hz a level 1 of 1,024 codes keeps too little for words, so the first transformer may say further levels of a frame
too (`speechbase/tokens/depth.py`); one level is the paper's.

Legend: b batch, n positions, t frames of the output (the last t positions), q levels, s of them said frame by frame, k
codes, c latent channels, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.speechx.layout import KINDS, SIGNS
from baselines.speechx.settings import NetworkConfig
from speechbase.files import UserError
from speechbase.tokens.depth import Depth, ResidualHead
from speechbase.tokens.lm import CodeHead, LMConfig, TokenEmbedding, TokenLM
from speechbase.tokens.sequences import Tokens


class Autoregressive(nn.Module):
    """Levels 1 to s of the output: p(o[t, l] | text, prompt, o[< t, 1..s], o[t, < l]); class k of level 1 is the end.

    Args:
        codewords: [q, k, c] of the token codec.
        prompt_layers: how many levels of prompt and source it hears (VALL-E's hears one).
        said: s.
    """

    frames_a_byte = 1.0  # how far apart a text's bytes stand where the output's length is not known

    def __init__(self, codewords: Tensor, sizes: LMConfig, prompt_layers: int, said: int = 1):
        super().__init__()
        self.embed = TokenEmbedding(codewords, sizes.dim, len(KINDS), len(SIGNS))
        self.lm = TokenLM(sizes)
        self.head = CodeHead(codewords[:1], sizes.dim, extra=1)
        self.prompt_layers, self.end, self.said = prompt_layers, codewords.shape[1], said
        self.depth = Depth(codewords[:said], sizes.dim)

    def forward(self, tokens: Tokens, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Of the last t positions, with labels [b, t, s]: logits [b, t, s, k + 1], and the latents [b, t, c] as every
        level after the first knows them."""
        hidden = self.lm(self.embed(tokens), tokens.places, tokens.visible())[:, -labels.shape[1] :]  # [b, t, d]
        return self.depth.learned(self.embed.table, self.logits(hidden), hidden, labels)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [b, t, k + 1] of hidden states [b, t, d]."""
        return self.head(hidden, hidden.new_zeros(1, dtype=torch.long))

    def further(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Logits [b, t, k] of the level above codes [b, t, l] of the same frames."""
        return self.depth(self.embed.table, hidden, codes)[0]


class Refining(nn.Module):
    """Level l > s of the output: p(o[:, l] | text, prompt, o[:, < l]), all frames at once; s levels are said."""

    frames_a_byte = 1.0

    def __init__(self, codewords: Tensor, sizes: LMConfig, said: int = 1):
        super().__init__()
        self.said = said
        self.embed = TokenEmbedding(codewords, sizes.dim, len(KINDS), len(SIGNS))
        self.level = nn.Embedding(len(codewords), sizes.dim)
        nn.init.normal_(self.level.weight, std=0.1)
        self.lm = TokenLM(sizes)
        self.head = ResidualHead(codewords, sizes.dim)

    def forward(self, tokens: Tokens, level: Tensor, last: int) -> tuple[Tensor, Tensor]:
        """Of the last positions: logits [b, last, k] of level `level` [b] or [1] (from 1 on; 0 is the autoregressive
        one's), and the latents [b, last, c] as far as they are known there."""
        vectors = self.embed(tokens) + self.level(level)[:, None]
        hidden = self.lm(vectors, tokens.places, tokens.visible(causal=False))  # [b, n, d]
        return self.head(hidden[:, -last:], tokens.codes[:, -last:], level)


def build_network(kind: str, codewords: Tensor, sizes: NetworkConfig) -> Autoregressive | Refining:
    """The network of a kind (`speechx_ar` or `speechx_nar`) over codewords [q, k, c]."""
    network: Autoregressive | Refining
    levels = len(codewords)
    if sizes.said_levels > (most := levels if kind == "speechx_ar" else levels - 1):
        raise UserError(
            f"network.said_levels of {kind}: at most {most} of the codec's {levels}, not {sizes.said_levels}."
        )
    if kind == "speechx_ar":
        network = Autoregressive(codewords, sizes, sizes.prompt_layers or levels, sizes.said_levels)
    else:
        network = Refining(codewords, sizes, sizes.said_levels)
    network.frames_a_byte = sizes.frames_a_byte or network.frames_a_byte
    return network
