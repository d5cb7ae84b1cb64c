"""One path for every clip: same rate, same edges, same loudness (ITU-R BS.1770), same encoding, no metadata, no
limiting."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyloudnorm

from speechbase import audio
from speechbase.files import UserError, seed_of

SHORTEST_S = 0.4  # one gating block of BS.1770
EDGE_FLOOR_DB = -60  # edges this far below the clip's peak are silence
FADE_S = 0.005
FIXED_TIME = 946_684_800  # file times tell nothing about who made a file, nor when


@dataclass(frozen=True)
class Clip:
    """A source file, the file whose loudness sets the gain, and where the clip goes."""

    source: Path
    level_from: Path
    target: Path


def render(clips: Iterable[Clip], settings: dict, seed: int) -> list[dict]:
    """Write every clip at the study's loudness.

    Every clip gets the gain that brings it to `loudness_lufs`; if a true peak would pass `peak_dbtp`, all clips of the
    study are lowered by the same amount. Nothing is limited.

    Returns:
        One row a clip: file, source, seconds, gain_db (the offset included), lufs, peak_dbtp, study_offset_db.

    Raises:
        UserError: a clip that is shorter than 0.4 s or silent, named.
    """
    clips = list(clips)
    measured: dict[Path, tuple[float, float, float]] = {}
    for clip in clips:
        for path in (clip.source, clip.level_from):
            if path not in measured:
                measured[path] = _measure(path, settings)
    gains = [settings["loudness_lufs"] - measured[clip.level_from][0] for clip in clips]
    peaks = [measured[clip.source][1] + gain for clip, gain in zip(clips, gains, strict=True)]
    offset = min(0.0, settings["peak_dbtp"] - max(peaks, default=-math.inf))
    return [
        _write(clip, gain, offset, measured[clip.source], settings, seed)
        for clip, gain in zip(clips, gains, strict=True)
    ]


def shape(path: Path, settings: dict) -> np.ndarray:
    """Read a file at the study's rate and give it equal edges: silence is cut off, then `edge_silence_s` is added.

    Raises:
        UserError: unreadable, silent or shorter than 0.4 s without its silent edges.
    """
    rate = settings["rate_hz"]
    wave, _ = audio.read(path, rate, resampled=True)
    level = np.abs(wave)
    if level.max() == 0:
        raise UserError(f"{path} is silent; a silent clip cannot be rated: make it again or leave its system out.")
    sounding = np.flatnonzero(level > level.max() * 10 ** (EDGE_FLOOR_DB / 20))
    wave = wave[sounding[0] : sounding[-1] + 1].copy()
    if len(wave) < SHORTEST_S * rate:
        raise UserError(
            f"{path} lasts {len(wave) / rate:.2f} s without its silent edges; loudness needs {SHORTEST_S} s."
        )
    ramp = np.linspace(0, 1, int(FADE_S * rate), dtype=np.float32)
    wave[: len(ramp)] *= ramp
    wave[-len(ramp) :] *= ramp[::-1]
    return np.pad(wave, round(settings["edge_silence_s"] * rate))


def true_peak_db(wave: np.ndarray, rate_hz: int) -> float:
    """True peak in dBTP: the largest sample after fourfold oversampling (BS.1770-4, annex 2)."""
    return 20 * math.log10(max(float(np.abs(audio.resample(wave, rate_hz, 4 * rate_hz)).max()), 1e-12))


def _measure(path: Path, settings: dict) -> tuple[float, float, float]:
    wave = shape(path, settings)
    lufs = float(pyloudnorm.Meter(settings["rate_hz"]).integrated_loudness(wave))
    if not math.isfinite(lufs):
        raise UserError(f"{path} is too quiet to measure (below -70 LUFS); make it again or leave its system out.")
    return lufs, true_peak_db(wave, settings["rate_hz"]), len(wave) / settings["rate_hz"]


def _write(clip: Clip, gain_db: float, offset_db: float, measured: tuple, settings: dict, seed: int) -> dict:
    wave = shape(clip.source, settings).astype(np.float64) * 10 ** ((gain_db + offset_db) / 20)
    # Triangular dither, drawn per target, decouples the rounding error from the signal and makes equal sounds unequal
    # files.
    draw = np.random.default_rng(seed_of(seed, clip.target.name))
    dither = draw.random(len(wave)) - draw.random(len(wave))
    samples = np.clip(np.round(wave * 32767 + dither), -32768, 32767).astype(np.int16)
    audio.write(clip.target, samples, settings["rate_hz"])
    os.utime(clip.target, (FIXED_TIME, FIXED_TIME))
    return {
        "file": clip.target.name,
        "source": str(clip.source),
        "seconds": round(measured[2], 3),
        "gain_db": round(gain_db + offset_db, 3),
        "lufs": round(measured[0] + gain_db + offset_db, 3),
        "peak_dbtp": round(measured[1] + gain_db + offset_db, 3),
        "study_offset_db": round(offset_db, 3),
    }
