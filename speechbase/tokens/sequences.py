"""Sequences of text bytes, signs and residual codes, and batches of them.

Legend: b batch, n positions, q levels of codes.
"""

from __future__ import annotations

from collections.abc import Sequence as Series
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from speechbase.files import UserError
from speechbase.texts import spoken

NO_CODE = -1
BYTES = 256  # symbols 1..256 are bytes; 0 is no symbol, and a model's own signs follow
MAX_TEXT = 1024  # bytes that are said at once


def text_bytes(text: str) -> list[int]:
    """Symbols (1..256) of a text in the form that models know.

    Raises:
        UserError: no letter or digit, or more than 1,024 bytes.
    """
    plain = spoken(text)
    if not any(character.isalnum() for character in plain):
        raise UserError(f"The text {text[:60]!r} has no letters or digits: there is nothing to say.")
    data = plain.encode()
    if len(data) > MAX_TEXT:
        raise UserError(f"A text of {len(data)} bytes is too long (at most {MAX_TEXT}): split it into sentences.")
    return [1 + byte for byte in data]


@dataclass
class Sequence:
    """One item's positions, in order, as they are added.

    Attributes:
        kinds: of each position, the segment that it belongs to (text, prompt, ...), a number from 0 on.
        symbols: a byte or sign, 0 where there is none.
        codes: q codes of a frame; `NO_CODE` where a level, or the whole frame, is not there.
        places: position in its own segment: they restart, so that a source frame and the frame that answers it agree.
        causal: whether it is seen only by positions that are not before it (a target), or by all (a condition).
    """

    levels: int
    kinds: list[int] = field(default_factory=list)
    symbols: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    causal: list[bool] = field(default_factory=list)
    codes: list[Tensor] = field(default_factory=list)

    def add_symbols(
        self, kind: int, symbols: Series[int], place: int = 0, causal: bool = False, step: float = 1.0
    ) -> Sequence:
        """Append symbols at places from `place` on, `step` apart (rounded)."""
        nothing = torch.full((len(symbols), self.levels), NO_CODE)
        self._add(kind, list(symbols), nothing, place, causal)
        if step != 1:
            self.places[len(self) - len(symbols) :] = [place + round(number * step) for number in range(len(symbols))]
        return self

    def add_codes(self, kind: int, codes: Tensor, place: int = 0, causal: bool = False, told: int = 0) -> Sequence:
        """Append frames of codes [n, up to q] at places from `place` on; of those before frame `told` their places
        alone."""
        frames = codes.new_full((len(codes), self.levels), NO_CODE)
        frames[told:, : codes.shape[1]] = codes[told:]
        return self._add(kind, [0] * len(codes), frames, place, causal)

    def _add(self, kind: int, symbols: list[int], codes: Tensor, place: int, causal: bool) -> Sequence:
        count = len(symbols)
        self.kinds += [kind] * count
        self.symbols += symbols
        self.places += range(place, place + count)
        self.causal += [causal] * count
        self.codes.append(codes.long().cpu())
        return self

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass
class Tokens:
    """`kinds`, `symbols`, `places` int [b, n], `codes` int [b, n, q], `real` and `causal` [b, n]."""

    kinds: Tensor
    symbols: Tensor
    places: Tensor
    codes: Tensor
    real: Tensor
    causal: Tensor

    def to(self, device: torch.device | str) -> Tokens:
        """The batch on a device."""
        return Tokens(**{name: tensor.to(device) for name, tensor in vars(self).items()})

    def visible(self, causal: bool = True) -> Tensor:
        """Which positions [b, 1, n, n] (last axis) each one may attend to: all real ones, but no causal one after it.

        A padded position sees itself, so that its softmax is finite.
        """
        n = self.real.shape[1]
        order = torch.arange(n, device=self.real.device)
        seen = self.real[:, None, :].expand(-1, n, -1)
        if causal:
            seen = seen & (~self.causal[:, None, :] | (order[:, None] >= order))
        return (seen | torch.eye(n, dtype=torch.bool, device=seen.device))[:, None]


def collate(sequences: Series[Sequence], *, left: bool = False) -> Tokens:
    """A padded batch; with `left` the padding stands first, so that all rows go on at one place (generation)."""
    longest = max(map(len, sequences))
    rows = []
    for one in sequences:
        pad = (longest - len(one), 0) if left else (0, longest - len(one))
        fields = {name: torch.tensor(getattr(one, name)) for name in ("kinds", "symbols", "places", "causal")}
        fields |= {"codes": torch.cat(one.codes), "real": torch.ones(len(one), dtype=torch.bool)}
        rows.append({name: _padded(tensor, pad, NO_CODE if name == "codes" else 0) for name, tensor in fields.items()})
    return Tokens(**{name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def _padded(tensor: Tensor, pad: tuple[int, int], value: int) -> Tensor:
    before, after = (tensor.new_full((count, *tensor.shape[1:]), value) for count in pad)
    return torch.cat([before, tensor, after])


def spread(factors: tuple[float, float], rng: np.random.Generator) -> float:
    """A factor out of a range, drawn evenly in its logarithm; 1 of none."""
    low, high = factors
    return 1.0 if low == high == 1 else float(np.exp(rng.uniform(np.log(low), np.log(high))))


def unheard(frames: int, share: float, rng: np.random.Generator) -> int:
    """Before which of its frames a model is not told in training what it said: none, but in this share of the items a
    random one (0 to `frames`).

    Speech foretells itself so well that a model looks at its text for the first word alone, unless any place may be one
    where it knows as little as there.
    """
    return int(rng.integers(frames + 1)) if rng.random() < share else 0
