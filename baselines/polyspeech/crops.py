"""Audio that the unlabelled models learn from: crops of speech, in noise now and then, with other speech of the voice.

Legend: b items, s samples, p samples of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from baselines.polyspeech.settings import CropConfig, PolySpeechPart
from speechbase.corpus import degrade
from speechbase.corpus.pairs import Pairs
from speechbase.corpus.shards import open_speech
from speechbase.files import seed_of
from speechbase.settings import value_of

ALONE = (0, 1)  # rank and ranks of the only process


@dataclass
class Crop:
    """Clean speech and what is heard of it [b, s], and other speech of the same voices [b, p]."""

    clean: Tensor
    heard: Tensor
    prompt: Tensor


class Crops(Pairs):
    """`Pairs` whose items are speech alone, in all languages that there are."""

    @classmethod
    def of(cls, data: Path, config: dict, rate_hz: int, device="cpu") -> tuple[Crops, Crops]:
        """The speech of training and of validation, with that of their further languages; errors as `Pairs.load`.

        Args:
            config: the model's, with `speech` and `degradation`.
        """
        tables = {"train": value_of(PolySpeechPart, config, "speech"), "valid": "valid"}
        train, valid = (
            cls.load(data, split, config["degradation"], rate_hz, device,
                     speech=open_speech(data, table, rate_hz, languages=True))
            for split, table in tables.items()
        )  # fmt: skip
        return train, valid

    def draw(self, how: CropConfig, hop: int, *stream, share: tuple[int, int] = ALONE) -> Crop:
        """A micro-batch that depends on its stream of numbers alone; `hop` samples a frame.

        Args:
            share: rank and ranks of processes that share a global batch: item i belongs to rank i mod ranks.
        """
        rank, ranks = share
        rngs = [np.random.default_rng(seed_of(*stream, item)) for item in range(rank, how.size * ranks, ranks)]
        places = [self.speech.draw(rng) for rng in rngs]
        samples, prompt = (round(s * self.speech.rate_hz / hop) * hop for s in (how.seconds, how.prompt_seconds))
        clean = self._crops(places, rngs, samples, [1.0] * how.size)
        others = [self.speech.other_of_speaker(place, rng) for place, rng in zip(places, rngs)]
        heard = self.disturbed(clean, rngs, how.noisy) if how.noisy else clean
        return Crop(clean, heard, self._crops(others, rngs, prompt, [1.0] * how.size))

    def disturbed(
        self, clean: Tensor, rngs: Sequence[np.random.Generator], share: float, lengths: list[int] | None = None
    ) -> Tensor:
        """Audio [b, s] of which a share of the items goes through the corpus's degradation."""
        params = [
            degrade.draw(
                rng, self.config if rng.random() < share else {}, range(len(self.noises)), range(len(self.rirs))
            )
            for rng in rngs
        ]
        return self._degrade(clean, params, list(rngs), lengths).source
