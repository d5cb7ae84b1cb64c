"""How long a model was trained: the runs that led to its weights, from random ones on, as they were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from speechbase.files import read_json, read_yaml
from speechbase.settings import Count, Positive, Settings, Text, checked, key, needed, value_of
from speechop.settings import DiffusionModel
from workflow.plan import system_entries
from workflow.plan.places import ROOT

CORES = (" CPU", "threads")  # how the hardware of a run on a processor ends


class Unrecorded(Exception):
    """Of which run no record is here."""


class Run(Settings):
    """A run that is over, as a model's record has it."""

    steps: Count
    wall_minutes: Positive
    hardware: Text = "x86_64 CPU"
    threads: Count = 1
    processes: Count = 1


class Earlier(Settings):
    """The runs before the one that shipped weights record themselves; what they made does not ship."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] = needed("how that of the weights begins")
    runs: Annotated[dict[str, Run], Field(min_length=1)] = needed("by what they made, the first one first")
    note: Text = key(None, "where they are recorded, and what is not")


def read_earlier(scale: str, folder: Path = ROOT / "speechbase" / "pretrained") -> dict[str, dict]:
    """Model -> its earlier runs, of the weights that ship for a scale (`earlier.yaml`). Raises: UserError: as there."""
    path = folder / scale / "earlier.yaml"
    stated = read_yaml(path) if path.is_file() else {}
    found = {name: checked(Earlier, entry, f"{path}, {name}") for name, entry in stated.items()}
    return {name: entry.model_dump(exclude={"note"}) for name, entry in found.items()}


def runs_of(folder: Path, model: str, earlier: Mapping[str, Mapping]) -> dict[str, dict]:
    """Every run that led to a model's weights, by the model that it made.

    A run begins from another one's weights (`init` of its configuration, or the run before of `training.runs`), and so
    on until random ones. Models that only made labels or tokens for it are models of their own.

    Args:
        folder: of the models; `tts@1` is the model `tts` after its first run.
        earlier: `read_earlier`, which counts where a model's weights are those that ship.

    Raises:
        Unrecorded: of a run on the way there is no record.
    """
    path = folder / model.replace("@", "/runs/") / "config.json"
    config = read_json(path) if path.is_file() else {}
    if "wall_minutes" not in config.get("record", {}):
        raise Unrecorded(f"no record of the training of {model} is here")
    own = {model: config["record"]}
    stated = earlier.get(model)
    if stated and config.get("sha256", "").startswith(stated["sha256"]):
        return stated["runs"] | own
    start = _start(model, config)
    return (runs_of(folder, start, earlier) if start else {}) | own


def _start(model: str, config: dict) -> str | None:
    """The model that a run began from."""
    name, _, number = model.partition("@")
    run = int(number or len(config["training"].get("runs", [])))
    return f"{name}@{run - 1}" if run > 1 else config.get("init")


def models_of(systems: dict[str, dict], system: str, folder: Path) -> list[str]:
    """The models trained here that a system is made of; SpeechOp's codec, which its model in `folder` names, among
    them."""
    models = system_entries.models_of(systems, system)
    if system in system_entries.compared(systems):
        return models
    path = folder / models[0] / "config.json"
    return [value_of(DiffusionModel, read_json(path) if path.is_file() else {}, "codec"), *models]


def total(runs: Iterable[Mapping]) -> tuple[float | None, str]:
    """Core-hours of the runs on processors (wall time x threads x processes; None without such a run), and the minutes
    of those on GPUs in words."""
    cores, others = list[float](), dict[str, float]()
    for run in runs:
        minutes = run["wall_minutes"] * run.get("processes", 1)
        if run["hardware"].endswith(CORES):
            cores.append(minutes / 60 * run.get("threads", 1))
        else:
            others[run["hardware"]] = others.get(run["hardware"], 0.0) + minutes
    return sum(cores) if cores else None, ", ".join(f"{minutes:.1f} min of {name}" for name, minutes in others.items())
