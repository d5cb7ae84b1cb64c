"""Print what a configuration builds and costs, without data or weights: `python -m speechop.describe --config FILE`.

Every number is counted (parameters, on the meta device) or computed from the configuration by the formulas in this file.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from speechbase.codec import build_codec
from speechbase.files import UserError, plain_errors, read_yaml
from speechop.model.network import NetworkConfig, SpeechOpNetwork
from speechop.stages.batches import BatchConfig
from speechop.tasks import TABLE9

BYT5_BASE_PARAMETERS = 415e6  # encoder of google/byt5-base: frozen, in bfloat16
A100_BF16_FLOPS = 312e12
UTILISATION = 0.4
UTTERANCE_S = 12.0  # mean length of a text-to-speech item of the recorded corpora


def describe(config: dict, devices: int = 32, flops: float = A100_BF16_FLOPS) -> dict:
    """The resolved models of a configuration (its `models` section) as plain values.

    `gpu_hours` assumes `flops` a second a device at 40 % utilisation; memory is weights, gradients, AdamW moments and EMA
    in float32 (20 bytes a parameter), without activations.
    """
    models = {name: _model(entry, devices, flops) for name, entry in config["models"].items() if "network" in entry}
    return {
        "scale": config["scale"],
        "tasks": {t.name: {"weight": t.weight, "prompt_probability": t.prompt_probability} for t in TABLE9.values()},
        "models": models,
    }


def _model(entry: dict, devices: int, flops: float) -> dict:
    if entry["kind"] == "codec":
        with torch.device("meta"):
            codec = build_codec(entry["network"])
        return {
            "kind": "codec",
            "parameters": _count(codec),
            "rate_hz": codec.rate_hz,
            "samples_per_latent": codec.hop,
            "latent_rate_hz": codec.rate_hz / codec.hop,
            "latent_channels": codec.latent_dim,
            "context_frames": codec.context_frames,
        }
    if entry["kind"] not in ("tts", "multitask", "s2s"):
        return {"kind": entry["kind"]}
    return _diffusion(entry, devices, flops)


def _diffusion(entry: dict, devices: int, flops: float) -> dict:
    config = NetworkConfig(**entry["network"])
    with torch.device("meta"):
        encoder = nn.Identity() if config.text["kind"] == "byt5" else None
        network = SpeechOpNetwork(config, encoder)
    parts = {
        "audio_encoder": _count(network.encoder, network.source_in, network.encoder_condition, network.source_out),
        "text_encoder": _count(network.text_encoder),
    }
    parts["diffusion_transformer"] = _count(network) - sum(parts.values())
    training, batches = entry["training"], BatchConfig(**{k: _tuple(v) for k, v in entry.get("batches", {}).items()})
    tts = entry["kind"] in ("tts", "multitask")
    s2s = entry["kind"] in ("s2s", "multitask")
    spoken, pairs = batches.tts_batch * tts, batches.s2s_batch * s2s
    micro = max(1, training.get("accumulate", 2) // (2 if tts and s2s else 1))
    steps = training["steps"] * micro * devices
    seconds = UTTERANCE_S if config.text["kind"] == "byt5" else batches.crop_seconds
    spoken_frames, pair_frames = (40 * steps * s for s in (spoken * seconds, pairs * batches.pair_seconds))
    work = 6 * parts["diffusion_transformer"] * (spoken_frames + pair_frames) + 6 * parts["audio_encoder"] * pair_frames
    trained = sum(parts.values())
    return {
        "kind": entry["kind"],
        "parameters": parts
        | {"frozen_text_encoder": int(BYT5_BASE_PARAMETERS) if config.text["kind"] == "byt5" else 0},
        "training": {
            "devices": devices,
            "steps": training["steps"],
            "samples": steps * (spoken + pairs),
            "latent_frames_about": round(spoken_frames + pair_frames),
            "gpu_hours_about": round(work / (flops * UTILISATION) / 3600, 2),
        },
        "memory_gib_without_activations": round(trained * 20 / 2**30, 2),
        "weights_mib": math.ceil(trained * 2 / 2**20),
    }


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@plain_errors
def main(
    config: Annotated[Path, typer.Option(help="configuration of a scale, such as config/paper.yaml")],
    devices: Annotated[int, typer.Option(help="GPUs that train together (the paper: 32 A100)")] = 32,
) -> None:
    """Print parameter counts by part, latent rate, tasks, training budget and memory as JSON."""
    values = read_yaml(config)
    if "models" not in values:
        raise UserError(f"{config} has no `models` section.")
    typer.echo(json.dumps(describe(values, devices), indent=2))


if __name__ == "__main__":
    typer.run(main)
