"""Speed of composition: `python -m tests.speed.sampler --json [--models speechbase/pretrained/nano]`.

Everything is a ratio between two things run in turn in this process. `floor` is the network alone, called once a step
on a batch of as many rows as the composition needs, with text and sources encoded beforehand: what no sampler can go
below.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from speechbase.commands import command_line, words
from speechop.guidance import LOGSNR, cfg, tc_cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.model.loading import load_network
from speechop.model.network import SpeechOpNetwork
from speechop.pipeline import SpeechOp
from speechop.sampler import Noise, logsnrs, sample
from speechop.settings import NetworkConfig, Sampling
from workflow.plan import configuration

TEXT = "peter found seven yellow baskets nancy carried twenty golden tickets"


def seconds(function) -> float:
    """CPU or GPU wall seconds of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleaved(functions: dict, rounds: int) -> dict[str, float]:
    """Median seconds of each function, called in turn so that a busy machine slows all of them alike."""
    times = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def composition(network, frames: int, batch: int, steps: int, rounds: int, precision: str) -> dict:
    """Fused, naive and floor seconds of one TC-CFG sample of `batch` utterances."""
    device = network.latent_in.weight.device
    source = [torch.randn(frames, network.config.latent_dim, device=device) for _ in range(batch)]
    sampling = Sampling(steps=steps)

    def run(fused: bool):
        model = NetworkEvaluator(network, [frames] * batch, precision=precision, fused=fused)
        base = cfg(model.term("enhancement", source=source), 1.5)
        text = model.term("tts", transcript=[TEXT] * batch)
        composed = tc_cfg(base, text, 1.5, LOGSNR > -1.0)
        sample(composed, Noise(range(batch), [frames] * batch, network.config.latent_dim, device), sampling)

    model = NetworkEvaluator(network, [frames] * batch, precision=precision)
    leaves = [model.term("enhancement", source=source), model.term("tts", transcript=[TEXT] * batch)]
    leaves = [leaf for pair in ((leaf, leaf.null()) for leaf in leaves) for leaf in pair]
    with torch.inference_mode():
        ready = {rows: model._prepare([leaf.condition for leaf in leaves[:rows]]) for rows in (2, 4)}

    @torch.inference_mode()
    def floor():
        for level in logsnrs(sampling)[:-1]:
            part = ready[4 if level > -1.0 else 2]
            levels = torch.full((len(part.canvas),), float(level), device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                network(part.canvas, levels, part.task, part.text, part.mixed, part.clean, part.mask)

    timed = interleaved({"fused": lambda: run(True), "naive": lambda: run(False), "floor": floor}, rounds)
    return {
        "frames": frames, "batch": batch, "steps": steps, "seconds": timed,
        "fused_over_floor": timed["fused"] / timed["floor"], "naive_over_fused": timed["naive"] / timed["fused"],
    }  # fmt: skip


def enhancement(pipeline: SpeechOp, duration: float, **how) -> dict:
    """Wall and CPU seconds, real-time factor and peak memory so far of enhancing noise, codec included."""
    wave = torch.randn(int(duration * pipeline.rate_hz), generator=torch.Generator().manual_seed(0)).numpy() * 0.05
    busy = time.process_time()
    took = seconds(lambda: pipeline.enhance(wave, pipeline.rate_hz, **how))
    busy = time.process_time() - busy  # what the machine's other work does not stretch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": duration,
        "wall_s": took,
        "cpu_s": busy,
        "real_time_factor": took / duration,
        "peak_memory_gib": peak,
    }


def measure(
    models: Annotated[
        Path | None, typer.Option(help="folder of released models; random nano weights if left out")
    ] = None,
    batch: Annotated[list[int], words("sizes", "N")] = [1, 8],  # noqa: B006
    steps: Annotated[int, typer.Option()] = 16,
    rounds: Annotated[int, typer.Option()] = 5,
    precision: Annotated[Literal["bf16", "fp32"], typer.Option()] = "bf16",
    durations: Annotated[list[float], words("seconds", "S")] = [5, 30, 120],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="print JSON only")] = False,
) -> None:
    """Run the benchmark and print its figures."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = (
        load_network(models / "multitask")[0]
        if models
        else SpeechOpNetwork(NetworkConfig(**configuration.resolve({})["models"]["multitask"]["network"])).eval()
    )
    network.to(device).requires_grad_(False)
    result = {
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "precision": precision,
        "composition": [composition(network, 200, rows, steps, rounds, precision) for rows in batch],
    }
    if models:
        pipeline = SpeechOp(models)
        enhancement(pipeline, 2.0, steps=2)  # warm up
        result["itc"] = enhancement(pipeline, 8.0, transcript=TEXT)  # at the default number of steps
        result["lengths"] = [enhancement(pipeline, duration, steps=steps) for duration in durations]
    print(json.dumps(result, indent=None if as_json else 2))


main = command_line(measure)

if __name__ == "__main__":
    raise SystemExit(main())
