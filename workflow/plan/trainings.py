"""The models of a scale: which are there, and what a training is told and depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from speechbase.training import kinds
from workflow.plan.corpus_parts import has_recordings
from workflow.plan.places import ROOT

NOT_TRAINING = ("kind", "after", "study", "on_request")  # keys of a model's entry that decide nothing of its training
RUN = re.compile("_1of[0-9]+_seed[0-9]+$")  # what a study adds to a model's name
MANY_LANGUAGES = ("hubert", "sset", "polyspeech_decoder", "polyspeech")  # kinds that learn from all of them


def runs_of(config: dict, names: Iterable[str]) -> list[str]:
    """The runs of the studies of these models that a scale has."""
    wanted = {name for name in names if name in config["models"]}
    return [model for model in config["models"] if model not in wanted and RUN.sub("", model) in wanted]


def models_here(scale: str, root: Path = Path()) -> set[str]:
    """The models of a scale that ship or are trained already."""
    return {
        *shipped_models(scale),
        *(path.parent.name for path in (root / "models" / scale).glob("*/model.safetensors")),
    }


def shipped_models(scale: str, folder: Path = ROOT / "speechbase" / "pretrained") -> list[str]:
    """Names of the models that the repository ships for a scale."""
    return sorted(path.parent.name for path in (folder / scale).glob("*/model.safetensors"))


def training_config(config: dict, model: str) -> dict:
    """What a model's training command is given: its own entry, the seed, how speech is degraded, and how it samples.

    Sampling settings are released with the weights: tables, library and command line read them there.
    """
    entry = {key: value for key, value in config["models"][model].items() if key not in NOT_TRAINING}
    shared = {"seed": entry.get("seed", config["seed"]), "degradation": config["corpus"].get("degradation", {})}
    if "seed" in entry:  # other weights and batches, judged on the same items
        shared["valid_seed"] = config["seed"]
    return {"sampling": config["sampling"]} | entry | shared


def training_command(config: dict, model: str, folder: Path, state: Path) -> list[str]:
    """The module that trains a model, with its arguments but data and configuration.

    Args:
        folder: where the released model goes.
        state: where every model's resume state lies.
    """
    kind = config["models"][model]["kind"]
    return ["speechbase.training", kind, "--name", model, "--models", str(folder.parent), "--state", str(state)]


def training_modules(config: dict, model: str) -> list[str]:
    """The modules whose sources decide what a model's training does: the command's and its kind's."""
    return ["speechbase.training.__main__", kinds.module_of(config["models"][model]["kind"])]


def training_tables(corpus: dict, environment: Mapping[str, str], kind: str = "") -> list[str]:
    """The speech tables that a training reads, by name: of every split of training or validation, and of real voices.

    Kinds that learn from several languages read those too.

    The real voices take part where `corpus.real_voices` names their folder, or the environment does.
    """
    splits = [split for split in corpus["speech"]["utterances"] if split.partition("_")[0] in ("train", "valid")]
    splits += ["languages_train", "languages_valid"] if kind in MANY_LANGUAGES else []
    return splits + (["train_recorded", "valid_recorded"] if has_recordings(corpus, "real_voices", environment) else [])
