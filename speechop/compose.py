"""Which expression answers which request: tasks, prompts, transcripts and the composition (sections 5, 6, Appendix
E.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from speechop.guidance import LOGSNR, Expression, cfg, tc_avg, tc_cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.settings import Composed


@dataclass
class Conditions:
    """Latents and texts of a batch of requests for one task; `None` where the task or request has none.

    `voice_heard`: the voice as the source has it, where that is not the clean one.
    `transcript` is what the free frames (and, for TTS, the contexts) say; `voice_transcript` the same with the voice
    prompt's words before it.
    """

    task: str
    source: Sequence[Tensor] | None = None
    transcript: Sequence[str] | None = None
    left: Sequence[Tensor] | None = None
    right: Sequence[Tensor] | None = None
    voice: Sequence[Tensor] | None = None
    voice_heard: Sequence[Tensor] | None = None
    voice_transcript: Sequence[str] | None = None


def expression(model: NetworkEvaluator, what: Conditions, how: Composed) -> Expression:
    """The composed score of a batch.

    TTS and editing: joint guidance on transcript and prompt. Speech to speech: guidance on the source, plus (TC-CFG) or
    averaged with (TC-Avg) the transcript's TTS score inside the interval; a voice prompt enters the terms of
    `voice_in`.
    """
    if what.task in ("tts", "edit"):
        text = model.term("tts", transcript=what.transcript, left=what.left, right=what.right)
        return cfg(text, how.tts_scale if what.task == "tts" else how.edit_scale)
    left, heard = what.left, None
    if what.voice is not None and "source" in how.voice_in and left is None:
        left, heard = what.voice, what.voice_heard
    base = cfg(model.term(what.task, source=what.source, left=left, left_heard=heard), how.s2s_scale)
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
