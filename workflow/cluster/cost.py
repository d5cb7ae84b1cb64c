"""What training costs: operations counted on the networks' own code without weights (torch's meta device), then
GPU-hours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from speechbase.codec import build_codec
from speechop.model.network import SpeechOpNetwork
from speechop.settings import BatchConfig, NetworkConfig

# Corpora by hours and utterances: MLS and LibriTTS as published; the share of LibriTTS below 10 s is estimated.
HOURS = {"mls_english": 44660.0, "libritts": 480.0, "libritts_r": 555.0}
UTTERANCES = {"mls_english": 10_808_037, "libritts": 330_000, "libritts_r": 354_780}
TTS = ("mls_english", "libritts")
TTS_HOURS = sum(HOURS[corpus] for corpus in TTS)
TTS_SECONDS = 3600 * TTS_HOURS / sum(UTTERANCES[corpus] for corpus in TTS)  # of a mean utterance
LETTERS_PER_SECOND = 14.5  # read English, with spaces
FRAME_RATE = 40  # latent frames a second
PEAK = {
    "A100": {"bf16": 312e12, "fp32": 156e12},
    "H100": {"bf16": 989e12, "fp32": 494e12},
}  # operations a second; fp32: TF32
UTILISATION = {"well": 0.45, "poorly": 0.25}  # of the peak that large products reach in training
SAMPLING_UTILISATION = 0.15  # small batches
LAUNCH_S = 0.06  # a micro-step's kernels cannot be launched faster, however small the batch
NETWORK = 20e9  # bytes a second that a GPU's share of the all-reduce moves between nodes
HIDDEN = {"well": 1.0, "poorly": 0.0}  # share of the all-reduce that computation hides
GPUS, CODEC_GPUS = 32, 8
CODEC_OVERHEAD = 2.0  # discriminators and losses cost about as much as the codec
NAMES = {"tts": "stage 1 (TTS)", "multitask": "stage 2 (multi-task)"}

# ByT5-base's encoder (Xue et al. 2022): 18 layers, width 1536, attention of 12 x 64, gated feed-forward of 3968.
BYT5_PARAMETERS = 18 * (4 * 1536 * 768 + 3 * 1536 * 3968)


def count_codec(network: dict) -> tuple[float, float, int]:
    """Operations for a second of audio (encoder; encoder and decoder), forward, and the codec's parameters."""
    with torch.device("meta"):
        codec = build_codec(network).requires_grad_(False)
        wave = torch.zeros(1, codec.rate_hz)
        with FlopCounterMode(display=False) as encoding, torch.no_grad():
            mean, _ = codec.posterior(wave)
        with FlopCounterMode(display=False) as decoding, torch.no_grad():
            codec.decode(mean)
    encoder, decoder = float(encoding.get_total_flops()), float(decoding.get_total_flops())
    return encoder, encoder + decoder, sum(parameter.numel() for parameter in codec.parameters())


class Counter:
    """Counts a network of the given configuration: its parameters, and one item's forward pass."""

    def __init__(self, config: NetworkConfig):
        self.config = config
        self.has_frozen_text = self.config.text.kind == "byt5"
        with torch.device("meta"):
            encoder = _Encoded(self.config.text.dim) if self.has_frozen_text else None
            self.network = SpeechOpNetwork(self.config, text_encoder=encoder).eval().requires_grad_(False)

    def parameters(self) -> dict[str, int]:
        """Parameters of the diffusion transformer with all that is not the audio encoder, and of the audio encoder."""
        encoder = ("encoder.", "source_in.", "source_out.", "encoder_condition.")
        counts = {"transformer": 0, "encoder": 0}
        for name, parameter in self.network.named_parameters():
            counts["encoder" if name.startswith(encoder) else "transformer"] += parameter.numel()
        return counts

    def forward(self, frames: int, text_length: int = 0, source: bool = False) -> float:
        """Operations of one evaluation: `frames` of latents, a transcript of so many tokens, with or without a source.

        A frozen text encoder is not among them (`frozen`).
        """
        network = self.network
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            z, one = torch.zeros(1, frames, self.config.latent_dim), torch.zeros(1)
            task, kept = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.bool)
            text, mixed = network.no_text(), None
            if text_length:
                tokens, lengths = torch.zeros(1, text_length, dtype=torch.long), torch.full((1,), text_length)
                text = network.encode_text(tokens, lengths, kept, torch.full((1,), frames))
            if source:
                mixed = network.encode_source(z, task, None, one)
                if self.config.source_mixing == "cross_attention":
                    text, mixed = network.source_as_memory(mixed, None, kept), None
            # Not `network(...)`: it asks whether autocast is on, which the meta device cannot tell.
            hidden = network.latent_in(z) if mixed is None else network.latent_in(z) + mixed
            condition = network.timestep(one) + network.task(task)
            network.latent_out(network.dit(hidden, condition, None, text.memory, text.mask, text.rows))
        return float(counter.get_total_flops())

    def frozen(self, text_length: int) -> float:
        """Operations of the frozen text encoder: two a parameter and token; none where the text encoder is trained."""
        return 2.0 * BYT5_PARAMETERS * text_length * self.has_frozen_text


