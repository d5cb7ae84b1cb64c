"""Training of the matched baselines: the pairs and the loop with which SpeechOp is trained, another network and
loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from baselines.settings import MatchedBatches
from speechbase.corpus.degrade import Degraded
from speechbase.corpus.pairs import Pair, Pairs
from speechbase.files import seed_of
from speechbase.settings import checked
from speechbase.training import checkpoint
from speechbase.training.kinds import Context

VALID_BATCHES = 8


class MatchedPairs(Pairs):
    """SpeechOp's training pairs, with a mixture's other speaker as well: `last.speech` is the noiseless mixture."""

    last: Degraded

    def _degrade(self, *arguments) -> Degraded:
        self.last = super()._degrade(*arguments)
        return self.last


class MatchedTrainee:
    """What the training loop needs of a network that maps one source to its target(s).

    Args:
        loss: (network, pair, noiseless mixture [b, n]) -> scalar.
        task: the task whose pairs are drawn.
        batches: `size` items of `seconds`; `speed`: range of speed perturbation, where there is any.
    """

    rivals: nn.Module | None = None

    def __init__(
        self,
        network: nn.Module,
        loss: Callable,
        task: str,
        train: MatchedPairs,
        valid: MatchedPairs,
        seed: int,
        batches: MatchedBatches,
    ):
        self.network, self.loss, self.task, self.train, self.valid, self.seed = network, loss, task, train, valid, seed
        self.size, self.samples = batches.size, round(batches.seconds * train.speech.rate_hz)
        self.speed = batches.speed

    def _loss_of(self, network: nn.Module, pairs: MatchedPairs, *stream) -> Tensor:
        rngs = [np.random.default_rng(seed_of(self.seed, self.task, *stream, item)) for item in range(self.size)]
        perturbed = self.speed if pairs is self.train else None
        speeds = [float(rng.uniform(*perturbed)) for rng in rngs] if perturbed else None
        pair: Pair = pairs.pairs([self.task] * self.size, rngs, self.samples, 0, speeds)
        return self.loss(network, pair, pairs.last.speech)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """The loss of one micro-batch, drawn from (seed, step, micro) alone."""
        return {"loss": self._loss_of(network, self.train, "train", step, micro)}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The mean loss over fixed batches of the validation split."""
        losses = [self._loss_of(network, self.valid, "valid", number).item() for number in range(VALID_BATCHES)]
        return {"loss": sum(losses) / len(losses)}

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network."""
        return averaged.state_dict()


def matched(network: nn.Module, loss: Callable, task: str, config: dict, context: Context) -> MatchedTrainee:
    """The trainee of a network that is trained for `task` on SpeechOp's pairs; arguments as `MatchedTrainee`'s."""
    train, valid = (
        MatchedPairs.load(context.data, split, config["degradation"], config["network"]["rate_hz"])
        for split in ("train", "valid")
    )
    if context.init is not None:
        tensors, _ = checkpoint.read_model(context.init)
        checkpoint.load_into(network, tensors, context.init)
    return MatchedTrainee(
        network, loss, task, train, valid, config["seed"], checked(MatchedBatches, config["batches"], "batches")
    )
