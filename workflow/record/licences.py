"""What everything is made of, and under which licences: packages, models and data, compared systems.

python -m workflow.record.licences --out results/licences.md
"""

from __future__ import annotations

import re
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Annotated, cast

import typer
import yaml

from baselines import registry
from speechbase.commands import command_line
from speechbase.files import write_text
from speechbase.systems.card import Card
from workflow.plan import places
from workflow.plan.environment import canonical

NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|CPML|Coqui", re.IGNORECASE)


def write(out: Annotated[Path, typer.Option()]) -> None:
    """List what everything is made of, and under which licences."""
    materials = yaml.safe_load((places.ROOT / "workflow" / "materials.yaml").read_text(encoding="utf-8"))
    write_text(out, render(materials))


def render(materials: list[dict]) -> str:
    """The list as Markdown: models and data, compared systems, packages; the non-commercial ones are marked."""
    parts = ["# Models, data and packages, with their licences", ""]
    parts += ["**NC** marks what must not be used commercially.", "", "## Models and data", ""]
    parts += _table(("name", "kind", "licence", "source", "package", "used for"), [_material(row) for row in materials])
    parts += [
        "",
        "## Compared systems",
        "",
        "Those whose provenance is `paper` are printed figures only: nothing is used.",
        "",
    ]
    cards = [_card(card) for cards in registry.methods().values() for card in cards]
    parts += _table(("system", "provenance", "licence", "weights", "source"), cards)
    parts += ["", "## Installed packages", ""]
    parts += _table(("package", "version", "licence"), packages())
    return "\n".join(parts) + "\n"


def _material(row: dict) -> list[str]:
    return [row["name"], row["kind"], _marked(row["licence"], row.get("non_commercial", False)), row["source"],
            row.get("package", ""), row["used_for"]]  # fmt: skip


def _card(card: Card) -> list[str]:
    return [card.title, card.provenance, _marked(card.licence), _marked(card.weights_licence), card.source]


def _marked(licence: str, known: bool = False) -> str:
    return f"**NC** {licence}" if known or NON_COMMERCIAL.search(licence) else licence


def packages() -> list[list[str]]:
    """Name, version and licence of every installed package, by its own metadata."""
    found = {canonical(package.name): package for package in metadata.distributions()}
    return [[name, package.version, _marked(licence_of(package))] for name, package in sorted(found.items())]


def licence_of(package: metadata.Distribution) -> str:
    """The licence that a package's metadata states, in one line; `unstated` where it states none."""
    fields = cast(Message, package.metadata)
    stated = fields.get("License-Expression", "")
    if not stated:
        kinds = [line.rsplit("::", 1)[1].strip() for line in fields.get_all("Classifier", []) if "License ::" in line]
        stated = ", ".join(kinds) or (fields.get("License") or "").strip().split("\n")[0]
    return stated[:120].replace("|", "/") or "unstated"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    lines = [list(head), ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