class _Encoded(nn.Module):
    """Stands in the frozen text encoder's place."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*tokens.shape, self.dim)


@dataclass(frozen=True)
class Stage:
    """A training stage: operations a GPU and micro-step, micro-steps a step, steps, GPUs, trained parameters."""

    name: str
    operations: float
    micro_steps: int
    steps: int
    gpus: int
    parameters: int
    precision: str

    def step_s(self, gpu: str, how: str) -> float:
        """Seconds of a step where training runs `how` ("well" or "poorly"): computation, launches, the all-reduce."""
        computing = self.operations / (PEAK[gpu][self.precision] * UTILISATION[how])
        moving = 2 * 4 * self.parameters / NETWORK
        return self.micro_steps * max(computing, LAUNCH_S) + (1 - HIDDEN[how]) * moving

    def gpu_hours(self, gpu: str, how: str) -> float:
        """GPU-hours of all its GPUs together."""
        return self.step_s(gpu, how) * self.steps * self.gpus / 3600


def stages(config: dict) -> list[Stage]:
    """Every model that a configuration trains: codec, stage 1, stage 2, then the smaller ones of Figure 2 and Table
    10."""
    codec = config["models"]["codec"]
    encoder, whole, parameters = count_codec(codec["network"])
    codec_s = codec["losses"]["batch"] * codec["losses"]["seconds"]
    whole_codec = 3 * whole * codec_s * CODEC_OVERHEAD
    found = [Stage("codec", whole_codec, 1, codec["training"]["steps"], CODEC_GPUS, parameters, "fp32")]
    own = [name for name, model in config["models"].items() if model["kind"] in ("tts", "multitask", "s2s")]
    order = [name for name in own if name not in NAMES]
    return found + [_stage(name, config["models"][name], encoder) for name in (*NAMES, *order)]


def _stage(name: str, model: dict, encoder: float) -> Stage:
    """A training stage of the network; `encoder` is what the codec's encoder costs for a second of audio."""
    counter = Counter(NetworkConfig(**model["network"]))
    sizes, batches, training = counter.parameters(), model["batches"], model["training"]
    spoken = pair = 0.0
    if model["kind"] != "s2s":
        text = round(TTS_SECONDS * LETTERS_PER_SECOND)
        spoken = 3 * counter.forward(round(TTS_SECONDS * FRAME_RATE), text) + counter.frozen(text)
    if model["kind"] != "tts":
        pair_s = BatchConfig(**batches).pair_seconds
        pair = 3 * counter.forward(round(pair_s * FRAME_RATE), 0, source=True) + encoder * 2 * pair_s
    operations = spoken * batches.get("tts_batch", 0) + pair * batches.get("s2s_batch", 0)
    if model["kind"] == "multitask":
        operations /= 2  # the two kinds alternate
    parameters = sizes["transformer"] if model["kind"] == "tts" else sum(sizes.values())
    precision = training["precision"]
    label = NAMES.get(name, name)
    return Stage(label, operations, training["accumulate"], training["steps"], GPUS, parameters, precision)
