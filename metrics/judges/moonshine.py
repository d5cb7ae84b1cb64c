"""Moonshine tiny (package moonshine-voice): a recogniser of another family than Whisper, with the native runtime it
ships."""

from __future__ import annotations

from functools import cache

import numpy as np

from metrics.judges import packaged
from speechbase.files import UserError

RATE_HZ = 16000


class Moonshine:
    """The loaded model. It cuts at pauses by itself; the pieces' texts are joined."""

    def __init__(self):
        folder = packaged.folder("moonshine_tiny_en")
        try:
            from moonshine_voice.moonshine_api import ModelArch
            from moonshine_voice.transcriber import Transcriber
        except (ImportError, OSError) as error:
            raise UserError(
                f"Moonshine's runtime cannot be loaded ({error}): it needs Linux with glibc 2.34."
            ) from None
        self._model = Transcriber(str(folder), ModelArch.TINY)

    def transcribe(self, wave: np.ndarray) -> str:
        """Text of float32 audio [n] at 16 kHz."""
        heard = self._model.transcribe_without_streaming(wave.astype(np.float32).tolist(), RATE_HZ)
        return " ".join(line.text.strip() for line in heard.lines if line.text.strip())


@cache
def load() -> Moonshine:
    """The model, loaded once."""
    return Moonshine()
