"""Whether anybody speaks: Silero's voice activity detector (https://github.com/snakers4/silero-vad), which
faster-whisper ships with its weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from speechbase import audio
from speechbase.files import UserError, install

RATE_HZ = 16_000
FRAME_SAMPLES = 512  # of the detector
FRAME_S = FRAME_SAMPLES / RATE_HZ
LEVEL = 0.1  # root mean square at which the detector listens: at lower ones it misses more of the speech in noise
# Chosen on validation voices, in validation noises, and on all noises that are not babble: of 129 sounds without speech
# (noises of the corpus, hum, tones, clicks, chords, melodies; 10, 2 and 1 s) none had .35 s of such frames in ten
# seconds. Speech in noise has them in 100 % of the clips at -2.5 to 20 dB, in 90 (synthetic, two seconds) and 100 %
# (recorded) at -5 dB, also in rooms, over a telephone and whispered.
MAYBE = 0.2  # a frame that is speech with this probability may be speech
LEAST_S = 0.35
PIECE_S = 10.0  # of a longer recording, which is asked about at once


class NoDetector(UserError):
    """The detector is not installed."""


@cache
def _silero() -> Any:
    try:
        from faster_whisper.vad import get_vad_model

        return get_vad_model()
    except (ImportError, RuntimeError):  # the latter where onnxruntime is missing
        raise NoDetector(f"No detector of speech is installed: {install('itc')} brings one.") from None


def probabilities(wave: np.ndarray) -> np.ndarray:
    """How probable it is that somebody speaks [frames] in each 32 ms of float32 audio [n] at 16 kHz.

    Raises:
        NoDetector: faster-whisper or onnxruntime is not installed.
    """
    return np.asarray(_silero()(np.pad(wave, (0, -len(wave) % FRAME_SAMPLES)))).ravel()


def speech_seconds(wave: np.ndarray, rate_hz: int) -> float:
    """How many seconds of float32 audio [n] of any rate and level may be speech; babble and song are speech as well.

    Raises:
        NoDetector: faster-whisper or onnxruntime is not installed.
    """
    wave = audio.resample(np.asarray(wave, np.float32), rate_hz, RATE_HZ)
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    if not level:
        return 0.0
    return float((probabilities(wave * np.float32(LEVEL / level)) > MAYBE).sum() * FRAME_S)


def has_speech(wave: np.ndarray, rate_hz: int) -> bool:
    """Whether somebody speaks in float32 audio [n] at any rate; of more than ten seconds, ask piece by piece, since
    frames that only may be speech add up.

    Raises:
        NoDetector: faster-whisper or onnxruntime is not installed.
    """
    return speech_seconds(wave, rate_hz) >= LEAST_S * min(1.0, len(wave) / rate_hz)
