"""The compared systems, by method: floors and ceilings, the folders with a card, and what exists only in print."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from baselines.floors import FLOORS
from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.settings import Settings, checked
from speechbase.systems.card import Card
from speechbase.systems.contract import MODELS_DIR, WEIGHTS_DIR, Baseline

ROOM = Path(__file__).parent
PRINTED = ROOM / "printed.yaml"


@cache
def methods() -> dict[str, list[Card]]:
    """Every method's cards, one a checkpoint, the default one first.

    Raises:
        UserError: a card that does not fit, or a name that stands twice.
    """
    found = {name: [own] for name, (_, own) in FLOORS.items()}
    folders = {path.parent.name: Card.read(path) for path in sorted(ROOM.glob("*/card.yaml"))}
    printed = {name: [_printed(name, values)] for name, values in read_yaml(PRINTED).items()}
    names = [own.name for cards in (found, folders, printed) for group in cards.values() for own in group]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{ROOM}: the name {min(twice)!r} stands twice among floors.py, the folders and printed.yaml.")
    return found | folders | printed


def _printed(name: str, values: dict) -> Card:
    where = f"{PRINTED}, {name}"
    if not isinstance(values, dict) or not values.get("unavailable"):
        raise UserError(f"{where} must be a mapping of keys to values that says why the system is `unavailable`.")
    return checked(Card, values | {"name": name, "file": PRINTED}, where)


def card(method: str, checkpoint: str = "") -> Card:
    """The card of a method with a checkpoint, its default one if none is named.

    Raises:
        UserError: an unknown method or checkpoint, with the nearest right one.
    """
    if method not in methods():
        raise UserError(f"{ROOM} has no method {method!r}{did_you_mean(method, methods())}.")
    cards = {own.checkpoint: own for own in methods()[method]}
    if checkpoint and checkpoint not in cards:
        known = " (it lists none)" if list(cards) == [""] else did_you_mean(checkpoint, cards)
        raise UserError(f"{methods()[method][0].file} has no checkpoint {checkpoint!r}{known}.")
    return cards[checkpoint] if checkpoint else methods()[method][0]


def create(method: str, settings: dict | None = None, checkpoint: str = "") -> Baseline:
    """The adapter of a method, not loaded yet; a system that exists only in print just knows why it is skipped."""
    own = card(method, checkpoint)
    if own.file == PRINTED:
        return Baseline(own, settings)
    if method in FLOORS:
        return FLOORS[method][0](own, settings)
    if not own.file.with_name("adapter.py").is_file():
        raise UserError(f"{own.file.parent} has a card.yaml and no adapter.py, which runs it.")
    return importlib.import_module(f"baselines.{method}.adapter").Adapter(own, settings)


class Shared(Settings):
    """What every method takes: folders of downloaded weights and of models trained here, and a seed."""

    weights_dir: str = WEIGHTS_DIR
    models_dir: str = MODELS_DIR
    seed: int = 0


def configured(config: dict, method: str, checkpoint: str = "") -> Baseline:
    """The adapter under what --config says: `Shared` for all, and changed settings under a method's name.

    Raises:
        UserError: a key that is neither a method nor shared, a wrong type, or a setting that the method does not have.
    """
    own = {name: changed for name, changed in config.items() if name not in Shared.model_fields}
    for name, changed in own.items():
        card(name)
        if not isinstance(changed, dict):
            raise UserError(f"--config: {name} is {changed!r}, where a mapping of its settings is needed.")
    shared = checked(Shared, {name: config[name] for name in config if name not in own}, "--config")
    return create(method, shared.model_dump() | own.get(method, {}), checkpoint)
