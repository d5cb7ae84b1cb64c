"""PESQ, wide band."""

from __future__ import annotations

import math

import numpy as np

from metrics.contract import Metric, Unscorable, Value

RATE_HZ = 16000


def pesq_wb(*, reference: np.ndarray, estimate: np.ndarray) -> float:
    """MOS-LQO of ITU-T P.862.2 for float [n] signals at 16 kHz, 1.04 to 4.64.

    Raises:
        Unscorable: the model finds no utterance, or its level alignment fails.
    """
    import pesq

    try:
        value = pesq.pesq(RATE_HZ, reference, estimate, "wb")
    except pesq.NoUtterancesError:
        raise Unscorable("no_utterances", "PESQ finds no speech in the reference.") from None
    except (pesq.PesqError, ValueError) as error:  # ValueError: NaN inside, from a nearly silent estimate
        raise Unscorable("pesq_failed", str(error)) from None
    if not math.isfinite(value):
        raise Unscorable("pesq_failed", "PESQ is not a number.")
    return float(value)


def _compute(utterance, settings) -> Value:
    reference, estimate, _ = utterance.pair(RATE_HZ)
    return Value(pesq_wb(reference=reference, estimate=estimate))


METRICS = (
    Metric(
        name="pesq",
        compute=_compute,
        definition="Perceptual evaluation of speech quality, wide band, mapped to MOS-LQO (ITU-T P.862.2).",
        unit="MOS-LQO",
        range="1.04 to 4.64 (identical signals: 4.6439)",
        higher=True,
        rate="16 kHz",
        source="ITU-T P.862.2 (2007); package pesq",
        pitfalls=(
            "Not symmetric. Silent or nearly silent estimates have no value. Another resampler moves it by up to 0.01. "
            "Narrow-band PESQ is another scale. Files above 60 s are refused: P.862 is meant for 8 to 30 s."
        ),
        version="1",
        aligned=True,
        min_seconds=0.25,
        max_seconds=60.0,
        libraries=("pesq", "soxr"),
    ),
)
