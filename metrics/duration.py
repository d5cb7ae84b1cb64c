"""Duration and speaking rate of synthesised speech against the reference recording."""

from __future__ import annotations

from typing import Any

from metrics.contract import Metric, Value


def _compute_duration(utterance, settings) -> Value:
    reference_s, estimate_s = utterance.seconds("reference"), utterance.seconds("estimate")
    return Value(estimate_s - reference_s, {"estimate_s": estimate_s, "reference_s": reference_s})


def _compute_rate(utterance, settings) -> Value:
    """Both say the same text, so the ratio of rates is the inverse ratio of durations."""
    reference_s, estimate_s = utterance.seconds("reference"), utterance.seconds("estimate")
    return Value(100 * abs(reference_s / estimate_s - 1), {"estimate_s": estimate_s, "reference_s": reference_s})


_COMMON: dict[str, Any] = {"rate": "any", "source": "own definition", "version": "1", "range": "0 is best"}

METRICS = (
    Metric(
        name="duration_error",
        compute=_compute_duration,
        definition="Estimate's duration minus reference's; the mean is the bias.",
        unit="s",
        higher=None,
        pitfalls="Includes leading and trailing silence. Errors of opposite sign cancel in the mean.",
        **_COMMON,
    ),
    Metric(
        name="rate_error",
        compute=_compute_rate,
        definition="Absolute deviation of the speaking rate from the reference's, which says the same text.",
        unit="%",
        higher=False,
        pitfalls="Includes leading and trailing silence. Meaningless where estimate and reference say different texts.",
        **_COMMON,
    ),
)
