"""What every compared system offers: a card that describes it and an adapter that runs it on one item."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import yaml

from speechbase.files import UserError, seed_of, sha256, write_text
from speechbase.items import MANIFEST_TASKS, Item

PROVENANCES = ("ours", "public-checkpoint", "stand-in", "paper")
WEIGHTS_DIR = "weights/baselines"
MODELS_DIR = "models/nano"
SUMS = "SHA256SUMS"  # beside a system's weights, in the form that `sha256sum --check` reads


@dataclass(frozen=True)
class Card:
    """A compared system as its `card.yaml` describes it.

    Attributes:
        provenance: whose numbers these are: `ours` (made here: floor, ceiling, matched systems), `public-checkpoint`
            (the published system with public weights), `stand-in` (another system in the place of one that is not
            public) or `paper` (only the printed figures exist).
        scale: `arbitrary` where the output's level means nothing.
        environment: a conda file of its own, where the system's pins conflict with ours.
        trained_by: the module that trains a matched system here, into `<models>/<name>/`.
        packages: importable module -> the requirement that installs it.
        repository: {url, commit} of code that no package carries; cloned into the weights folder.
        weights: {file, url, checksum} under the weights folder; checksum is "sha256:..." or "md5:...", left out where
            the publisher gives none: then the first run notes what it used (`Baseline.pin`) and later ones are held to it.
        settings: the exact ones of the checkpoint.
        unavailable: why nothing can be run, for systems of which only the printed figures exist.
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
    trained_by: str = ""
    packages: dict = field(default_factory=dict)
    repository: dict = field(default_factory=dict)
    weights: tuple[dict, ...] = ()
    weights_licence: str = ""
    needs_cuda: bool = False
    settings: dict = field(default_factory=dict)
    unavailable: str = ""
    notes: str = ""
    folder: Path = Path()

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read and check a card.

        Raises:
            UserError: missing or unknown keys, an unknown task, provenance or scale.
        """
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(cls)} - {"folder"}
        if unknown := set(values) - known:
            raise UserError(f"{path} has unknown keys {sorted(unknown)}; known are {sorted(known)}.")
        for key in ("tasks", "weights"):
            values[key] = tuple(values.get(key) or ())
        try:
            card = cls(**values, folder=path.parent)
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
        """Take a card and overrides of its settings.

        Args:
            settings: also `weights_dir` (what is downloaded), `models_dir` (what is trained here) and `seed`.

        Raises:
            UserError: a setting that the card does not have.
        """
        settings = dict(settings or {})
        self.card, self.seed = card, settings.pop("seed", 0)
        self.model_dir = Path(settings.pop("models_dir", MODELS_DIR)) / card.name
        self.weights_dir = Path(settings.pop("weights_dir", WEIGHTS_DIR)) / card.name
        if unknown := set(settings) - set(card.settings):
            raise UserError(f"{card.name} has no settings {sorted(unknown)}; its card has {sorted(card.settings)}.")
        self.settings = {**card.settings, **settings}

    def skip(self) -> str | None:
        """Why the system cannot run here, with the remedy; None when it can."""
        card = self.card
        if card.unavailable:
            return card.unavailable
        for module, requirement in card.packages.items():
            if not _importable(module):
                own = f", in its own environment ({card.environment})" if card.environment else ""
                return f"the package {module} is not installed: pip install '{requirement}'{own}"
        if card.trained_by and not (self.model_dir / "model.safetensors").is_file():
            return f"{self.model_dir} holds no trained model: run python -m {card.trained_by}, or the rule that does"
        if card.repository and not self.clone.is_dir():
            url, commit = card.repository["url"], card.repository["commit"]
            return f"the code is missing: git clone {url} {self.clone} && git -C {self.clone} checkout {commit}"
        if card.needs_cuda and not _has_cuda():
            return "its code needs a CUDA device, and there is none"
        return next(filter(None, map(self._lacks, card.weights)), None)

    def _lacks(self, weight: dict) -> str | None:
        path = self.weights_dir / weight["file"]
        if not path.is_file():
            terms = f" (licence: {self.card.weights_licence})" if self.card.weights_licence else ""
            return f"the weights {path} are missing: download {weight['url']}{terms}"
        if checksum := weight.get("checksum"):
            algorithm, _, expected = checksum.partition(":")
            if _digest(path, algorithm) != expected:
                return f"{path} is not the expected file ({algorithm} {expected}): download {weight['url']} again"
            return None
        noted = self._noted().get(weight["file"])
        if noted and sha256(path) != noted:
            return (
                f"{path} is not the file that earlier runs used (sha256 {noted} in {self.weights_dir / SUMS}): "
                f"download {weight['url']} again, or delete {SUMS} to take the new one"
            )
        return None

    def _noted(self) -> dict[str, str]:
        path = self.weights_dir / SUMS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}

    def pin(self) -> None:
        """Note the SHA-256 of weights without a published checksum at their first use; `skip` refuses others later."""
        noted = self._noted()
        unknown = [weight["file"] for weight in self.card.weights if not weight.get("checksum")]
        new = [name for name in unknown if name not in noted]
        if new:
            sums = noted | {name: sha256(self.weights_dir / name) for name in new}
            write_text(self.weights_dir / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))

    def load(self, device: str) -> None:
        """Load the model once, before the first item."""

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """One item's output: float32 [n] and its rate in Hz, aligned with the source and as long where there is one."""
        raise NotImplementedError(f"{self.card.name} has no adapter")

    def files(self) -> list[Path]:
        """Files whose content decides the output besides the adapter's source: weights, trained models."""
        if self.card.trained_by:
            return [self.model_dir / "model.safetensors", self.model_dir / "config.json"]
        return [self.weights_dir / weight["file"] for weight in self.card.weights]

    def seed_of(self, item: Item) -> int:
        """An item's own seed for systems that draw: neither order nor other items change an output."""
        return seed_of(self.seed, self.card.name, item.id)

    @property
    def clone(self) -> Path:
        """Where the code of a system that no package carries is cloned to."""
        return self.weights_dir / "repository"

    def import_clone(self) -> None:
        """Make the cloned code importable, before any namesake."""
        if str(self.clone) not in sys.path:
            sys.path.insert(0, str(self.clone))


def fit_length(wave: np.ndarray, length: int, rate_hz: int) -> np.ndarray:
    """Cut or pad a frame-wise system's output to `length` samples. Raises: UserError: it is more than 50 ms off."""
    if abs(len(wave) - length) > 0.05 * rate_hz:
        raise UserError(f"the output has {len(wave)} samples at {rate_hz} Hz where the source has {length}.")
    return np.pad(wave[:length], (0, max(0, length - len(wave)))).astype(np.float32)


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
