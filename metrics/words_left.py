"""How much speech is left where there should be none: recognised words a second."""

from __future__ import annotations

from metrics.contract import Metric, Value


def _compute(utterance, settings) -> Value:
    words, seconds = len(utterance.transcript(settings["asr"]).split()), utterance.seconds("estimate")
    return Value(words / seconds, {"words": words, "seconds": seconds})


METRICS = (
    Metric(
        name="words_left_{asr}",
        compute=_compute,
        definition="Words that the recogniser hears in the estimate, by second; the mean over utterances.",
        unit="words/s",
        range="0 (no words) upwards",
        higher=False,
        rate="the recogniser's (16 kHz)",
        source="own definition",
        pitfalls="A recogniser may hear words in noise; compare with what it hears in the noise alone.",
        version="1",
        needs=("transcript",),
        audio=False,
    ),
)
