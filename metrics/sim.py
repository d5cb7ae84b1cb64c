"""Speaker similarity: cosine of two speaker embeddings."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np

from metrics.contract import Metric, Unscorable, Value
from metrics.judges import packaged

RATE_HZ = 16000
TARGET_DBFS = -30.0
PARTIAL_FRAMES = 160  # 1.6 s of mel frames, 10 ms each
PARTIALS_PER_S = 1.3
MIN_COVERAGE = 0.75


def partial_starts(samples: int) -> list[int]:
    """First mel frames of the 1.6 s windows over `samples` at 16 kHz; a last window with < 75 % audio is left out."""
    step = round(RATE_HZ / PARTIALS_PER_S / 160)
    frames = math.ceil((samples + 1) / 160)
    starts = list(range(0, max(1, frames - PARTIAL_FRAMES + step + 1), step))
    covered = (samples - starts[-1] * 160) / (PARTIAL_FRAMES * 160)
    return starts[:-1] if covered < MIN_COVERAGE and len(starts) > 1 else starts


def mel_power(wave: np.ndarray) -> np.ndarray:
    """Mel power spectrogram [frames, 40] at 16 kHz: Hann windows of 25 ms every 10 ms, centred; Slaney's mel scale."""
    from faster_whisper.feature_extractor import FeatureExtractor

    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, 200), 400)[::160]
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1])) ** 2
    return (power @ FeatureExtractor.get_mel_filters(RATE_HZ, 400, 40).T).astype(np.float32)


@cache
def _ge2e() -> Callable[[np.ndarray], np.ndarray]:
    import torch

    state = torch.load(io.BytesIO(packaged.read("ge2e")["pretrained.pt"]), map_location="cpu", weights_only=True)
    state = state["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    for name, module in (("lstm.", lstm), ("linear.", linear)):
        module.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})

    @torch.inference_mode()
    def embed(wave: np.ndarray) -> np.ndarray:
        level = 10 * math.log10(float(np.mean(wave.astype(np.float64) ** 2)))
        wave = wave * 10 ** (max(0.0, TARGET_DBFS - level) / 20)
        starts = partial_starts(len(wave))
        wave = np.pad(wave, (0, max(0, (starts[-1] + PARTIAL_FRAMES) * 160 - len(wave))))
        mel = mel_power(wave)
        windows = torch.from_numpy(np.stack([mel[s : s + PARTIAL_FRAMES] for s in starts]).astype(np.float32))
        each = torch.nn.functional.normalize(torch.relu(linear(lstm(windows)[1][0][-1])), dim=1)
        return torch.nn.functional.normalize(each.mean(0), dim=0).numpy()

    return embed


def _wavlm_tdcnn(settings):
    from metrics.judges import wavlm_tdcnn

    return wavlm_tdcnn.load(settings["weights"].get("wavlm_tdcnn"), settings["device"]).embed


def cosine(*, reference: np.ndarray, estimate: np.ndarray) -> float:
    """Cosine of two embeddings [width]. Raises: Unscorable: an embedding is zero or not finite."""
    norms = float(np.linalg.norm(reference)) * float(np.linalg.norm(estimate))
    value = float(reference.astype(np.float64) @ estimate.astype(np.float64)) / norms if norms > 0 else float("nan")
    if not math.isfinite(value):
        raise Unscorable("no_embedding", "The speaker encoder gives no finite embedding.")
    return value


def _compute(utterance, settings, *, anchor: str, key: str, embedder) -> Value:
    def embedding(role):
        return utterance.feature((key,), role, lambda: embedder(settings)(utterance.wave(role, RATE_HZ)))

    return Value(cosine(reference=embedding(anchor), estimate=embedding("estimate")))


def _pair(key: str, embedder, encoder: str, source: str, pitfalls: str, libraries) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name=f"sim_{key}" if anchor == "reference" else f"sim_prompt_{key}",
            compute=partial(_compute, anchor=anchor, key=key, embedder=embedder),
            definition=f"Cosine of the estimate's and the {meaning} speaker embeddings by {encoder}.",
            unit="cosine",
            range="-1 to 1",
            higher=True,
            rate="16 kHz",
            source=source,
            pitfalls=pitfalls,
            version="1",
            needs=(anchor,),
            model=True,
            min_seconds=0.4,
            max_seconds=120.0,
            libraries=libraries,
        )
        for anchor, meaning in (("reference", "reference's"), ("prompt", "original prompt's (SIM-o)"))
    )


METRICS = (
    *_pair(
        "ge2e",
        lambda settings: _ge2e(),
        "Resemblyzer's GE2E encoder (packaged)",
        "Wan et al., Generalized end-to-end loss for speaker verification, ICASSP 2018; weights of package Resemblyzer",
        "Not comparable with WavLM-TDCNN: different speakers already reach about .5 to .7. Silence is not trimmed. "
        "Noise and bandwidth move it as well as the voice does.",
        ("Resemblyzer", "torch", "soxr"),
    ),
    *_pair(
        "wavlm_tdcnn",
        _wavlm_tdcnn,
        "WavLM-large + ECAPA-TDNN (the `wavlm_large_finetune` speaker-verification checkpoint)",
        "Chen et al., WavLM, 2022; UniSpeech speaker verification; the SIM of CLaM-TTS and DiTTo-TTS",
        "Audio recorded below 16 kHz is refused, since upsampling misleads it. Strip the prompt from a continuation "
        "first. Expressive readers have a low similarity to themselves.",
        ("transformers", "torch", "soxr"),
    ),
)
