"""Make a folder that a GPU lent for minutes can train from: packed data, models to begin from, settings, one command.

python -m workflow.cluster.gpu --model tts --steps 3000 --out packed/mini
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from speechbase.corpus import packed
from speechbase.files import UserError, plain_errors, write_json
from workflow.plan import configuration, planning

# What a GPU with many cores beside it wants otherwise than two cores do; the rest is the scale's.
BATCHES = {"tts_seconds": 1024, "s2s_batch": 256, "alike": 1000}
FASTER = 2.0  # the learning rate, for sixteen times the speech a step
SAVE_MINUTES = 1.0


def settings_for(config: dict, model: str, steps: int, workers: int) -> dict:
    """The training settings of a model on a GPU: larger batches that processes draw ahead, and a schedule that fits.

    Raises:
        UserError: the scale has no such model, or it is none that a GPU of minutes is prepared for.
    """
    if config["models"].get(model, {}).get("kind") not in ("tts", "multitask"):
        raise UserError(f"The scale {config['scale']} has no model {model!r} of the kind tts or multitask.")
    entry = planning.training_config(config, model)
    training = entry["training"]
    if "runs" in training:
        training = {key: value for key, value in training.items() if key != "runs"} | training["runs"][-1]
    changed = {"steps": steps, "lr": FASTER * training["lr"], "save_minutes": SAVE_MINUTES}
    return entry | {"batches": entry["batches"] | BATCHES | {"workers": workers}, "training": training | changed}


@plain_errors
def main(
    out: Annotated[Path, typer.Option(help="the folder to make")],
    steps: Annotated[
        int, typer.Option(min=1, help="seconds of training by seconds a step: the schedule ends with them")
    ],
    model: Annotated[str, typer.Option(help="tts or multitask")] = "tts",
    scale: Annotated[str, typer.Option(help="of config/")] = "mini",
    workers: Annotated[int, typer.Option(min=0, help="processes that draw: its cores but two")] = 14,
    mib: Annotated[float, typer.Option(min=0.1, help="size of the training speech")] = 36.0,
    recorded: Annotated[
        float, typer.Option(min=0, max=1, help="share of real voices in it, where there are any")
    ] = 0.3,
) -> None:
    """Pack OUT/data, OUT/models and OUT/settings.json, and print the command to run on the GPU."""
    config = configuration.resolve({"scale": scale})
    settings = settings_for(config, model, steps, workers)
    needed = ["codec", *([settings["init"]] if "init" in settings else [])]
    for name in needed:
        if not (Path("models") / scale / name / "model.safetensors").is_file():
            raise UserError(f"models/{scale}/{name} is not there yet; train or copy it first.")
    corpus = config["corpus"]
    made = packed.pack(Path("data") / scale, out / "data", mib, recorded, corpus["seed"], corpus["rate_hz"])
    for name in needed:
        for file in ("model.safetensors", "config.json"):
            (out / "models" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("models") / scale / name / file, out / "models" / name / file)
    write_json(out / "settings.json", settings)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 2**20
    typer.echo(f"{made['train']:.2f} h of training speech, {size:.0f} MiB in all. On the GPU:")
    kind = config["models"][model]["kind"]
    typer.echo(
        f"python -m speechbase.training {kind} --name {model} --models {out}/models --state {out}/state"
        f" --data {out}/data --config {out}/settings.json --release --max-minutes 8"
    )


if __name__ == "__main__":
    typer.run(main)
