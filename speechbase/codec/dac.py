"""The paper's codec (Appendix C): a DAC-style convolutional VAE, 48 kHz to 64 channels at 40 Hz.

Strides 2 x 4 x 5 x 5 x 6 = 1200 and DAC's widths are our reading: the paper gives the factor and the channels only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from speechbase.codec.base import Codec
from speechbase.codec.settings import DacConfig


class Snake(nn.Module):
    """x + sin^2(a x) / a with a learned frequency a channel (Ziyin et al., 2020): [b, c, s] -> [b, c, s]."""

    def __init__(self, channels: int):
        super().__init__()
        self.frequency = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x [b, c, n] -> the same shape."""
        return x + torch.sin(self.frequency * x) ** 2 / (self.frequency + 1e-9)


def _conv(entering: int, leaving: int, kernel: int, dilation: int = 1, stride: int = 1, padding: int | None = None):
    padding = dilation * (kernel - 1) // 2 if padding is None else padding
    return weight_norm(nn.Conv1d(entering, leaving, kernel, stride, padding, dilation))


class Residual(nn.Module):
    """Dilated residual unit of DAC."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            Snake(channels), _conv(channels, channels, 7, dilation), Snake(channels), _conv(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x [b, c, n] -> the same shape."""
        return x + self.layers(x)


def _residuals(channels: int) -> list[nn.Module]:
    return [Residual(channels, dilation) for dilation in (1, 3, 9)]


class DacCodec(Codec):
    """DAC encoder and decoder around a Gaussian bottleneck."""

    def __init__(self, config: DacConfig):
        super().__init__(config.latent_dim)
        strides, latent_dim, width = config.strides, config.latent_dim, config.encoder_dim
        self.rate_hz, self.hop = config.rate_hz, math.prod(strides)
        layers: list[nn.Module] = [_conv(1, width, 7)]
        for stride in strides:
            layers += [*_residuals(width), Snake(width)]
            layers += [_conv(width, 2 * width, 2 * stride, stride=stride, padding=-(-stride // 2))]
            width *= 2
        self.encoder = nn.Sequential(*layers, Snake(width), _conv(width, 2 * latent_dim, 3))
        width = config.decoder_dim
        layers = [_conv(latent_dim, width, 7)]
        for stride in reversed(strides):
            odd = stride % 2
            up = nn.ConvTranspose1d(width, width // 2, 2 * stride, stride, -(-stride // 2), output_padding=odd)
            layers += [Snake(width), weight_norm(up), *_residuals(width // 2)]
            width //= 2
        self.decoder = nn.Sequential(*layers, Snake(width), _conv(width, 1, 7), nn.Tanh())
        self.context_frames = self._reach(strides)

    def _reach(self, strides: tuple[int, ...]) -> int:
        """Latent frames that encoder or decoder see to either side: residual units at every rate, and the ends."""
        residual = 3 * (1 + 3 + 9)
        rate, samples = 1, 3
        for stride in strides:
            samples += rate * (residual + 2 * stride)
            rate *= stride
        return -(-samples // rate) + 5

    def posterior(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """As `Codec.posterior`."""
        mean, logvar = self.encoder(wave[:, None]).transpose(1, 2).chunk(2, -1)
        return mean, logvar.clamp(-12, 4)

    def synthesise(self, latents: Tensor) -> Tensor:
        """As `Codec.synthesise`."""
        return self.decoder(latents.transpose(1, 2))[:, 0]
