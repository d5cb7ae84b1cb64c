"""Residual vector quantisation of a codec's latents: what token models of every kind hear and say.

Fitted by k-means, level after level on what the levels before leave over, so that no codebook can collapse (Zeghidour
et al. 2021, SoundStream, has the same structure and trains it). Each further level refines the sum.

Legend: b batch, n latent frames, c latent channels, q levels, k codes a level.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from speechbase.codec.base import Codec
from speechbase.files import UserError

BLOCK = 4096  # frames whose distances to all codewords are held at once


class ResidualQuantiser(nn.Module):
    """Latents [..., c] <-> codes [..., q] in 0..k-1."""

    codewords: Tensor  # [q, k, c]

    def __init__(self, levels: int, codes: int, dim: int):
        super().__init__()
        self.register_buffer("codewords", torch.zeros(levels, codes, dim))

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return self.codewords.shape[0]

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """Codes [..., q] of latents [..., c]: at each level the codeword nearest to what is left over."""
        residual = latents.reshape(-1, latents.shape[-1]).float()  # [n, c]
        codes = []
        for words in self.codewords:
            nearest = torch.cat([_nearest(block, words) for block in residual.split(BLOCK)])
            codes.append(nearest)
            residual = residual - words[nearest]
        return torch.stack(codes, -1).view(*latents.shape[:-1], self.levels)

    def decode(self, codes: Tensor) -> Tensor:
        """Latents [..., c] of codes [..., up to q levels]: the sum of their codewords."""
        found = [self.codewords[level][codes[..., level]] for level in range(codes.shape[-1])]
        return torch.stack(found).sum(0)

    @torch.no_grad()
    def fit(self, latents: Tensor, seed: int, iterations: int) -> list[float]:
        """Fit the codebooks to latents [n, c]; an empty cluster is begun anew at the frame farthest from its own.

        Returns:
            by level, the share of variance that is left over after it.

        Raises:
            UserError: fewer frames than codes.
        """
        from sklearn.cluster import KMeans  # a second to import, and only a fit needs it

        levels, codes, _ = self.codewords.shape
        if len(latents) < codes:
            raise UserError(f"{len(latents)} latent frames cannot fit {codes} codes; fit.frames must be larger.")
        residual = latents.float().cpu().numpy()
        total, left = float(residual.var(0).sum()), []
        for level in range(levels):
            means = KMeans(codes, init="random", n_init=1, max_iter=iterations, tol=0, random_state=seed + level)
            nearest = means.fit_predict(residual)
            residual = residual - means.cluster_centers_[nearest]
            self.codewords[level] = torch.from_numpy(means.cluster_centers_.astype(np.float32))
            left.append(float(np.square(residual).sum(1).mean()) / total)
        return left


def _nearest(frames: Tensor, words: Tensor) -> Tensor:
    """Index [n] of the codeword [k, c] nearest to each frame [n, c]; in full precision wherever it is called."""
    with torch.autocast(frames.device.type, enabled=False):
        return (words.square().sum(1) / 2 - frames @ words.T).argmin(1)


class TokenCodec(nn.Module):
    """A codec whose latents are codes: audio [b, s] <-> codes [b, n, q].

    Only the decoder is trained, on quantised latents: without it, it has never heard the quantiser's errors.
    """

    def __init__(self, codec: Codec, levels: int, codes: int):
        super().__init__()
        self.codec, self.quantiser = codec.requires_grad_(False), ResidualQuantiser(levels, codes, codec.latent_dim)
        self.codec.decoder.requires_grad_(True)

    @property
    def rate_hz(self) -> int:
        """Of the audio."""
        return self.codec.rate_hz

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return self.codec.hop

    def encode(self, wave: Tensor, chunk_frames: int | None = None) -> Tensor:
        """Codes [b, n, q] of audio [b, s]; any length, the last frame padded with zeros."""
        return self.quantiser.encode(self.codec.encode(wave, chunk_frames))

    def decode(self, codes: Tensor, chunk_frames: int | None = None) -> Tensor:
        """Audio [b, n * hop] of codes [b, n, up to q levels]."""
        return self.codec.decode(self.quantiser.decode(codes), chunk_frames)

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Audio [b, s] from a random number of levels (half the time all of them), and the posterior: for training."""
        with torch.no_grad():
            mean, logvar = self.codec.posterior(wave)  # [b, n, c]
            codes = self.quantiser.encode((mean - self.codec.mean) / self.codec.std)  # [b, n, q]
            levels = self.quantiser.levels
            if torch.rand(()) < 0.5:
                levels = int(torch.randint(1, levels + 1, ()))
            latents = self.codec.raw(self.quantiser.decode(codes[..., :levels]))  # [b, n, c]
        return self.codec.synthesise(latents), mean, logvar
