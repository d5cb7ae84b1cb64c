"""Recordings of any length and layout: bounded memory, windows at pauses, levels and loudness."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from speechbase import audio
from speechbase.files import UserError
from speechop import recordings
from speechop.recordings import Joined, Loudness, Recording, Spool, level, windows

RATE = 16_000


def noise(seconds: float, rate: int = RATE, seed: int = 0, gain: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * rate)) * gain).astype(np.float32)


def with_pauses(seconds: float, every: float = 3.0, pause: float = 0.4) -> np.ndarray:
    wave = noise(seconds)
    times = np.arange(len(wave)) / RATE
    wave[(times % every) > every - pause] *= 1e-3
    return wave


def test_a_spool_gives_back_what_it_was_given_in_memory_and_on_disk(monkeypatch):
    for held in (2**25, 1000):
        monkeypatch.setattr(recordings, "HELD_BYTES", held)
        spool, wave = Spool(), noise(1.0)
        for part in np.array_split(wave, 7):
            spool.append(part)
        np.testing.assert_array_equal(spool.read(), wave)
        np.testing.assert_array_equal(spool.read(5000, 6000), wave[5000:6000])
        np.testing.assert_array_equal(np.concatenate(list(spool.blocks(3000))), wave)
        assert len(spool) == len(wave)
    assert spool._file._rolled, "more than is held in memory lies on disk"


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_in_blocks_is_that_of_pyloudnorm_as_a_whole(rate, channels):
    from pyloudnorm import Meter

    wave = np.stack([noise(35, rate, seed=i) for i in range(channels)], 1)
    wave *= (1 + np.sin(np.arange(len(wave)) / rate))[:, None] / 2  # levels that the gates part
    meter = Loudness(rate)
    for at in range(0, len(wave), 10 * rate):
        meter.add(wave[at : at + 10 * rate])
    assert meter.integrated() == pytest.approx(Meter(rate).integrated_loudness(wave.astype(float)), abs=0.1)


def test_what_cannot_be_measured_has_no_loudness():
    assert Recording.of(noise(0.3), RATE).loudness is None  # shorter than a gating block
    assert Recording.of(np.zeros(RATE, np.float32), RATE).loudness is None
    assert Recording.of(np.zeros(RATE, np.float32), RATE).silent


def test_cuts_lie_in_pauses_and_windows_are_short_enough():
    recording = Recording.of(with_pauses(65.0), RATE)
    parts = windows(recording)
    assert parts[0].start == 0 and parts[-1].stop == recording.samples
    for before, after in pairwise(parts):
        assert before.stop == after.start
        assert 2.6 < (before.stop / RATE) % 3.0 < 3.0, "a cut outside of the pauses"
    assert max(part.last - part.first for part in parts) <= recordings.WINDOW_S * RATE
    assert min(part.stop - part.start for part in parts) >= 3.9 * RATE
    assert len(windows(Recording.of(noise(10.0), RATE))) == 1


@pytest.mark.parametrize("seconds", [10.01, 10.5, 13.0, 19.0, 33.3])
def test_every_length_is_covered_without_a_sliver(seconds):
    parts = windows(Recording.of(noise(seconds), RATE))
    assert sum(part.stop - part.start for part in parts) == round(seconds * RATE)
    assert min(part.stop - part.start for part in parts) > 2 * RATE
    assert max(part.last - part.first for part in parts) <= recordings.WINDOW_S * RATE + 1


def test_no_cut_divides_a_line_of_a_transcript():
    recording = Recording.of(with_pauses(30.0), RATE)
    whole = [(5.0, 9.5), (9.6, 12.5), (13.0, 20.0)]
    for part in windows(recording, whole)[:-1]:
        cut = part.stop / RATE
        assert not any(start + 0.05 < cut < end - 0.05 for start, end in whole), cut


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_windows_put_together_are_the_recording(rate):
    wave = noise(37.7, rate)
    recording = Recording.of(wave, rate)
    parts = windows(recording)
    joined = Joined(parts, rate)
    for part in parts:
        joined.add(recording.tracks[0].read(part.first, part.last))
    assert joined.complete and len(parts) > 3
    np.testing.assert_allclose(joined.track.read(), wave, atol=1e-6)


def test_channels_are_chosen_counted_and_not_processed_twice(tmp_path):
    left, right = noise(1.0), noise(1.0, seed=1)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "same.wav", np.stack([left, left], 1), RATE, subtype="FLOAT")
    each = Recording.read(tmp_path / "two.wav")
    assert len(each.tracks) == each.channels == 2
    np.testing.assert_array_equal(each.tracks[1].read(), right)
    np.testing.assert_array_equal(Recording.read(tmp_path / "two.wav", "1").tracks[0].read(), right)
    np.testing.assert_allclose(
        Recording.read(tmp_path / "two.wav", "mean").tracks[0].read(), (left + right) / 2, atol=1e-7
    )
    same = Recording.read(tmp_path / "same.wav")
    assert len(same.tracks) == 1 and same.channels == 2
    for channel, said in (("2", "no channel 2"), ("left", "each, mean"), ("-1", "each, mean")):
        with pytest.raises(UserError, match=said):
            Recording.read(tmp_path / "two.wav", channel)


def test_levels_far_from_training_are_brought_there_and_others_left_alone():
    assert Recording.of(noise(2.0, gain=0.05), RATE).gain == 1.0
    for gain in (2e-3, 3.0):
        recording = Recording.of(noise(2.0, gain=gain), RATE)
        moved = Recording.of(recording.tracks[0].read() * recording.gain, RATE)
        assert moved.loudness == pytest.approx(recordings.TRAINED_LUFS, abs=0.1)


def test_loudness_is_reached_followed_only_so_far_and_never_at_the_price_of_clipping():
    source = Recording.of(noise(3.0, gain=0.1), RATE)
    half = [Spool(source.tracks[0].read() * 0.6)]
    kept = level(half, source, source.loudness)
    assert kept.loudness == pytest.approx(source.loudness, abs=0.05) and not kept.note
    faint = level([Spool(source.tracks[0].read() * 0.01)], source, source.loudness)
    assert faint.gain == pytest.approx(10 ** (6 / 20), rel=0.01) and "LU quieter than the input" in faint.note
    loud = level(half, source, -3.0)
    assert loud.gain * np.abs(half[0].read()).max() == pytest.approx(1.0, rel=1e-3) and "clipped" in loud.note
    assert level(half, source, None).gain == 1.0


def test_blocks_of_any_number_of_channels_are_written_and_read(tmp_path):
    blocks = [np.stack([noise(0.5, seed=i), noise(0.5, seed=i + 9)], 1) for i in range(3)]
    audio.write_blocks(tmp_path / "a.wav", blocks, RATE, 2, comment="mark")
    rate, channels, read = audio.stream(tmp_path / "a.wav", seconds=0.3)
    assert (rate, channels) == (RATE, 2)
    np.testing.assert_array_equal(np.concatenate(list(read)), np.concatenate(blocks))
    with pytest.raises(UserError, match="refused"):
        audio.check_output(tmp_path / "b.opus", 11_025)
    assert not (tmp_path / "b.opus").exists()
