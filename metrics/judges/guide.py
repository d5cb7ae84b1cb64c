"""The packaged recogniser as a plug-in of `speechop` (entry point group "speechop.recognisers"): it hears and it aligns."""

from __future__ import annotations

import numpy as np

from metrics.judges import alignment, recognisers
from speechbase import audio


class WhisperBase:
    """Whisper base from its package, with the settings of the tables."""

    def __init__(self):
        self._recogniser = recognisers.resolve({"model": "whisper_base"})

    def transcribe(self, wave: np.ndarray, rate_hz: int) -> str:
        """Text of float32 audio [n] at any rate."""
        return recognisers.transcribe(self._recogniser, audio.resample(wave, rate_hz, recognisers.RATE_HZ))

    def align(self, wave: np.ndarray, rate_hz: int, text: str) -> list[dict]:
        """Word times of a known text; see `metrics.judges.alignment.align`."""
        return alignment.align(audio.resample(wave, rate_hz, recognisers.RATE_HZ), text)
