"""Train a model of the suite: `python -m speechop.stages.train codec|tts|multitask --help`.

Runs are resumable: the state lies in `<state>/<name>/` and a killed run goes on where it was saved. `--max-minutes` ends
a run early with status 75 (try again) and its state kept; the weights are released once all steps are done, or at once
with `--release`. On several GPUs or nodes start it with `accelerate launch` or `torchrun`.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from speechbase.codec import Codec, build_codec
from speechbase.codec.loading import load_codec
from speechbase.codec.trainee import CodecLossConfig, CodecTrainee
from speechbase.corpus.shards import open_speech, tts_split
from speechbase.files import UserError, plain_errors, read_jsonl, write_jsonl
from speechbase.training import checkpoint
from speechbase.training.loop import Loop, TrainingConfig, check_same_run
from speechop.model.loading import ENCODER, FROZEN_TEXT, UNTRAINED
from speechop.model.network import NetworkConfig, SpeechOpNetwork
from speechop.schedule import ShiftedCosine, SigmoidWeight
from speechop.stages.batches import BatchConfig, Drawer
from speechop.stages.diffusion import DiffusionLossConfig, DiffusionTrainee

STAGES = {"tts": ("tts",), "multitask": ("tts", "s2s"), "s2s": ("s2s",)}
UNFINISHED = 75  # sysexits' "temporary failure": run the command again to go on


def train(
    stage: str, name: str, config: dict, data: Path, models: Path, state: Path, max_minutes, release: bool
) -> bool:
    """Train one model; returns whether all its steps are done."""
    training = _dataclass(TrainingConfig, config["training"], "training")
    accelerator = Accelerator(
        mixed_precision={"bf16": "bf16", "fp32": "no"}[training.precision],
        cpu=not torch.cuda.is_available(),
        # A batch uses the text path or the audio encoder: the other one has no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    torch.manual_seed(config["seed"])
    folder = state / name
    if accelerator.is_main_process:
        check_same_run(folder, config)
    build = _codec_trainee if stage == "codec" else _diffusion_trainee
    trainee = build(stage, config, data, models, accelerator)
    loop = Loop(trainee, training, folder, accelerator)
    done = loop.run(max_minutes)
    if (done or release) and accelerator.is_main_process:
        _release(models / name, loop, stage, config, accelerator)
    return done


def _dataclass(kind, values: dict, section: str):
    """Build a settings dataclass, naming an unknown key."""
    known = kind.__dataclass_fields__
    for key in values:
        if key not in known:
            raise UserError(f"unknown key {key!r} in {section}; known are {', '.join(known)}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _codec_trainee(stage, config, data, models, accelerator) -> CodecTrainee:
    codec = build_codec(config["network"])
    speech, valid = (open_speech(data, split, codec.rate_hz) for split in ("train", "valid"))
    if config.get("init"):  # its encoder too, so that latents, and what was trained on them, stay the same
        tensors, _ = checkpoint.read_model(models / config["init"])
        checkpoint.load_into(codec, tensors, models / config["init"])
    elif hasattr(codec, "fit"):
        torch.manual_seed(config["seed"])
        picks = torch.randperm(len(speech))[:1000].tolist()
        kept = codec.fit([torch.from_numpy(speech.wave(place)) for place in picks])
        accelerator.print(f"the encoder keeps {kept:.1%} of the log-mel variance")
    losses = _dataclass(CodecLossConfig, config.get("losses", {}), "losses")
    return CodecTrainee(codec, speech, valid, losses, config["seed"], accelerator)


def _diffusion_trainee(stage, config, data, models, accelerator) -> DiffusionTrainee:
    codec = load_codec(models / config.get("codec", "codec")).to(accelerator.device)
    torch.manual_seed(config["seed"])
    network = SpeechOpNetwork(NetworkConfig(**config["network"]))
    if config.get("init"):
        tensors, _ = checkpoint.read_model(models / config["init"])
        lacking = (*ENCODER, FROZEN_TEXT, *UNTRAINED.get(stage, ()))
        checkpoint.load_into(network, tensors, models / config["init"], may_lack=lacking)
    batches = _dataclass(BatchConfig, config.get("batches", {}), "batches")
    diffusion = dict(config.get("diffusion", {}))
    weight = SigmoidWeight(schedule=ShiftedCosine(diffusion.pop("schedule_scale", 0.5)), **diffusion)
    kinds = STAGES[stage]
    drawers = [
        Drawer(
            open_speech(data, tts_split(data, split) if "tts" in kinds else split, codec.rate_hz), codec,
            batches if split == "train" else replace(batches, speed=(1.0, 1.0)), weight,
            config["seed"],
            _degrader(data, split, config, codec) if "s2s" in kinds else None,
            *((accelerator.process_index, accelerator.num_processes) if split == "train" else (0, 1)),
        )
        for split in ("train", "valid")
    ]  # fmt: skip
    losses = _dataclass(DiffusionLossConfig, config.get("losses", {}), "losses")
    return DiffusionTrainee(network.to(accelerator.device), *drawers, kinds, losses=losses)


def _degrader(data: Path, split: str, config: dict, codec: Codec):
    from speechbase.corpus.pairs import Pairs

    return Pairs.load(data, split, config["degradation"], codec.rate_hz, codec.mean.device)


def _release(folder: Path, loop: Loop, stage: str, config: dict, accelerator) -> None:
    """Write the averaged weights with their configuration, record and curves."""
    if stage == "codec":
        loop.trainee.measure(loop.ema)
    tensors = loop.ema.state_dict()
    if stage != "codec":
        tensors = {k.removeprefix("network."): v for k, v in tensors.items() if FROZEN_TEXT not in k}
    tensors = {k: v for k, v in tensors.items() if not k.startswith(UNTRAINED.get(stage, ()))}
    record = {
        "steps": loop.step,
        "wall_minutes": round(loop.seconds / 60, 1),
        "parameters": sum(t.numel() for t in tensors.values()),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU",
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        "torch": torch.__version__,
    }  # fmt: skip
    half = torch.float16 if config.get("store", "fp16") == "fp16" else None
    checkpoint.save_model(folder, tensors, config | {"stage": stage, "record": record}, half)
    write_jsonl(folder / "curves.jsonl", read_jsonl(loop.folder / "curves.jsonl"))
    if (loop.folder / "samples").is_dir():
        shutil.copytree(loop.folder / "samples", folder / "samples", dirs_exist_ok=True)


@plain_errors
def main(
    stage: Annotated[str, typer.Argument(help="codec, tts (stage 1), multitask (stage 2) or s2s (single tasks)")],
    name: Annotated[str, typer.Option(help="the model's folder under --models")],
    config: Annotated[str, typer.Option(help="JSON, or a JSON file: seed, network, training, batches, ...")],
    data: Annotated[Path, typer.Option(help="data/<scale>, made by speechbase.corpus.corpus")],
    models: Annotated[Path, typer.Option(help="where released models lie")],
    state: Annotated[Path, typer.Option(help="where resume states lie")] = Path(".state"),
    max_minutes: Annotated[float | None, typer.Option(help="stop after so many minutes, keeping the state")] = None,
    release: Annotated[bool, typer.Option(help="release the averaged weights even if steps remain")] = False,
) -> None:
    """Train a codec or a diffusion stage, or go on where an earlier run stopped."""
    if stage not in ("codec", *STAGES):
        raise UserError(f"unknown stage {stage!r}; known are codec, {', '.join(STAGES)}")
    settings = json.loads(Path(config).read_text() if Path(config).suffix == ".json" else config)
    if not train(stage, name, settings, data, models, state, max_minutes, release):
        typer.echo(f"stopped before the last step; run the same command again to go on (state in {state / name})")
        raise typer.Exit(0 if release else UNFINISHED)


if __name__ == "__main__":
    typer.run(main)
