"""What a scale cannot run, and why."""

from __future__ import annotations

from collections.abc import Collection

from speechbase.corpus.text import SLOTS
from workflow.plan.corpus_parts import sets_without_recordings, test_sets
from workflow.plan.system_entries import models_of


def absent(
    config: dict, systems: dict[str, dict], presets: dict[str, dict], here: Collection[str] | None = None
) -> dict[str, str]:
    """System, or `set <name>`, -> why this scale cannot run it: its configuration has no such model or test set.

    Args:
        here: the models that are there; one that is trained on request alone and is not, is absent. None: all are.
    """
    scale = config["scale"]
    where = f"not run at the scale {scale}: its configuration has no"
    found = {name: reason for name in systems if (reason := _lacking(config, systems, name, here))}
    sets = {row.get("set", preset["set"]) for preset in presets.values() for row in preset["rows"]}
    found |= {f"set {name}": f"{where} test set {name!r}" for name in sorted(sets - set(test_sets(config)))}
    elsewhere = f"not run at the scale {scale}: the recordings are not here (corpus.{{}})"
    return found | {f"set {name}": elsewhere.format(kind) for name, kind in sets_without_recordings(config).items()}


def _lacking(config: dict, systems: dict[str, dict], name: str, here: Collection[str] | None) -> str | None:
    """Why a system cannot run at this scale; None where it can."""
    scale, models = config["scale"], config["models"]
    for model in models_of(systems, name):
        entry = models.get(model.partition("@")[0])
        if entry is None:
            return f"not run at the scale {scale}: its configuration has no model {model!r}"
        if entry.get("on_request") and here is not None and model not in here:
            asked = f"snakemake --cores all models/{scale}/{model}/model.safetensors"
            return f"not run: the model {model!r} is trained on request alone ({asked})"
    source = config.get("corpus", {}).get("text", {}).get("source", "recorded")
    if systems[name].get("snap") and source not in SLOTS:
        return f"not run at the scale {scale}: its sentences ({source}) have no grammar to snap to"
    return None


def why_absent(preset: dict, row: dict, absent: dict[str, str]) -> str | None:
    """Why a row cannot be measured at this scale; None where it can."""
    return absent.get(row["system"]) or absent.get(f"set {row.get('set', preset['set'])}")


def lacks(config: dict) -> dict[str, str]:
    """What a scale lacks for some claims to be able to come out either way -> the reason, in words for a verdict."""
    models, found = config["models"], {}
    if models.get("codec", {}).get("network", {}).get("kind") == "mel":
        found["phase"] = (
            "the codec keeps no phase, so that every output of it, its own round trip included, has an SI-SDR far "
            "below zero"
        )
    return found
