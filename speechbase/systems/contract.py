"""What every system offers to the runner: SpeechOp under a composition, a compared system, a floor, a ceiling."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbase.files import UserError, seed_of, sha256, write_text
from speechbase.items import Item
from speechbase.settings import refuse_unknown
from speechbase.systems.card import Card, Weight

WEIGHTS_DIR = "weights/baselines"
MODELS_DIR = "models/nano"
SUMS = "SHA256SUMS"  # beside a system's weights, in the form that `sha256sum --check` reads


@dataclass(frozen=True)
class Answer:
    """What a system gives for one item: audio (float32 [n] at `rate_hz`), text or a label, as the task's `gives` says.

    `status` is `ok` or why there is no answer (`speechbase.systems.runner.STATUSES`); `detail` explains it, or says
    anything about an answer that the index should keep (how a generation ended, what was drawn).
    """

    wave: np.ndarray | None = None
    rate_hz: int | None = None
    text: str | None = None
    label: str | None = None
    status: str = "ok"
    detail: str = ""


class System:
    """The contract between a system and the runner.

    Attributes:
        name: as logs and rows say it.
        tasks: names of `speechbase.items.TASKS` that it does; other items are rows with `not_applicable`.
        batch: how many items `answer` is given at once, at most.
        mark: what the metadata of its audio files says, such as that the speech is synthetic.
    """

    name: str
    tasks: tuple[str, ...]
    batch: int = 1
    mark: str | None = None

    def skip(self) -> str | None:
        """Why the system cannot run here, with the remedy; None when it can."""
        return None

    def load(self, device: str) -> None:
        """Load what answers need, once, before the first item that has to be answered. Raises: UserError: it cannot
        be."""

    def pin(self) -> None:
        """Note the weights that were loaded, where nobody published their checksum."""

    def identity(self) -> object:
        """Everything but the item that decides an answer, as JSON: settings, sources, checksums of weights."""
        raise NotImplementedError

    def evidence(self, item: Item) -> object:
        """What an answer is made from besides the item's row, as JSON, such as a transcript that was heard."""
        return None

    def likeness(self, item: Item) -> tuple:
        """A sort key: items with an equal first part may be answered together, those with near keys are alike in
        length.

        Raises:
            UserError: the item lacks something that the system needs; it becomes a row that says so.
        """
        return ((),)

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """One answer an item. An exception costs the items that raise it when they are asked alone, and no others."""
        raise NotImplementedError


class Baseline(System):
    """A compared system. An adapter module defines `class Adapter(Baseline)` with `load` and `run`."""

    def __init__(self, card: Card, settings: dict | None = None):
        """Take a card and overrides of its settings.

        Args:
            settings: also `weights_dir` (what is downloaded), `models_dir` (what is trained here) and `seed`.

        `transcripts` are, by item, what a recogniser heard in the source (or the words' times, for editing), where a
        caller sets them.

        Raises:
            UserError: a setting that the card does not have.
        """
        settings = dict(settings or {})
        self.card, self.seed = card, settings.pop("seed", 0)
        self.transcripts: dict[str, dict] = {}
        self.models_dir = Path(settings.pop("models_dir", MODELS_DIR))
        self.weights_dir = Path(settings.pop("weights_dir", WEIGHTS_DIR)) / card.name
        refuse_unknown(settings, card.settings, f"{card.file}, settings")
        self.settings = {**card.settings, **settings}
        self.model_dir = (self.model_folders or [self.models_dir / card.name])[0]
        self.name, self.tasks = card.name, card.tasks

    def skip(self) -> str | None:
        """Why the system cannot run here, with the remedy; None when it can."""
        card = self.card
        if card.unavailable:
            return card.unavailable
        for module, requirement in card.packages.items():
            if not _importable(module):
                own = f", in its own environment ({card.environment})" if card.environment else ""
                return f"the package {module} is not installed: pip install '{requirement}'{own}"
        for folder in self.model_folders:
            if not (folder / "model.safetensors").is_file():
                how = f"run python -m speechbase.training {card.trained_by}, or the rule that does"
                return f"{folder} holds no trained model: {how}"
        if card.repository and not self.clone.is_dir():
            url, commit = card.repository["url"], card.repository["commit"]
            return f"the code is missing: git clone {url} {self.clone} && git -C {self.clone} checkout {commit}"
        if card.needs_cuda and not _has_cuda():
            return "its code needs a CUDA device, and there is none"
        return next(filter(None, map(self._lacks, card.weights)), None)

    def _lacks(self, weight: Weight) -> str | None:
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

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """The adapter's `run`, item by item."""
        return [Answer(*self.run(item)) for item in items]

    def identity(self) -> object:
        """Card, settings, adapter source and weights."""
        card = self.card.model_dump(mode="json", exclude={"file", "models"})
        return [card, self.settings, self.seed, [sha256(path) for path in [*self.card.sources, *self.files()]]]

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """One item's output: float32 [n] and its rate in Hz, aligned with the source and as long where there is one."""
        raise NotImplementedError(f"{self.card.name} has no adapter")

    def files(self) -> list[Path]:
        """Files whose content decides the output besides the adapter's source: weights, trained models."""
        if self.card.trained_by:
            return [folder / name for folder in self.model_folders for name in ("model.safetensors", "config.json")]
        return [self.weights_dir / weight["file"] for weight in self.card.weights]

    @property
    def rate_hz(self) -> int:
        """The rate in Hz of what comes out, as the card says it. Raises: UserError: it says none."""
        if self.card.rate_hz is None:
            raise UserError(f"{self.card.file} has no rate_hz, which its adapter needs.")
        return self.card.rate_hz

    @property
    def model_folders(self) -> list[Path]:
        """The folders of the models trained here that it needs."""
        return [self.models_dir / name for name in self.card.models_trained(self.settings)]

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
