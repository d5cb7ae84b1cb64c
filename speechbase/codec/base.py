"""What every codec shares: the variational bottleneck, latent statistics and seamless work in chunks.

Legend: b batch, s samples, n latent frames (s = n * hop), c latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Codec(nn.Module):
    """Base of codecs: subclasses give `posterior` (raw mean and log-variance) and `synthesise` (raw latents to audio).

    Outside, latents are normalised by per-channel statistics that are stored with the weights.
    `context_frames` is how far a latent frame sees to either side, so that chunks with that much context have no seam.
    """

    rate_hz: int
    hop: int
    latent_dim: int
    context_frames: int
    mean: Tensor  # of raw latents, by channel
    std: Tensor

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("std", torch.ones(latent_dim))

    def posterior(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [b, n, c] of q(z | y) for audio [b, s], s a multiple of `hop` (Eq. 5)."""
        raise TypeError("a codec needs a posterior")

    def synthesise(self, latents: Tensor) -> Tensor:
        """Audio [b, n * hop] of raw latents [b, n, c]."""
        raise TypeError("a codec needs a decoder")

    def raw(self, latents: Tensor) -> Tensor:
        """Raw latents, as `synthesise` takes them, of normalised ones [b, n, c]; with gradients."""
        return latents * self.std + self.mean

    def frames(self, samples: int) -> int:
        """Latent frames of so many samples (the last frame is padded with zeros)."""
        return -(-samples // self.hop)

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [b, s] with sampled latents, mean and log-variance: for training (Eq. 5, 6)."""
        mean, logvar = self.posterior(wave)
        latents = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return self.synthesise(latents), mean, logvar

    @torch.no_grad()
    def encode(self, wave: Tensor, chunk_frames: int | None = None) -> Tensor:
        """Normalised latents [b, n, c] of audio [b, s] (the posterior's mean); any length, in chunks if asked."""
        wave = F.pad(wave, (0, self.frames(wave.shape[1]) * self.hop - wave.shape[1]))
        n = wave.shape[1] // self.hop
        pieces = []
        for start, stop, left, right in self._chunks(n, chunk_frames):
            mean, _ = self.posterior(wave[:, left * self.hop : right * self.hop])
            pieces.append(mean[:, start - left : stop - left])
        return (torch.cat(pieces, 1) - self.mean) / self.std

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk_frames: int | None = None) -> Tensor:
        """Audio [b, n * hop] of normalised latents [b, n, c]; any length, in chunks if asked."""
        pieces = []
        for start, stop, left, right in self._chunks(latents.shape[1], chunk_frames):
            wave = self.synthesise(self.raw(latents[:, left:right]))
            pieces.append(wave[:, (start - left) * self.hop : (stop - left) * self.hop])
        return torch.cat(pieces, 1)

    def _chunks(self, n: int, chunk: int | None) -> Iterator[tuple[int, int, int, int]]:
        """(start, stop) of each chunk and the (left, right) it needs with context, in frames."""
        chunk = chunk or max(n, 1)
        for start in range(0, n, chunk):
            stop = min(n, start + chunk)
            yield start, stop, max(0, start - self.context_frames), min(n, stop + self.context_frames)

    @torch.no_grad()
    def set_statistics(self, latents: Tensor) -> None:
        """Store per-channel mean and standard deviation of raw latents [..., c]."""
        flat = latents.reshape(-1, self.latent_dim)
        self.mean.copy_(flat.mean(0))
        self.std.copy_(flat.std(0).clamp_min(1e-4))


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|y) || N(0, I)) averaged over all elements (Eq. 6 with lambda = 0.1; reading in docs/readings.md)."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
