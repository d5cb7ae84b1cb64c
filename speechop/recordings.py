"""Recordings of any rate, length and number of channels: held in bounded memory, measured, cut at pauses, joined
again."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from speechbase import audio
from speechbase.files import UserError, naming

HELD_BYTES = 2**25  # of one channel's samples; more goes to an unnamed temporary file
FRAME_S = 0.01  # of the power in which pauses are looked for
WINDOW_S, SHORTEST_S = 10.0, 4.0  # what is processed at once: with its context at most, without it at least
CONTEXT_S, FADE_S = 0.4, 0.2  # heard on each side of a window but not kept; over which neighbours are faded
PAUSE_S = 0.2  # a cut is the middle of the quietest stretch of this length
MIN_S = 0.2
SILENT_PEAK = 1e-5
TRAINED_LUFS, TRAINED_WITHIN_LU = -26.0, 6.0  # active speech of the corpora is at -26 dBFS
KEEP_WITHIN_DB = 6.0  # how far loudness is followed: what enhancement took away may have been all there was


class Spool:
    """Float32 samples [n] that are appended and read back; the few in memory, the many in an unnamed temporary file."""

    def __init__(self, wave: np.ndarray | None = None):
        self._file = tempfile.SpooledTemporaryFile(max_size=HELD_BYTES)  # noqa: SIM115
        self._length = 0
        if wave is not None:
            self.append(wave)

    def __len__(self) -> int:
        return self._length

    def append(self, wave: np.ndarray) -> None:
        """Add samples [m] at the end."""
        with naming(tempfile.gettempdir()):
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(wave, np.float32).tobytes())
        self._length += len(wave)

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples [start, stop) as an array of their own."""
        stop = self._length if stop is None else min(stop, self._length)
        self._file.seek(4 * start)
        return np.frombuffer(bytearray(self._file.read(4 * (stop - start))), np.float32)

    def blocks(self, samples: int) -> Iterator[np.ndarray]:
        """All samples, `samples` at a time."""
        for start in range(0, self._length, samples):
            yield self.read(start, start + samples)


class Loudness:
    """Integrated loudness (ITU-R BS.1770-4) of audio that comes in blocks; pyloudnorm measures each of them.

    Gating blocks that would straddle two of the given blocks are left out.
    """

    def __init__(self, rate_hz: int):
        from pyloudnorm import Meter

        self._meter, self._rate_hz = Meter(rate_hz), rate_hz
        self._blocks: list[float] = []

    def add(self, block: np.ndarray) -> None:
        """Hear [n, channels]; more than five channels are heard as their mean."""
        if len(block) < 0.4 * self._rate_hz:
            return
        block = block.mean(1, keepdims=True) if block.shape[1] > 5 else block
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            self._meter.integrated_loudness(block.astype(np.float64))
        self._blocks += self._meter.blockwise_loudness

    def integrated(self) -> float | None:
        """LUFS; None for what is shorter than 0.4 s or nowhere louder than -70 LUFS."""
        loudness = np.array(self._blocks, dtype=np.float64)
        loudness = loudness[loudness >= -70]
        if not len(loudness):
            return None
        gate = _mean_loudness(loudness) - 10
        return round(_mean_loudness(loudness[loudness > gate]), 2)


def _mean_loudness(loudness: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(10 ** (loudness / 10))))


