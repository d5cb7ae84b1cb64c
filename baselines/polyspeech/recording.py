"""What a recording goes through before the models hear it: the level of their corpora, and whether anyone speaks."""

from __future__ import annotations

import numpy as np

from speechbase import audio
from speechbase.corpus.build_speech import levelled
from speechbase.files import UserError, install
from speechbase.tokens.coded import silent

LEVEL_DBFS = -26.0  # of active speech in all corpora (`level_dbfs` of the configuration)
DETECTOR_HZ, FRAME = 16_000, 512  # what Silero's detector hears, and samples of each of its answers
PROBABILITY, SECONDS = 0.5, 0.1  # from which on a frame is speech, and how much of it a recording needs


def at_level(wave: np.ndarray, rate_hz: int) -> np.ndarray:
    """Audio float32 [s] at the level of what the models were trained on; silence as it is."""
    return wave if silent(wave) else levelled(wave, rate_hz, LEVEL_DBFS)


def has_speech(wave: np.ndarray, rate_hz: int) -> bool:
    """Whether a tenth of a second or more of audio float32 [s], at its level, is speech to Silero's detector (MIT).

    No noise, hum, clicks or tones were (docs/polyspeech.md); the models, which answer whatever they are given, hear
    words in all of them.

    Raises:
        UserError: the package that carries the detector is not installed.
    """
    try:
        from faster_whisper.vad import get_vad_model
    except ImportError:
        raise UserError(f"Whether there is speech is found by the package faster-whisper: {install('itc')}.") from None
    if silent(wave):
        return False
    heard = audio.resample(wave, rate_hz, DETECTOR_HZ)
    shares = np.asarray(get_vad_model()(np.pad(heard, (0, -len(heard) % FRAME))))
    return bool((shares > PROBABILITY).sum() * FRAME >= SECONDS * DETECTOR_HZ)
