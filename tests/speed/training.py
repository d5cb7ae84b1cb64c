"""Throughput of a training step: `python -m tests.speed.training --json [--scale paper --compile | --data data/nano]`.

Latent frames a second, the share of each part of a step, and model FLOPs utilisation (operations of the trained
network, counted by `workflow.cluster.cost`, over `--peak`, the chip's bf16 peak), with and without compiled blocks
(`training.compile`), interleaved in one process. With `--data` speech-to-speech pairs are drawn from there, simulated
and encoded in the same process, else a batch of text-to-speech is random numbers.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from torch import nn

from speechbase.codec.loading import load_codec
from speechbase.commands import command_line
from speechbase.corpus.pairs import Pairs
from speechbase.training.loop import compile_blocks
from speechop.model.network import SpeechOpNetwork
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig, NetworkConfig
from speechop.stages.batches import Batch, Drawer
from speechop.stages.diffusion import DiffusionLoss
from workflow.cluster.cost import PEAK, Counter
from workflow.plan import configuration, trainings
from workflow.plan.places import ROOT


class Embeddings(nn.Module):
    """Stands in for the frozen ByT5 encoder: fixed random vectors, so that the trained part is what is timed."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, tokens, lengths):
        return torch.randn(*tokens.shape, self.dim, device=tokens.device)


def make(scale: str, batch: int, frames: int, device: str):
    """(loss module, batch, operations of a step)"""
    config = NetworkConfig(**configuration.resolve({"scale": scale})["models"]["tts"]["network"])
    counter = Counter(config)
    network = SpeechOpNetwork(config, Embeddings(config.text.dim) if counter.has_frozen_text else None).to(device)
    c = config.latent_dim
    x = torch.randn(batch, frames, c, device=device)
    mask = torch.ones(batch, frames, dtype=torch.bool, device=device)
    text = ["peter found seven yellow baskets " * (4 if scale == "paper" else 1)] * batch
    data = Batch(x, mask, ~mask, torch.zeros(batch, dtype=torch.long, device=device), mask[:, 0],
                 torch.zeros(batch, device=device), torch.randn_like(x), texts=text)  # fmt: skip
    return DiffusionLoss(network), data, batch * 3 * counter.forward(frames, len(text[0]))


def drawing(scale: str, data: Path, size: int):
    """(what draws the speech-to-speech batch of a step, its latent frames, operations of a step)"""
    config = configuration.resolve({"scale": scale})
    entry = trainings.training_config(config, "multitask")
    codec = load_codec(ROOT / "speechbase" / "pretrained" / scale / "codec")
    pairs = Pairs.load(data, "train", entry["degradation"], codec.rate_hz)
    how = BatchConfig(**entry["batches"] | {"s2s_batch": size})
    drawer = Drawer(pairs.speech, codec, how, SigmoidWeight(), 0, pairs)
    frames = round(how.pair_seconds * codec.rate_hz / codec.hop)
    counter = Counter(NetworkConfig(**entry["network"]))
    return drawer.s2s, frames, size * 3 * counter.forward(frames, 0, source=True)


def step(draw: Callable[[int], Batch], number: int, way: nn.Module, optimiser, device: str) -> dict[str, float]:
    """Seconds of each part of one training step."""
    seconds, start = {}, time.perf_counter()

    def ended(part: str) -> None:
        nonlocal start
        if device == "cuda":
            torch.cuda.synchronize()
        seconds[part], start = time.perf_counter() - start, time.perf_counter()

    batch = draw(number).to(device)
    ended("data")
    with torch.autocast(device, torch.bfloat16):
        loss = way(batch).mean()
    ended("forward")
    loss.backward()
    ended("backward")
    optimiser.step()
    optimiser.zero_grad()
    ended("optimiser")
    return seconds


def measure(
    scale: Annotated[Literal["nano", "mini", "paper"], typer.Option()] = "nano",
    size: Annotated[int, typer.Option("--batch")] = 24,
    frames: Annotated[int, typer.Option()] = 120,
    rounds: Annotated[int, typer.Option()] = 5,
    data: Annotated[Path | None, typer.Option(help="draw pairs from this folder (data/SCALE)")] = None,
    compiled: Annotated[bool, typer.Option("--compile")] = False,
    peak: Annotated[float, typer.Option(help="bf16 FLOP/s of the device")] = PEAK["H100"]["bf16"],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run the benchmark and print its figures."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module, random, operations = make(scale, size, frames, device)
    draw: Callable[[int], Batch] = lambda number: random  # noqa: E731
    if data is not None:
        draw, frames, operations = drawing(scale, data, size)
    ways = {"eager": module} | ({"compiled": compile_blocks(copy.deepcopy(module))} if compiled else {})
    optimisers = {name: torch.optim.AdamW(way.parameters(), fused=True) for name, way in ways.items()}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            times[name].append(step(draw, number, way, optimisers[name], device))
    rows = {}
    for name, measured in times.items():
        parts = {part: statistics.median(one[part] for one in measured[2:]) for part in measured[0]}
        step_s = sum(parts.values())
        rows[name] = {"frames_per_second": size * frames / step_s,
                      "flops_per_second": operations / step_s,
                      "mfu": operations / step_s / peak if device == "cuda" else None,
                      "share": {part: seconds / step_s for part, seconds in parts.items()}}  # fmt: skip
    result = {"device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
              "scale": scale, "operations": operations, "batch": size, "frames": frames,
              "ways": rows}  # fmt: skip
    print(json.dumps(result, indent=None if as_json else 2))


main = command_line(measure)

if __name__ == "__main__":
    raise SystemExit(main())
