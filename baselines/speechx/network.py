"""SpeechX's two transformers: autoregressive over level 1 of the output, the other over its further levels.

Legend: b batch, n positions, t frames of the output (the last t positions), q levels, k codes, c latent channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.speechx.layout import KINDS, SIGNS
from baselines.speechx.settings import NetworkConfig
from speechbase.tokens.lm import CodeHead, LMConfig, TokenEmbedding, TokenLM
from speechbase.tokens.sequences import Tokens


class Autoregressive(nn.Module):
    """Level 1 of the output: p(o[t, 1] | text, prompt, o[< t, 1]); class k is the end.

    Args:
        codewords: [q, k, c] of the token codec.
        prompt_layers: how many levels of prompt and source it hears (VALL-E's hears one).
    """

    frames_a_byte = 1.0  # how far apart a text's bytes stand where the output's length is not known

    def __init__(self, codewords: Tensor, sizes: LMConfig, prompt_layers: int):
        super().__init__()
        self.embed = TokenEmbedding(codewords, sizes.dim, len(KINDS), len(SIGNS))
        self.lm = TokenLM(sizes)
        self.head = CodeHead(codewords[:1], sizes.dim, extra=1)
        self.prompt_layers, self.end = prompt_layers, codewords.shape[1]

    def forward(self, tokens: Tokens, last: int) -> Tensor:
        """Logits [b, last, k + 1] of what follows each of the last positions."""
        hidden = self.lm(self.embed(tokens), tokens.places, tokens.visible())  # [b, n, d]
        return self.logits(hidden[:, -last:])

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [b, t, k + 1] of hidden states [b, t, d]."""
        return self.head(hidden, hidden.new_zeros(len(hidden), dtype=torch.long))


class Refining(nn.Module):
    """Level l > 1 of the output: p(o[:, l] | text, prompt, o[:, < l]), all frames at once."""

    frames_a_byte = 1.0

    def __init__(self, codewords: Tensor, sizes: LMConfig):
        super().__init__()
        self.embed = TokenEmbedding(codewords, sizes.dim, len(KINDS), len(SIGNS))
        self.level = nn.Embedding(len(codewords), sizes.dim)
        nn.init.normal_(self.level.weight, std=0.1)
        self.lm = TokenLM(sizes)
        self.head = CodeHead(codewords[1:], sizes.dim)

    def forward(self, tokens: Tokens, level: Tensor, last: int) -> Tensor:
        """Logits [b, last, k] of level `level` [b] (from 1 on; 0 is the autoregressive one's) at the last positions."""
        vectors = self.embed(tokens) + self.level(level)[:, None]
        hidden = self.lm(vectors, tokens.places, tokens.visible(causal=False))  # [b, n, d]
        return self.head(hidden[:, -last:], level - 1)


def build_network(kind: str, codewords: Tensor, sizes: NetworkConfig) -> Autoregressive | Refining:
    """The network of a kind (`speechx_ar` or `speechx_nar`) over codewords [q, k, c]."""
    network: Autoregressive | Refining
    if kind == "speechx_ar":
        network = Autoregressive(codewords, sizes, sizes.prompt_layers or len(codewords))
    else:
        network = Refining(codewords, sizes)
    network.frames_a_byte = sizes.frames_a_byte or network.frames_a_byte
    return network
