"""SSET: semantic embeddings as tokens and back, by convolutions around a residual vector quantiser (arXiv 2406.07801).

Codebooks follow the encoder by moving averages, and a code that nothing falls on any more begins anew at a frame of
the batch (van den Oord et al. 2017; Zeghidour et al. 2021). Its rival, k-means on the same embeddings, is the same
model without the encoder: clusters (of what the level before leaves), and the same decoder.

Legend: b batch, n frames, q levels, d width of the embeddings, h inner width, k codes a level.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from baselines.polyspeech import weights
from baselines.polyspeech.settings import SsetConfig
from speechbase.codec.mel import ConvNeXtBlock
from speechbase.settings import checked
from speechbase.training import checkpoint

DECAY = 0.97  # of the codebook's averages, a step
DEAD = 0.05  # frames a batch, on average, below which a code begins anew


class Sset(nn.Module):
    """Embeddings [b, n, d] <-> tokens [b, n, q] in 0..k-1."""

    codewords: Tensor  # [q, k, h] (of k-means [q, k, d])
    counts: Tensor  # [q, k], averages of how many frames a batch fall on each
    sums: Tensor  # [q, k, h], and of what these frames sum up to

    def __init__(self, width: int, sizes: SsetConfig):
        super().__init__()
        inner = sizes.dim if sizes.encoder else width
        self.encoder = _convolutions(width, inner, sizes) if sizes.encoder else nn.Identity()
        self.decoder = nn.Sequential(nn.Linear(inner, sizes.dim), _convolutions(sizes.dim, width, sizes))
        self.learned = sizes.encoder
        self.register_buffer("codewords", torch.zeros(sizes.levels, sizes.codes, inner))
        self.register_buffer("counts", torch.ones(sizes.levels, sizes.codes))
        self.register_buffer("sums", torch.zeros(sizes.levels, sizes.codes, inner))

    def begin(self, codewords: Tensor) -> None:
        """Start from codewords [q, k, h]."""
        self.codewords.copy_(codewords)
        self.sums.copy_(codewords)

    def nearest(self, inner: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [b, n, q] of vectors [b, n, h], and what each level was to say [b, n, q, h]; in full precision."""
        tokens, wanted, left = [], [], inner.float()
        with torch.autocast(inner.device.type, enabled=False):
            for words in self.codewords:
                tokens.append((words.square().sum(1) / 2 - left @ words.T).argmin(-1))
                wanted.append(left)
                left = left - words[tokens[-1]]
        return torch.stack(tokens, -1), torch.stack(wanted, -2)

    def summed(self, tokens: Tensor) -> Tensor:
        """The sum [b, n, h] of the codewords of tokens [b, n, q]."""
        return self.codewords[torch.arange(tokens.shape[-1], device=tokens.device), tokens].sum(-2)

    def encode(self, embeddings: Tensor) -> Tensor:
        """Tokens [b, n, q] of embeddings [b, n, d]."""
        return self.nearest(self.encoder(embeddings))[0]

    def decode(self, tokens: Tensor) -> Tensor:
        """Embeddings [b, n, d] of tokens [b, n, q]."""
        return self.decoder(self.summed(tokens))

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [b, n, d], what the encoder gave [b, n, h], and tokens [b, n, q]; gradients pass straight."""
        inner = self.encoder(embeddings)
        tokens, _ = self.nearest(inner)
        words = self.summed(tokens).to(inner.dtype)
        return self.decoder(inner + (words - inner).detach() if self.learned else words), inner, tokens

    @torch.no_grad()
    def follow(self, inner: Tensor) -> None:
        """Move the codewords towards what the encoder's outputs [b, n, h] leave to them, and dead ones to random
        frames; all processes of a training move them alike, by the frames of all."""
        tokens, wanted = self.nearest(inner.detach())
        for level, (words, counts, sums) in enumerate(zip(self.codewords, self.counts, self.sums)):
            flat, found = wanted[..., level, :].flatten(0, 1), tokens[..., level].flatten()
            counts.lerp_(_of_all(torch.bincount(found, minlength=len(words)).float()), 1 - DECAY)
            sums.lerp_(_of_all(torch.zeros_like(sums).index_add_(0, found, flat)), 1 - DECAY)
            dead = counts < DEAD
            if dead.any():
                fresh = flat[torch.randint(len(flat), (int(dead.sum()),), device=flat.device)]
                sums[dead] = _of_first(fresh)
                counts[dead] = 1.0
            words.copy_(sums / counts[:, None])


def _of_all(tensor: Tensor) -> Tensor:
    """A tensor's sum over the processes of a training."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def _of_first(tensor: Tensor) -> Tensor:
    """The first process's tensor."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast(tensor, 0)
    return tensor


def _convolutions(enter: int, leave: int, sizes: SsetConfig) -> nn.Sequential:
    blocks = [ConvNeXtBlock(sizes.dim, 2 * sizes.dim, sizes.kernel) for _ in range(sizes.layers)]
    return nn.Sequential(nn.Linear(enter, sizes.dim), *blocks, nn.LayerNorm(sizes.dim), nn.Linear(sizes.dim, leave))


def load_sset(folder: Path, semantic: dict, device: torch.device | str = "cpu") -> tuple[Sset, dict]:
    """A trained tokeniser, and the record of it that models of its tokens carry.

    Args:
        semantic: the record of the encoder whose embeddings it must be for.

    Raises:
        UserError: missing or foreign weights, a model of another kind, or one of another encoder's embeddings.
    """
    tensors, config = weights.read(folder, "sset")
    weights.check(config, "semantic", semantic, folder)
    with checkpoint.building(folder):
        network = dict(config["network"])
        sset = Sset(network.pop("width"), checked(SsetConfig, network, "network"))
    checkpoint.load_into(sset, tensors, folder)
    return sset.to(device).eval().requires_grad_(False), weights.record(folder, config)