@dataclass
class Recording:
    """What is known of a recording, and its samples.

    Attributes:
        rate_hz, samples, channels: as it came.
        tracks: the samples of what is processed: one a channel; a single one for a chosen channel, the mean, or
            channels that are all the same.
        power: mean square of every 10 ms, summed over the tracks.
        loudness: LUFS (BS.1770-4), None where there is none.
        peak: largest magnitude.
    """

    rate_hz: int
    samples: int
    channels: int
    tracks: list[Spool]
    power: np.ndarray
    loudness: float | None
    peak: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.rate_hz

    @property
    def silent(self) -> bool:
        """Whether there is nothing that could be said."""
        return self.peak < SILENT_PEAK

    @property
    def gain(self) -> float:
        """What brings it to the level of the corpora; 1 where it is within 6 LU of that."""
        if self.loudness is None or abs(self.loudness - TRAINED_LUFS) <= TRAINED_WITHIN_LU:
            return 1.0
        return 10 ** ((TRAINED_LUFS - self.loudness) / 20)

    @classmethod
    def of(cls, wave, rate_hz: int) -> Recording:
        """Of mono audio [s], numpy or torch, at any rate.

        Raises:
            UserError: not one-dimensional, not finite, or shorter than 0.2 s.
        """
        wave = np.asarray(wave.detach().cpu() if hasattr(wave, "detach") else wave, np.float32)
        if wave.ndim != 1 or not np.isfinite(wave).all():
            raise UserError(f"audio of shape {wave.shape} must be mono and finite.")
        size = 10 * int(rate_hz)
        return _measured((wave[at : at + size, None] for at in range(0, len(wave), size)), int(rate_hz), 1)

    @classmethod
    def read(cls, path: str | Path, channel: str = "each", longest_s: float = math.inf) -> Recording:
        """Of any file that libsndfile reads, in blocks of ten seconds.

        Args:
            channel: each, mean, or the number of one, from 0.
            longest_s: of what is longer, which will be refused, no more is read than shows it.

        Raises:
            UserError: as `speechbase.audio.stream`, no such channel, or shorter than 0.2 s.
        """
        rate_hz, channels, blocks = audio.stream(path)
        chosen = parse_channel(channel)
        if isinstance(chosen, int):
            if chosen >= channels:
                raise UserError(f"{path} has no channel {chosen}: it has {channels}, counted from 0.")
            blocks = (block[:, chosen : chosen + 1] for block in blocks)
        elif chosen == "mean":
            blocks = (block.mean(1, keepdims=True) for block in blocks)
        try:
            return _measured(_to_limit(blocks, longest_s * rate_hz), rate_hz, channels if chosen == "each" else 1)
        except TooShort as error:
            raise UserError(f"{path}: {error}") from None


def _to_limit(blocks: Iterable[np.ndarray], samples: float) -> Iterator[np.ndarray]:
    """The blocks until there are more than so many samples."""
    for block in blocks:
        yield block
        samples -= len(block)
        if samples < 0:
            return


class TooShort(UserError):
    """A recording of less than 0.2 s."""


def parse_channel(channel: str) -> str | int:
    """each, mean or a number from 0; anything else is a UserError."""
    if channel in ("each", "mean"):
        return channel
    if not channel.isdecimal():
        raise UserError(f"There is no channel {channel!r}: say each, mean, or a number from 0.")
    return int(channel)


def _measured(blocks: Iterable[np.ndarray], rate_hz: int, channels: int) -> Recording:
    tracks = [Spool() for _ in range(channels)]
    loudness, power, hop = Loudness(rate_hz), [], max(1, round(FRAME_S * rate_hz))
    left, peak, same = np.zeros(0, np.float32), 0.0, True
    for block in blocks:
        for track, samples in zip(tracks, block.T, strict=True):
            track.append(samples)
        loudness.add(block)
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        same = same and bool((block == block[:, :1]).all())
        squares = np.concatenate([left, np.square(block, dtype=np.float32).sum(1)])
        whole = len(squares) // hop * hop
        power.append(squares[:whole].reshape(-1, hop).mean(1))
        left = squares[whole:]
    samples = len(tracks[0])
    if samples < MIN_S * rate_hz:
        raise TooShort(f"{samples / rate_hz:.2f} s of audio are too short: at least {MIN_S} s are needed.")
    return Recording(
        rate_hz, samples, channels, tracks[:1] if same else tracks, np.concatenate(power), loudness.integrated(), peak
    )


# -- windows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A part of a recording that is processed at once: it keeps [start, stop) and hears [first, last), in samples."""

    start: int
    stop: int
    first: int
    last: int


def windows(recording: Recording, whole: Sequence[tuple[float, float]] = ()) -> list[Window]:
    """Windows of at most ten seconds, cut where the recording is quietest.

    Args:
        whole: stretches (start, end), seconds, such as the lines of a transcript, that no cut may divide if it can be
            helped.
    """
    if recording.seconds <= WINDOW_S:
        edges = [0, recording.samples]
    else:
        edges = [0, *_cuts(recording, whole), recording.samples]
    context = round(CONTEXT_S * recording.rate_hz)
    return [Window(a, b, max(0, a - context), min(recording.samples, b + context)) for a, b in pairwise(edges)]


