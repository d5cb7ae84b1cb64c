"""Make a folder that a GPU lent for minutes can train from: packed data, models to begin from, settings, the plan.

python -m workflow.cluster.gpu --minutes 9 --out packed/mini
python -m workflow.cluster.gpu --minutes 9 --out packed/nano --scale nano --model speechx_ar --model polyspeech
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Annotated, Any

import typer

from speechbase.codec.loading import load_codec
from speechbase.corpus import latents, packed
from speechbase.corpus.shards import open_speech
from speechbase.files import UserError, did_you_mean, plain_errors, seed_of, write_json
from workflow.plan import configuration, trainings
from workflow.plan.places import ROOT

# What a GPU with many cores beside it wants otherwise than two cores do, by kind; the rest is the scale's. The clock
# ends a run there, so that its number of steps only bounds it.
STEPS = 100_000
LARGE: dict[str, Any] = {
    "batches": {"tts_seconds": 1024, "s2s_batch": 192, "alike": 1000, "valid_items": 512},
    "faster": 2.0,
}
TOKENS: dict[str, Any] = {"batches": {"size": 32, "workers": 5, "replay": 2}, "faster": 1.5, "accumulate": 1}
WANTED: dict[str, dict[str, Any]] = {
    "tts": LARGE | {"compile": True},
    "multitask": LARGE | {"compile": True, "batches": LARGE["batches"] | {"replay": 3}},
    "speechx_ar": TOKENS,
    "speechx_nar": TOKENS,
    "polyspeech": {"batches": {"workers": 2}},
}
START_SECONDS = 15  # of each training until its first step: imports, data, validation items


def settings_for(config: dict, model: str, workers: int) -> dict:
    """The training settings of a model on a GPU: larger batches that processes draw ahead, a schedule by the clock.

    Args:
        workers: processes that draw pairs for `multitask`.
    """
    kind, entry = config["models"][model]["kind"], trainings.training_config(config, model)
    wanted = WANTED.get(kind, {})
    training = entry["training"]
    if "runs" in training:
        training = {key: value for key, value in training.items() if key != "runs"} | training["runs"][-1]
    changed = {"steps": STEPS, "lr": wanted.get("faster", 1.0) * training["lr"], "save_minutes": 1.0}
    changed |= {key: wanted[key] for key in ("accumulate", "compile") if key in wanted}
    batches = entry.get("batches", {}) | wanted.get("batches", {})
    if kind == "multitask":
        batches |= {"workers": workers}
    return entry | {"batches": batches, "training": training | changed}


def plan_of(config: dict, wanted: list[str], there: set[str], minutes: float) -> tuple[list[dict], list[str]]:
    """The trainings that these models need, in an order that can be kept, and the models that they begin from.

    A training's minutes are its share of the longest chain that it is part of, by the scale's own steps.

    Args:
        there: models that need no training, but those that are wanted.

    Raises:
        UserError: a model that the scale does not have.
    """
    models, order, given = config["models"], [], []  # type: dict, list[str], list[str]

    def add(name: str) -> None:
        if name not in models:
            raise UserError(f"The scale {config['scale']} has no model {name!r}{did_you_mean(name, models)}.")
        if name in order or name in given:
            return
        if name in there and name not in wanted:
            given.append(name)
            return
        for before in models[name]["after"]:
            add(before)
        order.append(name)

    for name in wanted:
        add(name)
    steps = {name: _steps(models[name]["training"]) for name in order}
    before = {name: [one for one in models[name]["after"] if one in order] for name in order}
    above = {name: _longest(name, before, steps) for name in order}
    following = {name: [one for one in order if name in before[one]] for name in order}
    below = {name: _longest(name, following, steps) for name in order}
    plan = []
    for name in order:
        length, links = (a + b for a, b in zip(above[name], below[name]))
        left = minutes - (links - 1) * START_SECONDS / 60
        share = steps[name] / (length - steps[name])
        plan.append({"name": name, "kind": models[name]["kind"], "after": before[name], "minutes": share * left})
    return plan, given


def _steps(training: dict) -> int:
    return sum(run.get("steps", training.get("steps", 0)) for run in training.get("runs", [{}]))


def _longest(name: str, links: dict[str, list[str]], steps: dict[str, int]) -> tuple[int, int]:
    """Steps and models of the longest chain of links that ends with this model."""
    length, count = max((_longest(one, links, steps) for one in links[name]), default=(0, 0))
    return length + steps[name], count + 1


def archive(out: Path, mib: float) -> list[Path]:
    """What a transfer can carry: everything in `out` but `parts`, as `parts/<number>.tar` of up to so many MiB.

    Raises:
        UserError: a file that is too large for a part.
    """
    shutil.rmtree(out / "parts", ignore_errors=True)
    groups: list[list[Path]] = []
    left = 0.0
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        size = path.stat().st_size + 2 * tarfile.BLOCKSIZE
        if size > mib * 2**20:
            raise UserError(f"{path} has {size / 2**20:.0f} MiB, more than a part of --mib {mib:g} holds.")
        if not groups or size > left:
            groups.append([])
            left = mib * 2**20
        left -= size
        groups[-1].append(path)
    (out / "parts").mkdir()
    archives = [out / "parts" / f"{number}.tar" for number in range(len(groups))]
    for archived, files in zip(archives, groups):
        with tarfile.open(archived, "w", format=tarfile.USTAR_FORMAT) as tar:
            for path in files:
                tar.add(path, path.relative_to(out))
    return archives


@plain_errors
def main(
    out: Annotated[Path, typer.Option(help="the folder to make")],
    minutes: Annotated[float, typer.Option(min=0.1, help="of training, for the longest chain of models")],
    model: Annotated[list[str], typer.Option(help="to be trained, with those that it comes after")] = [  # noqa: B006
        "tts",
        "multitask",
    ],
    scale: Annotated[str, typer.Option(help="of config/")] = "mini",
    data: Annotated[Path | None, typer.Option(help="its data; data/SCALE")] = None,
    models: Annotated[
        Path | None, typer.Option(help="where its models lie, before those that ship; models/SCALE")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that draw pairs: the machine's cores but a few")] = 8,
    mib: Annotated[float, typer.Option(min=1, help="size of each part, for one transfer")] = 52.0,
    hours: Annotated[float, typer.Option(min=0.01, help="of speech for TTS, as latents (4.6 MiB each)")] = 21.0,
    audio_mib: Annotated[float, typer.Option(min=0.1, help="size of the audio, for speech-to-speech")] = 40.0,
    recorded: Annotated[float, typer.Option(min=0, max=1, help="share of real voices, where there are any")] = 0.4,
) -> None:
    """Pack OUT/data, OUT/models, OUT/settings and OUT/plan.json, and all of it once more as OUT/parts/*.tar."""
    config = configuration.resolve({"scale": scale})
    data, models = data or Path("data") / scale, models or Path("models") / scale
    here = {name: place for name in config["models"] if (place := _place(models, scale, name))}
    plan, given = plan_of(config, model, set(here), minutes)
    _pack(
        config,
        plan,
        data,
        out / "data",
        here.get("codec"),
        {"mib": mib, "hours": hours, "audio": audio_mib, "real": recorded},
    )
    for name in given:
        shutil.copytree(here[name], out / "models" / name, dirs_exist_ok=True)
    for entry in plan:
        write_json(out / "settings" / f"{entry['name']}.json", settings_for(config, entry["name"], workers))
    write_json(out / "plan.json", plan)
    for entry in plan:
        typer.echo(f"{entry['name']:26} {entry['minutes']:5.1f} min, after {', '.join(entry['after']) or 'nothing'}")
    for path in archive(out, mib):
        typer.echo(f"{path} {path.stat().st_size / 2**20:.1f} MiB")
    typer.echo(f"There: unpack the parts into one folder and run  python -m workflow.cluster.lanes {out}")


def _place(models: Path, scale: str, name: str) -> Path | None:
    """Where a model's weights lie: among those trained here, else among those that ship."""
    places = (models / name, ROOT / "speechbase" / "pretrained" / scale / name)
    return next((place for place in places if (place / "model.safetensors").is_file()), None)


def _pack(
    config: dict, plan: list[dict], data: Path, out: Path, own_codec: Path | None, sizes: dict[str, float]
) -> None:
    """The data of these trainings: latents and shards where the scale reads phonemes, else its tables in Opus."""
    kinds = {entry["kind"] for entry in plan}
    diffusion = kinds & {"tts", "multitask"}
    seed, text = config["corpus"]["seed"], config["models"].get("tts", {}).get("network", {}).get("text", {})
    if not diffusion or text.get("kind") != "phonemes":
        splits = {name for kind in kinds for name in trainings.training_tables(config["corpus"], {}, kind)}
        packed.tables(data, out, sorted(splits), config["corpus"]["rate_hz"])
        return
    if own_codec is None:
        raise UserError(f"The scale {config['scale']} has no trained codec yet, and latents are made with it.")
    codec = load_codec(own_codec)
    packed.pack(data, out, sizes["audio"], sizes["real"], seed, config["corpus"]["rate_hz"])
    for split, number in (("train", -(-sizes["hours"] * latents.MIB_AN_HOUR // sizes["mib"])), ("valid", 1)):
        speech, folder = open_speech(data, split, codec.rate_hz, eager=False), latents.folder_of(out, split)
        latents.pack(
            speech, codec, folder, text["alphabet"], sizes["real"], seed_of(seed, "latents", split),
            sizes["hours"] * latents.MIB_AN_HOUR / number, int(number),
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
