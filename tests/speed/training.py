"""Throughput of a training step: `python -m tests.speed.training --json [--scale paper --compile]`.

Latent frames a second and model FLOPs utilisation (operations of the trained network, counted by
`workflow.cluster.cost`, over `--peak`, the chip's bf16 peak), with and without compiled blocks (`training.compile`),
interleaved in one process.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from typing import Annotated, Literal

import torch
import typer
from torch import nn

from speechbase.commands import command_line
from speechbase.training.loop import compile_blocks
from speechop.model.network import SpeechOpNetwork
from speechop.settings import NetworkConfig
from speechop.stages.batches import Batch
from speechop.stages.diffusion import DiffusionLoss
from workflow.cluster.cost import PEAK, Counter
from workflow.plan import configuration


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


def measure(
    scale: Annotated[Literal["nano", "mini", "paper"], typer.Option()] = "nano",
    size: Annotated[int, typer.Option("--batch")] = 24,
    frames: Annotated[int, typer.Option()] = 120,
    rounds: Annotated[int, typer.Option()] = 5,
    compiled: Annotated[bool, typer.Option("--compile")] = False,
    peak: Annotated[float, typer.Option(help="bf16 FLOP/s of the device")] = PEAK["H100"]["bf16"],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run the benchmark and print its figures."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module, batch, operations = make(scale, size, frames, device)
    ways = {"eager": module} | ({"compiled": compile_blocks(copy.deepcopy(module))} if compiled else {})
    optimisers = {name: torch.optim.AdamW(way.parameters(), fused=True) for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16):
                loss = way(batch).mean()
            loss.backward()
            optimisers[name].step()
            optimisers[name].zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    rows = {}
    for name, values in times.items():
        step_s = statistics.median(values[2:])
        rows[name] = {"frames_per_second": size * frames / step_s,
                      "flops_per_second": operations / step_s,
                      "mfu": operations / step_s / peak if device == "cuda" else None}  # fmt: skip
    result = {"device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
              "scale": scale, "operations": operations, "batch": size, "frames": frames,
              "ways": rows}  # fmt: skip
    print(json.dumps(result, indent=None if as_json else 2))


main = command_line(measure)

if __name__ == "__main__":
    raise SystemExit(main())
