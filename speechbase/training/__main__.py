"""Train any model of the suite: `python -m speechbase.training KIND --help`.

A model may be trained in several runs (`training: {runs: [...]}`): each begins from the averaged weights of the one
before, with an optimiser and a schedule of its own. Runs are resumable: the state lies in `<state>/<name>/` and a
killed run goes on where it was saved. `--max-minutes` ends a run early with status 75 (try again) and its state kept;
the weights are released once all steps are done, or at once with `--release`. On several GPUs or nodes start it with
`accelerate launch` or `torchrun`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from speechbase.files import UserError, plain_errors
from speechbase.precision import in_bf16
from speechbase.settings import checked
from speechbase.training import checkpoint, kinds
from speechbase.training.loop import Loop, check_same_run
from speechbase.training.release import release as write_release
from speechbase.training.settings import TrainingConfig, runs_of

UNFINISHED = 75  # sysexits' "temporary failure": run the command again to go on


def train(
    kind: str,
    name: str,
    config: dict,
    data: Path,
    models: Path,
    state: Path,
    max_minutes: float | None,
    release: bool,
    within: float | None = None,
) -> bool:
    """Train one model through all its runs; returns whether all steps are done.

    Raises:
        UserError: an unknown kind or key, or a state that another configuration left.
    """
    build, runs = kinds.builder(kind), runs_of(config)
    if within is not None and len(runs) > 1:
        raise UserError("--within is for a model of one run; this one has several (training.runs).")
    settings = [checked(TrainingConfig, run["training"], "training") for run in runs]
    init = checkpoint.folder_of(models, config["init"]) if config.get("init") else None
    accelerator = _accelerator(settings[0])
    until = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    for number, (run, training) in enumerate(zip(runs, settings), 1):
        last = number == len(runs)
        kept = checkpoint.folder_of(models, f"{name}@{number}")
        if not last and checkpoint.exists(kept) and not release:
            init = kept
            continue
        left = None if until is None else (until - time.monotonic()) / 60
        folder = state / name if len(runs) == 1 else state / name / f"run{number}"
        loop = _loop(build, run, training, kinds.Context(kind, data, models, init, accelerator), folder)
        done = loop.run(left, within)
        if loop.accelerator.is_main_process and done and not last:
            write_release(kept, loop, run | {"kind": kind})
        if loop.accelerator.is_main_process and ((done and last) or release):
            write_release(models / name, loop, config | {"kind": kind})
        if not done:
            return False
        init = kept
    return True


def _accelerator(training: TrainingConfig) -> Accelerator:
    # cuDNN's attention plans every new shape anew, which costs half a second a step where batches differ in length.
    torch.backends.cuda.enable_cudnn_sdp(False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lower = in_bf16(device, training.precision)
    if training.precision == "bf16" and not lower:
        typer.echo("This processor has no units for bfloat16: training in float32, which is faster here.", err=True)
    return Accelerator(
        mixed_precision="bf16" if lower else "no",
        cpu=device.type == "cpu",
        # A batch may leave parts of a network without a gradient (SpeechOp's text path or audio encoder).
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _loop(build, config: dict, training: TrainingConfig, context: kinds.Context, folder: Path) -> Loop:
    torch.manual_seed(config["seed"])
    if context.accelerator.is_main_process:
        check_same_run(folder, config)
    return Loop(build(config, context), training, folder, context.accelerator)


@plain_errors
def main(
    kind: Annotated[str, typer.Argument(help=", ".join(kinds.KINDS))],
    name: Annotated[str, typer.Option(help="the model's folder under --models")],
    config: Annotated[str, typer.Option(help="JSON, or a JSON file: seed, network, training, batches, ...")],
    data: Annotated[Path, typer.Option(help="data/<scale>, made by speechbase.corpus.corpus")],
    models: Annotated[Path, typer.Option(help="where released models lie")],
    state: Annotated[Path, typer.Option(help="where resume states lie")] = Path(".state"),
    max_minutes: Annotated[float | None, typer.Option(help="stop after so many minutes, keeping the state")] = None,
    release: Annotated[bool, typer.Option(help="release the averaged weights even if steps remain")] = False,
    within: Annotated[
        float | None,
        typer.Option(help="minutes of training that the whole schedule has: its cooldown follows the clock"),
    ] = None,
) -> None:
    """Train a model of any kind, or go on where an earlier run stopped."""
    kinds.module_of(kind)
    try:
        settings = json.loads(Path(config).read_text() if Path(config).suffix == ".json" else config)
    except (json.JSONDecodeError, FileNotFoundError) as error:
        raise UserError(f"--config is not JSON ({error}).") from None
    for section in ("seed", "network", "training"):
        if section not in settings:
            raise UserError(f"--config lacks the section {section!r}.")
    if not train(kind, name, settings, data, models, state, max_minutes, release, within):
        typer.echo(f"stopped before the last step; run the same command again to go on (state in {state / name})")
        raise typer.Exit(0 if release else UNFINISHED)


if __name__ == "__main__":
    typer.run(main)
