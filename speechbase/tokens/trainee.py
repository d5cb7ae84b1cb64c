"""Training of token models: labels at the last positions of left-padded batches, cross-entropy, accuracy by task.

A drawer draws what batches are made of; its `config` has `tasks`, `valid_items`, `workers` and `replay`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.corpus.speech import SpeechTable
from speechbase.tokens.depth import ResidualHead
from speechbase.tokens.sequences import Tokens
from speechbase.training.ahead import Ahead

NO_LABEL = -100
LATENTS = 20.0  # weight of the latents' error: about as much as the codes' cross-entropy


@dataclass
class Batch:
    """A micro-batch: what is heard, and labels [b, t, s] of the last t positions, `NO_LABEL` where there is nothing to
    learn; `levels` [b, s] are those that an item's labels are of, from 0 on."""

    tokens: Tokens
    labels: Tensor
    levels: Tensor
    task: str

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(self.tokens.to(device), self.labels.to(device), self.levels.to(device), self.task)


class TokenTrainee:
    """What token models have in common: batches, cross-entropy over the output's positions, accuracy by task or level.

    `stream` names the batches: ("train", step, micro) or ("valid", task, number).
    """

    rivals: nn.Module | None = None
    top = 10  # of token accuracy: what others watch (40 % before a model speaks)

    def __init__(self, network: nn.Module, train: Any, valid: Any, accumulate: int):
        self.network = network
        draw = partial(self.batch, train, "train")
        device, how = next(network.parameters()).device, train.config
        self.ahead = Ahead(draw, how.workers, range(accumulate), device, how.replay)
        self.held_out = {task: list(self._held_out(valid, task)) for task in valid.config.tasks}

    def _held_out(self, drawer: Any, task: str) -> Iterator[Batch]:
        count = number = 0
        while count < drawer.config.valid_items:
            batch = self.batch(drawer, "valid", task, number, task=task)
            count, number = count + len(batch.labels), number + 1
            yield batch

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network."""
        return averaged.state_dict()

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Mean cross-entropy over a micro-batch's output tokens, and the share of tokens among the likeliest `top`."""
        batch = self.ahead.take(step, micro)
        loss, right = self.scores(network, batch)
        return {"loss": loss.mean(), f"top{self.top}": right.float().mean()}

    def scores(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of each labelled token: its cross-entropy, and whether it is among the likeliest `top`."""
        return self.judged(self.logits(network, batch), batch)

    def judged(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same of logits [b, t, s, k] that are there already."""
        there, logits = batch.labels != NO_LABEL, logits.float()
        logits, labels = logits[there], batch.labels[there]  # [tokens, k], [tokens]
        best = logits.topk(min(self.top, logits.shape[-1]), -1).indices
        return F.cross_entropy(logits, labels, reduction="none"), (best == labels[:, None]).any(-1)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Loss and accuracy by task on held-out speech, and their means; by level where there are several."""
        figures: dict[str, float] = {}
        by_level: dict[int, list[Tensor]] = {}
        device = next(network.parameters()).device
        for task, batches in self.held_out.items():
            losses, hits = [], []
            for batch in batches:
                loss, right = self.scores(network, batch.to(device))
                losses.append(loss)
                hits.append(right.float())
                levels = batch.levels[:, None].expand_as(batch.labels)[batch.labels != NO_LABEL]
                for level in levels.unique().tolist():
                    by_level.setdefault(level, []).append(hits[-1][(levels == level).to(device)])
            figures |= {
                f"{task}_loss": float(torch.cat(losses).mean()),
                f"{task}_top{self.top}": float(torch.cat(hits).mean()),
            }
        figures["loss"] = float(np.mean([figures[f"{task}_loss"] for task in self.held_out]))
        if len(by_level) > 1:
            figures |= {
                f"top{self.top}_level_{level + 1}": float(torch.cat(hits).mean()) for level, hits in by_level.items()
            }
        return figures

    def batch(self, drawer: Any, *stream, task: str = "") -> Batch:
        """A micro-batch of one task: what is heard, and the labels of the output's positions."""
        raise NotImplementedError

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits [b, t, s, k] at the last t positions, those with labels."""
        raise NotImplementedError


def aligned_right(labels: list[Tensor]) -> Tensor:
    """Labels [n, s] of each item as [b, longest, s], `NO_LABEL` before them."""
    longest = max(map(len, labels))
    before = [one.new_full((longest - len(one), one.shape[1]), NO_LABEL) for one in labels]
    return torch.stack([torch.cat(pair) for pair in zip(before, labels)])


def with_end(labels: list[Tensor], end: int) -> list[Tensor]:
    """Labels [n, s] of each item, and after them the end, which has one level."""
    last = torch.tensor([[end] + [NO_LABEL] * (labels[0].shape[1] - 1)])
    return [torch.cat([one, last]) for one in labels]


def with_latents(
    figures: dict[str, Tensor], head: ResidualHead | None, latents: list[Tensor], labels: Tensor
) -> dict[str, Tensor]:
    """A micro-batch's figures with the error of guessed latents [b, t, c] against codes [b, t, q] added to the loss; as
    they are where no latents were guessed."""
    if head is None or not latents:
        return figures
    there = (labels != NO_LABEL).all(-1)  # [b, t]
    error = torch.stack([head.error(guess[there], labels[there]) for guess in latents]).mean()
    return figures | {"loss": figures["loss"] + LATENTS * error, "latents": error}


def frames_a_byte(speech: SpeechTable, frame_rate_hz: float) -> float:
    """How many frames a byte of text takes on average in a table of speech, to three decimals."""
    letters = sum(len(text.encode()) for text in speech.rows["text"])
    return round(float(speech.rows["seconds"].sum()) * frame_rate_hz / letters, 3)
