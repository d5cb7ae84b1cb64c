"""DNSMOS: predicted opinion scores without a reference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np

from metrics.contract import Metric, Value

RATE_HZ = 16000


WINDOW = round(9.01 * RATE_HZ)
# The P.835 network in three parts. The middle one, four convolutions of 3 x 3 frames, takes 97 % of the time.
CUTS = ("input_1", "mos_estimator_logpow/truediv:0", "mos_estimator_logpow/conv2d_3/Relu:0", "Identity:0")
FRAMES_A_SECOND = 100
HOP = RATE_HZ // FRAMES_A_SECOND
MARGIN = 4  # frames at either end of a window that these convolutions' zero padding reaches
TOGETHER = 8  # windows whose frames go through them at once: 140 MB a layer


@cache
def _tool():
    """speechmos's DNSMOS object, with one thread for its P.808 network."""
    from speechmos.dnsmos import DNSMOS

    folder = Path(find_spec("speechmos").submodule_search_locations[0]) / "dnsmos_models"
    primary, p808 = str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx")
    tool = DNSMOS(primary, p808)
    tool.p808_onnx_sess = _session(p808)
    return tool


def _session(model: str | bytes):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def _parts():
    """The three parts of the P.835 network, each a function of one array."""
    import onnx

    model = onnx.load(_tool().primary_model_path)
    for name in CUTS[1:-1]:
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    extractor = onnx.utils.Extractor(model)

    def part(start: str, end: str):
        session = _session(extractor.extract_model([start], [end]).SerializeToString())
        return lambda array: session.run(None, {start: array})[0]

    return [part(start, end) for start, end in pairwise(CUTS)]


def windows(wave: np.ndarray) -> np.ndarray:
    """Windows [k, 9.01 s] of audio at 16 kHz in steps of 1 s, as in the authors' code: shorter audio is doubled until
    it fits. (That code rounds the ends of windows 7 to 13 down by a sample and leaves them out: up to .01.)"""
    wave = (wave / max(1.0, float(np.abs(wave).max()))).astype(np.float32)
    while len(wave) < WINDOW:
        wave = np.concatenate([wave, wave])
    count = int(len(wave) // RATE_HZ - 9.01) + 1
    starts = [i * RATE_HZ for i in range(count) if i * RATE_HZ + WINDOW <= len(wave)]
    return np.stack([wave[start : start + WINDOW] for start in starts])


def repeats_after(samples: int) -> int | None:
    """Frames after which the spectra of audio of so many samples at 16 kHz repeat, once `windows` has doubled it: its
    own length, if it ends where a frame begins, or a few times it; none where it is not doubled."""
    return samples // math.gcd(samples, HOP) if samples < WINDOW else None


def raw_p835(overlapping: np.ndarray, period: int | None = None) -> list[np.ndarray]:
    """What the P.835 network says of each window [k, 9.01 s] in steps of 1 s: (SIG, BAK, OVRL) before calibration.

    Eight of nine seconds are common to neighbours, and frames that repeat after `period` give what they gave before, so
    the convolutions run once over different frames, and again over the few at a window's ends, which see zeros where
    their neighbour sees sound. The scores are those of whole windows.
    """
    return [
        score
        for start in range(0, len(overlapping), TOGETHER)
        for score in _raw(overlapping[start : start + TOGETHER], period)
    ]


def _raw(overlapping: np.ndarray, period: int | None) -> Iterator[np.ndarray]:
    spectra, convolutions, rest = _parts()
    frames = [spectra(window[None]) for window in overlapping]  # each [1, 900, 161]
    every = np.concatenate([frames[0], *(f[:, -FRAMES_A_SECOND:] for f in frames[1:])], axis=1)
    period = min(period or every.shape[1], every.shape[1] - 2 * MARGIN)
    common = convolutions(every[:, : period + 2 * MARGIN])[:, :, MARGIN:-MARGIN]
    for place, own in enumerate(frames):
        start = convolutions(own[:, : 2 * MARGIN])[:, :, :MARGIN]
        end = convolutions(own[:, -2 * MARGIN :])[:, :, -MARGIN:]
        first = place * FRAMES_A_SECOND
        inner = common.take(np.arange(first, first + own.shape[1] - 2 * MARGIN) % period, axis=2)
        yield rest(np.concatenate([start, inner, end], axis=2))[0]


def p835(*, estimate: np.ndarray) -> dict[str, float]:
    """Predicted overall, speech and background quality of float [n] at 16 kHz; a peak above 1 is divided out."""
    tool = _tool()
    scores = [tool.get_polyfit_val(*raw, False) for raw in raw_p835(windows(estimate), repeats_after(len(estimate)))]
    sig, bak, ovrl = (float(np.mean(x)) for x in zip(*scores, strict=True))
    return {"ovrl": ovrl, "sig": sig, "bak": bak}


def p808(*, estimate: np.ndarray) -> dict[str, float]:
    """Predicted P.808 quality of float [n] at 16 kHz; a peak above 1 is divided out."""
    tool = _tool()
    mels = [tool.audio_melspec(audio=window[:-160]).astype(np.float32) for window in windows(estimate)]
    return {"p808": float(np.mean([tool.p808_onnx_sess.run(None, {"input_1": mel[None]})[0][0][0] for mel in mels]))}


def _compute(utterance, settings, *, which: str) -> Value:
    network = p808 if which == "p808" else p835
    wave = utterance.wave("estimate", RATE_HZ)
    return Value(utterance.remember(("dnsmos", network), lambda: network(estimate=wave))[which])


_MEANING = {
    "ovrl": "overall quality (P.835)",
    "sig": "quality of the speech itself (P.835)",
    "bak": "intrusiveness of the background (P.835, higher is quieter)",
    "p808": "overall quality (P.808)",
}

METRICS = tuple(
    Metric(
        name=f"dnsmos_{which}",
        compute=partial(_compute, which=which),
        definition=f"DNSMOS prediction of {meaning} without a reference.",
        unit="MOS",
        range="about 1 to 5",
        higher=True,
        rate="16 kHz",
        source="Reddy et al., DNSMOS P.835, ICASSP 2022; package speechmos",
        pitfalls=(
            "Knows nothing of content: fluent nonsense scores well. Depends on the level; peaks above 1 are divided "
            "out. Short clips are repeated to 9.01 s."
        ),
        version="1",
        needs=(),
        model=True,
        min_seconds=0.5,
        libraries=("speechmos", "onnxruntime", "librosa", "soxr"),
    )
    for which, meaning in _MEANING.items()
)
