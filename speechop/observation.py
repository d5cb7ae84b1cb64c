"""Observation: generated speech keeps the recording's phase, and a share of its level in each band and moment.

Beyond the paper. A generative enhancer leaves no noise but may change words; where it is unsure, the recording knows
more than it does. Adding the recording to what a network made of it ("observation adding", Iwamoto et al. 2022,
arXiv 2201.06685) gives words back to recognisers; here the levels are averaged in decibels, as the log-spectral
amplitude estimator does (Ephraim and Malah 1985), so that noise returns weakened wherever no speech was generated.

Where it is unsure, samples of it differ (the posterior's spread): there more of the recording is kept, and their
mean level is nearer to the clean speech than any of them (Whang et al. 2022, arXiv 2112.02475).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

WINDOW_SECONDS, HOPS = 0.032, 4
MOST_DB = 12.0
MOST_SHARE = 0.9  # however unsure
VOICE_FROM_HZ = 80.0  # below, a window cannot tell a voice's fundamental from hum, which would return whole
LOUD_DB = 45.0  # below the loudest bin: what lies further down decides nothing
HEARD_HZ = 125.0, 6250.0  # where samples are compared
FEW_BINS = 3  # a moment with no more loud bins than these is nearly silent, and no reason for doubt
SMOOTHED = 9  # windows over which doubt is averaged, 72 ms


def observed(
    drawn: Sequence[Tensor], recording: Tensor, share: float, rate_hz: int, unsure: float | None = None
) -> Tensor:
    """Audio [s] with the recording's phase, whose spectrum is |generated|^(1 - share) |recording|^share.

    A recording counts as at most MOST_DB below what was generated, which has its own phase there: so bands that the
    recording lacks are restored, weaker by share times MOST_DB. Below VOICE_FROM_HZ all is generated.

    Args:
        drawn: samples, float [s] each, of the recording's length, aligned, at `rate_hz`; generated is the geometric
            mean of their levels, with the first one's phase.
        share: between 0 (levels as generated) and 1 (the recording's); no less where samples agree.
        unsure: share for each decibel by which several samples differ (`spread`), at most MOST_SHARE.

    Raises:
        ValueError: another length.
    """
    if {len(wave) for wave in drawn} != {len(recording)}:
        raise ValueError(f"{len(drawn[0])} generated samples for a recording of {len(recording)}")
    size = round(WINDOW_SECONDS * rate_hz) // HOPS * HOPS
    window = torch.hann_window(size, device=recording.device)
    heard, *made = (
        torch.stft(wave, size, size // HOPS, window=window, pad_mode="constant", return_complex=True)
        for wave in (recording, *drawn)
    )
    levels, own = torch.stack(made).abs(), made[0].angle()  # [k, f, n], [f, n]
    loud = levels.prod(0) ** (1 / len(levels))
    shares = torch.full_like(loud[:1], share)  # [1, n]
    if unsure and len(drawn) > 1:
        first, last = (round(hz * size / rate_hz) for hz in HEARD_HZ)
        shares = torch.maximum(shares, (unsure * spread(levels[:, first:last])).clamp(max=MOST_SHARE))
    least = loud * 10 ** (-MOST_DB / 20)
    level = loud ** (1 - shares) * torch.maximum(heard.abs(), least) ** shares
    phase = torch.where(heard.abs() < least, own, heard.angle())
    low = torch.arange(len(loud), device=loud.device)[:, None] * rate_hz / size < VOICE_FROM_HZ
    spectrum = torch.polar(torch.where(low, loud, level), torch.where(low, own, phase))
    return torch.istft(spectrum, size, size // HOPS, window=window, length=len(recording))


def samples_of(guided: bool) -> int:
    """How many samples tell doubt: fewer with a transcript, whose score makes each dearer and leaves less of it."""
    return 2 if guided else 3


def spread(levels: Tensor) -> Tensor:
    """How far samples' levels [k, f, n] are apart, dB [n]: their standard deviation over loud bins, smoothed in
    time."""
    decibels = 20 * torch.log10(levels + 1e-6)
    loudest = decibels.max(0).values
    loud = (loudest > loudest.max() - LOUD_DB).float()
    each = (decibels.std(0) * loud).sum(0) / (loud.sum(0) + FEW_BINS)
    return avg_pool1d(each[None, None], SMOOTHED, 1, SMOOTHED // 2, count_include_pad=False)[0, 0]
