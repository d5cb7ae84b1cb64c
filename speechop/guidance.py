"""Composition of tasks as algebra over scores (section 6, Eq. 1-4; Appendix G).

A leaf stands for one conditional score; leaves are added, subtracted, scaled and switched on in an interval of logSNR:

    enhance = model.term("enhancement", source=noisy)
    text = model.term("tts", transcript=words)
    itc = cfg(enhance, 1.5) + 1.5 * (text - text.null()).where(LOGSNR > -1.0)      # Eq. 4, TC-CFG
    average = 0.5 * enhance + 0.5 * text                                            # Eq. 1, TC-Avg

An expression is linear in its leaves, so that it is kept as a flat list of weighted leaves. With weights that sum to
one, combining velocities, scores or data predictions at the same z_t is the same thing: the conversions are affine in
z_t.
Guidance scale convention: cfg(term, w) = w * term + (1 - w) * term.null(); w = 1 is off.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """Open interval of logSNR in which a guidance term is on (Kynkäänniemi et al., 2024)."""

    low: float = -math.inf
    high: float = math.inf

    def __and__(self, other: Interval) -> Interval:
        return Interval(max(self.low, other.low), min(self.high, other.high))

    def __contains__(self, logsnr: float) -> bool:
        return self.low < logsnr < self.high


class _LogSNR:
    """The symbol that `LOGSNR > -1.0` compares."""

    def __gt__(self, low: float) -> Interval:
        return Interval(low=low)

    def __lt__(self, high: float) -> Interval:
        return Interval(high=high)


LOGSNR = _LogSNR()
ALWAYS = Interval()


class Evaluator(Protocol):
    """What computes leaves: a network (all its leaves in one batch) or a closed form."""

    def evaluate(self, leaves: Sequence[Leaf], z: Tensor, logsnr: float) -> list[Tensor]:
        """Velocities (or scores: whatever the sampler integrates) of `leaves` at z, each shaped as z."""
        ...


class Expression:
    """A weighted sum of leaves; supports + - * / and `where`."""

    def parts(self) -> tuple[tuple[float, Leaf, Interval], ...]:
        """(weight, leaf, interval) triples, equal leaves under equal intervals merged and zero weights left out."""
        raise TypeError(f"{type(self).__name__} is not an expression")

    def __add__(self, other: Expression) -> Expression:
        return Sum(self.parts() + other.parts())

    def __sub__(self, other: Expression) -> Expression:
        return self + (-1.0) * other

    def __mul__(self, factor: float) -> Expression:
        return Sum(tuple((weight * factor, leaf, interval) for weight, leaf, interval in self.parts()))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Expression:
        return self * (1 / divisor)

    def where(self, interval: Interval) -> Expression:
        """The same expression, on only inside an interval of logSNR; outside it costs nothing."""
        return Sum(tuple((weight, leaf, on & interval) for weight, leaf, on in self.parts()))

    def at(self, logsnr: float) -> dict[Leaf, float]:
        """The leaves that are on at a logSNR, with their total weights."""
        weights: dict[Leaf, float] = {}
        for weight, leaf, interval in self.parts():
            if logsnr in interval:
                weights[leaf] = weights.get(leaf, 0.0) + weight
        return {leaf: weight for leaf, weight in weights.items() if weight != 0.0}

    def __call__(self, z: Tensor, logsnr: float) -> Tensor:
        """The composed velocity at z: every evaluator is called once, with all of its leaves that are on."""
        weights = self.at(logsnr)
        if not weights:
            raise ValueError(f"no term of the composition is on at logSNR {logsnr:.2f}; give one of them no interval")
        terms: list[Tensor] = []
        for evaluator in dict.fromkeys(leaf.evaluator for leaf in weights):
            leaves = [leaf for leaf in weights if leaf.evaluator is evaluator]
            terms += [weights[leaf] * value for leaf, value in zip(leaves, evaluator.evaluate(leaves, z, logsnr))]
        return reduce(operator.add, terms)


class Sum(Expression):
    """The canonical form of an expression."""

    def __init__(self, parts: tuple[tuple[float, Leaf, Interval], ...]):
        merged: dict[tuple[Leaf, Interval], float] = {}
        for weight, leaf, interval in parts:
            merged[leaf, interval] = merged.get((leaf, interval), 0.0) + weight
        self._parts = tuple((weight, leaf, on) for (leaf, on), weight in merged.items() if weight != 0.0)

    def parts(self) -> tuple[tuple[float, Leaf, Interval], ...]:
        """As `Expression.parts`."""
        return self._parts


@dataclass(frozen=True)
class Leaf(Expression):
    """One conditional score: an evaluator and the condition under which it is asked.

    Leaves are equal when evaluator and condition are equal, so that a null transcript minus itself leaves nothing at
    all.
    """

    evaluator: Evaluator
    condition: Any  # hashable; a term that is guided by another one has a `null()`

    def parts(self) -> tuple[tuple[float, Leaf, Interval], ...]:
        """Itself, everywhere and with weight 1."""
        return ((1.0, self, ALWAYS),)

    def null(self) -> Leaf:
        """The same task without its condition (transcript, source audio and prompt; "Diffusion Training", section
        5)."""
        return Leaf(self.evaluator, self.condition.null())


class ClosedForm:
    """An evaluator whose conditions are functions of (z, logsnr): analytic scores, for the toy study and for tests."""

    def evaluate(self, leaves: Sequence[Leaf], z: Tensor, logsnr: float) -> list[Tensor]:
        """As `Evaluator.evaluate`."""
        return [leaf.condition(z, logsnr) for leaf in leaves]

    def term(self, function: Callable[[Tensor, float], Tensor]) -> Leaf:
        """A leaf that evaluates `function(z, logsnr)`."""
        return Leaf(self, function)


def cfg(term: Leaf, scale: float) -> Expression:
    """Classifier-free guidance (Ho & Salimans, 2022): scale * term + (1 - scale) * term.null()."""
    return scale * term + (1 - scale) * term.null()


def tc_cfg(base: Expression, text: Leaf, gamma: float, interval: Interval = ALWAYS) -> Expression:
    """Eq. 4: the base score plus gamma times the discriminative part of the text score (Eq. 3)."""
    return base + gamma * (text - text.null()).where(interval)


def tc_avg(base: Expression, text: Expression, alpha: float, interval: Interval = ALWAYS) -> Expression:
    """Eq. 1: (1 - alpha) base + alpha text inside the interval, the base alone outside of it."""
    return base + alpha * (text - base).where(interval)
