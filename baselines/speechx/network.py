"""SpeechX's two transformers: autoregressive over level 1 of the output, the other over its further levels.

At 40 Hz a level 1 of 1,024 codes keeps too little for words, so the first transformer may say further levels of a frame
too, by a small network over depth (RQ-Transformer, Lee et al. 2022); one level is the paper's.

Legend: b batch, n positions, t frames of the output (the last t positions), q levels, s of them said frame by frame, k
codes, c latent channels, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.speechx.layout import KINDS, SIGNS
from baselines.speechx.settings import NetworkConfig
from speechbase.files import UserError
from speechbase.tokens.lm import CodeHead, LMConfig, TokenEmbedding, TokenLM
from speechbase.tokens.sequences import NO_CODE, Tokens


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
        self.depth = nn.ModuleList([_mixer(sizes.dim) for _ in range(1, said)])
        self.below = ResidualHead(codewords[:said], sizes.dim) if said > 1 else None

    def forward(self, tokens: Tokens, codes: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Of the last t positions, where the frames `codes` [b, t, s] follow: logits [b, t, k + 1] of level 1, and of
        every further level, given the right ones below it, logits [b, t, k] and the latents [b, t, c]."""
        hidden = self.lm(self.embed(tokens), tokens.places, tokens.visible())[:, -codes.shape[1] :]  # [b, t, d]
        further = [self.further(hidden, codes[..., :level]) for level in range(1, self.said)]
        return self.logits(hidden), [logits for logits, _ in further], [latents for _, latents in further]

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [b, t, k + 1] of hidden states [b, t, d]."""
        return self.head(hidden, hidden.new_zeros(len(hidden), dtype=torch.long))

    def further(self, hidden: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Of the level above codes [b, t, l] of the same frames: logits [b, t, k], and the latents as known there."""
        assert self.below is not None, "a network that says one level has none above it"
        level = codes.shape[-1]
        heard = self.embed.table.summed(codes).to(hidden.dtype)  # [b, t, d]
        mixed = hidden + self.depth[level - 1](torch.cat([hidden, heard], -1))
        return self.below(mixed, codes, torch.full((len(codes),), level, device=codes.device))


def _mixer(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(2 * dim), nn.Linear(2 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))


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
        """Of the last positions: logits [b, last, k] of level `level` [b] (from 1 on; 0 is the autoregressive one's),
        and the latents [b, last, c] as far as they are known there."""
        vectors = self.embed(tokens) + self.level(level)[:, None]
        hidden = self.lm(vectors, tokens.places, tokens.visible(causal=False))  # [b, n, d]
        return self.head(hidden[:, -last:], tokens.codes[:, -last:], level)


class ResidualHead(nn.Module):
    """Logits over the codes of one level from one guess of the whole latents, which all levels share.

    What a residual code stands for is what the levels below it leave. So hidden states give latents; the codewords
    below are taken away exactly; what is left, shrunk by how much a level can still explain, is compared with the
    level's codewords as a Gaussian would, and a learned part is added. With a table of its own for each level, as level
    1 has, the likeliest codes lay further from the truth than no further level at all (docs/training_log.md).
    """

    codewords: Tensor  # [q, k, c]
    scale: Tensor  # [q]: their root mean square, by level
    GUESS = 0.3  # share of the latents' variance by which the guess is taken to be off at first
    SHARPNESS = 0.25  # of the comparison at first

    def __init__(self, codewords: Tensor, dim: int):
        super().__init__()
        levels, codes, channels = codewords.shape
        words = codewords.float().clone()
        power = words.square().mean((1, 2)).clamp_min(1e-16)  # [q]
        left = unsaid(words)
        self.register_buffer("codewords", words, persistent=False)
        self.register_buffer("scale", power.sqrt(), persistent=False)
        self.guess = nn.Linear(dim, channels)
        self.gain = nn.Parameter((left / (left + self.GUESS * left[0]))[:, None].repeat(1, channels))
        self.sharpness = nn.Parameter(torch.full((levels,), self.SHARPNESS).log())
        self.own = nn.Parameter(torch.zeros(levels, codes, dim))
        self.bias = nn.Parameter(torch.zeros(levels, codes))

    def forward(self, hidden: Tensor, codes: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [b, t, k] of hidden states [b, t, d], each item at its own level [b], and latents [b, t, c]; of
        `codes` [b, t, q] those below the level count."""
        with torch.autocast(hidden.device.type, enabled=False):
            hidden, below = hidden.float(), self._below(codes, level)
            left = (self.guess(hidden) * self.scale[0] - below) * self.gain[level][:, None]  # [b, t, c]
            unit = self.scale[level][:, None, None]
            words = self.codewords[level] / unit  # [b, k, c]
            near = torch.einsum("btc,bkc->btk", left / unit, words) - words.square().sum(-1)[:, None] / 2
            own = torch.einsum("btd,bkd->btk", hidden, self.own[level]) + self.bias[level][:, None]
            return self.sharpness.exp()[level][:, None, None] * near + own, below + left

    def error(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Mean square error of latents [frames, c] against those of all levels of codes [frames, q], as a share of the
        codewords' power."""
        whole = self._below(codes[None], torch.tensor([codes.shape[-1]], device=codes.device))[0]  # [frames, c]
        return (latents - whole).square().mean() / self.scale.square().sum()

    def _below(self, codes: Tensor, level: Tensor) -> Tensor:
        """The sum [b, t, c] of the codewords below each item's level."""
        levels = torch.arange(codes.shape[-1], device=codes.device)
        told = (levels < level[:, None, None]) & (codes != NO_CODE)  # [b, t, q]
        words = self.codewords[levels, codes.masked_fill(~told, 0)]  # [b, t, q, c]
        return (words * told[..., None]).sum(-2)


def unsaid(codewords: Tensor) -> Tensor:
    """What the levels before each one leave of the latents [q]: the mean power of its codewords [q, k, c] and of all
    above it."""
    return codewords.square().mean((1, 2)).clamp_min(1e-16).flip(0).cumsum(0).flip(0)


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
