"""Audio across the disk's edge: checked reading, one resampler, whole-or-nothing writing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile
import soxr

from speechbase import files
from speechbase.files import UserError, atomic, warn

LOUDEST = 16.0  # +24 dBFS; no recording is as far above full scale, samples of 16 bits as they are start beyond
RATES_HZ = (1000, 1_000_000)
BLOCK = 2**20  # samples that are read at once, whatever a header claims
# suffix -> (container, sample format) of what is written; float where the format has it, since float does not clip
WRITTEN = {
    ".wav": ("WAV", "FLOAT"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".oga": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "FLOAT"),
    ".aif": ("AIFF", "FLOAT"),
    ".caf": ("CAF", "FLOAT"),
    ".rf64": ("RF64", "FLOAT"),
}
# All that libsndfile reads and that holds audio alone, for looking through folders
SUFFIXES = frozenset(
    {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw", ".mat4", ".mat5"}
    | {".aif", ".aifc", ".oga", ".opus", ".snd", ".sph", ".sf", ".mp1", ".mp2", ".wave", ".bwf", ".mpga"}
    | set(WRITTEN)
)


def read(
    path: str | Path, rate_hz: int | None = None, *, channel: int | None = None, resampled: bool = False
) -> tuple[np.ndarray, int]:
    """Read mono float32 audio.

    Args:
        path: any file that libsndfile reads.
        rate_hz: the rate the caller needs; another rate is a UserError unless `resampled` is true.
        channel: which channel to take of a multi-channel file, from 0 (else such a file is a UserError).
        resampled: convert to `rate_hz` (soxr HQ) where the file has another rate.

    Returns:
        (samples, rate): float32 [n], full scale is 1.0, and its rate in Hz.

    Raises:
        UserError: missing, unreadable, empty, cut-off, multi-channel or non-finite audio, samples that are not at full
            scale 1, or another rate than asked for.
    """
    rate, channels, blocks = stream(path)
    if channels > 1 and channel is None:
        raise UserError(f"{path} has {channels} channels; mono is needed: choose one (--channel 0 is the first).")
    if not 0 <= (channel or 0) < channels:
        raise UserError(f"{path} has no channel {channel}: it has {channels}, counted from 0.")
    wave = np.concatenate([np.zeros(0, np.float32), *(block[:, channel or 0] for block in blocks)])
    if rate_hz is not None and rate != rate_hz:
        if not resampled:
            raise UserError(f"{path} has a rate of {rate} Hz where {rate_hz} Hz is needed; resample it first.")
        return resample(wave, rate, rate_hz), rate_hz
    return wave, rate


def read_mono(path: str | Path, channel: int | None = None) -> tuple[np.ndarray, int]:
    """As `read` with a channel, but that a mono file leaves no choice: one of several files may be mono."""
    channels = 1
    with suppress(soundfile.LibsndfileError, RuntimeError):  # read says what is wrong with the file
        channels = soundfile.info(path).channels
    return read(path, channel=channel if channels > 1 else None)


def stream(path: str | Path, seconds: float = 10.0) -> tuple[int, int, Iterator[np.ndarray]]:
    """Read float32 audio in blocks: (rate in Hz, channels, blocks [n, channels] of `seconds` each but the last).

    Raises:
        UserError: missing, unreadable; and once its blocks are read: empty, cut-off or non-finite audio, or samples
            that are not at full scale 1.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name an audio file.")
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    with _readable(path):
        opened = soundfile.SoundFile(path)
    rate, channels = opened.samplerate, opened.channels
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        opened.close()
        raise UserError(
            f"{path} claims a rate of {rate} Hz; {RATES_HZ[0]} to {RATES_HZ[1]} Hz are read. Correct its header."
        )
    return rate, channels, _blocks(path, opened, seconds)


def _blocks(path: Path, opened: soundfile.SoundFile, seconds: float) -> Iterator[np.ndarray]:
    """The blocks of an open file, each checked, and at the end whether that was all."""
    read, rate, size = 0, opened.samplerate, round(seconds * opened.samplerate)
    with opened:
        while True:
            with _readable(path):
                block = _exactly(opened, size)
            if not len(block):
                break
            _check(path, block)
            read += len(block)
            yield block
        missing = opened.frames - read  # a compressed header may be off by the coder's delay
        if read == 0:
            raise UserError(f"{path} holds no audio samples; replace it.")
        if missing > max(0.1 * rate, 0.02 * opened.frames) or _promises_more(opened.extra_info):
            raise UserError(
                f"{path} is cut off: it holds {read / rate:.2f} s and promises more; copy it again, or save what is "
                "there as a new file."
            )


