"""Whether anybody speaks: sounds without speech, and shipped speech in noise, faint, short and at any rate."""

import sys

import numpy as np
import pytest

from speechbase import audio, voice_activity
from speechbase.corpus.build_speech import SPOKEN
from speechbase.voice_activity import NoDetector, has_speech, speech_seconds

RATE = 16_000
TIME = np.arange(10 * RATE) / RATE
RANDOM = np.random.default_rng(0)
CLIPS = [f"audio/test/{voice}/test-{voice}-0001.flac" for voice in ("kumo", "nezumi", "nezumi-deep")]


def harmonics(hz, time=TIME, partials=11):
    return sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, partials + 1))


def chord(*tones):
    time = TIME[: len(TIME) // 4]
    return sum(harmonics(hz, time, 6) for hz in tones) * np.exp(-2 * time)


CHORDS = [chord(262, 330, 392), chord(220, 262, 330), chord(175, 220, 262), chord(196, 247, 294)]
WHITE = RANDOM.standard_normal(len(TIME))
NO_SPEECH = {
    "white noise": WHITE,
    "noise that swells": WHITE * (1 + np.sin(2 * np.pi * 4 * TIME)),
    "hum": harmonics(50),
    "hum of a machine": harmonics(100),
    "tone": np.sin(2 * np.pi * 440 * TIME),
    "sweep": np.sin(2 * np.pi * (100 + 150 * TIME) * TIME),
    "clicks": np.arange(len(TIME)) % 4001 == 0,
    "chords": np.concatenate(CHORDS),
}


def said(clip: str) -> np.ndarray:
    return audio.read(SPOKEN / clip)[0]


def in_noise(wave: np.ndarray, snr_db: float) -> np.ndarray:
    hiss = np.random.default_rng(1).standard_normal(len(wave))
    return (wave + hiss * np.sqrt(np.mean(wave**2)) * 10 ** (-snr_db / 20)).astype(np.float32)


@pytest.mark.parametrize("kind", NO_SPEECH)
@pytest.mark.parametrize("gain", [1e-4, 0.3])
def test_what_is_no_speech_has_none(kind, gain):
    wave = (NO_SPEECH[kind] * gain).astype(np.float32)
    assert not has_speech(wave, RATE) and not has_speech(wave[: 2 * RATE], RATE)


@pytest.mark.parametrize("clip", CLIPS)
def test_speech_is_heard_in_noise_and_not_outside_of_it(clip):
    wave = said(clip)
    for snr_db in (0, 10, 20):
        assert has_speech(in_noise(wave, snr_db), RATE), snr_db
    seconds = len(wave) / RATE
    around = np.concatenate([np.zeros(2 * RATE, np.float32), wave, np.zeros(2 * RATE, np.float32)])
    assert 0.7 * seconds < speech_seconds(wave, RATE) <= seconds + voice_activity.FRAME_S
    assert speech_seconds(around, RATE) == pytest.approx(speech_seconds(wave, RATE), abs=0.3)


def test_neither_level_nor_rate_decides():
    wave = in_noise(said(CLIPS[0]), 0.0)
    seconds = speech_seconds(wave, RATE)
    assert seconds > 1.0
    for gain in (1e-5, 10.0):
        assert speech_seconds(wave * np.float32(gain), RATE) == pytest.approx(seconds, abs=0.04)
    assert speech_seconds(audio.resample(wave, RATE, 44_100), 44_100) == pytest.approx(seconds, abs=0.2)


def test_a_word_is_enough_where_there_is_no_more():
    wave = said(CLIPS[0])
    loudest = int(np.argmax(np.convolve(wave**2, np.ones(RATE // 4), "valid")))
    word = wave[loudest : loudest + RATE // 4]
    assert speech_seconds(word, RATE) < voice_activity.LEAST_S and has_speech(word, RATE)
    assert not has_speech((WHITE[: RATE // 4] * 0.1).astype(np.float32), RATE)


def test_nothing_is_no_speech():
    for samples in (0, 5, RATE):
        assert speech_seconds(np.zeros(samples, np.float32), RATE) == 0.0


@pytest.mark.parametrize("missing", ["faster_whisper.vad", "onnxruntime"])
def test_without_a_detector_what_brings_one_is_said(monkeypatch, missing):
    voice_activity._silero.cache_clear()
    if missing == "onnxruntime":
        pytest.importorskip("faster_whisper.vad").get_vad_model.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(NoDetector, match=r"speechop-replication\[itc\]"):
        has_speech(np.ones(RATE, np.float32), RATE)
    monkeypatch.undo()
    assert not has_speech((WHITE[:RATE] * 0.1).astype(np.float32), RATE), "what is installed later is found"
