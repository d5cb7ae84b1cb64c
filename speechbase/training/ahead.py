"""Micro-batches drawn by processes ahead of their turn, for a GPU beside many CPU cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset


class Ahead(Dataset):
    """The micro-batches of a run; what they are depends on (seed, step) alone, whoever draws them.

    Args:
        draw: (step, micro) -> batch. Processes call it on the CPU: they are forks of one that may hold a GPU.
        workers: how many processes; none where it is 0.
        micros: which micro-batches of each step they draw; the others are drawn when they are asked for.
    """

    def __init__(self, draw: Callable[[int, int], Any], workers: int, micros: Sequence[int]):
        self.draw, self.workers, self.micros = draw, workers, list(micros)
        self._coming: Iterator | None = None
        self._turn = -1

    def __getitem__(self, number: int):
        step, place = divmod(number, len(self.micros))
        return self.draw(step, self.micros[place])

    def take(self, step: int, micro: int) -> Any:
        """The batch of this turn; a turn out of order (a resumed run) begins anew from there."""
        if not self.workers or micro not in self.micros:
            return self.draw(step, micro)
        number = step * len(self.micros) + self.micros.index(micro)
        if self._coming is None or number != self._turn + 1:
            order = range(number, sys.maxsize)
            self._coming = iter(
                DataLoader(self, batch_size=None, sampler=order, num_workers=self.workers, prefetch_factor=4)
            )
        self._turn = number
        return next(self._coming)
