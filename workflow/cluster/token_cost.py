"""What training SpeechX and PolySpeech costs at the paper's scale (see `workflow.cluster.cost`)."""

from __future__ import annotations

import torch
from torch import nn

from baselines.polyspeech.decoder import LatentDecoder
from baselines.polyspeech.hubert import Hubert
from baselines.polyspeech.network import PolySpeechLM
from baselines.polyspeech.settings import BatchConfig as PolySpeechBatches
from baselines.polyspeech.settings import SsetConfig
from baselines.polyspeech.sset import Sset
from baselines.speechx.settings import BatchConfig as SpeechXBatches
from speechbase.tokens.lm import TokenLM
from speechbase.tokens.settings import LMConfig
from workflow.cluster.cost import FRAME_RATE, LETTERS_PER_SECOND, TTS_SECONDS, Stage, count_codec

TOKEN_GPUS = 16  # VALL-E's
LANGUAGES = 8  # of MLS
RATE_HZ_ENCODEC, HOP_ENCODEC = 24_000, 320
ATTENTION = 0.25  # what attention adds to a token model's products, at these lengths
CROPPED = ("hubert", "sset", "polyspeech_decoder")  # kinds of PolySpeech that learn from crops


def token_stages(config: dict) -> list[Stage]:
    """SpeechX's models: six operations a parameter and position, and a quarter more for attention."""
    rate = RATE_HZ_ENCODEC / HOP_ENCODEC
    found = []
    for name, model in config["models"].items():
        if not model["kind"].startswith("speechx"):
            continue
        with torch.device("meta"):
            parameters = sum(one.numel() for one in TokenLM(LMConfig(**model["network"])).parameters())
        batches = SpeechXBatches(**model["batches"])
        seconds = 2 * TTS_SECONDS + sum(batches.prompt_seconds) / 2  # source or nothing, output, prompt
        positions = batches.size * (seconds * rate + TTS_SECONDS * LETTERS_PER_SECOND)
        operations = 6 * parameters * positions * (1 + ATTENTION)
        training = model["training"]
        micro, precision = training["accumulate"], training["precision"]
        found.append(Stage(name, operations, micro, training["steps"], TOKEN_GPUS, parameters, precision))
    return found


def polyspeech_stages(config: dict) -> list[Stage]:
    """PolySpeech's models: six operations a parameter and position, two of the frozen encoder, the codec's encoder."""
    models = config["models"]
    codec, _, _ = count_codec(models["codec"]["network"])
    own = {name: model for name, model in models.items() if model["kind"] in (*CROPPED, "polyspeech")}
    sizes = {name: _polyspeech_parameters(models, model) for name, model in own.items()}
    found = []
    for name, model in own.items():
        seconds, positions = _polyspeech_micro_batch(model)
        frozen = sizes.get(model.get("semantic", model.get("targets", {}).get("of", "")), 0)
        operations = (6 * sizes[name] * positions + 2 * frozen * seconds * FRAME_RATE) * (1 + ATTENTION)
        training = model["training"]
        micro, precision = training["accumulate"], training["precision"]
        whole = operations + codec * seconds
        found.append(Stage(name, whole, micro, training["steps"], TOKEN_GPUS, sizes[name], precision))
    return found


def _polyspeech_micro_batch(model: dict) -> tuple[float, float]:
    """Seconds of audio, and positions of the network, of a micro-batch."""
    if model["kind"] in CROPPED:
        seconds = model["batches"]["size"] * model["batches"]["seconds"]
        return seconds, seconds * FRAME_RATE
    batches = PolySpeechBatches(**model["batches"])
    if {"asr", "tts"} & set(batches.tasks):  # nearly all of a batch, drawn by volume
        seconds = batches.size * TTS_SECONDS
        return seconds, seconds * (FRAME_RATE + LETTERS_PER_SECOND)
    seconds = batches.size * sum(batches.crop_seconds) / 2
    return seconds, seconds * FRAME_RATE


def _polyspeech_parameters(models: dict, model: dict) -> int:
    network, channels = dict(model["network"]), models["codec"]["network"]["latent_dim"]
    width = models[model["semantic"]]["network"]["dim"] if "semantic" in model else 0
    with torch.device("meta"):
        match model["kind"]:
            case "hubert":
                made: nn.Module = Hubert(channels, LMConfig(**network), model["targets"]["clusters"])
            case "sset":
                made = Sset(width, SsetConfig(**network))
            case "polyspeech_decoder":
                made = LatentDecoder(width, channels, LMConfig(**network))
            case _:
                sset = SsetConfig(**models[model["tokens"]]["network"])
                words = torch.zeros(sset.levels, sset.codes, sset.dim if sset.encoder else width)
                heard = width if model["hears"] == "semantic" else channels
                made = PolySpeechLM(words, LMConfig(**network), heard, {"lid": LANGUAGES, "gid": 2})
        return sum(one.numel() for one in made.parameters())
