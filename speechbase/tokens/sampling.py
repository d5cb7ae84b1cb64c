"""Drawing tokens: temperature, top k, nucleus, and VALL-E 2's rule against repetition.

Each item draws from a generator of its own, so that neither its batch nor its neighbours change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from speechbase.settings import Settings

LEAST = 2  # candidates that a nucleus keeps, so that an end that may not come yet is never the only one


class Drawing(Settings):
    """How tokens are drawn.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_k: 0 keeps all. `top_p`: of the probability, by the nucleus (Holtzman et al. 2020).
        repeats: the share of the last `repeat_window` tokens that a token may fill; one beyond that is drawn again,
            from the whole distribution (VALL-E 2, Chen et al. 2024); 1 switches the rule off.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repeats: float = 1.0
    repeat_window: int = 10


def draw(logits: Tensor, rngs: Sequence[np.random.Generator], how: Drawing, before: Tensor) -> Tensor:
    """A token [b] of each row of logits [b, k], where impossible ones are -inf, after the tokens `before` [b, t]."""
    first, second = (torch.tensor(numbers) for numbers in zip(*(rng.random(2) for rng in rngs)))
    if how.temperature == 0 and how.repeats >= 1:
        return logits.argmax(-1).cpu()
    logits = logits.double().cpu() / max(how.temperature, 1e-6)
    chosen = _inverse(_kept(logits, how).softmax(-1), first)
    if how.repeats >= 1:
        return chosen
    recent = before[:, -how.repeat_window :].cpu()
    filled = (recent == chosen[:, None]).sum(1) / how.repeat_window
    return torch.where(filled > how.repeats, _inverse(logits.softmax(-1), second), chosen)


def _kept(logits: Tensor, how: Drawing) -> Tensor:
    """The logits with all but the likeliest at -inf."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    before = ranked.softmax(-1).cumsum(-1).roll(1, -1)
    rank = torch.arange(logits.shape[-1])
    out = (before >= how.top_p) & (rank >= LEAST)
    if how.top_k:
        out |= rank >= max(how.top_k, LEAST)
    return torch.full_like(logits, -torch.inf).scatter(-1, order, ranked.masked_fill(out, -torch.inf))


def _inverse(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The token [b] at which the cumulated probabilities [b, k] pass uniform numbers [b]."""
    passed = probabilities.cumsum(-1) <= uniform[:, None] * probabilities.sum(-1, keepdim=True)
    last = probabilities.shape[-1] - 1 - (probabilities.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(passed.sum(-1), last)
