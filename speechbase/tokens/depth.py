"""Further codes of a frame after its first: a small network over depth (RQ-Transformer, Lee et al. 2022), and its head.

Legend: b batch, t frames, q levels, s of them said frame by frame, k codes, c latent channels, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.tokens.lm import CodeTable
from speechbase.tokens.sequences import NO_CODE


class Depth(nn.Module):
    """p(o[t, l] | hidden state of frame t, o[t, < l]) for levels l of codewords [s, k, c] after the first."""

    def __init__(self, codewords: Tensor, dim: int):
        super().__init__()
        self.mix = nn.ModuleList([_mixer(dim) for _ in codewords[1:]])
        self.head = ResidualHead(codewords, dim) if len(codewords) > 1 else None

    def forward(self, table: CodeTable, hidden: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Of the level above codes [b, t, l] of the frames with hidden states [b, t, d]: logits [b, t, k], and the
        latents [b, t, c] as known there. `table` has a vector for each code."""
        assert self.head is not None, "one level has none above it"
        level = codes.shape[-1]
        heard = table.summed(codes).to(hidden.dtype)  # [b, t, d]
        mixed = hidden + self.mix[level - 1](torch.cat([hidden, heard], -1))
        return self.head(mixed, codes, torch.tensor([level], device=codes.device))

    def learned(self, table: CodeTable, first: Tensor, hidden: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Beside logits of the first level [b, t, k + 1] those of all that are said [b, t, s, k + 1], each given the
        right codes below it, and the latents [b, t, c] as every further level knows them.

        Where `labels` [b, t, s] are the end or nothing, a frame has no further levels and any code will do.
        """
        codes = labels.clamp(0, table.codewords.shape[1] - 1)
        above = [self(table, hidden, codes[..., :level]) for level in range(1, 1 + len(self.mix))]
        further = [F.pad(logits, (0, 1), value=-torch.inf) for logits, _ in above]
        return torch.stack([first, *further], -2), [latents for _, latents in above]


def _mixer(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(2 * dim), nn.Linear(2 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))


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
        """Logits [b, t, k] of hidden states [b, t, d], each item at its own level [b], or all at one [1], and
        latents [b, t, c]; of `codes` [b, t, q] those below the level count."""
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
        """The sum [b, t, c] of the codewords below each item's level [b] or [1]."""
        levels = torch.arange(codes.shape[-1], device=codes.device)
        told = (levels < level[:, None, None]) & (codes != NO_CODE)  # [b, t, q]
        words = self.codewords[levels, codes.masked_fill(~told, 0)]  # [b, t, q, c]
        return (words * told[..., None]).sum(-2)


def unsaid(codewords: Tensor) -> Tensor:
    """What the levels before each one leave of the latents [q]: the mean power of its codewords [q, k, c] and of all
    above it."""
    return codewords.square().mean((1, 2)).clamp_min(1e-16).flip(0).cumsum(0).flip(0)
