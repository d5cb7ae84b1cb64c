"""SpeechX's tasks as sequences: text, acoustic prompt, wanted output (its task table; arXiv 2308.06873).

| task | text | acoustic prompt | output |
|---|---|---|---|
| ns, noise suppression | transcript or nothing | `<ns>` source | clean speech |
| sr, speech removal | transcript or nothing | `<sr>` source | noise |
| tse, target speaker extraction | target's transcript or nothing | enrolment `<tse>` mixture | the target |
| tts, zero-shot | the new words | other speech of the speaker | speech |
| edit | edited transcript, whole | before `<soe> <mask> <eoe>` after | the whole edited recording |
| edit_noisy | edited transcript, whole | before `<soe>` the noisy middle `<eoe>` after | as noisy as before |

Positions restart at each segment, so a source frame and the frame that answers it have equal ones; what follows an edit
stands where it will stand in the output. A text's bytes are spread evenly over the output's frames (of TTS, whose
length is not known: as far apart as they are in speech on average), so that rotary attention begins near the words that
it has to find. Legend: n frames, q levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from speechbase.tokens.sequences import BYTES, NO_CODE, Sequence, text_bytes

KINDS = ("text", "prompt", "source", "target")
TEXT, PROMPT, SOURCE, TARGET = range(len(KINDS))
SIGNS = ("start", "ns", "sr", "tse", "soe", "eoe", "mask")
ALIGNED = ("ns", "sr", "tse")  # output as long as the source, frame by frame
EDITS = ("edit", "edit_noisy")
TEXT_MAY_LACK = ALIGNED


@dataclass(frozen=True)
class Request:
    """What a model is given for one item.

    Attributes:
        text: what the output says, None where the task may do without.
        prompt: codes [p, q] of other speech of the speaker (tse, tts).
        source: codes [n, q] (all but tts).
        span: of an edit: the source's frames [first, second) give way to `third` new ones.
        sign: another task's sign in the place of the own one (does the sign decide the task?).
        frames: how long the output is, where neither source nor span says so and it is known (TTS in training).
    """

    task: str
    text: str | None = None
    prompt: Tensor | None = None
    source: Tensor | None = None
    span: tuple[int, int, int] | None = None
    sign: str | None = None
    frames: int | None = None


def sign(name: str) -> int:
    """The symbol of a sign."""
    return 1 + BYTES + SIGNS.index(name)


def condition(request: Request, levels: int, heard: int, frames_a_byte: float) -> Sequence:
    """Everything before the output; of prompt and source the first `heard` levels.

    `frames_a_byte` is how far apart a text's bytes stand where the output's length is not known.
    """
    sequence = Sequence(levels)
    if request.text is not None:
        symbols, frames = text_bytes(request.text), _output_frames(request)
        step = frames_a_byte if frames is None else frames / len(symbols)
        sequence.add_symbols(TEXT, symbols, step=step)
    if request.prompt is not None:
        sequence.add_codes(PROMPT, request.prompt[:, :heard])
    if request.source is None:
        return sequence
    source = request.source[:, :heard]
    if request.task in ALIGNED:
        return sequence.add_symbols(SOURCE, [sign(request.sign or request.task)]).add_codes(SOURCE, source)
    first, last, new = _span(request)
    sequence.add_codes(SOURCE, source[:first]).add_symbols(SOURCE, [sign("soe")], first)
    if request.task == "edit":
        sequence.add_symbols(SOURCE, [sign("mask")], first)
    else:
        sequence.add_codes(SOURCE, source[first:last], first)
    return sequence.add_symbols(SOURCE, [sign("eoe")], first + new).add_codes(SOURCE, source[last:], first + new)


def spoken_so_far(sequence: Sequence, codes: Tensor, told: int = 0) -> Sequence:
    """For the autoregressive model: the start sign and the output's frames [n, s] of the levels that it says, each one
    place later; of those before frame `told` places alone."""
    sequence.add_symbols(TARGET, [sign("start")], causal=True)
    return sequence.add_codes(TARGET, codes, 1, causal=True, told=told)


def refined_so_far(sequence: Sequence, codes: Tensor, level: int, given: Tensor) -> Sequence:
    """For the other model: the output's frames [n, q] with the levels below `level` (from 0), all of those `given`."""
    hidden = torch.arange(codes.shape[1]) >= level
    return sequence.add_codes(TARGET, codes.masked_fill(hidden & ~given[:, None], NO_CODE))


def kept(request: Request, frames: int) -> Tensor:
    """Which of an output's frames [n] are the source's own: all but an edit's new ones."""
    given = torch.zeros(frames, dtype=torch.bool)
    if request.task in EDITS:
        first, _, new = _span(request)
        given[:first] = True
        given[first + new :] = True
    return given


def _output_frames(request: Request) -> int | None:
    """How long the output will be, where that is known."""
    if request.source is None:
        return request.frames
    first, last, new = _span(request) if request.task in EDITS else (0, 0, 0)
    return len(request.source) - (last - first) + new


def _span(request: Request) -> tuple[int, int, int]:
    assert request.span is not None, "an edit has a span"
    return request.span
