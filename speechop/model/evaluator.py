"""Leaves of the composition algebra that the network computes: one batched evaluation a step, nothing computed twice.

Legend: b utterances, n frames of the longest utterance, m = leaves x b rows, l frames of the longest row (contexts
included).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speechbase.precision import in_bf16
from speechop.guidance import Leaf
from speechop.model.network import SpeechOpNetwork, Text


@dataclass(frozen=True, eq=False)
class Condition:
    """What a leaf is conditioned on, an entry an utterance.

    `source` [n_i, c] latents; `transcript` text; `left` and `right` [p_i, c] clean latents around the free frames (a
    prompt is a left context: it is prepended to source and latent alike, section 5); `left_heard` [p_i, c] is prepended
    to the source instead of `left`, where it is given. Conditions are equal when they name the same task and the very
    same tensors and texts.
    """

    task: str
    source: tuple[Tensor, ...] | None = None
    transcript: tuple[str, ...] | None = None
    left: tuple[Tensor, ...] | None = None
    right: tuple[Tensor, ...] | None = None
    left_heard: tuple[Tensor, ...] | None = None

    def null(self) -> Condition:
        """The task alone: no source, transcript or prompt."""
        return Condition(self.task)

    def _key(self):
        tensors = (self.source, self.left, self.right, self.left_heard)
        return self.task, self.transcript, *(None if group is None else tuple(map(id, group)) for group in tensors)

    def __eq__(self, other) -> bool:
        return isinstance(other, Condition) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass
class _Prepared:
    """What a set of leaves needs at every step and does not depend on it."""

    canvas: Tensor  # [m, l, c] with the given contexts filled in
    clean: Tensor  # [m, l]
    mask: Tensor | None  # [m, l]
    task: Tensor  # [m]
    rows: Tensor  # of each free frame: its row, its place in it, its utterance and its frame
    places: Tensor
    utterances: Tensor
    frames: Tensor
    text: Text
    source: Tensor | None  # [m, l, c]
    has_source: Tensor  # [m, 1, 1]
    mixed: Tensor | None  # the encoded source, where it does not depend on the step


class NetworkEvaluator:
    """Evaluates leaves for a batch of utterances of given lengths.

    Leaves that are asked for together become rows of one batch. Text encodings, keys and values, and (for an audio
    encoder without timestep) encoded sources are computed once for each set of leaves that occurs.

    Args:
        frames: free latent frames of each utterance.
        fused: false evaluates every leaf by itself and caches nothing: the plain form, for tests and benchmarks.
    """

    def __init__(self, network: SpeechOpNetwork, frames: Sequence[int], *, precision: str = "bf16", fused: bool = True):
        self.network, self.lengths, self.fused = network, list(frames), fused
        self.device = network.latent_in.weight.device
        self.precision = precision
        self._cache: dict[tuple[Leaf, ...], _Prepared] = {}
        self.calls = 0

    def term(self, task: str, **condition) -> Leaf:
        """A leaf for `task`, which the weights know; see `Condition`, each entry a sequence over utterances."""
        self.network.rows([task])
        given = {key: tuple(value) for key, value in condition.items() if value is not None}
        for key, value in given.items():
            if len(value) != len(self.lengths):
                raise ValueError(f"{key} has {len(value)} entries for {len(self.lengths)} utterances")
        return Leaf(self, Condition(task, **given))

    @torch.no_grad()
    def evaluate(self, leaves: Sequence[Leaf], z: Tensor, logsnr: float) -> list[Tensor]:
        """Velocities [b, n, c] of each leaf."""
        if self.network.config.source_mixing == "cross_attention":  # text and source use the same attention
            groups = [[leaf for leaf in leaves if (leaf.condition.source is None) == none] for none in (True, False)]
        else:
            groups = [list(leaves)]
        if not self.fused:
            groups = [[leaf] for leaf in leaves]
        values = {leaf: v for group in groups if group for leaf, v in zip(group, self._batch(tuple(group), z, logsnr))}
        return [values[leaf] for leaf in leaves]

    def _batch(self, leaves: tuple[Leaf, ...], z: Tensor, logsnr: float) -> list[Tensor]:
        self.calls += 1
        with torch.autocast(self.device.type, torch.bfloat16, enabled=in_bf16(self.device, self.precision)):
            if leaves not in self._cache or not self.fused:
                self._cache[leaves] = self._prepare([leaf.condition for leaf in leaves])
            ready = self._cache[leaves]
            canvas = ready.canvas.clone()
            canvas[ready.rows, ready.places] = z[ready.utterances, ready.frames]
            levels = torch.full((len(canvas),), logsnr, device=self.device)
            mixed, text = ready.mixed, ready.text
            if mixed is None and ready.source is not None:
                mixed, text = self._encode_source(ready, levels)
            v = self.network(canvas, levels, ready.task, text, mixed, ready.clean, ready.mask)
        out = z.new_zeros(len(leaves), *z.shape)
        out[ready.rows // len(self.lengths), ready.utterances, ready.frames] = v[ready.rows, ready.places]
        return list(out)

    def _prepare(self, conditions: list[Condition]) -> _Prepared:
        pieces = [self._pieces(condition, i) for condition in conditions for i in range(len(self.lengths))]
        totals = [sum(piece) for piece in pieces]
        m, longest, c = len(pieces), max(totals), self.network.config.latent_dim
        canvas = torch.zeros(m, longest, c, device=self.device)
        clean = torch.zeros(m, longest, dtype=torch.bool, device=self.device)
        source = torch.zeros(m, longest, c, device=self.device)
        index: list[list[int]] = []
        for row, condition in enumerate(c for c in conditions for _ in self.lengths):
            i = row % len(self.lengths)
            left, free, _ = pieces[row]
            for context, start in ((condition.left, 0), (condition.right, left + free)):
                if context is not None:
                    canvas[row, start : start + len(context[i])] = context[i]
                    clean[row, start : start + len(context[i])] = True
            if condition.source is not None:
                before = condition.left if condition.left_heard is None else condition.left_heard
                heard = condition.source[i] if before is None else torch.cat([before[i], condition.source[i]])
                source[row, : len(heard)] = heard
            index += [[row, left + frame, i, frame] for frame in range(free)]
        rows, places, utterances, frames = torch.tensor(index, device=self.device).T
        lengths = torch.tensor(totals, device=self.device)
        mask = None if min(totals) == longest else torch.arange(longest, device=self.device) < lengths[:, None]
        task = self.network.rows([c.task for c in conditions]).repeat_interleave(len(self.lengths))
        heard = torch.tensor([c.source is not None for c in conditions], device=self.device)
        heard = heard.repeat_interleave(len(self.lengths))[:, None, None]
        ready = _Prepared(canvas, clean, mask, task, rows, places, utterances, frames, self._text(conditions, lengths),
                          source if heard.any() else None, heard, None)  # fmt: skip
        if ready.source is not None and not self.network.config.encoder_time:
            ready.mixed, ready.text = self._encode_source(ready, None)
        return ready

    def _pieces(self, condition: Condition, i: int) -> tuple[int, int, int]:
        sides = [0 if side is None else len(side[i]) for side in (condition.left, condition.right)]
        return sides[0], self.lengths[i], sides[1]

    def _text(self, conditions: list[Condition], lengths: Tensor) -> Text:
        batch = len(self.lengths)
        rows = [k * batch + i for k, c in enumerate(conditions) if c.transcript is not None for i in range(batch)]
        if not rows:
            return self.network.no_text()
        tokens, counts = self.network.tokenize([text for c in conditions for text in c.transcript or ()], self.device)
        everything = torch.ones(len(rows), dtype=torch.bool, device=self.device)
        where = torch.tensor(rows, device=self.device)
        return self.network.encode_text(tokens, counts, everything, lengths[where]).among(where, len(lengths))

    def _encode_source(self, ready: _Prepared, levels: Tensor | None) -> tuple[Tensor | None, Text]:
        """The encoded source of the rows that have one: added framewise, or attended to (Appendix F)."""
        assert ready.source is not None
        having = ready.has_source[:, 0, 0].nonzero()[:, 0]
        mask = None if ready.mask is None else ready.mask[having]
        encoded = self.network.encode_source(
            ready.source[having], ready.task[having], mask, None if levels is None else levels[having]
        )
        if self.network.config.source_mixing == "framewise":
            mixed = encoded.new_zeros(len(ready.canvas), *encoded.shape[1:])
            mixed[having] = encoded
            return mixed, ready.text
        everything = torch.ones(len(having), dtype=torch.bool, device=self.device)
        return None, self.network.source_as_memory(encoded, mask, everything)
