"""Pitch against the reference's, where both are voiced: what a tonal language's words would hang on."""

from __future__ import annotations

import numpy as np

from metrics.contract import Metric, Unscorable, Value
from metrics.mcd import HOP, N_FFT, mel_cepstrum

RATE_HZ = 16_000
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
LEAST_FRAMES = 10


def pitch_hz(wave: np.ndarray) -> np.ndarray:
    """F0 [frames] of audio at 16 kHz at the centres of its cepstral frames, by Praat's autocorrelation; 0 where
    unvoiced."""
    import parselmouth

    sound = parselmouth.Sound(wave.astype(np.float64), RATE_HZ)
    pitch = sound.to_pitch(time_step=HOP / RATE_HZ / 2, pitch_floor=LOWEST_HZ, pitch_ceiling=HIGHEST_HZ)
    found, times = pitch.selected_array["frequency"], pitch.xs()
    centres = (np.arange(1 + (len(wave) - N_FFT) // HOP) * HOP + N_FFT / 2) / RATE_HZ
    return found[np.clip(np.round((centres - times[0]) / pitch.dx).astype(int), 0, len(found) - 1)]


def error_semitones(*, reference: np.ndarray, estimate: np.ndarray) -> tuple[float, int]:
    """Root mean square difference in semitones of pitch contours [n] of equal length, where both are voiced, less the
    mean difference (the voice's own height), and over how many frames.

    Raises:
        Unscorable: fewer than ten frames are voiced in both.
    """
    both = (reference > 0) & (estimate > 0)
    if both.sum() < LEAST_FRAMES:
        raise Unscorable("no_pitch", f"{both.sum()} frames are voiced in both; at least {LEAST_FRAMES} are needed.")
    apart = 12 * np.log2(estimate[both] / reference[both])
    return float(apart.std()), int(both.sum())


def _compute(utterance, settings) -> Value:
    from fastdtw import fastdtw
    from scipy.spatial.distance import euclidean

    def of(role, name, make):
        return utterance.feature((name, RATE_HZ), role, lambda: make(utterance.wave(role, RATE_HZ)))

    cepstra = [
        of(role, "mel_cepstrum", lambda wave: mel_cepstrum(wave, RATE_HZ))[:, 1:] for role in ("reference", "estimate")
    ]
    path = np.array(fastdtw(*cepstra, dist=euclidean)[1])
    pitches = [of(role, "f0_praat", pitch_hz) for role in ("reference", "estimate")]
    reference, estimate = (pitch[path[:, side]] for side, pitch in enumerate(pitches))
    value, frames = error_semitones(reference=reference, estimate=estimate)
    return Value(value, {"frames": frames})


METRICS = (
    Metric(
        name="f0_error",
        compute=_compute,
        definition="Root mean square difference of pitch in semitones over frames that are voiced in both, aligned by "
        "FastDTW on mel-cepstra, less the mean difference.",
        unit="semitones",
        range="0 (the same melody) upwards",
        higher=False,
        rate="16 kHz",
        source="Praat's autocorrelation (package praat-parselmouth); alignment as mcd_dtw",
        pitfalls="Blind to a wrong height of the whole voice and to frames that lose their voicing. Octave errors of "
        "the tracker weigh heavily.",
        version="1",
        min_seconds=0.13,
        libraries=("praat-parselmouth", "numpy", "fastdtw", "soxr"),
    ),
)
