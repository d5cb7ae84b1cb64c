"""What describes a compared system: its card."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from speechbase.files import UserError, read_yaml
from speechbase.items import TASKS

PROVENANCES = ("ours", "public-checkpoint", "stand-in", "paper")


@dataclass(frozen=True)
class Card:
    """A compared system as its `card.yaml` describes it.

    Attributes:
        provenance: whose numbers these are: `ours` (made here: floor, ceiling, matched systems), `public-checkpoint`
            (the published system with public weights), `stand-in` (another system in the place of one that is not
            public) or `paper` (only the printed figures exist).
        scale: `arbitrary` where the output's level means nothing.
        environment: a conda file of its own, where the system's pins conflict with ours.
        trained_by: the kind (`speechbase.training.kinds`) as which a matched system is trained here, into `<models>/<name>/`.
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
        values = read_yaml(path)
        known = {f.name for f in fields(cls)} - {"folder"}
        if unknown := set(values) - known:
            raise UserError(f"{path} has unknown keys {sorted(unknown)}; known are {sorted(known)}.")
        for key in ("tasks", "weights"):
            values[key] = tuple(values.get(key) or ())
        try:
            card = cls(**values, folder=path.parent)
        except TypeError as error:
            raise UserError(f"{path} is incomplete: {error}.") from None
        if bad := set(card.tasks) - set(TASKS):
            raise UserError(f"{path} names unknown tasks {sorted(bad)}; known are {', '.join(TASKS)}.")
        if card.provenance not in PROVENANCES or card.scale not in ("preserved", "arbitrary"):
            raise UserError(f"{path}: provenance is one of {PROVENANCES} and scale 'preserved' or 'arbitrary'.")
        return card
