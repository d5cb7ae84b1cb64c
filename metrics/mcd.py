"""Mel-cepstral distortion in four variants, each under its own name: they differ by factors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import field_validator

from metrics.contract import Metric, Unscorable, Value
from metrics.mel_cepstrum import mel_cepstrum as mel_cepstra
from speechbase.settings import Settings

N_FFT = 1024
HOP = 256
DB_PER_NEPER = 10 * math.sqrt(2) / math.log(10)
# rate -> (order, all-pass constant), as ESPnet's evaluate_mcd.py sets them
ORDER_AND_ALPHA = {
    8000: (13, 0.31),
    16000: (23, 0.42),
    22050: (34, 0.45),
    24000: (34, 0.46),
    32000: (36, 0.50),
    44100: (39, 0.53),
    48000: (39, 0.55),
}


def mel_cepstrum(wave: np.ndarray, rate_hz: int) -> np.ndarray:
    """Mel-cepstrum [frames, order + 1] of full-scale-1 audio, as SPTK's: 1024 samples a frame, hop 256, Hamming window
    of power 1.

    Raises:
        Unscorable: a rate without agreed order and all-pass constant, or fewer samples than one frame.
    """
    if rate_hz not in ORDER_AND_ALPHA:
        rates = ", ".join(map(str, ORDER_AND_ALPHA))
        raise Unscorable(
            "unsupported_rate", f"No mel-cepstral order is agreed for {rate_hz} Hz; set rate_hz to one of {rates}."
        )
    if len(wave) < N_FFT:
        raise Unscorable("too_short", f"{len(wave)} samples are less than one frame of {N_FFT}.")
    order, alpha = ORDER_AND_ALPHA[rate_hz]
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), N_FFT)[::HOP]
    window = np.hamming(N_FFT)
    return mel_cepstra(frames * (window / np.linalg.norm(window)), order, alpha, floor=1e-6)


def distortion_db(*, reference: np.ndarray, estimate: np.ndarray, energy: bool = False, warp: bool = False) -> float:
    """Mean distance in dB of mel-cepstra [frames, order + 1] (Kubichek 1993).

    Args:
        energy: count coefficient 0 (the frame's level) as well.
        warp: align the frames by FastDTW (radius 1) on the counted coefficients; else frame by frame over the shorter
            one.
    """
    if not energy:
        reference, estimate = reference[:, 1:], estimate[:, 1:]
    if warp:
        from fastdtw import fastdtw
        from scipy.spatial.distance import euclidean

        path = np.array(fastdtw(reference, estimate, dist=euclidean)[1])
        reference, estimate = reference[path[:, 0]], estimate[path[:, 1]]
    frames = min(len(reference), len(estimate))
    return float(DB_PER_NEPER * np.linalg.norm(reference[:frames] - estimate[:frames], axis=1).mean())


def _distortion(utterance, rate_hz: int | None, *, energy: bool, warp: bool) -> Value:
    """Mel-cepstra of whole files, shared by the variants; without warping, frames beyond the shorter file are left
    out."""
    rate_hz = rate_hz or utterance.native("reference")[1]

    def cepstrum(role):
        key = ("mel_cepstrum", rate_hz)
        return utterance.feature(key, role, lambda: mel_cepstrum(utterance.wave(role, rate_hz), rate_hz))

    reference, estimate = cepstrum("reference"), cepstrum("estimate")
    value = distortion_db(reference=reference, estimate=estimate, energy=energy, warp=warp)
    return Value(value, {"frames": [len(reference), len(estimate)], "rate_hz": rate_hz})


def _compute_mcd(utterance, settings) -> Value:
    return _distortion(utterance, settings["rate_hz"], energy=False, warp=False)


def _compute_mcd_dtw(utterance, settings) -> Value:
    return _distortion(utterance, settings["rate_hz"], energy=False, warp=True)


def _compute_mcd_espnet_16k(utterance, settings) -> Value:
    return _distortion(utterance, 16000, energy=True, warp=True)


def _compute_mcd_pymcd(utterance, settings) -> Value:
    import librosa

    with warnings.catch_warnings():  # it imports pysptk and that pkg_resources, which warns that it is deprecated
        warnings.simplefilter("ignore")
        from pymcd.mcd import Calculate_MCD

    tool = Calculate_MCD("dtw")
    # pymcd would open the files itself, all their channels: it is handed what every other metric hears
    tool.load_wav = lambda role, sample_rate: librosa.resample(
        utterance.native(role)[0], orig_sr=utterance.native(role)[1], target_sr=sample_rate
    )
    return Value(float(tool.calculate_mcd("reference", "estimate")))


class RateSettings(Settings):
    """The rate at which mel-cepstra are taken; None is the reference's."""

    rate_hz: int | None = None

    @field_validator("rate_hz")
    @classmethod
    def _agreed(cls, rate_hz: int | None) -> int | None:
        if rate_hz is not None and rate_hz not in ORDER_AND_ALPHA:
            raise ValueError(f"the order is agreed for {', '.join(map(str, ORDER_AND_ALPHA))} Hz")
        return rate_hz


def _metric(name: str, compute, definition: str, pitfalls: Sequence[str], **fields) -> Metric:
    common: dict[str, Any] = {
        "unit": "dB",
        "range": "0 (identical) upwards",
        "higher": False,
        "version": "1",
        "min_seconds": 0.13,
    }
    return Metric(name=name, compute=compute, definition=definition, pitfalls=" ".join(pitfalls), **common | fields)


_EPS = (
    "The floor of 1e-6 is absolute: audio must be scaled to full scale 1 (16-bit integers move it by more than 1 dB)."
)

METRICS = (
    _metric(
        "mcd",
        _compute_mcd,
        "Mel-cepstral distortion without c0, frame by frame, on mel-cepstra as SPTK's at the reference's rate.",
        (
            "The variant that comes nearest to the authors' own audio and table. Depends on the rate (order and "
            "all-pass",
            "constant), on delays (4.7 ms: up to 0.3 dB) and, above the band of a narrow-band input, on the floor.",
            _EPS,
        ),
        rate="the reference's, or `rate_hz`",
        source="Kubichek 1993; analysis of ESPnet's evaluate_mcd.py; Fukada et al. 1992",
        aligned=True,
        settings=RateSettings,
        libraries=("numpy", "soxr"),
    ),
    _metric(
        "mcd_dtw",
        _compute_mcd_dtw,
        "As mcd, with the frames aligned by FastDTW: for estimates of another duration, such as TTS.",
        ("Lower than mcd by construction. FastDTW is approximate (radius 1).", _EPS),
        rate="the reference's, or `rate_hz`",
        source="as mcd; package fastdtw",
        settings=RateSettings,
        libraries=("numpy", "fastdtw", "soxr"),
    ),
    _metric(
        "mcd_espnet_16k",
        _compute_mcd_espnet_16k,
        "ESPnet's variant: c0 included, FastDTW, 16 kHz; the one that DiscreteSpeechMetrics and many TTS papers "
        "report.",
        ("c0 makes it sensitive to gain.", _EPS),
        rate="16 kHz",
        source="ESPnet evaluate_mcd.py; Saeki et al. 2024 (DiscreteSpeechMetrics)",
        libraries=("numpy", "fastdtw", "soxr"),
    ),
    _metric(
        "mcd_pymcd",
        _compute_mcd_pymcd,
        "The pymcd package's DTW variant: WORLD envelopes at 22.05 kHz, order 13, path without and distance with c0.",
        ("Up to a factor of two away from mcd. It resamples by itself (librosa).",),
        rate="22.05 kHz",
        source="package pymcd, mode dtw",
        libraries=("pymcd", "pyworld", "librosa"),
    ),
)
