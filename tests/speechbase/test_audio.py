"""Audio at the edge: every kind of file that is not what it claims is refused in a sentence; what is written can be
read."""

from __future__ import annotations

import contextlib
import errno
import resource
import signal
import struct

import numpy as np
import pytest
import soundfile

from speechbase import audio
from speechbase.files import UserError

RATE_HZ = 16000
NOISE = (np.random.default_rng(0).standard_normal(2 * RATE_HZ) * 0.1).astype(np.float32)


@pytest.mark.parametrize("suffix", audio.WRITTEN)
def test_every_format_that_is_written_is_read_again_and_refused_when_cut_off(tmp_path, suffix):
    path = tmp_path / f"a{suffix.upper()}"
    audio.check_output(path)
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ)
    audio.write(path, tone, RATE_HZ, comment="synthetic speech")
    wave, rate_hz = audio.read(path)
    assert rate_hz == RATE_HZ and len(wave) == len(tone) and suffix in audio.SUFFIXES
    assert np.std(wave) == pytest.approx(np.std(tone), rel=0.02)
    with soundfile.SoundFile(path) as stream:
        assert stream.comment == "synthetic speech"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut off|cannot be read|no audio samples"):
        audio.read(path)


@pytest.mark.parametrize("suffix", audio.WRITTEN)
def test_a_file_is_refused_wherever_it_is_cut_off(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    audio.write(path, np.tile(NOISE, 6), RATE_HZ)
    content = path.read_bytes()
    for share in (0.2, 0.6, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UserError, match=r"cut off|cannot be read|no audio samples"):
            audio.read(path)


@contextlib.contextmanager
def room(size: int):
    """No file may become larger than this many bytes, pytest's own log neither: a disk that is full, without a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", audio.WRITTEN)
@pytest.mark.parametrize("size", [0, 3000])
def test_what_the_disk_refuses_of_audio_is_its_own_error_with_the_file_s_name(tmp_path, suffix, size):
    with room(size), pytest.raises(OSError) as error:
        audio.write(tmp_path / f"a{suffix}", NOISE, RATE_HZ)
    assert error.value.errno == errno.EFBIG and error.value.filename == str(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 44])
def test_a_pipe_s_wav_promises_no_length(tmp_path, claimed):
    path = tmp_path / "pipe.wav"
    soundfile.write(path, NOISE, RATE_HZ)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = claimed.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(audio.read(path)[0]) == len(NOISE)


def test_floats_at_the_scale_of_whole_numbers_are_no_audio(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE * 32768, RATE_HZ, subtype="FLOAT")
    with pytest.raises(UserError, match=r"full scale is 1.*divide them by 32768"):
        audio.read(path)
    soundfile.write(path, NOISE * 2**23, RATE_HZ, subtype="FLOAT")
    with pytest.raises(UserError, match=r"of 24 bits.*divide them by 8388608"):
        audio.read(path)
    soundfile.write(path, NOISE * 10, RATE_HZ, subtype="FLOAT")  # loud, but possible
    assert np.abs(audio.read(path)[0]).max() > 1


def test_clipping_is_said(tmp_path, capsys):
    loud = NOISE / np.abs(NOISE).max() * 4.5
    audio.write(tmp_path / "a.wav", loud, RATE_HZ)
    assert not capsys.readouterr().err
    audio.write(tmp_path / "a.flac", loud, RATE_HZ)
    assert "peak 4.5" in capsys.readouterr().err


def test_a_folder_is_not_called_missing_and_a_channel_is_named_as_the_command_line_does(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        audio.read(tmp_path)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([NOISE, -NOISE], 1), RATE_HZ)
    with pytest.raises(UserError, match="--channel 0"):
        audio.read(path)
    for channel in (2, -1):
        with pytest.raises(UserError, match=f"no channel {channel}"):
            audio.read(path, channel=channel)
    assert np.allclose(audio.read(path, channel=1)[0], -audio.read(path, channel=0)[0], atol=1e-4)


def hostile(path):
    """Headers that lie: name -> content."""
    soundfile.write(path / "a.flac", NOISE, RATE_HZ)
    soundfile.write(path / "a.wav", NOISE, RATE_HZ)
    flac, wav = bytearray((path / "a.flac").read_bytes()), bytearray((path / "a.wav").read_bytes())
    flac[21] |= 0x0F
    flac[22:26] = b"\xff" * 4
    many, slow, fast = wav.copy(), wav.copy(), wav.copy()
    many[22:24] = b"\xff\xff"
    slow[24:28] = struct.pack("<I", 1)
    fast[24:28] = struct.pack("<I", 2**31 - 1)
    return {
        "2_to_36_frames.flac": flac,
        "65535_channels.wav": many,
        "2_to_32_channels.au": b".snd" + struct.pack(">5I", 24, 64000, 3, RATE_HZ, 2**32 - 1) + bytes(64000),
        "2_to_32_channels.caf": b"caff"
        + struct.pack(">HH4sqd4sIIIII", 1, 0, b"desc", 32, 16e3, b"lpcm", 0, 2, 1, 2**32 - 1, 16),
        "1_hz.wav": slow,
        "2_ghz.wav": fast,
        "empty.wav": b"",
        "text.wav": b"not audio at all" * 50,
    }


def test_headers_that_lie_are_refused(tmp_path):
    found = hostile(tmp_path)
    for name, content in found.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=name):
            audio.read(path)
    assert len(found) == 8


def test_what_cannot_be_written_is_known_before(tmp_path):
    for name, said in (("x.doc", "no audio format"), ("x", "no audio format"), (".", "is a folder")):
        with pytest.raises(UserError, match=said):
            audio.check_output(tmp_path / name)
    with pytest.raises(UserError, match="11025 Hz is refused"):
        audio.write(tmp_path / "a.opus", NOISE, 11025)
    assert not list(tmp_path.iterdir())
