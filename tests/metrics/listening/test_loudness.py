"""Sound: every clip at the same loudness, with equal edges, and nothing limited."""

import numpy as np
import pyloudnorm
import pytest
import soundfile

from metrics.listening import loudness
from metrics.listening.study import load
from speechbase.files import UserError
from tests.metrics.listening.make_study import tone, write


def test_all_clips_are_equally_loud_and_never_limited(prepared_tts):
    meter = pyloudnorm.Meter(48000)
    for path in (prepared_tts / "public" / "audio").iterdir():
        wave, rate = soundfile.read(path)
        assert meter.integrated_loudness(wave) == pytest.approx(-23, abs=0.1)
        assert loudness.true_peak_db(wave.astype(np.float32), rate) < -1


def test_one_offset_for_the_whole_study_where_a_peak_is_high(tmp_path):
    clicks = np.zeros(48000)
    clicks[::4000] = 0.9
    write(tmp_path / "clicks.wav", clicks, 48000)
    write(tmp_path / "tone.wav", tone(1, 1.0, 48000), 48000)
    settings = load("tts")["audio"]
    clips = [
        loudness.Clip(tmp_path / f"{n}.wav", tmp_path / f"{n}.wav", tmp_path / f"{n}.flac") for n in ("clicks", "tone")
    ]
    rows = loudness.render(clips, settings, 1)
    assert rows[0]["study_offset_db"] == rows[1]["study_offset_db"] < -3
    assert rows[0]["peak_dbtp"] == pytest.approx(-1, abs=0.01)
    levels = [pyloudnorm.Meter(48000).integrated_loudness(soundfile.read(clip.target)[0]) for clip in clips]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)
    wave = soundfile.read(tmp_path / "clicks.flac")[0]
    source = np.pad(loudness.shape(tmp_path / "clicks.wav", settings), 0)
    gain = 10 ** (rows[0]["gain_db"] / 20)
    assert np.abs(wave - source * gain).max() < 3 / 32768  # scaled and dithered, nothing else


def test_the_gain_may_come_from_the_target(tmp_path):
    """A noisy file whose gain is its clean target's keeps the level of its speech."""
    speech = tone(1, 1.0, 48000, 0.05)
    write(tmp_path / "target.wav", speech, 48000)
    write(tmp_path / "loud.wav", 4 * speech, 48000)
    clip = loudness.Clip(tmp_path / "loud.wav", tmp_path / "target.wav", tmp_path / "out.flac")
    quiet = loudness.Clip(tmp_path / "target.wav", tmp_path / "target.wav", tmp_path / "quiet.flac")
    rows = loudness.render([clip, quiet], load("tts")["audio"], 1)
    assert rows[0]["lufs"] - rows[1]["lufs"] == pytest.approx(20 * np.log10(4), abs=0.05)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(48000), "is silent"),
        (tone(1, 0.2, 48000), r"0\.2\d? s .* needs 0\.4 s"),
        (1e-5 * tone(1, 1.0, 48000), "too quiet"),
    ],
    ids=["silence", "short", "quiet"],
)
def test_clips_that_cannot_be_rated_are_named(tmp_path, wave, message):
    path = tmp_path / "bad.wav"
    write(path, np.asarray(wave), 48000)
    soundfile.write(path, wave, 48000, subtype="FLOAT")
    with pytest.raises(UserError, match=rf"bad\.wav.*{message}"):
        loudness.render([loudness.Clip(path, path, tmp_path / "x.flac")], load("tts")["audio"], 1)


def test_edges_are_equal_silence(tmp_path):
    settings = load("tts")["audio"]
    for name, lead in (("a", 0), ("b", 9600)):
        write(tmp_path / f"{name}.wav", np.pad(tone(3, 0.8, 48000), (lead, lead // 2)), 48000)
    a, b = (loudness.shape(tmp_path / f"{name}.wav", settings) for name in "ab")
    assert abs(len(a) - len(b)) < 48
    assert not a[: round(0.19 * 48000)].any() and not b[-round(0.19 * 48000) :].any()
