"""What describes a compared system: the card of its method, with one of the method's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NotRequired

from pydantic import Field, field_validator, model_validator, with_config
from typing_extensions import TypedDict

from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.items import TASKS
from speechbase.settings import Name, Settings, Text, checked, refuse_unknown

NAMING = {"name", "checkpoint", "file"}  # what is not written into a card, but follows from where it stands
OWN = ("title", "stands_for", "source", "citation", "licence", "weights_licence", "rate_hz", "weights", "weights_from",
       "settings", "notes")  # fmt: skip


@with_config(extra="forbid")
class Weight(TypedDict):
    """A file of weights under the weights folder. Without a published checksum the first run notes what it used."""

    file: Text
    url: Annotated[str, Field(pattern="^https://")]
    checksum: NotRequired[Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]]


@with_config(extra="forbid")
class Repository(TypedDict):
    """Code that no package carries; cloned into the weights folder."""

    url: Annotated[str, Field(pattern="^https://")]
    commit: Annotated[str, Field(pattern="^[0-9a-f]{7,40}$")]


class Card(Settings):
    """A compared system: what a method's card says, under what one of its checkpoints says.

    Attributes:
        name: the method's, or METHOD_CHECKPOINT for all of a method's checkpoints but the first: names its weights
            folder, and is part of its seeds.
        checkpoint: the entry of `checkpoints` that it is.
        provenance: whose numbers these are: `ours` (made here: floor, ceiling, matched systems), `public-checkpoint`
            (the published system with public weights), `stand-in` (another system in the place of one that is not
            public) or `paper` (only the printed figures exist).
        rate_hz: of the audio that comes out; left out where the test set or a model trained here decides it.
        scale: `arbitrary` where the output's level means nothing.
        trained_by: the kind (`speechbase.training.kinds`) as which a matched system is trained here, into
            `<models>/<name>/`.
        models: the settings that name the models trained here of which it is made, where it is made of several, each in
            its folder of `<models>`; `trained_by` is then the kind of the first to be trained.
        packages: importable module -> the requirement that installs it.
        weights_from: address of the folder of those weights that give no `url` of their own.
        settings: the exact ones of the checkpoint.
        unavailable: why nothing can be run, for systems of which only the printed figures exist.
        file: where the card stands.
    """

    name: Name
    checkpoint: str = ""
    title: Text
    tasks: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    provenance: Literal["ours", "public-checkpoint", "stand-in", "paper"]
    stands_for: Text
    source: Text
    licence: Text
    citation: str = ""
    rate_hz: Annotated[int, Field(ge=8000, le=96000)] | None = None
    scale: Literal["preserved", "arbitrary"] = "preserved"
    trained_by: str = ""
    models: Annotated[tuple[str, ...], Field(strict=False)] = ()
    packages: dict[str, str] = Field(default_factory=dict)
    repository: Repository | None = None
    weights: Annotated[tuple[Weight, ...], Field(strict=False)] = ()
    weights_from: Annotated[str, Field(pattern="^(https://.*/)?$")] = ""
    weights_licence: str = ""
    needs_cuda: bool = False
    settings: dict = Field(default_factory=dict)
    unavailable: str = ""
    notes: str = ""
    file: Path = Path()

    @model_validator(mode="before")
    @classmethod
    def _addresses(cls, values: dict) -> dict:
        start, weights = values.get("weights_from"), values.get("weights")
        if not start or not isinstance(weights, list):
            return values
        whole = [{"url": f"{start}{weight.get('file')}"} | weight for weight in weights if isinstance(weight, dict)]
        return values | {"weights": whole} if len(whole) == len(weights) else values

    @field_validator("tasks")
    @classmethod
    def _tasks(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        for task in tasks:
            if task not in TASKS:
                raise ValueError(f"unknown task {task!r}{did_you_mean(task, TASKS)}")
        return tasks

    @property
    def sources(self) -> list[Path]:
        """The method's code: its folder's modules, or the module that the card itself stands in."""
        if self.file.name == "card.yaml":
            return sorted(self.file.parent.glob("*.py"))
        return [self.file] if self.file.suffix == ".py" else []

    @property
    def environment(self) -> str:
        """The method's own conda file, beside its card, where its pins conflict with ours; else nothing."""
        path = self.file.parent / "environment.yml"
        return str(path.relative_to(path.parents[2])) if self.file.name == "card.yaml" and path.is_file() else ""

    def models_trained(self, settings: dict) -> list[str]:
        """Names of the models trained here that it needs under these settings."""
        if not self.trained_by:
            return []
        return [settings[key] for key in self.models] or [self.name]

    @classmethod
    def read(cls, path: Path) -> list[Card]:
        """The cards of a method, one a checkpoint, from `<method>/card.yaml`.

        Raises:
            UserError: a missing, unknown or wrong key, in one sentence.
        """
        values, method = read_yaml(path), path.parent.name
        refuse_unknown(values, [*cls.model_fields.keys() - NAMING, "checkpoints"], str(path))
        checkpoints = values.pop("checkpoints", {"": {}})
        if not isinstance(checkpoints, dict) or not checkpoints or not all(map(_is_mapping, checkpoints.values())):
            raise UserError(f"{path}: `checkpoints` must hold an entry a checkpoint, each a mapping of keys to values.")
        cards: list[Card] = []
        for checkpoint, own in checkpoints.items():
            where = f"{path}, checkpoint {checkpoint!r}" if checkpoint else str(path)
            refuse_unknown(own, OWN, where)
            whole = values | own
            if _is_mapping(values.get("settings")) and _is_mapping(own.get("settings")):
                whole["settings"] = values["settings"] | own["settings"]
            name = f"{method}_{checkpoint}" if cards else method
            cards.append(checked(cls, whole | {"name": name, "checkpoint": checkpoint, "file": path}, where))
        return cards


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)
