"""A scale's configuration, resolved: config/base.yaml, the scale's differences, and what the user lays over both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from speechbase.files import UserError, did_you_mean, parse_yaml, read_yaml
from workflow.plan.places import DEFAULT_SCALE, ROOT

FOLDER = ROOT / "config"
BASE, VOICES = "base.yaml", "voices.tsv"
# What a scale of recorded corpora leaves of the base's packaged speech.
RECORDED_KEEPS = ("seed", "rate_hz", "level_dbfs", "degradation", "recorded")


def scales(folder: Path = FOLDER) -> list[str]:
    """The scales that have a file of their own."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.name != BASE)


def resolve(over: dict, folder: Path = FOLDER) -> dict:
    """The whole configuration of a scale.

    A mapping is merged key by key, anything else replaced; a null takes away what lies beneath it (under
    `evaluation.metrics` it stays: nothing measures that role).

    Args:
        over: what lies over the scale's file; `scale` in it says which one.

    Returns:
        Every model with its `base` followed, and the voices in full.

    Raises:
        UserError: an unknown scale, base or cast of voices.
    """
    scale = str(over.get("scale", DEFAULT_SCALE))
    path = folder / f"{scale}.yaml"
    there = scale in scales(folder)
    if not there and "models" not in over:
        raise UserError(
            f"There is no {path.name} in config/ for the scale {scale!r}{did_you_mean(scale, scales(folder))}."
        )
    own = merge(read_yaml(path) if there else {}, over)
    config = merge(read_yaml(folder / BASE), own)
    models = with_studies({name: _follow(name, config["models"], ()) for name in own.get("models") or {}})
    found = _without_nulls(config | {"models": models, "corpus": _corpus(config["corpus"] or {}, folder / VOICES)})
    if found.get("portable"):
        found["evaluation"]["asr"] = {
            name: _in_float32(name, entry) for name, entry in found["evaluation"]["asr"].items()
        }
    if "metrics" in found.get("evaluation", {}):
        found["evaluation"]["metrics"] = config["evaluation"]["metrics"]
    return found


def said(config: dict, arguments: Iterable[str]) -> dict:
    """What the user laid over the scale's file, with the numbers in objects that `--config` gives: Snakemake leaves
    them as text.

    Args:
        config: as Snakemake read it.
        arguments: of `--config`, such as 'corpus={"speech": {"utterances": {"train": 1500}}}'.

    Raises:
        UserError: an object that is not YAML.
    """
    for argument in arguments:
        key, _, text = argument.partition("=")
        if text.lstrip().startswith("{"):
            config = merge(config, {key: parse_yaml(text, f"--config {key}")})
    return config


def of_file(path: Path) -> dict:
    """The configuration that `--configfile <path>` gives. Raises: UserError: as `resolve`, or no such file."""
    return resolve(read_yaml(path))


def merge(beneath: dict, over: dict, at: str = "") -> dict:
    """`over` laid over `beneath`: mappings key by key, everything else replaced.

    Raises:
        UserError: something other than a mapping or null in a mapping's place.
    """
    found = dict(beneath)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(below, dict) and not isinstance(value, dict | None):
            raise UserError(f"The configuration's {at}{key} must hold keys with values, and is {value!r}.")
        found[key] = merge(below, value, f"{at}{key}.") if isinstance(below, dict) and value is not None else value
    return found


def _in_float32(name: str, entry: dict) -> dict:
    """A recogniser's entry, Whisper's products in float32 unless it says otherwise."""
    whisper = entry.get("engine") == "whisper" or str(entry.get("model", name)).startswith("whisper")
    return {"compute_type": "float32"} | entry if whisper else entry


def with_studies(models: dict[str, dict]) -> dict[str, dict]:
    """The models, each followed by the runs of its `study`: parts of its steps, and other seeds."""
    found = {}
    for name, entry in models.items():
        found[name] = entry
        if study := entry.get("study"):
            for part, seed in product((1, *study["parts"]), (0, *study["seeds"])):
                found[run_of(name, part, seed)] = _run(entry, part, seed)
    return found


def run_of(model: str, part: int, seed: int) -> str:
    """The name of a study's run over 1/part of the model's steps.

    The whole run with the configuration's own seed is a run as well: a model that ships may be of another time.
    """
    return f"{model}_1of{part}_seed{seed}"


def _run(entry: dict, part: int, seed: int) -> dict:
    """A model's entry with a part of its steps (warm-up and validations in proportion) and another seed."""
    training = entry["training"]
    counts = {
        key: max(1, round(training[key] / part)) for key in ("steps", "warmup", "validate_every") if training.get(key)
    }
    seeds = {"seed": seed} if seed else {}
    return entry | {"study": None, "on_request": True, "training": training | counts} | seeds


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _follow(name: str, entries: dict[str, dict], seen: tuple[str, ...]) -> dict:
    """A model's entry laid over its `base`, followed to the end."""
    if name in seen:
        raise UserError(f"The models {', '.join(seen)} take each other as base.")
    if name not in entries:
        raise UserError(f"The model {seen[-1]!r} has the unknown base {name!r}{did_you_mean(name, entries)}.")
    entry = entries[name] or {}
    if not isinstance(entry, dict):
        raise UserError(f"The configuration's models.{name} must hold keys with values, and is {entry!r}.")
    base = entry.get("base")
    own = {key: value for key, value in entry.items() if key != "base"}
    return own if base is None else merge(_follow(str(base), entries, (*seen, name)), own, f"models.{name}.")


def _corpus(corpus: dict, table: Path) -> dict:
    if "recorded" in corpus:
        return {key: corpus[key] for key in RECORDED_KEEPS if key in corpus}
    cast = corpus.get("voices")
    return corpus | {"voices": read_voices(table, cast)} if isinstance(cast, str) else corpus


def read_voices(table: Path, cast: str) -> list[dict]:
    """The speakers of a cast, in the table's order: the filled columns, numbers as they are written.

    Raises:
        UserError: no table or no such cast.
    """
    try:
        rows = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False).to_dict("records")
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{table} cannot be read as a table of voices ({error}).") from None
    voices = [{key: _cell(key, text, table) for key, text in row.items() if text} for row in rows]
    found = [
        {key: value for key, value in voice.items() if key != "cast"} for voice in voices if voice.get("cast") == cast
    ]
    if not found:
        raise UserError(f"{table} has no cast {cast!r}{did_you_mean(cast, {str(voice['cast']) for voice in voices})}.")
    return found


def _cell(column: str, text: str, table: Path) -> str | float | dict[str, float]:
    """A cell's value: words, a number, or `style` as weights by speaker."""
    try:
        if column == "style":
            return {name: json.loads(weight) for name, _, weight in (part.partition(":") for part in text.split())}
        return text if column in ("cast", "id", "sex", "split", "model") else json.loads(text)
    except json.JSONDecodeError:
        raise UserError(f"{table}, column {column}: {text!r} is no number.") from None
