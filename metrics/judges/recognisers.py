"""Recognisers: a JSON object says which model hears and how; transcripts carry that description."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from metrics.contract import library_version
from metrics.judges import packaged
from speechbase.files import UserError, did_you_mean
from speechbase.settings import Settings, Text, checked, key, needed

RATE_HZ = 16000
SILENT_PEAK = 2.0**-15


class Engine(Settings):
    """Settings of every recogniser."""

    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1


class WhisperSettings(Engine):
    """Settings of Whisper: how it is computed, how it searches, and what it expects to hear."""

    compute_type: Literal[
        "int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"
    ] = "int8"
    beam_size: Annotated[int, Field(ge=1, le=100)] = 5
    context_s: Annotated[float, Field(ge=5, le=30)] = key(10.0, "the window that the encoder sees")
    vad: bool = key(False, "cut at pauses by WhisperX's voice activity detection")
    language: Annotated[str, Field(max_length=20)] = "en"
    initial_prompt: Annotated[str, Field(max_length=1000)] | None = key(None, "what was said before, to Whisper")


class CtcSettings(Engine):
    """Settings of a CTC recogniser: greedy decoding has none of its own."""


class MoonshineSettings(Settings):
    """Moonshine's runtime decides for itself: nothing can be set."""


class Asked(Settings):
    """Which recogniser: a known model, or the user's own with its engine and folder."""

    model: Annotated[str, Field(min_length=1, max_length=200)] = needed(
        "in the configuration the entry's own name by default; one that no package carries needs engine and path"
    )
    engine: Literal["whisper", "moonshine", "ctc"] | None = None
    path: Text | None = key(None, "folder of the weights")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=100)] | None = key(
        None, "what metrics are called by; the model's by default"
    )


SETTINGS: dict[str, type[Settings]] = {
    "whisper": WhisperSettings, "moonshine": MoonshineSettings, "ctc": CtcSettings,
}  # fmt: skip
LIBRARIES: dict[str, tuple[str, ...]] = {
    "whisper": ("ctranslate2", "faster-whisper"),
    "moonshine": ("moonshine-voice",),
    "ctc": ("transformers", "torch"),
}
# model -> (engine, whether a package carries it)
MODELS = {
    "whisper_base": ("whisper", True),
    "whisper_tiny_en": ("whisper", True),
    "moonshine_tiny_en": ("moonshine", True),
    "whisper_large_v2": ("whisper", False),
    "hubert_large": ("ctc", False),
}


@dataclass(frozen=True)
class Recogniser:
    """A recogniser with every setting resolved.

    Attributes:
        name: what metrics are called by: wer_<normaliser>_<name>.
        model: a key of MODELS, or the user's own name.
        engine: "whisper", "moonshine" or "ctc".
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
        if self.engine == "moonshine":
            return f"{self.name} moonshine greedy"
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
        names = LIBRARIES[self.engine]
        if self.engine == "whisper" and self.options["vad"]:
            names = ("whisperx", *names)
        return "; ".join(["4", *(f"{name} {library_version(name)}" for name in names), f"weights {weights}"])


def check_settings(settings: Mapping[str, Any]) -> tuple[Asked, str, Settings]:
    """Which recogniser, its engine and the engine's options, from a JSON object of all of them.

    Raises:
        UserError: an unknown model, engine or option, a value of a wrong type or out of range, or a model that no
            package carries and no folder is given for.
    """
    if "model" not in settings:
        raise UserError(f'A recogniser needs a model: {{"model": "{next(iter(MODELS))}"}}.')
    asked = checked(Asked, {key: settings[key] for key in Asked.model_fields if key in settings}, "the recogniser")
    known_engine, has_package = MODELS.get(asked.model, (None, False))
    engine = asked.engine or known_engine
    if engine is None:
        raise UserError(
            f'Model {asked.model!r} is unknown{did_you_mean(asked.model, MODELS)}; for one of your own give "engine": '
            '"whisper" or "ctc", and "path".'
        )
    if asked.path is None and not has_package:
        raise UserError(f'No package carries {asked.model!r}: give "path", the folder of its weights.')
    rest = {key: value for key, value in settings.items() if key not in Asked.model_fields}
    return asked, engine, checked(SETTINGS[engine], rest, f"recogniser {asked.name or asked.model}")


def resolve(settings: Mapping[str, Any]) -> Recogniser:
    """A recogniser from its JSON object.

    Raises:
        UserError: as `check_settings`, a folder that is none, or what this machine cannot compute.
    """
    asked, engine, options = check_settings(settings)
    name = asked.name or asked.model
    if asked.path is not None and not Path(asked.path).is_dir():
        raise UserError(f"The recogniser's path {asked.path} is no folder; give the folder of its weights.")
    if isinstance(options, Engine):
        _check_machine(options, name)
    if isinstance(options, WhisperSettings):
        _check_language(options.language, asked.model)
    return Recogniser(name, asked.model, engine, asked.path, options.model_dump())


def _check_machine(options: Engine, name: str) -> None:
    if options.device == "cpu" and getattr(options, "compute_type", "int8") in ("int8", "float32"):
        return  # every machine can
    import ctranslate2

    if options.device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise UserError(f"Recogniser {name}: device is 'cuda', and there is no CUDA device here; take 'cpu'.")
    if isinstance(options, WhisperSettings):
        able = sorted(ctranslate2.get_supported_compute_types(options.device))
        if options.compute_type not in able:
            raise UserError(
                f"Recogniser {name}: this machine's {options.device} cannot compute in {options.compute_type!r}; "
                f"it can in {', '.join(able)}."
            )


def _check_language(language: str, model: str) -> None:
    if language == "en":
        return
    if model.endswith(("_en", ".en")):
        raise UserError(f"{model} knows English alone; leave out language {language!r} or take another model.")
    from faster_whisper.tokenizer import _LANGUAGE_CODES as CODES

    if language not in CODES:
        raise UserError(f"Whisper does not know the language {language!r}; it knows {', '.join(CODES)}.")


def transcribe(recogniser: Recogniser, wave: np.ndarray) -> str:
    """Text of float32 audio [n] at 16 kHz; digital silence is "" without asking the model, which would invent words."""
    if np.abs(wave).max(initial=0.0) < SILENT_PEAK:
        return ""
    options = recogniser.options
    if recogniser.engine == "ctc":
        from metrics.judges import ctc

        return ctc.load(recogniser.path, options["device"], options["threads"]).transcribe(wave)
    if recogniser.engine == "moonshine":
        from metrics.judges import moonshine

        return moonshine.load().transcribe(wave)
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
