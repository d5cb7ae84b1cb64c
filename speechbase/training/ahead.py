"""Micro-batches drawn by processes ahead of their turn, for a GPU beside many CPU cores."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

POOL = 200  # drawn batches that are kept on the device to be used again


class Ahead(Dataset):
    """The micro-batches of a run; what they are depends on (seed, step) alone, whoever draws them.

    With `replay` each batch that the processes draw serves so many turns: one of those kept is picked at random for
    the turns between. (A resumed run begins with nothing kept: it is then not the run that never stopped.)

    Args:
        draw: (step, micro) -> batch. Processes call it on the CPU: they are forks of one that may hold a GPU.
        workers: how many processes; none where it is 0.
        micros: which micro-batches of each step they draw; the others are drawn when they are asked for.
        device: where the batches are wanted.
        replay: how often a batch that processes drew is used.
        anew: (batch, turn) -> the batch with its noise drawn anew, for its further uses.
    """

    def __init__(
        self,
        draw: Callable[[int, int], Any],
        workers: int,
        micros: Sequence[int],
        device: Any = "cpu",
        replay: int = 1,
        anew: Callable[[Any, int], Any] = lambda batch, turn: batch,
    ):
        self.draw, self.workers, self.micros, self.device = draw, workers, list(micros), device
        self.replay, self.anew = replay, anew
        self._coming: Iterator | None = None
        self._next = -1
        self._kept: list[Any] = []

    def __getitem__(self, number: int):
        step, place = divmod(number, len(self.micros))
        return self.draw(step, self.micros[place])

    def take(self, step: int, micro: int) -> Any:
        """The batch of this turn; a turn out of order (a resumed run) begins anew from there."""
        if not self.workers or micro not in self.micros:
            return self.draw(step, micro).to(self.device)
        turn = step * len(self.micros) + self.micros.index(micro)
        if turn % self.replay and self._kept:
            pick = int(np.random.default_rng(turn).integers(len(self._kept)))
            return self.anew(self._kept[pick], turn)
        batch = self._drawn(turn // self.replay).to(self.device)
        if self.replay > 1:
            self._kept = [*self._kept[-POOL + 1 :], batch]
        return batch

    def _drawn(self, number: int) -> Any:
        """What the processes drew as the batch of this number."""
        if self._coming is None or number != self._next:
            order = range(number, sys.maxsize)
            self._coming = iter(
                DataLoader(
                    self,
                    batch_size=None,
                    sampler=order,
                    num_workers=self.workers,
                    prefetch_factor=4,
                    worker_init_fn=_leave_signals_to_the_parent,
                )
            )
        self._next = number + 1
        return next(self._coming)


def _leave_signals_to_the_parent(worker: int) -> None:
    """A scheduler and Ctrl-C signal the whole group: the training process ends its step and saves its state, for which
    it needs its batches."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
