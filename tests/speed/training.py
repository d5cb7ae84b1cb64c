"""Throughput of a training step: `python -m tests.speed.training --json [--scale paper --compile]`.

Latent frames a second and model FLOPs utilisation (operations of the trained network, counted by `workflow.cluster.cost`,
over `--peak`, the chip's bf16 peak), with and without torch.compile, interleaved in one process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import nn

from speechop.model.network import NetworkConfig, SpeechOpNetwork
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
    network = SpeechOpNetwork(config, Embeddings(config.text["dim"]) if counter.has_frozen_text else None).to(device)
    c = config.latent_dim
    x = torch.randn(batch, frames, c, device=device)
    mask = torch.ones(batch, frames, dtype=torch.bool, device=device)
    text = ["peter found seven yellow baskets " * (1 if scale == "nano" else 4)] * batch
    data = Batch(x, mask, ~mask, torch.zeros(batch, dtype=torch.long, device=device), mask[:, 0],
                 torch.zeros(batch, device=device), torch.randn_like(x), texts=text)  # fmt: skip
    return DiffusionLoss(network), data, batch * 3 * counter.forward(frames, len(text[0]))


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="nano", choices=("nano", "paper"))
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--peak", type=float, default=PEAK["H100"]["bf16"], help="bf16 FLOP/s of the device")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module, batch, operations = make(arguments.scale, arguments.batch, arguments.frames, device)
    optimiser = torch.optim.AdamW(module.parameters(), fused=True)
    ways = {"eager": module} | ({"compiled": torch.compile(module)} if arguments.compile else {})
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16):
                loss = way(batch).mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    rows = {}
    for name, values in times.items():
        step_s = statistics.median(values[2:])
        rows[name] = {"frames_per_second": arguments.batch * arguments.frames / step_s,
                      "flops_per_second": operations / step_s,
                      "mfu": operations / step_s / arguments.peak if device == "cuda" else None}  # fmt: skip
    result = {"device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
              "scale": arguments.scale, "operations": operations, "batch": arguments.batch, "frames": arguments.frames,
              "ways": rows}  # fmt: skip
    print(json.dumps(result, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
