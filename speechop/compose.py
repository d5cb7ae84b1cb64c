"""Which expression answers which request: tasks, prompts, transcripts and the composition (sections 5, 6, Appendix
E.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from speechbase.files import UserError
from speechop.guidance import LOGSNR, Expression, cfg, tc_avg, tc_cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.sampler import SOLVERS, Sampling

COMPOSITIONS = ("none", "tc_cfg", "tc_avg")


@dataclass(frozen=True)
class Settings:
    """How a request is answered; the defaults are Appendix E.3's.

    `gamma` multiplies the discriminative text score (Eq. 3), `alpha` weighs the text score in the average (Eq. 1), text
    is on where `guide_from` < logSNR < `guide_to`. Scales are in the convention of `speechop.guidance.cfg` (1 is off).
    `voice_in`: which terms see a voice prompt (speaker personalisation): "tts", "source" or both. `prompt_pause_s`:
    silence after a prompt that is followed by its own speaker's speech, where training joined whole sentences with
    pauses.
    """

    composition: str = "none"
    gamma: float = 1.5
    alpha: float = 0.5
    guide_from: float = -1.0
    guide_to: float = 1e9
    s2s_scale: float = 1.5
    tts_scale: float = 3.0
    edit_scale: float = 2.0
    voice_in: tuple[str, ...] = ("tts", "source")
    prompt_pause_s: float = 0.0
    steps: int = 256
    solver: str = "sde-2m"
    logsnr_min: float = -15.0
    logsnr_max: float = 15.0
    precision: str = "bf16"
    batch: int = 8
    seed: int = 0

    def __post_init__(self):
        if self.composition not in COMPOSITIONS:
            raise UserError(f"unknown composition {self.composition!r}; known are {', '.join(COMPOSITIONS)}.")
        if self.solver not in SOLVERS:
            raise UserError(f"unknown solver {self.solver!r}; known are {', '.join(SOLVERS)}.")
        if self.steps < 1 or self.batch < 1:
            raise UserError(f"steps ({self.steps}) and batch ({self.batch}) must be at least 1.")
        if self.precision not in ("bf16", "fp32"):
            raise UserError(f"unknown precision {self.precision!r}: bf16 or fp32.")

    @classmethod
    def of(cls, values: dict) -> Settings:
        """Settings from plain values; an unknown key is a UserError that names it."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise UserError(f"unknown sampling setting {key!r}; known are {', '.join(known)}.")
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**given)

    @property
    def sampling(self) -> Sampling:
        """The sampler's part."""
        return Sampling(self.steps, self.solver, self.logsnr_min, self.logsnr_max)


@dataclass
class Conditions:
    """Latents and texts of a batch of requests for one task; `None` where the task or request has none.

    `transcript` is what the free frames (and, for TTS, the contexts) say; `voice_transcript` the same with the voice
    prompt's words before it.
    """

    task: str
    source: Sequence[Tensor] | None = None
    transcript: Sequence[str] | None = None
    left: Sequence[Tensor] | None = None
    right: Sequence[Tensor] | None = None
    voice: Sequence[Tensor] | None = None
    voice_transcript: Sequence[str] | None = None


def expression(model: NetworkEvaluator, what: Conditions, how: Settings) -> Expression:
    """The composed score of a batch.

    TTS and editing: joint guidance on transcript and prompt. Speech to speech: guidance on the source, plus (TC-CFG) or
    averaged with (TC-Avg) the transcript's TTS score inside the interval; a voice prompt enters the terms of
    `voice_in`.
    """
    if what.task in ("tts", "edit"):
        text = model.term("tts", transcript=what.transcript, left=what.left, right=what.right)
        return cfg(text, how.tts_scale if what.task == "tts" else how.edit_scale)
    left = what.left
    if what.voice is not None and "source" in how.voice_in and left is None:
        left = what.voice
    base = cfg(model.term(what.task, source=what.source, left=left), how.s2s_scale)
    if what.transcript is None or how.composition == "none":
        return base
    if what.voice_transcript is not None and "tts" in how.voice_in:
        text = model.term("tts", transcript=what.voice_transcript, left=what.voice)
    else:
        text = model.term("tts", transcript=what.transcript)
    where = (how.guide_from < LOGSNR) & (how.guide_to > LOGSNR)
    if how.composition == "tc_avg":
        return tc_avg(base, text, how.alpha, where)
    return tc_cfg(base, text, how.gamma, where)
