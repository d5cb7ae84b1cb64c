"""DNSMOS: predicted opinion scores without a reference."""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from metrics.contract import Metric, Value

RATE_HZ = 16000


WINDOW = round(9.01 * RATE_HZ)


@cache
def _tool():
    """speechmos's DNSMOS object, with one thread for each of its two networks."""
    import onnxruntime
    from speechmos.dnsmos import DNSMOS

    folder = Path(find_spec("speechmos").submodule_search_locations[0]) / "dnsmos_models"
    primary, p808 = str(folder / "sig_bak_ovr.onnx"), str(folder / "model_v8.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    tool = DNSMOS(primary, p808)
    tool.onnx_sess, tool.p808_onnx_sess = (
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in (primary, p808)
    )
    return tool


def windows(wave: np.ndarray) -> np.ndarray:
    """Windows [k, 9.01 s] of audio at 16 kHz in steps of 1 s, as in the authors' code: shorter audio is doubled until it fits."""
    wave = (wave / max(1.0, float(np.abs(wave).max()))).astype(np.float32)
    while len(wave) < WINDOW:
        wave = np.concatenate([wave, wave])
    count = int(len(wave) // RATE_HZ - 9.01) + 1
    starts = [i * RATE_HZ for i in range(count) if i * RATE_HZ + WINDOW <= len(wave)]
    return np.stack([wave[start : start + WINDOW] for start in starts])


def p835(*, estimate: np.ndarray) -> dict[str, float]:
    """Predicted overall, speech and background quality of float [n] at 16 kHz; a peak above 1 is divided out."""
    tool = _tool()
    raw = [tool.onnx_sess.run(None, {"input_1": window[None]})[0][0] for window in windows(estimate)]
    sig, bak, ovrl = (float(np.mean(x)) for x in zip(*(tool.get_polyfit_val(*r, False) for r in raw), strict=True))
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
            "Knows nothing of content: fluent nonsense scores well. Depends on the level; peaks above 1 are divided out. "
            "Short clips are repeated to 9.01 s."
        ),
        version="1",
        needs=(),
        model=True,
        min_seconds=0.5,
        libraries=("speechmos", "onnxruntime", "librosa", "soxr"),
    )
    for which, meaning in _MEANING.items()
)
