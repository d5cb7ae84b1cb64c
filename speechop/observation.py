"""Observation: generated speech keeps the recording's phase, and a share of its level in each band and moment.

Beyond the paper. A generative enhancer leaves no noise but may change words; where it is unsure, the recording knows
more than it does. Adding the recording to what a network made of it ("observation adding", Iwamoto et al. 2022,
arXiv 2201.06685) gives words back to recognisers; here the levels are averaged in decibels, as the log-spectral
amplitude estimator does (Ephraim and Malah 1985), so that noise returns weakened wherever no speech was generated.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW_SECONDS, HOPS = 0.032, 4
MOST_DB = 12.0
VOICE_FROM_HZ = 80.0  # below, a window cannot tell a voice's fundamental from hum, which would return whole


def observed(generated: Tensor, recording: Tensor, share: float, rate_hz: int) -> Tensor:
    """Audio [s] with the recording's phase, whose spectrum is |generated|^(1 - share) |recording|^share.

    A recording counts as at most MOST_DB below what was generated, which has its own phase there: so bands that the
    recording lacks are restored, weaker by share times MOST_DB. Below VOICE_FROM_HZ all is generated.

    Args:
        generated, recording: float [s] of the same length, aligned, at `rate_hz`.
        share: between 0 (levels as generated) and 1 (the recording's).

    Raises:
        ValueError: another length.
    """
    if generated.shape != recording.shape:
        raise ValueError(f"{len(generated)} generated samples for a recording of {len(recording)}")
    size = round(WINDOW_SECONDS * rate_hz) // HOPS * HOPS
    window = torch.hann_window(size, device=recording.device)
    made, heard = (
        torch.stft(wave, size, size // HOPS, window=window, pad_mode="constant", return_complex=True)
        for wave in (generated, recording)
    )
    loud = made.abs()
    least = loud * 10 ** (-MOST_DB / 20)
    level = loud ** (1 - share) * torch.maximum(heard.abs(), least) ** share
    phase = torch.where(heard.abs() < least, made.angle(), heard.angle())
    low = torch.arange(len(made), device=made.device)[:, None] * rate_hz / size < VOICE_FROM_HZ
    spectrum = torch.where(low, made, torch.polar(level, phase))
    return torch.istft(spectrum, size, size // HOPS, window=window, length=len(recording))
