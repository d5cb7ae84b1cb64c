"""Audio across the disk's edge: checked reading, one resampler, whole-or-nothing writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from speechbase.files import UserError, atomic


def read(path: str | Path, rate_hz: int | None = None, *, channel: int | None = None, resampled: bool = False):
    """Read mono float32 audio.

    Args:
        path: any file that libsndfile reads.
        rate_hz: the rate the caller needs; another rate is a UserError unless `resampled` is true.
        channel: which channel to take of a multi-channel file (else such a file is a UserError).
        resampled: convert to `rate_hz` (soxr HQ) where the file has another rate.

    Returns:
        (samples, rate): float32 [n], full scale is 1.0, and its rate in Hz.

    Raises:
        UserError: missing, unreadable, empty, multi-channel or non-finite audio, or another rate than asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise UserError(
            f"{path} cannot be read as audio ({error}); replace it, or convert it to WAV or FLAC."
        ) from None
    if samples.shape[0] == 0:
        raise UserError(f"{path} holds no audio samples; replace it.")
    if samples.shape[1] > 1 and channel is None:
        raise UserError(f"{path} has {samples.shape[1]} channels; mono is needed: choose one with channel=0.")
    if (channel or 0) >= samples.shape[1]:
        raise UserError(f"{path} has no channel {channel} (it has {samples.shape[1]}).")
    wave = np.ascontiguousarray(samples[:, channel or 0])
    if not np.isfinite(wave).all():
        raise UserError(f"{path} holds NaN or infinite samples; make it again.")
    if rate_hz is not None and rate != rate_hz:
        if not resampled:
            raise UserError(f"{path} has a rate of {rate} Hz where {rate_hz} Hz is needed; resample it first.")
        return resample(wave, rate, rate_hz), rate_hz
    return wave, rate


def resample(wave: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Resample float32 [n] with soxr HQ: the project's only resampler (PESQ moves by 0.01 between resamplers)."""
    if from_hz == to_hz:
        return wave
    return soxr.resample(wave, from_hz, to_hz, quality="HQ").astype(np.float32)


def at_speed(wave: np.ndarray, speed: float) -> np.ndarray:
    """Play float32 [n] `speed` times as fast, [n / speed]: pitch, formants and tempo move together (Ko et al., 2015)."""
    return resample(wave, speed, 1.0)


def write(
    path: str | Path, wave: np.ndarray, rate_hz: int, *, subtype: str | None = None, comment: str | None = None
) -> None:
    """Write mono audio, whole or not at all; WAV is float32 by default (no clipping), FLAC is 16 bit.

    Args:
        comment: free text for the file's metadata, such as the mark of synthetic speech.

    Raises:
        UserError: samples that are not finite or not one-dimensional.
    """
    path = Path(path)
    wave = np.asarray(wave)
    if wave.ndim != 1 or wave.size == 0 or not np.isfinite(wave).all():
        raise UserError(f"{path} was not written: audio of shape {wave.shape} is empty, not mono or not finite.")
    subtype = subtype or {".wav": "FLOAT", ".flac": "PCM_16"}[path.suffix]
    with atomic(path) as temporary:
        with soundfile.SoundFile(temporary, "w", rate_hz, 1, subtype) as stream:
            if comment:
                stream.comment = comment
            stream.write(wave)
        _forget_time(temporary)


def _forget_time(path: Path) -> None:
    """Zero the time of writing that libsndfile puts into float WAV (chunk PEAK), so that equal audio is equal bytes."""
    with open(path, "r+b") as stream:
        if stream.read(4) != b"RIFF":
            return
        stream.seek(12)
        while len(header := stream.read(8)) == 8:
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"PEAK":
                stream.seek(4, 1)
                stream.write(bytes(4))
                return
            stream.seek(size + size % 2, 1)
