"""Audio that the unlabelled models learn from: crops of speech, in noise now and then, with other speech of the voice.

Legend: b items, s samples, p samples of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from baselines.polyspeech.settings import CropConfig
from speechbase.corpus import degrade
from speechbase.corpus.pairs import Pairs
from speechbase.corpus.shards import open_speech
from speechbase.files import seed_of


@dataclass
class Crop:
    """Clean speech and what is heard of it [b, s], and other speech of the same voices [b, p]."""

    clean: Tensor
    heard: Tensor
    prompt: Tensor


class Crops(Pairs):
    """`Pairs` whose items are speech alone, in all languages that there are."""

    @classmethod
    def of(cls, data: Path, split: str, config: dict, rate_hz: int, device="cpu") -> Crops:
        """The speech of a split with that of its further languages; errors as `Pairs.load`."""
        speech = open_speech(data, split, rate_hz, languages=True)
        return cls.load(data, split, config, rate_hz, device, speech=speech)

    def draw(self, how: CropConfig, hop: int, *stream) -> Crop:
        """A micro-batch that depends on its stream of numbers alone; `hop` samples a frame."""
        rngs = [np.random.default_rng(seed_of(*stream, item)) for item in range(how.size)]
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
