"""Answers in words: a recogniser's own text, a classifier's label. No recogniser stands between."""

from __future__ import annotations

from functools import partial
from typing import Any

from metrics.contract import Metric, Ratio, Value
from metrics.text import whisper_english
from metrics.wer import ERRORS, error_rate


def _errors(utterance, settings, *, unit: str) -> Value:
    said, heard = whisper_english(utterance.text()), whisper_english(utterance.answer())
    return error_rate(reference=said, hypothesis=heard, unit=unit)


def _accuracy(utterance, settings) -> Value:
    label, answer = utterance.label(), utterance.answer()
    return Value(100.0 * (label == answer), {"label": label, "answer": answer})


_COMMON: dict[str, Any] = {"unit": "%", "rate": "none: no audio is read", "version": "1", "audio": False}
_TEXT: dict[str, Any] = {
    "range": "0 upwards; above 100 where words are invented",
    "higher": False,
    "source": "Radford et al. 2022 (normaliser); package rapidfuzz (alignment)",
    "needs": ("text", "answer"),
    "judges": "text",
    "libraries": ("rapidfuzz", "whisper-normalizer"),
}

METRICS = (
    Metric(
        name="wer_answer",
        compute=partial(_errors, unit="words"),
        definition="Word error rate over the corpus of the text that a system answers with, both sides through "
        "Whisper's English normaliser.",
        pitfalls="A text that is nothing counts as all deletions. The normaliser rewrites numbers and spellings.",
        ratio=Ratio(ERRORS, "reference_words", 100.0),
        **_COMMON | _TEXT,
    ),
    Metric(
        name="cer_answer",
        compute=partial(_errors, unit="characters"),
        definition="Character error rate over the corpus of the text that a system answers with, normalised as "
        "wer_answer; spaces count.",
        pitfalls="As wer_answer.",
        ratio=Ratio(ERRORS, "reference_characters", 100.0),
        **_COMMON | _TEXT,
    ),
    Metric(
        name="accuracy",
        compute=_accuracy,
        definition="Share of labels that are right; `detail` holds both, for confusion matrices.",
        range="0 to 100",
        higher=True,
        source="own definition",
        pitfalls=(
            "`unknown` is wrong but of speech that no label fits. Compare with the share of the most frequent label."
        ),
        needs=("label", "answer"),
        judges="label",
        **_COMMON,
    ),
)