def _cuts(recording: Recording, whole: Sequence[tuple[float, float]]) -> list[int]:
    """Samples at which a recording that does not fit in one window is cut."""
    frames = max(1, round(PAUSE_S / FRAME_S))
    quiet = np.convolve(recording.power.astype(np.float64), np.ones(frames) / frames, mode="same")
    for start, end in whole:
        quiet[math.ceil(start / FRAME_S) + 1 : max(0, math.floor(end / FRAME_S))] += 1e6
    longest, shortest = WINDOW_S - 2 * CONTEXT_S, SHORTEST_S
    cuts, at = [], 0.0
    while recording.seconds - at > WINDOW_S - CONTEXT_S:
        low, high = at + shortest, min(at + longest, recording.seconds - min(shortest, longest / 2))
        span = slice(round(low / FRAME_S), max(round(low / FRAME_S) + 1, round(high / FRAME_S)))
        at = (span.start + _last_quietest(quiet[span])) * FRAME_S
        cuts.append(round(at * recording.rate_hz))
    return cuts


def _last_quietest(quiet: np.ndarray) -> int:
    """The last of equally quiet places: windows as long as they may be."""
    return len(quiet) - 1 - int(np.argmin(quiet[::-1]))


class Joined:
    """Puts the windows of one track together, in order, with linear fades between neighbours."""

    def __init__(self, parts: Sequence[Window], rate_hz: int):
        self.track, self._parts, self._next = Spool(), list(parts), 0
        self._half, self._tail = round(FADE_S / 2 * rate_hz), np.zeros(0, np.float32)

    @property
    def complete(self) -> bool:
        """Whether every window is there."""
        return self._next == len(self._parts)

    def add(self, wave: np.ndarray) -> None:
        """The next window's audio: what it heard, [first, last)."""
        part = self._parts[self._next]
        is_last = self._next == len(self._parts) - 1
        wave = np.pad(wave, (0, max(0, part.last - part.first - len(wave))))
        start = part.start - (self._half if self._next else 0)
        wave = wave[start - part.first : part.stop + (0 if is_last else self._half) - part.first].copy()
        n = len(self._tail)
        ramp = (np.arange(n, dtype=np.float32) + 0.5) / max(1, n)
        wave[:n] = wave[:n] * ramp + self._tail * (1 - ramp)
        keep = len(wave) if is_last else len(wave) - 2 * self._half
        self.track.append(wave[:keep])
        self._tail = wave[keep:]
        self._next += 1


# -- levels ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """The gain of a result and what it makes of it: loudness in LUFS (None: not measurable), and what must be said."""

    gain: float
    loudness: float | None
    note: str = ""


def level(tracks: Sequence[Spool], source: Recording, target: float | None) -> Level:
    """The gain that brings a result to a loudness without a peak above full scale (or above the source's).

    Args:
        target: LUFS; None leaves the result at the level that the model gave it.
    """
    meter, peak = Loudness(source.rate_hz), 0.0
    for blocks in zip(*(track.blocks(10 * source.rate_hz) for track in tracks)):
        block = np.stack(blocks, 1)
        if len(tracks) < source.channels:
            block = np.repeat(block, source.channels, 1)
        meter.add(block)
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
    now, note, gain_db = meter.integrated(), "", 0.0
    if now is not None and target is not None:
        gain_db = target - now
        if target == source.loudness and abs(gain_db) > KEEP_WITHIN_DB:
            gain_db = math.copysign(KEEP_WITHIN_DB, gain_db)
            off = now + gain_db - target
            note = f"{abs(off):.1f} LU {'quieter' if off < 0 else 'louder'} than the input: loudness is followed by "
            note += f"{KEEP_WITHIN_DB:.0f} dB at most"
    ceiling = max(1.0, source.peak)
    if peak * 10 ** (gain_db / 20) > ceiling:
        lower = 20 * math.log10(ceiling / peak)
        note = f"{gain_db - lower:.1f} dB quieter than it should be, so that no peak is clipped"
        gain_db = lower
    return Level(10 ** (gain_db / 20), None if now is None else round(now + gain_db, 2), note)
