"""A trained model's folder: averaged weights, configuration with its record, curves and samples."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import torch

from speechbase.files import read_jsonl, write_jsonl
from speechbase.settings import value_of
from speechbase.training import checkpoint
from speechbase.training.loop import Loop
from speechbase.training.settings import Model


def release(folder: Path, loop: Loop, config: dict) -> None:
    """Write what a loop has reached to `folder`; `config` is the resolved one, its `kind` included.

    Where the clock ended the schedule, its steps are those that were reached.
    """
    tensors = loop.trainee.weights(loop.ema)
    record = {
        "steps": loop.step,
        "wall_minutes": round(loop.seconds / 60, 1),
        **({} if loop.within_s is None else {"within_minutes": round(loop.within_s / 60, 1)}),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU",
        "threads": torch.get_num_threads(),
        "processes": loop.accelerator.num_processes,
        "torch": torch.__version__,
    }
    half = torch.float16 if value_of(Model, config, "store") == "fp16" else None
    resolved: dict = getattr(loop.trainee, "resolved", dict)()
    if loop.out_of_time:
        resolved |= {"training": config["training"] | {"steps": loop.step}}
    checkpoint.save_model(folder, tensors, config | resolved | {"record": record}, half)
    write_jsonl(folder / "curves.jsonl", read_jsonl(loop.folder / "curves.jsonl"))
    if (loop.folder / "samples").is_dir():
        shutil.copytree(loop.folder / "samples", folder / "samples", dirs_exist_ok=True)
