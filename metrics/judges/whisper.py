"""Whisper through CTranslate2, as WhisperX decodes: for transcripts, and for its encoder's features."""

from __future__ import annotations

import math
import re
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metrics.judges import packaged
from metrics.judges.blas import one_thread
from speechbase.files import UserError

RATE_HZ = 16000
WINDOW_S = 30  # what Whisper was trained on
MAX_TOKENS = 448  # of a full window
TAIL_S = 2.0  # silence that must follow the speech, without which Whisper repeats itself
LOOPING = 2.4  # a transcript that zlib makes this many times smaller repeats itself (Whisper's own threshold)
SAMPLES_PER_FRAME = 320  # of the encoder's output


class Whisper:
    """One loaded model.

    Args:
        model: a packaged model's name.
        path: folder of a CTranslate2 model, instead of a packaged one.
        compute_type: CTranslate2's: int8, float32, float16 (GPU).
        device: cpu or cuda.
        threads: CPU threads; the result does not depend on it.
    """

    def __init__(self, model: str, path: str | None, compute_type: str, device: str = "cpu", threads: int = 1):
        from faster_whisper import WhisperModel

        options = {"device": device, "compute_type": compute_type, "cpu_threads": threads, "local_files_only": True}
        try:
            if path is None:
                self.model = WhisperModel(model, files=packaged.read(model), **options)
            else:
                _require_model(Path(path))
                self.model = WhisperModel(path, **options)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"Whisper cannot be loaded as asked: {error}") from None
        # In float32 the sums of this product, and with them now and then a word, depend on the kernel that BLAS takes.
        extractor = self.model.feature_extractor
        extractor.mel_filters = extractor.mel_filters.astype(np.float64)

    def encode(self, wave: np.ndarray, seconds: float | None = None) -> Any:
        """Encoder output (CTranslate2 storage) of audio at 16 kHz, zero-padded to `seconds` (None: to whole frames)."""
        from faster_whisper.transcribe import get_ctranslate2_storage

        samples = (
            SAMPLES_PER_FRAME * math.ceil(len(wave) / SAMPLES_PER_FRAME)
            if seconds is None
            else round(seconds * RATE_HZ)
        )
        padded = np.pad(wave.astype(np.float32), (0, samples - len(wave)))
        with one_thread():
            log_mel = self.model.feature_extractor(padded, padding=0).astype(np.float32)
        return self.model.model.encode(get_ctranslate2_storage(log_mel[None]))

    def features(self, wave: np.ndarray) -> np.ndarray:
        """Last encoder layer's output [frames, width], 20 ms a frame, of audio at 16 kHz that lasts at most 30 s."""
        return np.array(self.encode(wave), dtype=np.float32)[0]

    def transcribe(self, wave: np.ndarray, context_s: float, beam_size: int, language: str, prompt: str | None) -> str:
        """Text of audio at 16 kHz that fits in the context; beam search at temperature 0, no timestamps.

        A transcript that says something twice over is decoded again in the full window, which Whisper was trained on;
        one that then still loops, without any three tokens twice. Whisper's own remedy, sampling, would leave it to
        chance.
        """
        text = self._decode(wave, context_s, beam_size, language, prompt)
        if context_s < WINDOW_S and repeats(text):
            text = self._decode(wave, float(WINDOW_S), beam_size, language, prompt)
        if loops(text):
            text = self._decode(wave, float(WINDOW_S), beam_size, language, prompt, no_repeat=3)
        return text

    def _decode(self, wave, context_s, beam_size, language, prompt, no_repeat: int = 0) -> str:
        from faster_whisper.tokenizer import Tokenizer

        tokenizer = Tokenizer(
            self.model.hf_tokenizer, self.model.model.is_multilingual, task="transcribe", language=language
        )
        previous = tokenizer.encode(" " + prompt.strip()) if prompt else []
        start = self.model.get_prompt(tokenizer, previous, without_timestamps=True)
        result = self.model.model.generate(
            self.encode(wave, context_s),
            [start],
            beam_size=beam_size,
            max_length=min(MAX_TOKENS, len(start) + math.ceil(MAX_TOKENS * context_s / WINDOW_S)),
            no_repeat_ngram_size=no_repeat,
            suppress_blank=True,
            suppress_tokens=[-1],
        )
        return tokenizer.decode([token for token in result[0].sequences_ids[0] if token < tokenizer.eot]).strip()


def repeats(text: str) -> bool:
    """Whether some three or more words are said again at once, as a short context makes Whisper do; or `loops`."""
    words = re.findall(r"\w+", text.lower())
    spans = range(3, len(words) // 2 + 1)
    return loops(text) or any(
        words[at : at + span] == words[at + span : at + 2 * span]
        for span in spans
        for at in range(len(words) - 2 * span + 1)
    )


def loops(text: str) -> bool:
    """Whether a transcript repeats itself as a decoder does that has lost its place."""
    raw = text.encode()
    return bool(raw) and len(raw) / len(zlib.compress(raw)) > LOOPING


def context_for(seconds: float, step_s: float) -> float:
    """The shortest context, a multiple of `step_s` up to 30 s, that leaves 2 s after `seconds` of speech."""
    return min(float(WINDOW_S), step_s * math.ceil((seconds + TAIL_S) / step_s))


def cut(wave: np.ndarray) -> list[np.ndarray]:
    """Pieces of at most 28 s, cut in the quietest 20 ms of each window's last 8 s."""
    pieces = []
    longest, earliest = round((WINDOW_S - TAIL_S) * RATE_HZ), round(20 * RATE_HZ)
    while len(wave) > longest:
        frames = wave[earliest:longest].reshape(-1, SAMPLES_PER_FRAME)
        at = earliest + SAMPLES_PER_FRAME * int(np.argmin((frames**2).sum(1)))
        pieces.append(wave[:at])
        wave = wave[at:]
    return [*pieces, wave]


def _require_model(folder: Path) -> None:
    if not (folder / "model.bin").is_file():
        raise UserError(
            f"{folder} holds no CTranslate2 model (model.bin); convert Whisper with ct2-transformers-converter."
        )


@cache
def load(
    model: str, path: str | None = None, compute_type: str = "int8", device: str = "cpu", threads: int = 1
) -> Whisper:
    """The model, loaded once a process."""
    return Whisper(model, path, compute_type, device, threads)
