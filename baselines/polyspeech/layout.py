"""PolySpeech's tasks as sequences: what is given, then what is wanted (arXiv 2406.07801).

| task | given | wanted |
|---|---|---|
| asr | `<asr>` speech | text |
| tts | `<tts>` text | semantic tokens |
| lid, gid | `<lid>` or `<gid>` speech | one label |

What is given is seen by all positions, what is wanted only by those after it. Positions restart at each segment. A
text's bytes stand evenly over the speech that says it where its length is known, which is in training, else as far
apart as they do in speech on average (`stretch` frames): a byte and the frames that say it have near places, since
hours of speech are too few to learn that from.

Legend: n frames, m bytes, q levels of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from speechbase.tokens.sequences import BYTES, Sequence, text_bytes

KINDS = ("text", "speech", "target")
TEXT, SPEECH, TARGET = range(len(KINDS))
TASKS = ("asr", "tts", "lid", "gid")
SIGNS = ("start", *TASKS)
NAMING = ("lid", "gid")  # tasks that are answered with a label


@dataclass(frozen=True)
class Request:
    """What a model is given for one item: embeddings [n, e] of speech, or a text.

    In training, `frames` is how long its speech is, and `told` from which frame on the model hears what it has said.
    """

    task: str
    heard: Tensor | None = None
    text: str = ""
    frames: int | None = None
    told: int = 0


def sign(name: str) -> int:
    """The symbol of a sign."""
    return 1 + BYTES + SIGNS.index(name)


def given(request: Request, stretch: float, levels: int) -> Sequence:
    """The task's sign, and speech or text, up to the start sign of what is wanted; tokens have so many levels."""
    sequence = Sequence(levels)
    if request.heard is None:
        symbols = text_bytes(request.text)
        step = request.frames / len(symbols) if request.frames else stretch
        sequence.add_symbols(TEXT, [sign(request.task)]).add_symbols(TEXT, symbols, 1, step=step)
    else:
        sequence.add_symbols(SPEECH, [sign(request.task)]).add_symbols(SPEECH, [0] * len(request.heard), 1)
    return sequence.add_symbols(TARGET, [sign("start")], causal=True)


def with_text(sequence: Sequence, symbols: list[int], stretch: float) -> Sequence:
    """The text that was wanted, of symbols [m]."""
    return sequence.add_symbols(TARGET, symbols, 1, causal=True, step=stretch)


def with_tokens(sequence: Sequence, tokens: Tensor, told: int = 0) -> Sequence:
    """The speech that was wanted, of tokens [n, q]; of the frames before `told` places alone."""
    return sequence.add_codes(TARGET, tokens, 1, causal=True, told=told)


def heard_in(sequences: list[Sequence], requests: list[Request], width: int) -> Tensor | None:
    """What each position hears [b, n, e], padded at the left; zeros where it hears nothing, None where none does."""
    if all(request.heard is None for request in requests):
        return None
    longest = max(map(len, sequences))
    heard = torch.zeros(len(sequences), longest, width)
    for row, sequence, request in zip(heard, sequences, requests):
        if request.heard is not None:
            first = longest - len(sequence) + 1  # after the padding and the task's sign
            row[first : first + len(request.heard)] = request.heard.cpu()
    return heard