def _exactly(opened: soundfile.SoundFile, size: int) -> np.ndarray:
    """The next `size` samples [n, channels], read piece by piece: a header may claim any number of channels."""
    pieces, left = [], size
    while left and len(piece := opened.read(min(left, max(1, BLOCK // opened.channels)), "float32", always_2d=True)):
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.zeros((0, opened.channels), np.float32), *pieces])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"{path} cannot be read as audio ({error}); replace it, or convert it to WAV or FLAC."
        ) from None


def _promises_more(log: str) -> bool:
    """Whether libsndfile's log says that the file is shorter than its header; an unknown length (a pipe's) is no
    promise."""
    sizes = [(int(a), int(b)) for a, b in re.findall(r": (\d+) \(should be (\d+)\)", log)]
    return any(b + 64 < a < 0x7FFF0000 for a, b in sizes) or "lacks an end-of-stream bit" in log


def _check(path: Path, block: np.ndarray) -> None:
    if not np.isfinite(block).all():
        raise UserError(f"{path} holds NaN or infinite samples; make it again.")
    if (peak := float(np.abs(block).max())) > LOUDEST:
        bits = next((bits for bits in (16, 24) if peak <= 2 ** (bits - 1)), 32)
        raise UserError(
            f"{path} holds samples up to {peak:.6g} where full scale is 1, as whole numbers of {bits} bits that were "
            f"stored as floats; divide them by {2 ** (bits - 1)} and write it again."
        )


def resample(wave: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Resample float32 [n] with soxr HQ: the project's only resampler (PESQ moves by 0.01 between resamplers)."""
    if from_hz == to_hz:
        return wave
    return soxr.resample(wave, from_hz, to_hz, quality="HQ").astype(np.float32)


def at_speed(wave: np.ndarray, speed: float) -> np.ndarray:
    """Play float32 [n] `speed` times as fast, [n / speed]: pitch, formants and tempo move together (Ko et al.,
    2015)."""
    return resample(wave, speed, 1.0)


def check_output(
    path: str | Path, rate_hz: int | None = None, channels: int = 1, read: Iterable[str | Path] = ()
) -> None:
    """Find out before any work whether audio (of a rate and number of channels, if given) can be written to `path`.

    Args:
        read: files that the audio is made from.

    Raises:
        UserError: a suffix that names no format (any case does), a rate that the format lacks, a folder, the place of
            what is read, or one where nothing can be written.
    """
    files.check_output(path)
    if Path(path).resolve() in (Path(one).resolve() for one in read):
        raise UserError(f"{path} would take the place of an input: choose another name.")
    container, subtype = _format(Path(path))
    if rate_hz is not None:
        _opened(path, io.BytesIO(), rate_hz, channels, subtype, container).close()


def _format(path: Path) -> tuple[str, str]:
    if (found := WRITTEN.get(path.suffix.lower())) is None:
        raise UserError(f"{path}: no audio format has the suffix {path.suffix!r}; write {', '.join(WRITTEN)}.")
    return found


def write(
    path: str | Path, wave: np.ndarray, rate_hz: int, *, subtype: str | None = None, comment: str | None = None
) -> None:
    """Write mono audio, whole or not at all, in the format of the suffix; WAV is float32 by default, FLAC is 16 bit.

    Formats without floats clip at full scale: that is said.

    Args:
        comment: free text for the file's metadata, such as the mark of synthetic speech.

    Raises:
        UserError: samples that are not finite or not one-dimensional, an unknown suffix, or a rate that the format
            lacks.
    """
    wave = np.asarray(wave)
    if wave.ndim != 1 or wave.size == 0 or not np.isfinite(wave).all():
        raise UserError(f"{path} was not written: audio of shape {wave.shape} is empty, not mono or not finite.")
    write_blocks(path, [wave[:, None]], rate_hz, 1, subtype=subtype, comment=comment)


def write_blocks(
    path: str | Path, blocks: Iterable[np.ndarray], rate_hz: int, channels: int, *, subtype: str | None = None,
    comment: str | None = None,
) -> None:  # fmt: skip
    """As `write`, for audio of any length and number of channels that comes in finite blocks [n, channels]."""
    path = Path(path)
    container, usual = _format(path)
    subtype = subtype or usual
    clipped, peak = 0, 0.0
    with atomic(path) as temporary:
        with _target(temporary) as target, _opened(path, target, rate_hz, channels, subtype, container) as stream:
            if comment:
                stream.comment = comment
            for block in blocks:
                clipped += int((np.abs(block) > 1).sum())
                peak = max(peak, float(np.abs(block).max()))
                for start in range(
                    0, len(block), BLOCK
                ):  # libsndfile's Vorbis coder overflows its stack on long pieces
                    stream.write(block[start : start + BLOCK])
        if clipped and subtype not in ("FLOAT", "DOUBLE"):
            warn(f"{path} clips {clipped} samples (peak {peak:.3g}); write .wav to keep them.")
        _forget_time(temporary)


class _Target(io.FileIO):
    """A file for libsndfile, whose own errors do not say what the system refused: that is kept, and the rest is
    dropped."""

    refused: OSError | None = None

    def write(self, data) -> int:
        left = memoryview(data)
        try:
            while left and not self.refused:
                left = left[super().write(left) :]
        except OSError as error:
            self.refused = error
        return len(data)


@contextmanager
def _target(path: Path) -> Iterator[_Target]:
    """`path` open for libsndfile; what the system refused, such as a full disk's room, is raised in the end."""
    with _Target(path, "w+") as target:
        try:
            yield target
        finally:
            if target.refused:
                raise target.refused


def _opened(path, target, rate_hz: int, channels: int, subtype: str, container: str) -> soundfile.SoundFile:
    """A file open for writing; what its format refuses is a UserError that names `path`."""
    try:
        return soundfile.SoundFile(target, "w", rate_hz, channels, subtype, format=container)
    except (soundfile.LibsndfileError, ValueError) as error:
        what = f"{container} with {subtype} at {rate_hz} Hz" + (f" and {channels} channels" if channels > 1 else "")
        why = getattr(error, "error_string", error)
        raise UserError(f"{path} was not written: {what} is refused ({why}); write .wav.") from None


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
