"""Autoregressive generation with a cache: a batch whose rows draw, and end, each for itself.

Legend: b items, n positions, d width, k classes, s codes a position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from speechbase.files import UserError
from speechbase.tokens.lm import TokenLM
from speechbase.tokens.sampling import Drawing, draw
from speechbase.tokens.sequences import NO_CODE, Tokens


@dataclass(frozen=True)
class Length:
    """How an output ends: at `frames`, said to be of `reason`; else where one is drawn, `least` to `most` frames.

    `cut` is what an output is said to be that came to its most without an end.
    """

    frames: int | None = None
    reason: str = "source"
    least: int = 1
    most: int = 0
    cut: str = "limit"


def speech_length(text: str, frames_a_second: float, phone_seconds: float) -> Length:
    """Of a text that is to be spoken: at least a frame a phoneme, at most `phone_seconds` each."""
    from speechbase.corpus.phones import phone_count

    phones = max(1, phone_count(text))
    return Length(least=phones, most=phones * max(1, int(phone_seconds * frames_a_second)))


@dataclass(frozen=True)
class Run:
    """How one row goes on: its length, how its codes are drawn, its seed, and how codes after a position's first are
    drawn (as the first by default)."""

    length: Length
    how: Drawing
    seed: int
    further: Drawing | None = None


def continued(
    lm: TokenLM,
    tokens: Tokens,
    vectors: Tensor,
    runs: Sequence[Run],
    logits: Callable[[Tensor], Tensor],
    step: Callable[[Tensor, int], tuple[Tensor, Tensor]],
    further: Sequence[Callable[[Tensor, Tensor], Tensor]] = (),
) -> list[tuple[Tensor, str]]:
    """The codes [n, s] that follow each row, and why it ended: `end`, or the length's `reason` or `cut`.

    Args:
        tokens, vectors: what stands before, padded at the left, and its embedding [b, n, d].
        logits: hidden states [b, 1, d] -> [b, 1, k + 1]; the last class is the end.
        step: (drawn codes [b, s], how many positions were drawn) -> the next one's vectors [b, 1, d] and places [b, 1].
        further: for every code of a position after its first: (hidden states, its codes so far [b, 1, l]) -> logits
            [b, 1, k].

    Raises:
        UserError: more than the window takes, or a seed below zero.
    """
    runs = [_fitted(run, int(heard), lm.config.window) for run, heard in zip(runs, tokens.real.sum(1))]
    cache, real = lm.new_cache(), tokens.real
    hidden = lm(vectors, tokens.places, tokens.visible(), cache)[:, -1:]  # [b, 1, d]
    rngs = [np.random.default_rng(run.seed) for run in runs]
    drawn = torch.zeros(len(runs), 0, 1 + len(further), dtype=torch.long)  # [b, n, s]
    ended: list[tuple[int, str] | None] = [None] * len(runs)
    while True:
        scores = logits(hidden)[:, 0].float().cpu()  # [b, k + 1]
        end = scores.shape[1] - 1
        for row, run in enumerate(runs):
            if run.length.frames is not None or drawn.shape[1] < run.length.least:
                scores[row, end] = -torch.inf
        new = _each(scores, rngs, [run.how for run in runs], drawn[..., 0])
        for row, run in enumerate(runs):
            if ended[row] is None:
                ended[row] = _ended(run.length, drawn.shape[1], int(new[row]) == end)
        if all(ended):
            return [(row[: stop[0]], stop[1]) for row, stop in zip(drawn, ended) if stop]
        codes = new.clamp(max=end - 1)[:, None, None]  # [b, 1, 1]
        for level, scored in enumerate(further, 1):
            above = scored(hidden, codes.to(hidden.device))[:, 0].float().cpu()
            more = _each(above, rngs, [run.further or run.how for run in runs], drawn[..., level])
            codes = torch.cat([codes, more[:, None, None]], -1)
        drawn = torch.cat([drawn, codes], 1)
        vector, places = step(drawn[:, -1], drawn.shape[1])
        real = torch.cat([real, real.new_ones(len(runs), 1)], 1)
        hidden = lm(vector, places.to(vector.device), real[:, None, None], cache)


def _fitted(run: Run, heard: int, window: int) -> Run:
    """A run whose longest output fits into the window beside what is heard; errors as `continued`."""
    if run.seed < 0:
        raise UserError(f"A seed is a whole number from 0 on, not {run.seed}.")
    length, room = run.length, window - heard + 1  # the last code that is drawn is not heard any more
    least = max(1, length.least) if length.frames is None else length.frames
    if least > room:
        raise UserError(
            f"{heard} positions of text (one a byte) and speech (one a frame) and {least} frames to say are more than "
            f"the model's window of {window}: give less at once."
        )
    return run if length.frames is not None else replace(run, length=replace(length, most=min(length.most, room)))


def _each(scores: Tensor, rngs: list[np.random.Generator], hows: list[Drawing], before: Tensor) -> Tensor:
    """A code [b] of each row of scores [b, k], each drawn in its own way, after the codes `before` [b, n]."""
    codes = torch.zeros(len(hows), dtype=torch.long)
    for how in dict.fromkeys(hows):
        rows = [row for row, one in enumerate(hows) if one == how]
        codes[rows] = draw(scores[rows], [rngs[row] for row in rows], how, before[rows])
    return codes


def _ended(length: Length, frames: int, end_drawn: bool) -> tuple[int, str] | None:
    """(frames, why) where an output that has so many frames is at its end."""
    if length.frames is not None:
        return (frames, length.reason) if frames >= length.frames else None
    if end_drawn:
        return frames, "end"
    return (frames, length.cut) if frames >= length.most else None


def one_position(
    kind: int, places: Tensor, levels: int, codes: Tensor | None = None, symbols: Tensor | None = None
) -> Tokens:
    """A position [b, 1] of each row at places [b, 1]: codes [b, s] of the first levels, or symbols [b]."""
    here = torch.full((len(places), 1, levels), NO_CODE)
    if codes is not None:
        here[:, 0, : codes.shape[1]] = codes
    one = torch.ones(len(places), 1, dtype=torch.bool)
    said = torch.zeros_like(places) if symbols is None else symbols[:, None]
    return Tokens(torch.full_like(places, kind), said, places, here, one, one)
