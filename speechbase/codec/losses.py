"""Losses of the codec (Appendix C, after DAC): multi-scale mel, and complex-STFT discriminators with feature
matching."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn


class MultiScaleMel(nn.Module):
    """Mean absolute difference of log10 mel spectrograms over several window lengths (DAC: 7 scales, hop = window /
    4)."""

    def __init__(self, rate_hz: int, windows: tuple[int, ...], mels: tuple[int, ...]):
        super().__init__()
        self.windows = windows
        for window, bands in zip(windows, mels, strict=True):
            bank = torchaudio.functional.melscale_fbanks(
                window // 2 + 1, 0.0, rate_hz / 2, bands, rate_hz, norm="slaney", mel_scale="slaney"
            )
            self.register_buffer(f"bank_{window}", bank, persistent=False)
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Loss of audio [b, s] against audio [b, s]."""
        total = estimate.new_zeros(())
        for window in self.windows:
            logs = []
            for wave in (estimate, target):
                spectrum = stft(wave, window, window // 4, getattr(self, f"window_{window}")).abs()  # [b, m, f]
                logs.append(torch.log10((spectrum @ getattr(self, f"bank_{window}")).clamp_min(1e-5)))
            total = total + F.l1_loss(logs[0], logs[1])
        return total / len(self.windows)


def stft(wave: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """Complex spectrogram [b, m, n_fft / 2 + 1] of audio [b, s]."""
    return torch.stft(wave, n_fft, hop, window=window, return_complex=True, pad_mode="reflect").transpose(1, 2)


class ComplexStftDiscriminator(nn.Module):
    """Judges the real and imaginary parts of one STFT resolution, in frequency bands as DAC does."""

    bands = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))

    def __init__(self, window: int, channels: int = 32):
        super().__init__()
        self.window: Tensor
        self.n_fft = window
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        norm = nn.utils.parametrizations.weight_norm

        def stack() -> nn.ModuleList:
            sizes = [(2, channels, (3, 9), (1, 1)), *[(channels, channels, (3, 9), (1, 2))] * 3]
            sizes.append((channels, channels, (3, 3), (1, 1)))
            return nn.ModuleList(
                norm(nn.Conv2d(i, o, kernel, stride, (kernel[0] // 2, kernel[1] // 2)))
                for i, o, kernel, stride in sizes
            )

        self.stacks = nn.ModuleList(stack() for _ in self.bands)
        self.last = norm(nn.Conv2d(channels, 1, (3, 3), padding=1))

    def forward(self, wave: Tensor) -> list[Tensor]:
        """Feature maps of audio [b, s]; the last one holds the scores."""
        spectrum = torch.view_as_real(stft(wave, self.n_fft, self.n_fft // 4, self.window)).permute(0, 3, 1, 2)
        edges = [(int(low * spectrum.shape[-1]), int(high * spectrum.shape[-1])) for low, high in self.bands]
        features, ends = [], []
        for (low, high), stack in zip(edges, self.stacks):
            x = spectrum[..., low:high]  # [b, 2, m, f]
            for layer in cast(nn.ModuleList, stack):
                x = F.leaky_relu(layer(x), 0.1)
                features.append(x)
            ends.append(x)
        return [*features, self.last(torch.cat(ends, -1))]


class Discriminators(nn.Module):
    """Complex-STFT discriminators at several resolutions, with least-squares GAN losses and feature matching."""

    def __init__(self, windows: tuple[int, ...], channels: int):
        super().__init__()
        self.members = nn.ModuleList(ComplexStftDiscriminator(window, channels) for window in windows)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Real audio should score 1, reconstructions 0."""
        losses = [(1 - d(real)[-1]).square().mean() + d(fake.detach())[-1].square().mean() for d in self.members]
        return sum(losses) / len(losses)

    def generator_losses(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """(adversarial, feature matching) losses of the reconstruction."""
        adversarial = matching = fake.new_zeros(())
        for member in self.members:
            with torch.no_grad():
                targets = member(real)
            guesses = member(fake)
            adversarial = adversarial + (1 - guesses[-1]).square().mean()
            pairs = list(zip(guesses[:-1], targets[:-1]))
            matching = matching + sum(F.l1_loss(guess, target) for guess, target in pairs) / len(pairs)
        return adversarial / len(self.members), matching / len(self.members)
