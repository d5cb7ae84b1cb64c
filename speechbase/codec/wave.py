"""A waveform VAE in the manner of Appendix C that two CPU cores can train: latents that keep the phase.

Where the paper's codec convolves samples, this one works on windowed frames of the waveform (a strided convolution with
a fixed window), as spectra: ConvNeXt blocks at the frame rate, and a decoder that gives magnitudes and phases to an
inverse STFT. The bottleneck, its losses and its rate (40 Hz) are the paper's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.codec.base import Codec
from speechbase.codec.mel import ConvNeXtBlock, IstftDecoder
from speechbase.codec.settings import WaveConfig

# Spectra are taken to this power, that quiet bins are not lost beside loud ones; near silence they stay linear.
COMPRESSION, FLOOR = 0.3, 1e-3


class WaveEncoder(nn.Module):
    """Audio [b, s] -> mean and log-variance [b, n, 2c]: compressed complex frames, ConvNeXt blocks, frames stacked."""

    def __init__(self, latent_dim: int, dim: int, layers: int, stack: int, hop: int, n_fft: int):
        super().__init__()
        self.window: Tensor
        self.stack, self.hop, self.n_fft = stack, hop, n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.enter = nn.Linear(n_fft + 2, dim)
        self.blocks = nn.ModuleList(ConvNeXtBlock(dim, 3 * dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.leave = nn.Linear(stack * dim, 2 * latent_dim)

    def forward(self, wave: Tensor) -> Tensor:
        """Audio [b, s], s a multiple of `stack` hops."""
        pad = (self.n_fft - self.hop) // 2
        padded = F.pad(wave.float(), (pad, self.n_fft - self.hop - pad))
        spectrum = torch.fft.rfft(padded.unfold(1, self.n_fft, self.hop) * self.window)  # [b, m, f]
        spectrum = spectrum * (spectrum.abs() + FLOOR) ** (COMPRESSION - 1)
        x = self.enter(torch.cat([spectrum.real, spectrum.imag], -1))  # [b, m, d]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.leave(x.reshape(len(x), -1, self.stack * x.shape[-1]))  # [b, n, 2c]


class WaveCodec(Codec):
    """The encoder and decoder around a Gaussian bottleneck (see the module's text)."""

    def __init__(self, sizes: WaveConfig):
        super().__init__(sizes.latent_dim)
        self.rate_hz, self.hop = sizes.rate_hz, sizes.hop
        stack, n_fft = sizes.frames_per_latent, sizes.n_fft
        frame_hop = sizes.hop // stack
        encoder, decoder = (sizes.encoder_dim, sizes.encoder_layers), (sizes.decoder_dim, sizes.decoder_layers)
        self.encoder = WaveEncoder(sizes.latent_dim, *encoder, stack, frame_hop, n_fft)
        self.decoder = IstftDecoder(sizes.latent_dim, *decoder, stack, frame_hop, n_fft)
        # samples that either sees to either side
        reach = max(sizes.encoder_layers, sizes.decoder_layers) * 3 * frame_hop + n_fft
        self.context_frames = -(-reach // sizes.hop) + 2

    def posterior(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """As `Codec.posterior`."""
        mean, logvar = self.encoder(wave).chunk(2, -1)
        return mean, logvar.clamp(-12, 4)

    def synthesise(self, latents: Tensor) -> Tensor:
        """As `Codec.synthesise`."""
        return self.decoder(latents)
