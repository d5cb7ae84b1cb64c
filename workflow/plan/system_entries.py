"""Every system by its name: the entries of workflow/systems.yaml and of presets, and what they say."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from baselines import registry
from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.settings import Settings, checked, refuse_unknown
from speechbase.systems.card import Card
from workflow.plan.places import ROOT
from workflow.plan.schema import check_systems


def read_systems(presets: dict[str, dict], path: Path = ROOT / "workflow" / "systems.yaml") -> dict[str, dict]:
    """Every system by name, `base` followed: the registry and each preset's own `systems`.

    An entry with a `method` is a compared system's, another one a composition of SpeechOp.

    Raises:
        UserError: an unknown base, key, method, checkpoint or setting, with the nearest known one.
    """
    entries = dict(read_yaml(path))
    for name, preset in presets.items():
        for system, entry in preset.get("systems", {}).items():
            if entries.get(system, entry) != entry:
                raise UserError(
                    f"workflow/presets/*/{name}.yaml: the system {system!r} stands elsewhere with other settings."
                )
            entries[system] = entry
    where = f"{path} (with the presets' own systems)"
    if wrong := [name for name, entry in entries.items() if not isinstance(entry, dict)]:
        raise UserError(f"{where}: {wrong[0]} must hold a mapping of keys to values.")
    systems = {name: _follow_base(name, entries, (), where) for name in entries}
    check_systems({name: entries[name] for name, entry in systems.items() if "method" not in entry}, where)
    for name, entry in compared(systems).items():
        _check_compared(entry, f"{where}, {name}")
    return systems


def _check_compared(entry: dict, where: str) -> None:
    checked(Compared, entry, where)
    try:
        known = registry.card(entry["method"], entry.get("checkpoint", "")).settings
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    refuse_unknown(entry.get("settings", {}), known, f"{where}.settings")


class Compared(Settings):
    """An entry of workflow/systems.yaml that names a method of baselines/."""

    method: str
    checkpoint: str = ""
    settings: dict = Field(default_factory=dict)


def compared(systems: dict[str, dict]) -> dict[str, dict]:
    """The compared systems among them: floors, ceilings, and all that is not SpeechOp."""
    return {name: entry for name, entry in systems.items() if "method" in entry}


def card_of(systems: dict[str, dict], name: str) -> Card:
    """The card of a compared system."""
    return registry.card(systems[name]["method"], systems[name].get("checkpoint", ""))


def _follow_base(name: str, entries: dict[str, dict], seen: tuple[str, ...], where: str) -> dict:
    if name in seen:
        raise UserError(f"{where}: the systems {', '.join(seen)} take each other as base.")
    if name not in entries:
        raise UserError(f"{where}: the system {seen[-1]!r} has the unknown base {name!r}{did_you_mean(name, entries)}.")
    entry = dict(entries[name])
    base = entry.pop("base", None)
    return entry if base is None else _follow_base(base, entries, (*seen, name), where) | entry


def card_file(systems: dict[str, dict], name: str) -> str:
    """Where a compared system's card stands, from the repository's root."""
    return str(Path("baselines") / card_of(systems, name).file.relative_to(registry.ROOM))


def which(entry: dict) -> list[str]:
    """A compared system as `python -m baselines run` is told it."""
    return [entry["method"], *(["--checkpoint", entry["checkpoint"]] if "checkpoint" in entry else [])]


def models_of(systems: dict[str, dict], name: str) -> list[str]:
    """The folders of the models that a system needs of those that are trained here."""
    if "method" not in systems[name]:
        return [systems[name]["model"]] if systems[name].get("model") else []
    card = card_of(systems, name)
    return card.models_trained(card.settings | systems[name].get("settings", {}))


def provenance_of(systems: dict[str, dict], name: str) -> str:
    """Whose numbers a system's are: `ours`, or what its card says."""
    return card_of(systems, name).provenance if name in compared(systems) else "ours"


def compared_settings(config: dict, systems: dict[str, dict], name: str) -> dict:
    """What `python -m baselines run` is told by --config: folders, and changed settings under the method's name.

    The system's own changes go over those of `evaluation.baselines` in the configuration.
    """
    overrides = config["evaluation"]["baselines"]
    shared = {key: overrides[key] for key in ("weights_dir",) if key in overrides}
    settings = overrides.get(name, {}) | systems[name].get("settings", {})
    own = {systems[name]["method"]: settings} if settings else {}
    return shared | {"models_dir": f"models/{config['scale']}"} | own


def sampling_settings(config: dict, system: dict) -> dict:
    """What `speechop.system` is given: the system's own settings, over those that come with its weights, and a seed.

    `chunk_seconds: crop` becomes the length of the crops that the system's model was trained on.
    """
    portable = {"precision": "fp32"} if config.get("portable") else {}
    settings = portable | system | {"seed": system.get("seed", config["seed"])}
    if settings.get("chunk_seconds") == "crop":
        settings["chunk_seconds"] = config["models"][system["model"]]["batches"]["crop_seconds"]
    return settings
