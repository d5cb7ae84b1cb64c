"""Generation: level 1 frame by frame, then each further level at once.

Legend: b items, n frames, q levels, k codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.speechx.layout import EDITS, TARGET, Request, condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining
from speechbase.tokens.sampling import Drawing, draw
from speechbase.tokens.sequences import NO_CODE, Tokens, collate


@dataclass(frozen=True)
class Length:
    """How an output ends: at `frames`, said to be of `reason`; else where one is drawn, `least` to `most` frames."""

    frames: int | None = None
    reason: str = "source"
    least: int = 1
    most: int = 0


@dataclass(frozen=True)
class Job:
    """One item: its request, how long its output (of an edit: the new part) is, how tokens are drawn, and its seed."""

    request: Request
    length: Length
    how: Drawing
    seed: int


@dataclass(frozen=True)
class Output:
    """Codes [n, q] of an output, how many frames were drawn, why it ended: `end`, `limit`, or the length's reason."""

    codes: Tensor
    drawn: int
    reason: str


@torch.inference_mode()
def generate(speaking: Autoregressive, refining: Refining, jobs: Sequence[Job], levels: int) -> list[Output]:
    """The outputs of a batch of jobs; each draws from a generator of its own seed.

    Raises:
        UserError: more text and speech than the models' window takes.
    """
    said = speak(speaking, jobs, levels)
    codes = refine(refining, [job.request for job in jobs], [first for first, _ in said], levels)
    return [Output(whole, len(first), reason) for whole, (first, reason) in zip(codes, said)]


def speak(network: Autoregressive, jobs: Sequence[Job], levels: int) -> list[tuple[Tensor, str]]:
    """Level 1 [n] of each output (of an edit: of its new part), and why it ended."""
    device = next(network.parameters()).device
    given = [_before(job.request) for job in jobs]
    sequences = [
        spoken_so_far(condition(job.request, levels, network.prompt_layers), before) for job, before in zip(jobs, given)
    ]
    tokens, cache = collate(sequences, left=True).to(device), network.lm.new_cache()
    hidden = network.lm(network.embed(tokens), tokens.places, tokens.visible(), cache)[:, -1:]  # [b, 1, d]
    rngs = [np.random.default_rng(job.seed) for job in jobs]
    drawn = torch.zeros(len(jobs), 0, dtype=torch.long)
    ended: list[tuple[int, str] | None] = [None] * len(jobs)
    while True:
        logits = network.logits(hidden)[:, 0].float().cpu()  # [b, k + 1]
        for row, job in enumerate(jobs):
            if job.length.frames is not None or drawn.shape[1] < job.length.least:
                logits[row, network.end] = -torch.inf
        new = torch.cat(
            [draw(logits[r : r + 1], rngs[r : r + 1], job.how, drawn[r : r + 1]) for r, job in enumerate(jobs)]
        )
        for row, job in enumerate(jobs):
            if ended[row] is None:
                ended[row] = _ended(job.length, drawn.shape[1], int(new[row]) == network.end)
        if all(ended):
            break
        drawn = torch.cat([drawn, new.clamp(max=network.end - 1)[:, None]], 1)
        places = torch.tensor([len(before) + drawn.shape[1] for before in given])
        tokens, visible = _one_more(tokens, drawn[:, -1], places, levels)
        hidden = network.lm(network.embed(tokens), tokens.places, visible, cache)
        tokens.real = visible[:, 0, 0]
    return [(row[: end[0]], end[1]) for row, end in zip(drawn, ended) if end]


def _ended(length: Length, frames: int, end_drawn: bool) -> tuple[int, str] | None:
    """(frames, why) where an output that has so many frames is at its end."""
    if length.frames is not None:
        return (frames, length.reason) if frames >= length.frames else None
    if end_drawn:
        return frames, "end"
    return (frames, "limit") if frames >= length.most else None


def _one_more(before: Tokens, codes: Tensor, places: Tensor, levels: int) -> tuple[Tokens, Tensor]:
    """The next position [b, 1] of each row, and what it sees: all real positions before it, and itself."""
    b, device = len(codes), before.real.device
    here = torch.full((b, 1, levels), NO_CODE)
    here[:, 0, 0] = codes
    one = torch.ones(b, 1, dtype=torch.bool)
    tokens = Tokens(torch.full((b, 1), TARGET), torch.zeros(b, 1, dtype=torch.long), places[:, None], here, one, one)
    return tokens.to(device), torch.cat([before.real, one.to(device)], 1)[:, None, None]


def refine(network: Refining, requests: Sequence[Request], first: Sequence[Tensor], levels: int) -> list[Tensor]:
    """All levels [n, q] of each output from level 1 [n] of it (of an edit: of its new part), greedily."""
    device = next(network.parameters()).device
    outputs = [_whole(request, codes, levels) for request, codes in zip(requests, first)]
    stays = [kept(request, len(codes)) for request, codes in zip(requests, outputs)]
    for level in range(1, levels):
        sequences = [
            refined_so_far(condition(request, levels, levels), codes, level, given)
            for request, codes, given in zip(requests, outputs, stays)
        ]
        longest = max(map(len, outputs))
        tokens = collate(sequences, left=True).to(device)
        best = network(tokens, torch.full((len(outputs),), level, device=device), longest).argmax(-1).cpu()  # [b, n]
        for codes, given, found in zip(outputs, stays, best):
            codes[:, level] = torch.where(given, codes[:, level], found[longest - len(codes) :])
    return outputs


def _before(request: Request) -> Tensor:
    """Level 1 [n] of what stands before an edit: it is given, the new part goes on from it."""
    if request.task not in EDITS or request.source is None or request.span is None:
        return torch.zeros(0, dtype=torch.long)
    return request.source[: request.span[0], 0]


def _whole(request: Request, first: Tensor, levels: int) -> Tensor:
    """An output's codes [n, q] with its level 1, and all levels of what stays of the source."""
    new = torch.zeros(len(first), levels, dtype=torch.long)
    new[:, 0] = first
    if request.task not in EDITS or request.source is None or request.span is None:
        return new
    return torch.cat([request.source[: request.span[0]], new, request.source[request.span[1] :]])
