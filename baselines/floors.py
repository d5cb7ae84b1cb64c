"""Floors and ceilings: what a test set holds, handed in as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from speechbase.items import TASKS, Item
from speechbase.systems.card import Card
from speechbase.systems.contract import Baseline


class Source(Baseline):
    """The source untouched."""

    column = "source"

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The recording and its rate; an item without one (an edit that nobody spoke) becomes a row that says so."""
        return item.wave(self.column), item.rate_hz


class Reference(Source):
    """The reference untouched."""

    column = "reference"


def _card(name: str, title: str, tasks: tuple[str, ...], stands_for: str) -> Card:
    return Card(name=name, title=title, tasks=tasks, stands_for=stands_for, provenance="ours",
                source="the test set itself", licence="that of the test set", file=Path(__file__))  # fmt: skip


AUDIO = [task for task in TASKS.values() if task.gives == "audio"]
HEARD = tuple(task.name for task in AUDIO if "source" in task.needs and task.name != "separation")
FLOORS = {
    "noisy": (Source, _card("noisy", "Noisy input", HEARD, 'the "Noisy" floor of Tables 3, 6, 7 and 10')),
    "mixture": (Source, _card("mixture", "Mixture", ("separation",), "the unprocessed mixture of Tables 4 and 5")),
    "clean": (Reference, _card("clean", "Ground truth", tuple(task.name for task in AUDIO),
                               'the "Ground Truth" and "Clean" ceilings')),
}  # fmt: skip
