"""A predictive enhancer: a bidirectional GRU over compressed spectra that masks what it hears and adds what is lost.

Shapes: b batch, n samples, f frames, k = window / 2 + 1 bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.predictive.settings import Size

COMPRESSION = 0.3  # magnitudes to this power, in features and loss (Braun & Tashev 2021)
FLOOR = 1e-3  # about 75 dB below speech at the normalised level: bounds the power law's slope at silence


class Enhancer(nn.Module):
    """Complex mask times the noisy spectrum, plus a mapped spectrum for what a mask cannot restore (lost bands)."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size
        self.hann: Tensor
        bins = size.window // 2 + 1
        self.register_buffer("hann", torch.hann_window(size.window), persistent=False)
        self.inward = nn.Sequential(nn.Linear(3 * bins, size.hidden), nn.LayerNorm(size.hidden), nn.SiLU())
        self.recurrent = nn.GRU(size.hidden, size.hidden // 2, size.layers, batch_first=True, bidirectional=True)
        self.outward = nn.Linear(size.hidden, 4 * bins)
        nn.init.zeros_(self.outward.weight)
        with torch.no_grad():  # starts as the identity: mask 1, nothing mapped
            self.outward.bias.zero_()[:bins] = 1.0

    def forward(self, noisy: Tensor) -> Tensor:
        """Enhance float [b, n] at `size.rate_hz`; returns float [b, n]."""
        level = noisy.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5) * 10  # [b, 1]
        spectrum = self.spectrum(noisy / level)  # [b, f, k] complex, compressed
        features = torch.cat([spectrum.real, spectrum.imag, spectrum.abs()], -1)  # [b, f, 3k]
        hidden, _ = self.recurrent(self.inward(features))  # [b, f, hidden]
        mask_re, mask_im, map_re, map_im = self.outward(hidden).chunk(4, -1)  # [b, f, k] each
        out = torch.complex(mask_re, mask_im) * spectrum + torch.complex(map_re, map_im)
        return self.wave(out, noisy.shape[-1]) * level

    def spectrum(self, wave: Tensor) -> Tensor:
        """Compressed STFT: float [b, n] -> complex [b, f, k]."""
        size = self.size
        stft = torch.stft(wave, size.window, size.hop, window=self.hann, return_complex=True)  # [b, k, f]
        return (stft * (stft.abs() + FLOOR) ** (COMPRESSION - 1)).transpose(1, 2)

    def wave(self, spectrum: Tensor, length: int) -> Tensor:
        """Inverse of `spectrum` (but for its floor): complex [b, f, k] -> float [b, length]."""
        size = self.size
        stft = (spectrum * spectrum.abs() ** (1 / COMPRESSION - 1)).transpose(1, 2)
        return torch.istft(stft, size.window, size.hop, window=self.hann, length=length)


def spectral_loss(model: Enhancer, batch: dict[str, Tensor]) -> Tensor:
    """L1 between compressed spectra, complex and magnitude halves; the target's level sets the scale.

    Args:
        batch: `noisy` and `clean`, float [b, n].
    """
    level = batch["clean"].square().mean(-1, keepdim=True).sqrt().clamp(min=1e-4) * 10
    ours = model.spectrum(model(batch["noisy"]) / level)
    target = model.spectrum(batch["clean"] / level)
    return 0.5 * (torch.view_as_real(ours - target).abs().mean() + (ours.abs() - target.abs()).abs().mean())
