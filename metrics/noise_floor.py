"""Whether an edited recording has kept its background: its noise floor beside that of the recording before the edit."""

from __future__ import annotations

import numpy as np

from metrics.contract import Metric, Value
from metrics.log_mel import RATE_HZ, log_mel

QUANTILE = 0.1  # of a band's frames: between words, and in most bands within them, the background alone
DB_PER_NEPER = 20 / np.log(10)


def noise_floor(wave: np.ndarray) -> np.ndarray:
    """The level in dB of each of 80 mel bands that a tenth of the frames of float [n] at 16 kHz lies below."""
    return DB_PER_NEPER * np.quantile(log_mel(wave), QUANTILE, axis=0)


def _compute(utterance, settings) -> Value:
    before, after = (noise_floor(utterance.wave(role, RATE_HZ)) for role in ("mixture", "estimate"))
    return Value(float(np.abs(before - after).mean()))


METRICS = (
    Metric(
        name="noise_floor",
        compute=_compute,
        definition="Mean absolute difference in dB of the noise floors of the source and the estimate: of 80 mel "
        "bands, the level that a tenth of the frames lies below.",
        unit="dB",
        range="0 (the same background) upwards",
        higher=False,
        rate="16 kHz",
        source="own definition",
        pitfalls="Needs no alignment, so edits may change the length. What stays of the recording counts as well: an "
        "edit of one word moves it little. Digital silence in a clean source lies at the floor of log_mel.",
        version="1",
        needs=("mixture",),
        min_seconds=0.3,
        libraries=("soxr",),
    ),
)
