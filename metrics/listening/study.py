"""The study file: defaults, the study's own YAML and a command's overrides, merged and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema

from speechbase.files import UserError, did_you_mean, read_yaml

ROOM = Path(__file__).parent
SHIPPED = ("tts", "editing", "enhancement", "separation")


def load(study: str | Path, overrides: dict | None = None) -> dict:
    """Read a study: a shipped name (tts, editing, enhancement, separation) or the path of a YAML file.

    Args:
        overrides: merged over the file; lists of named things (systems) merge by name.

    Raises:
        UserError: no such study, broken YAML, or a value that the schema refuses (it names the nearest right key).
    """
    path = ROOM / "studies" / f"{study}.yaml" if str(study) in SHIPPED else Path(study)
    if not path.exists():
        raise UserError(f"{path} does not exist; give one of {', '.join(SHIPPED)} or the path of a study file.")
    settings = merge(merge(read_yaml(ROOM / "defaults.yaml"), read_yaml(path)), overrides or {})
    schema = read_yaml(ROOM / "schema.yaml")
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(settings), key=lambda error: list(error.path))
    if errors:
        raise UserError(f"{path}: {_explain(errors[0])}")
    if settings.get("only"):
        settings["systems"] = _only(path, settings["systems"], settings.pop("only"))
    _check(path, settings)
    return settings


def merge(base: Any, extra: Any) -> Any:
    """Merge nested settings: mappings by key, lists of named mappings by name, all else is replaced."""
    if isinstance(base, dict) and isinstance(extra, dict):
        return {
            key: merge(base[key], extra[key]) if key in base and key in extra else extra.get(key, base.get(key))
            for key in {**base, **extra}
        }
    if _named(base) and _named(extra):
        by_name = {item["name"]: item for item in base}
        for item in extra:
            by_name[item["name"]] = merge(by_name.get(item["name"], {}), item)
        return list(by_name.values())
    return extra


def digest(value) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def heard_systems(settings: dict) -> list[dict]:
    """The systems whose audio can be rated: those that are not marked as known from the paper only."""
    return [system for system in settings["systems"] if "column" in system or system.get("audio", system["name"])]


def at_scale(name: str, systems: Iterable[str], testsets: Iterable[str], changes: dict | None = None) -> dict | None:
    """What --config makes of a shipped study where only some systems and test sets exist; None where too few do.

    Args:
        systems: systems whose audio can be made.
        testsets: test sets that can be made.
        changes: further settings, which go last.
    """
    whole = load(name)
    only = [system["name"] for system in heard_systems(whole) if "column" in system or system["name"] in set(systems)]
    sets = [one for one in whole["sets"] if one in set(testsets)]
    found = merge({"only": only, "sets": sets}, changes or {})
    return found if found["sets"] and len(found["only"]) > 1 else None


def audio_needed(settings: dict) -> list[tuple[str, str]]:
    """(test set, folder) of every audio index that a study reads."""
    folders = [system.get("audio", system["name"]) for system in heard_systems(settings) if "column" not in system]
    return [(name, folder) for name in settings["sets"] for folder in folders]


def rated_samples(settings: dict) -> int:
    """Rated samples of one participant: all but the hidden tests."""
    return settings["samples"] - sum(test["count"] for test in settings["hidden_tests"])


def paper_value(system: dict, set_name: str, scale: str) -> tuple[float, float] | None:
    """The printed mean and standard error of a cell, or None where the paper prints none."""
    printed = system.get("paper", {})
    cell = printed.get(set_name, printed).get(scale)
    return tuple(cell) if cell else None


def _named(value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _explain(error: jsonschema.ValidationError) -> str:
    where = ".".join(str(part) for part in error.path) or "the top level"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        return f"unknown key {unknown!r} at {where}{did_you_mean(str(unknown), known)}."
    return f"{where}: {error.message}."


def _only(path: Path, systems: list[dict], only: list[str]) -> list[dict]:
    unknown = sorted(set(only) - {system["name"] for system in systems})
    if unknown:
        raise UserError(f"{path}: `only` names systems that the study does not have: {', '.join(unknown)}.")
    return [system for system in systems if system["name"] in only or ("audio" in system and system["audio"] is None)]


def _check(path: Path, settings: dict) -> None:
    scales = set(settings["scales"])
    if missing := scales - set(settings["wording"]["scales"]):
        raise UserError(f"{path}: wording.scales has no entry for {', '.join(sorted(missing))}.")
    for test in settings["hidden_tests"]:
        if set(test["discard"]["scales"]) - scales:
            raise UserError(f"{path}: the hidden test {test['kind']!r} names a scale that the study does not use.")
        if "above" not in test["discard"] and "below" not in test["discard"]:
            raise UserError(f"{path}: the hidden test {test['kind']!r} needs `above` or `below` in its discard rule.")
    names = {system["name"] for system in settings["systems"]}
    if len(names) < len(settings["systems"]):
        raise UserError(f"{path}: two systems have the same name.")
    if rated_samples(settings) < 1:
        raise UserError(f"{path}: `samples` must be larger than the number of hidden tests.")
    for contrast in settings["contrasts"]:
        if contrast["kind"] != "greater" and "margin" not in contrast:
            raise UserError(f"{path}: the contrast {contrast['id']} needs a margin.")
