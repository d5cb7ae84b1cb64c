"""Whether an edited recording has kept its background throughout: how far it falls below the old noise floor."""

from __future__ import annotations

import numpy as np

from metrics.contract import Metric, Value
from metrics.log_mel import HOP, N_MELS, RATE_HZ, log_mel

QUANTILE = 0.1  # of a band's frames: between words, and in most bands within them, the background alone
WINDOW = round(0.3 * RATE_HZ / HOP)  # frames: shorter than most words that are made anew
DB_PER_NEPER = 20 / np.log(10)


def floors(wave: np.ndarray, window: int | None = None) -> np.ndarray:
    """The level in dB of each of 80 mel bands that a tenth of the frames lies below [windows, 80].

    Float [n] at 16 kHz as one window, or in windows of so many frames that overlap by half.
    """
    frames = DB_PER_NEPER * log_mel(wave)
    window = min(window or len(frames), len(frames))
    pieces = np.lib.stride_tricks.sliding_window_view(frames, window, axis=0)[:: max(1, window // 2)]
    return np.quantile(pieces, QUANTILE, axis=-1).reshape(-1, N_MELS)


def fallen(wave: np.ndarray, floor: np.ndarray) -> float:
    """How far in dB, mean over bands, the quietest window of float [n] lies below a noise floor [80]."""
    return float(np.maximum(0.0, floor - floors(wave, WINDOW)).mean(1).max())


def _compute(utterance, settings) -> Value:
    before, after = (utterance.wave(role, RATE_HZ) for role in ("mixture", "estimate"))
    floor = floors(before)[0]
    return Value(max(0.0, fallen(after, floor) - fallen(before, floor)))


METRICS = (
    Metric(
        name="noise_floor",
        compute=_compute,
        definition="How far the background falls: of all windows of 0.3 s of the estimate, the one whose noise floor "
        "(of 80 mel bands, the level that a tenth of the frames lies below) lies farthest below that of the whole "
        "source, mean over bands, less the same of the source itself.",
        unit="dB",
        range="0 (nowhere quieter than the source) upwards",
        higher=False,
        rate="16 kHz",
        source="own definition",
        pitfalls="Needs no alignment, so edits may change the length. A background that is louder, or of another "
        "colour at the same level, does not count. Where the source's own noise comes and goes, little is seen.",
        version="2",
        needs=("mixture",),
        min_seconds=0.3,
        libraries=("soxr",),
    ),
)
