"""Make a folder that a GPU lent for minutes can train from: packed data, models to begin from, settings, the commands.

python -m workflow.cluster.gpu --steps 3000 --out packed/mini
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from speechbase.codec.loading import load_codec
from speechbase.corpus import latents, packed
from speechbase.corpus.shards import open_speech
from speechbase.files import UserError, plain_errors, seed_of, write_json
from workflow.plan import configuration, trainings

# What a GPU with many cores beside it wants otherwise than two cores do; the rest is the scale's.
BATCHES = {"tts_seconds": 1024, "s2s_batch": 256, "alike": 1000, "valid_items": 512}
FASTER = 2.0  # the learning rate, for sixteen times the speech a step
SAVE_MINUTES = 1.0


def settings_for(config: dict, model: str, steps: int, workers: int) -> dict:
    """The training settings of a model on a GPU: larger batches that processes draw ahead, and a schedule that fits.

    Raises:
        UserError: the scale has no such model, or it is none that a GPU of minutes is prepared for.
    """
    if config["models"].get(model, {}).get("kind") not in ("tts", "multitask"):
        raise UserError(f"The scale {config['scale']} has no model {model!r} of the kind tts or multitask.")
    entry = trainings.training_config(config, model)
    training = entry["training"]
    if "runs" in training:
        training = {key: value for key, value in training.items() if key != "runs"} | training["runs"][-1]
    changed = {"steps": steps, "lr": FASTER * training["lr"], "save_minutes": SAVE_MINUTES}
    return entry | {"batches": entry["batches"] | BATCHES | {"workers": workers}, "training": training | changed}


@plain_errors
def main(
    out: Annotated[Path, typer.Option(help="the folder to make")],
    steps: Annotated[
        int, typer.Option(min=1, help="minutes of training by steps a minute: the schedule ends with them")
    ],
    scale: Annotated[str, typer.Option(help="of config/")] = "mini",
    data: Annotated[Path | None, typer.Option(help="its data; data/SCALE")] = None,
    models: Annotated[Path | None, typer.Option(help="where its codec lies; models/SCALE")] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes that draw: its cores but two")] = 14,
    mib: Annotated[float, typer.Option(min=0.1, help="size of each part of the latents, for TTS")] = 52.0,
    parts: Annotated[int, typer.Option(min=1, help="parts of latents, each small enough for one transfer")] = 2,
    audio_mib: Annotated[float, typer.Option(min=0.1, help="size of the audio, for speech-to-speech")] = 40.0,
    recorded: Annotated[float, typer.Option(min=0, max=1, help="share of real voices, where there are any")] = 0.4,
) -> None:
    """Pack OUT/data, OUT/models and OUT/<model>.json, and print the commands to run on the GPU."""
    config = configuration.resolve({"scale": scale})
    data, models = data or Path("data") / scale, models or Path("models") / scale
    if not (models / "codec" / "model.safetensors").is_file():
        raise UserError(f"{models}/codec is not there yet; train or copy it first.")
    codec, corpus = load_codec(models / "codec"), config["corpus"]
    text = settings_for(config, "tts", steps, workers)["network"]["text"]
    if text["kind"] != "phonemes":
        raise UserError(f"The scale {scale} reads {text['kind']}; only phonemes are packed.")
    made = packed.pack(data, out / "data", audio_mib, recorded, corpus["seed"], corpus["rate_hz"])
    for split, size, number in (("train", mib, parts), ("valid", mib, 1)):
        speech = open_speech(data, split, codec.rate_hz, eager=False)
        folder = latents.folder_of(out / "data", split)
        seed = seed_of(corpus["seed"], "latents", split)
        made[f"latents_{split}"] = latents.pack(speech, codec, folder, text["alphabet"], recorded, seed, size, number)
    for file in ("model.safetensors", "config.json"):
        (out / "models" / "codec").mkdir(parents=True, exist_ok=True)
        shutil.copy(models / "codec" / file, out / "models" / "codec" / file)
    for model in ("tts", "multitask"):
        write_json(out / f"{model}.json", settings_for(config, model, steps, workers))
    typer.echo(
        f"{made['latents_train']:.1f} h of speech as latents, {made['train']:.1f} h as audio. On the GPU, in turn:"
    )
    for model in ("tts", "multitask"):
        typer.echo(
            f"python -m speechbase.training {config['models'][model]['kind']} --name {model} --models {out}/models"
            f" --state {out}/state --data {out}/data --config {out}/{model}.json --release --max-minutes 4"
        )


if __name__ == "__main__":
    typer.run(main)
