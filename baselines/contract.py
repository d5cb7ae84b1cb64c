"""What every compared system offers: a card that describes it and an adapter that runs it on one item."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import yaml

from fileio.files import UserError, sha256
from speechop.tasks import MANIFEST_TASKS, Item

ROOM = Path(__file__).parent
PROVENANCES = ("ours", "public-checkpoint", "stand-in", "paper")
WEIGHTS_DIR = "weights/baselines"


@dataclass(frozen=True)
class Card:
    """A compared system as its `card.yaml` describes it.

    `provenance` says whose numbers these are: `ours` (made here: floor, ceiling, matched systems), `public-checkpoint`
    (the published system with public weights), `stand-in` (another system in the place of one that is not public) or
    `paper` (only the printed figures exist). `packages` maps an importable module to the requirement that installs it;
    `weights` lists {file, url, sha256} under the weights folder; `settings` are the exact ones of the checkpoint.
    `scale` is `arbitrary` where the system's output level means nothing.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    provenance: str
    stands_for: str
    source: str
    licence: str
    citation: str = ""
    rate_hz: int | None = None
    scale: str = "preserved"
    environment: str = ""
    packages: dict = field(default_factory=dict)
    weights: tuple[dict, ...] = ()
    weights_licence: str = ""
    needs_licence: bool = False
    settings: dict = field(default_factory=dict)
    unavailable: str = ""
    notes: str = ""

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read and check a card.

        Raises:
            UserError: missing or unknown keys, an unknown task, provenance or scale.
        """
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(cls)}
        if unknown := set(values) - known:
            raise UserError(f"{path} has unknown keys {sorted(unknown)}; known are {sorted(known)}.")
        for key in ("tasks", "weights"):
            values[key] = tuple(values.get(key) or ())
        try:
            card = cls(**values)
        except TypeError as error:
            raise UserError(f"{path} is incomplete: {error}.") from None
        if bad := set(card.tasks) - set(MANIFEST_TASKS):
            raise UserError(f"{path} names unknown tasks {sorted(bad)}; known are {', '.join(MANIFEST_TASKS)}.")
        if card.provenance not in PROVENANCES or card.scale not in ("preserved", "arbitrary"):
            raise UserError(f"{path}: provenance is one of {PROVENANCES} and scale 'preserved' or 'arbitrary'.")
        return card


class Baseline:
    """The contract. An adapter module defines `class Adapter(Baseline)` with `load` and `run`."""

    def __init__(self, card: Card, settings: dict | None = None):
        """Args: settings: overrides of the card's settings; `weights_dir` says where downloaded weights lie."""
        settings = dict(settings or {})
        self.card = card
        self.weights_dir = Path(settings.pop("weights_dir", WEIGHTS_DIR)) / card.name
        if unknown := set(settings) - set(card.settings):
            known = [*sorted(card.settings), "weights_dir"]
            raise UserError(f"The baseline {card.name} has no settings {sorted(unknown)}; it has {known}.")
        self.settings = {**card.settings, **settings}

    def skip(self) -> str | None:
        """Why the system cannot run here, with the remedy; None when it can."""
        if self.card.unavailable:
            return self.card.unavailable
        for module, requirement in self.card.packages.items():
            if not _importable(module):
                own = f" in its own environment ({self.card.environment})" if self.card.environment else ""
                return f"the package {module} is not installed: pip install '{requirement}'{own}"
        for weight in self.card.weights:
            path = self.weights_dir / weight["file"]
            if not path.is_file():
                terms = f" (licence: {self.card.weights_licence})" if self.card.weights_licence else ""
                return f"the weights {path} are missing: download {weight['url']}{terms}"
            if (expected := weight.get("sha256")) and sha256(path) != expected:
                return (
                    f"the weights {path} are not the expected file (sha256 {expected}): download {weight['url']} again"
                )
        return None

    def load(self, device: str) -> None:
        """Load the model once, before the first item."""

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """One item's output: float32 [n] and its rate in Hz, aligned with the source and as long where there is one."""
        raise NotImplementedError(f"{self.card.name} has no adapter")

    def files(self) -> list[Path]:
        """Files whose content decides the output besides the adapter's source: weights, trained models."""
        return [self.weights_dir / weight["file"] for weight in self.card.weights]


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
