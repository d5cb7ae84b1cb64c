"""The embedded scale's codec: an affine encoder of log-mel frames and a trained ISTFT decoder.

A latent that a small model can predict matters more than the last tenth of codec quality: the encoder sees log-mel
energies and no phase, four mel frames a latent frame, projected on their principal components. It is fitted in closed
form; the decoder is trained, with the same losses as the paper-scale codec, on latents sampled from the posterior.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.codec.base import Codec
from speechbase.codec.settings import MelConfig


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution in time, then a gated-by-scale two-layer perceptron (ConvNeXt, 1-D): [b, n, d] -> [b, n,
    d].

    The depthwise kernel is a sum of shifted products: on CPU that is several times faster than Conv1d in training.
    """

    def __init__(self, dim: int, hidden: int, kernel: int = 7):
        super().__init__()
        self.kernel = kernel
        self.depthwise = nn.Parameter(torch.randn(kernel, dim) * kernel**-0.5)
        self.norm = nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.scale = nn.Parameter(torch.full((dim,), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        """x [b, n, c] -> the same shape."""
        n = x.shape[1]
        padded = F.pad(x, (0, 0, self.kernel // 2, self.kernel // 2))
        taps = self.depthwise.to(x.dtype)
        y = sum(padded[:, i : i + n] * taps[i] for i in range(self.kernel))
        return x + self.scale.to(x.dtype) * self.down(F.gelu(self.up(self.norm(y)), approximate="tanh"))


class IstftDecoder(nn.Module):
    """Latents [b, n, c] -> audio: frames at the mel rate, ConvNeXt blocks, magnitude and phase, inverse STFT."""

    def __init__(self, latent_dim: int, dim: int, layers: int, upsample: int, hop: int, n_fft: int):
        super().__init__()
        self.window: Tensor
        self.upsample, self.hop, self.n_fft, self.dim = upsample, hop, n_fft, dim
        self.enter = nn.Linear(3 * latent_dim, upsample * dim)
        self.blocks = nn.ModuleList(ConvNeXtBlock(dim, 3 * dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.leave = nn.Linear(dim, n_fft + 2)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [b, n, c] -> audio [b, s]."""
        b, n, _ = latents.shape
        padded = F.pad(latents, (0, 0, 1, 1))
        near = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], -1)  # [b, n, 3c]
        x = self.enter(near).view(b, n * self.upsample, self.dim)  # [b, m, d], m mel frames
        for block in self.blocks:
            x = block(x)
        magnitude, phase = self.leave(self.norm(x)).float().chunk(2, -1)  # each [b, m, n_fft / 2 + 1]
        spectrum = torch.polar(magnitude.clamp(max=5.0).exp(), phase)
        return self._inverse_stft(spectrum, n * self.upsample * self.hop)

    def _inverse_stft(self, spectrum: Tensor, samples: int) -> Tensor:
        """Overlap-add of windowed frames centred on their hops, divided by the summed squared window."""
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=-1) * self.window  # [b, m, n_fft]
        total = (frames.shape[1] - 1) * self.hop + self.n_fft
        wave = F.fold(frames.transpose(1, 2), (1, total), (1, self.n_fft), stride=(1, self.hop))[:, 0, 0]
        square = (self.window**2).expand(1, frames.shape[1], -1).transpose(1, 2)
        envelope = F.fold(square, (1, total), (1, self.n_fft), stride=(1, self.hop))[:, 0, 0]
        left = (self.n_fft - self.hop) // 2
        return (wave / envelope.clamp_min(1e-3))[:, left : left + samples]


class MelCodec(Codec):
    """Log-mel principal components as latents (see the module's text).

    Channels that carry more stay larger (`spectrum_power`), so that diffusion resolves them first.
    """

    def __init__(self, config: MelConfig):
        from torchaudio.functional import melscale_fbanks  # slow to import, and whoever imports us may build none

        super().__init__(config.latent_dim)
        self.bank: Tensor
        self.window: Tensor
        self.centre: Tensor
        self.basis: Tensor
        self.rate_hz, self.hop, self.frames_per_latent = config.rate_hz, config.hop, config.frames_per_latent
        self.n_fft, self.mel_hop, self.floor = config.n_fft, config.hop // config.frames_per_latent, config.floor
        self.spectrum_power, self.posterior_std = config.spectrum_power, config.posterior_std
        features = config.frames_per_latent * config.n_mels
        with torch.device("cpu"):  # it indexes with a mask, which the meta device cannot
            bank = melscale_fbanks(
                config.n_fft // 2 + 1, 20.0, config.rate_hz / 2, config.n_mels, config.rate_hz, "slaney", "slaney"
            )
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("basis", torch.eye(features)[:, : config.latent_dim].clone())
        self.decoder = IstftDecoder(
            config.latent_dim, config.decoder_dim, config.decoder_layers, config.frames_per_latent, self.mel_hop,
            config.n_fft,
        )  # fmt: skip
        # samples that a decoder output sees to either side
        reach = config.decoder_layers * 3 * self.mel_hop + config.n_fft
        self.context_frames = -(-reach // config.hop) + 2

    def log_mel(self, wave: Tensor) -> Tensor:
        """log(mel + floor) [b, m, n_mels] of audio [b, s], m = s / (hop / frames_per_latent) centred frames."""
        pad = (self.n_fft - self.mel_hop) // 2
        padded = F.pad(wave, (pad, self.n_fft - self.mel_hop - pad))
        frames = padded.unfold(1, self.n_fft, self.mel_hop) * self.window
        return torch.log(torch.fft.rfft(frames).abs() @ self.bank + self.floor)

    def _features(self, wave: Tensor) -> Tensor:
        mel = self.log_mel(wave)
        return mel.reshape(mel.shape[0], -1, self.frames_per_latent * mel.shape[-1])  # [b, n, 4 * n_mels]

    def posterior(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """As `Codec.posterior`."""
        mean = (self._features(wave) - self.centre) @ self.basis
        return mean, torch.full_like(mean, 2.0).mul_(torch.log(torch.tensor(self.posterior_std)))

    def synthesise(self, latents: Tensor) -> Tensor:
        """As `Codec.synthesise`."""
        return self.decoder(latents)

    @torch.no_grad()
    def fit(self, waves: list[Tensor]) -> float:
        """Fit the encoder to audio [s] each: principal components of stacked log-mel frames.

        Returns:
            the fraction of variance that the latents keep.
        """
        features = torch.cat([self._features(w[None, : len(w) // self.hop * self.hop])[0] for w in waves]).double()
        centre = features.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((features - centre).T))
        values, vectors = values.flip(0), vectors.flip(1)
        kept = values[: self.latent_dim].clamp_min(1e-8)
        scale = kept**self.spectrum_power / kept.sqrt()
        scale = scale / ((kept * scale**2).mean()).sqrt()  # unit variance on average over channels
        self.centre.copy_(centre)
        self.basis.copy_(vectors[:, : self.latent_dim] * scale)
        return float(kept.sum() / values.sum())

    @torch.no_grad()
    def adopt(self, other: MelCodec) -> None:
        """Start from the decoder of another codec of this kind, whose encoder (another basis, fewer channels) may
        differ.

        Both encoders are affine, so the other's latents are nearly an affine function of these: it goes into the first
        layer.

        Raises:
            ValueError: decoders of other sizes.
        """
        mine, theirs = self.decoder, other.decoder
        if mine.blocks.state_dict().keys() != theirs.blocks.state_dict().keys() or mine.dim != theirs.dim:
            raise ValueError("the other codec's decoder has other sizes")
        for part in ("blocks", "norm", "leave"):
            getattr(mine, part).load_state_dict(getattr(theirs, part).state_dict())
        back = torch.linalg.pinv(self.basis.double())  # latents to log-mel frames: [c, features]
        turn = back @ other.basis.double()  # to the other's latents: [c, c']
        shift = (self.centre - other.centre).double() @ other.basis.double()
        weight = theirs.enter.weight.double().view(len(theirs.enter.weight), 3, -1)  # [out, 3, c']
        mine.enter.weight.copy_(torch.einsum("okd,cd->okc", weight, turn).flatten(1))
        mine.enter.bias.copy_(theirs.enter.bias.double() + torch.einsum("okd,d->o", weight, shift))
