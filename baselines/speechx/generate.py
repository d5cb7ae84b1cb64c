"""Generation: the first levels frame by frame, then each further level at once.

Legend: b items, n frames, q levels, s of them said frame by frame, k codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from baselines.speechx.layout import EDITS, TARGET, Request, condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining
from speechbase.tokens.generation import Length, Run, continued, one_position
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import collate


@dataclass(frozen=True)
class Job:
    """One item: its request, how long its output (of an edit: the new part) is, how codes are drawn, its seed, and how
    those after a frame's first are drawn (as the first by default)."""

    request: Request
    length: Length
    how: Drawing
    seed: int
    further: Drawing | None = None


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
    """The first levels [n, s] of each output (of an edit: of its new part), and why it ended."""
    device = next(network.parameters()).device
    given = [_before(job.request, network.said) for job in jobs]
    sequences = [
        spoken_so_far(condition(job.request, levels, network.prompt_layers, network.frames_a_byte), before)
        for job, before in zip(jobs, given)
    ]
    tokens = collate(sequences, left=True).to(device)
    first = torch.tensor([len(before) for before in given])

    def step(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
        places = (first + count)[:, None]
        return network.embed(one_position(TARGET, places, levels, codes).to(device)), places

    runs = [Run(job.length, job.how, job.seed, job.further) for job in jobs]
    further = [network.further] * (network.said - 1)
    return continued(network.lm, tokens, network.embed(tokens), runs, network.logits, step, further)


def refine(network: Refining, requests: Sequence[Request], first: Sequence[Tensor], levels: int) -> list[Tensor]:
    """All levels [n, q] of each output from its first ones [n, s] (of an edit: of its new part), greedily."""
    device = next(network.parameters()).device
    requests = [replace(request, frames=len(codes)) for request, codes in zip(requests, first)]  # known by now
    outputs = [_whole(request, codes, levels) for request, codes in zip(requests, first)]
    stays = [kept(request, len(codes)) for request, codes in zip(requests, outputs)]
    for level in range(first[0].shape[1], levels):
        sequences = [
            refined_so_far(condition(request, levels, levels, network.frames_a_byte), codes, level, given)
            for request, codes, given in zip(requests, outputs, stays)
        ]
        longest = max(map(len, outputs))
        tokens = collate(sequences, left=True).to(device)
        logits, _ = network(tokens, torch.tensor([level], device=device), longest)
        best = logits.argmax(-1).cpu()  # [b, n]
        for codes, given, found in zip(outputs, stays, best):
            codes[:, level] = torch.where(given, codes[:, level], found[longest - len(codes) :])
    return outputs


def _before(request: Request, said: int) -> Tensor:
    """The first levels [n, s] of what stands before an edit: it is given, the new part goes on from it."""
    if request.task not in EDITS or request.source is None or request.span is None:
        return torch.zeros(0, said, dtype=torch.long)
    return request.source[: request.span[0], :said]


def _whole(request: Request, first: Tensor, levels: int) -> Tensor:
    """An output's codes [n, q] with its first ones [n, s], and all levels of what stays of the source."""
    new = torch.zeros(len(first), levels, dtype=torch.long)
    new[:, : first.shape[1]] = first
    if request.task not in EDITS or request.source is None or request.span is None:
        return new
    return torch.cat([request.source[: request.span[0]], new, request.source[request.span[1] :]])
