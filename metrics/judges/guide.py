"""Packaged recognisers as plug-ins of `speechop` (entry point group "speechop.recognisers"): they hear and they
align."""

from __future__ import annotations

import numpy as np

from metrics.judges import alignment, recognisers, whisper
from speechbase import audio, voice_activity

SPEECH_PROBABILITY = 0.5  # noise, chords and clicks stayed below .4 throughout, speech came above .89
SPEECH_SECONDS, MARGIN_S = 0.1, 0.1  # the latter: by which the detector may be late or early
LANGUAGES_S = whisper.WINDOW_S - whisper.TAIL_S  # of which the language is told at once


class WhisperBase:
    """Whisper base from its package, with the settings of the tables and Silero's voice activity detection.

    Args:
        options: of the recogniser (`metrics.judges.recognisers.WhisperSettings`), such as `beam_size`, and `model`; a
            `language` that is given is believed.
    """

    def __init__(self, **options):
        self._recogniser = recognisers.resolve({"model": "whisper_base", **options})
        self._believed = "language" in options
        self._aligner = {"model": self._recogniser.model, "path": self._recogniser.path}

    def transcribe(self, wave: np.ndarray, rate_hz: int) -> dict:
        """What is heard in float32 audio [n] at any rate: text, words with times and confidence, whether there is
        speech, and in which languages.

        A word's confidence is the mean probability of its tokens, given the words before it.
        """
        wave = audio.resample(wave, rate_hz, recognisers.RATE_HZ)
        speech = is_speech(wave)
        heard = _heard(self._recogniser, wave, speech, self._believed)
        words = alignment.align(wave, heard["text"], **self._aligner, confidence=True) if heard["text"].split() else []
        return heard | {"words": _within(speech, words)}

    def align(self, wave: np.ndarray, rate_hz: int, text: str) -> list[dict]:
        """Word times of a known text; see `metrics.judges.alignment.align`."""
        return alignment.align(audio.resample(wave, rate_hz, recognisers.RATE_HZ), text, **self._aligner)


class Moonshine:
    """Moonshine tiny (English) from its package, of another family than Whisper; its words have no times."""

    def __init__(self, **options):
        self._recogniser = recognisers.resolve({"model": "moonshine_tiny_en", **options})

    def transcribe(self, wave: np.ndarray, rate_hz: int) -> dict:
        """What is heard in float32 audio [n] at any rate: text, whether there is speech (Silero's detector), and in
        which languages (Whisper's opinion)."""
        wave = audio.resample(wave, rate_hz, recognisers.RATE_HZ)
        return _heard(self._recogniser, wave, is_speech(wave))


def _heard(recogniser: recognisers.Recogniser, wave: np.ndarray, speech: np.ndarray, believed: bool = False) -> dict:
    """The text of audio at 16 kHz where there is speech in it (of each frame: `is_speech`), and its languages unless
    the recogniser's own is believed: all recognisers here write everything down in that one."""
    if float(speech.sum()) * voice_activity.FRAME_S < SPEECH_SECONDS:
        return {"text": "", "speech": False}
    text = recognisers.transcribe(recogniser, wave)
    heard = {"text": text, "speech": True, "repeats": whisper.repeats(text)}
    return heard if believed else heard | {"languages": languages(wave)}


def languages(wave: np.ndarray) -> dict[str, float]:
    """How probable each language is, {code: probability}, in float32 audio [n] at 16 kHz (its first 28 s), to Whisper
    base; the other packaged recognisers know English alone."""
    loaded = whisper.load("whisper_base", None)
    wave = wave[: round(LANGUAGES_S * recognisers.RATE_HZ)]
    encoded = loaded.encode(wave, whisper.context_for(len(wave) / recognisers.RATE_HZ, 10.0))
    return {token[2:-2]: probability for token, probability in loaded.model.model.detect_language(encoded)[0]}


def is_speech(wave: np.ndarray) -> np.ndarray:
    """Whether each 32 ms of float32 audio [n] at 16 kHz are speech to Silero's detector: bool [frames]."""
    return voice_activity.probabilities(wave) > SPEECH_PROBABILITY


def _within(speech: np.ndarray, words: list[dict]) -> list[dict]:
    """The words with their times held between the first and the last speech: the aligner stretches them over silence
    at the ends."""
    if not words or not speech.any():
        return words
    times = np.flatnonzero(speech) * voice_activity.FRAME_S
    low, high = max(0.0, times[0] - MARGIN_S), times[-1] + voice_activity.FRAME_S + MARGIN_S
    return [word | {edge: float(np.clip(word[edge], low, high)) for edge in ("start", "end")} for word in words]
