"""Audio and spectrograms for the page: level-matched players, pictures drawn once, as files or inside the page."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
from matplotlib import colormaps
from PIL import Image
from scipy.signal import stft

from speechbase import audio

LOUDNESS_LUFS = -23.0
PEAK = 0.98
SHORTEST_S = 0.4  # BS.1770's gating block; a shorter clip keeps its level
FLOOR_DB = -70.0
PICTURE_HEIGHT, PICTURE_WIDTH, COLOURS = 128, 400, 64
MP3_RATES_HZ = (16000, 22050, 24000, 32000, 44100, 48000)


def level(wave: np.ndarray, rate_hz: int) -> np.ndarray:
    """The wave at -23 LUFS, or as near as its peak allows; nothing is limited. Silence and very short clips stay as
    they are."""
    if len(wave) < SHORTEST_S * rate_hz:
        return wave
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loudness = pyloudnorm.Meter(rate_hz).integrated_loudness(wave.astype(np.float64))
    peak = float(np.abs(wave).max())
    if not np.isfinite(loudness) or peak == 0:
        return wave
    return (wave * min(10 ** ((LOUDNESS_LUFS - loudness) / 20), PEAK / peak)).astype(np.float32)


def spectrogram(wave: np.ndarray, rate_hz: int, top_hz: float | None = None) -> bytes:
    """A PNG of the power spectrum in dB over time, 0 Hz at the bottom, `top_hz` (or half the rate) at the top."""
    window = max(64, round(0.025 * rate_hz))
    wave = np.pad(wave, (0, max(0, window - len(wave))))
    frequencies, _, spectrum = stft(wave, rate_hz, nperseg=window, noverlap=window - max(1, round(0.01 * rate_hz)))
    power = 20 * np.log10(np.maximum(np.abs(spectrum), 1e-10))
    power = power[frequencies <= (top_hz or rate_hz / 2)]
    rows = np.linspace(0, len(power) - 1, PICTURE_HEIGHT).round().astype(int)
    frames = power.shape[1]
    columns = np.linspace(0, frames - 1, min(frames, PICTURE_WIDTH)).round().astype(int)
    shown = np.clip((power[np.ix_(rows[::-1], columns)] - power.max()) / -FLOOR_DB + 1, 0, 1)
    image = Image.fromarray((shown * (COLOURS - 1)).round().astype(np.uint8), mode="P")
    image.putpalette((colormaps["magma"](np.linspace(0, 1, COLOURS))[:, :3] * 255).astype(np.uint8).tobytes())
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def flac(wave: np.ndarray, rate_hz: int) -> bytes:
    """16-bit FLAC."""
    return _encoded(wave, rate_hz, "FLAC", "PCM_16")


def mp3(wave: np.ndarray, rate_hz: int) -> bytes:
    """MP3, which every browser plays; a rate that it lacks is resampled to 48 kHz."""
    if rate_hz not in MP3_RATES_HZ:
        wave, rate_hz = audio.resample(wave, rate_hz, 48000), 48000
    return _encoded(wave, rate_hz, "MP3", "MPEG_LAYER_III")


def _encoded(wave: np.ndarray, rate_hz: int, container: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.clip(wave, -1, 1), rate_hz, format=container, subtype=subtype)
    return stream.getvalue()


class Folder:
    """Media as files in a folder beside the page."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def audio(self, name: str, wave: np.ndarray, rate_hz: int) -> str:
        """Write a player's audio; returns the address for the page."""
        return self._write(f"{name}.flac", flac(wave, rate_hz))

    def picture(self, name: str, content: bytes) -> str:
        """Write a PNG; returns the address for the page."""
        return self._write(f"{name}.png", content)

    def _write(self, name: str, content: bytes) -> str:
        (self._folder / name).write_bytes(content)
        return f"{self._folder.name}/{name}"


class Inside:
    """Media inside the page, as data addresses."""

    def audio(self, name: str, wave: np.ndarray, rate_hz: int) -> str:
        """The audio as a data address."""
        return f"data:audio/mpeg;base64,{base64.b64encode(mp3(wave, rate_hz)).decode()}"

    def picture(self, name: str, content: bytes) -> str:
        """The PNG as a data address."""
        return f"data:image/png;base64,{base64.b64encode(content).decode()}"
