"""Answers of the language model: text and tokens one after the other, a label at once.

Legend: b items, n frames, m bytes, q levels of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.polyspeech.layout import TARGET, Request, given, heard_in
from baselines.polyspeech.network import PolySpeechLM
from speechbase.tokens.generation import Length, Run, continued, one_position
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import collate

GREEDY = Drawing(temperature=0.0)
BYTES_A_SECOND = 30  # more than anyone says: where a text that does not end is cut
LEAST_BYTES = 20


@torch.inference_mode()
def spoken(
    network: PolySpeechLM, requests: Sequence[Request], runs: Sequence[Run], stretch: float
) -> list[tuple[Tensor, str]]:
    """What follows each request of one task (bytes [m], or tokens [n, q]), and why it ended: `end` or `limit`.

    Raises:
        UserError: more text and speech than the model's window takes.
    """
    task, device = requests[0].task, next(network.parameters()).device
    sequences = [given(request, stretch, network.levels) for request in requests]
    tokens = collate(sequences, left=True).to(device)
    heard = heard_in(sequences, list(requests), network.hear.in_features)
    vectors = network.vectors(tokens, None if heard is None else heard.to(device))

    def step(new: Tensor, count: int) -> tuple[Tensor, Tensor]:
        place = count if task == "tts" else 1 + round((count - 1) * stretch)
        places = torch.full((len(new), 1), place)
        told = {"codes": new} if task == "tts" else {"symbols": new[:, 0] + 1}
        return network.embed(one_position(TARGET, places, network.levels, **told).to(device)), places

    further = [network.further] * (network.levels - 1 if task == "tts" else 0)
    said = continued(network.lm, tokens, vectors, runs, lambda hidden: network.logits(task, hidden), step, further)
    return said if task == "tts" else [(codes[:, 0], reason) for codes, reason in said]


def transcribed(network: PolySpeechLM, heard: Sequence[Tensor], rate: float, stretch: float) -> list[tuple[str, str]]:
    """The text of embeddings [n, e] each, at `rate` frames a second, greedily; and why it ended."""
    most = [LEAST_BYTES + round(BYTES_A_SECOND * len(one) / rate) for one in heard]
    runs = [Run(Length(least=0, most=count), GREEDY, 0) for count in most]
    said = spoken(network, [Request("asr", one) for one in heard], runs, stretch)
    return [(bytes(classes.tolist()).decode(errors="replace"), reason) for classes, reason in said]


@torch.inference_mode()
def named(network: PolySpeechLM, task: str, heard: Sequence[Tensor], stretch: float) -> Tensor:
    """Probabilities [b, labels] of a naming task for embeddings [n, e] each."""
    requests = [Request(task, one) for one in heard]
    sequences = [given(request, stretch, network.levels) for request in requests]
    tokens = collate(sequences, left=True).to(next(network.parameters()).device)
    there = heard_in(sequences, requests, network.hear.in_features)
    assert there is not None
    hidden = network.hidden(tokens, there.to(tokens.real.device))
    return network.logits(task, hidden[:, -1:])[:, 0].float().softmax(-1).cpu()
