"""Recognisers: a JSON object says which model hears and how; transcripts carry that description."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from metrics.contract import library_version
from metrics.judges import packaged
from speechbase.files import UserError

RATE_HZ = 16000
SILENT_PEAK = 2.0**-15

WHISPER_DEFAULTS = {
    "compute_type": "int8",
    "beam_size": 5,
    "context_s": 10.0,
    "vad": False,
    "language": "en",
    "initial_prompt": None,
    "device": "cpu",
    "threads": 1,
}
CTC_DEFAULTS = {"device": "cpu", "threads": 1}
# model -> (engine, whether a package carries it)
MODELS = {
    "whisper_base": ("whisper", True),
    "whisper_tiny_en": ("whisper", True),
    "whisper_large_v2": ("whisper", False),
    "hubert_large": ("ctc", False),
}


@dataclass(frozen=True)
class Recogniser:
    """A recogniser with every setting resolved.

    Attributes:
        name: what metrics are called by: wer_<normaliser>_<name>.
        model: a key of MODELS, or the user's own name.
        engine: "whisper" or "ctc".
        path: folder of the weights; None for a packaged model.
        options: the engine's settings.
    """

    name: str
    model: str
    engine: str
    path: str | None
    options: Mapping[str, Any]

    @property
    def description(self) -> str:
        """One line that stands with every transcript; its first word is `name`."""
        o = self.options
        if self.engine == "ctc":
            return f"{self.name} ctc greedy"
        prompt = f" prompt={o['initial_prompt']!r}" if o["initial_prompt"] else ""
        context = "30" if o["vad"] else f"{o['context_s']:g}"
        return (
            f"{self.name} {o['compute_type']} beam{o['beam_size']} context{context}s "
            f"vad-{'on' if o['vad'] else 'off'} {o['language']}{prompt}"
        )

    @property
    def version(self) -> str:
        """Versions of the libraries and a fingerprint of the weights."""
        weights = (
            packaged.PACKAGES[self.model].sha256[:12] if self.path is None else packaged.fingerprint(Path(self.path))
        )
        names = ("transformers", "torch") if self.engine == "ctc" else ("ctranslate2", "faster-whisper")
        if self.engine == "whisper" and self.options["vad"]:
            names = ("whisperx", *names)
        return "; ".join(["4", *(f"{name} {library_version(name)}" for name in names), f"weights {weights}"])


def resolve(settings: Mapping[str, Any]) -> Recogniser:
    """A recogniser from its JSON object: `model`, or `engine` and `path`; `name`; and the engine's options.

    Raises:
        UserError: an unknown model, engine or option, or a model that no package carries and no path is given for.
    """
    given = dict(settings)
    model = given.pop("model", None)
    if not isinstance(model, str):
        raise UserError(f'A recogniser needs a model: {{"model": "{next(iter(MODELS))}"}}.')
    engine, has_package = MODELS.get(model, (None, False))
    engine = given.pop("engine", engine)
    if engine not in ("whisper", "ctc"):
        raise UserError(
            f'Model {model!r} is unknown (known: {", ".join(MODELS)}); give "engine": "whisper" or "ctc" and "path".'
        )
    path = given.pop("path", None)
    if path is None and not has_package:
        raise UserError(f'No package carries {model!r}: give "path", the folder of its weights.')
    name = given.pop("name", model)
    defaults = WHISPER_DEFAULTS if engine == "whisper" else CTC_DEFAULTS
    if unknown := sorted(set(given) - set(defaults)):
        raise UserError(f"Unknown option {unknown[0]!r} of recogniser {name}; there are {', '.join(defaults)}.")
    options = {**defaults, **given}
    if engine == "whisper" and not 5 <= options["context_s"] <= 30:
        raise UserError("context_s must lie between 5 and 30 s.")
    return Recogniser(name, model, engine, path, options)


def transcribe(recogniser: Recogniser, wave: np.ndarray) -> str:
    """Text of float32 audio [n] at 16 kHz; digital silence is "" without asking the model, which would invent words."""
    if np.abs(wave).max(initial=0.0) < SILENT_PEAK:
        return ""
    options = recogniser.options
    if recogniser.engine == "ctc":
        from metrics.judges import ctc

        return ctc.load(recogniser.path, options["device"], options["threads"]).transcribe(wave)
    from metrics.judges import whisper

    model = whisper.load(
        recogniser.model, recogniser.path, options["compute_type"], options["device"], options["threads"]
    )
    if options["vad"]:
        return _with_vad(recogniser, model, wave)
    texts = []
    for piece in whisper.cut(wave):
        context_s = whisper.context_for(len(piece) / RATE_HZ, options["context_s"])
        texts.append(
            model.transcribe(piece, context_s, options["beam_size"], options["language"], options["initial_prompt"])
        )
    return " ".join(text for text in texts if text)


def _with_vad(recogniser: Recogniser, model, wave: np.ndarray) -> str:
    """WhisperX's own pipeline: Pyannote's voice activity detection, 30 s contexts."""
    pipeline = _whisperx(
        recogniser.name,
        model,
        *(recogniser.options[key] for key in ("device", "language", "beam_size", "initial_prompt")),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segments = pipeline.transcribe(wave, batch_size=1)["segments"]
    return " ".join(segment["text"].strip() for segment in segments)


@cache
def _whisperx(name: str, model, device: str, language: str, beam_size: int, prompt: str | None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("whisperx").setLevel(logging.ERROR)
        import whisperx.asr

        loaded = whisperx.asr.WhisperModel.__new__(whisperx.asr.WhisperModel)
        loaded.__dict__ = model.model.__dict__  # the class only adds methods; the weights are loaded already
        return whisperx.asr.load_model(
            name,
            device,
            language=language,
            model=loaded,
            asr_options={"beam_size": beam_size, "initial_prompt": prompt},
        )
