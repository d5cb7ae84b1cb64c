"""What SpeechX learns from: whole utterances with their words, degraded, mixed and edited as they are drawn.

Legend: b items, s samples, n frames, q levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.speechx.layout import EDITS, TEXT_MAY_LACK, Request
from baselines.speechx.settings import BatchConfig
from speechbase.audio import at_speed
from speechbase.codec.quantiser import TokenCodec
from speechbase.corpus import degrade
from speechbase.corpus.pairs import Pairs
from speechbase.files import seed_of
from speechbase.tokens.sequences import spread

NOTHING = {"eq_db": None, "compression": None, "rir": None, "cutoff_hz": None}


@dataclass
class Waves:
    """A micro-batch as audio on the device: `target`, `source` [b, s], `prompt` [b, p], real samples by item."""

    target: Tensor
    lengths: list[int]
    texts: list[str]
    source: Tensor | None = None
    prompt: Tensor | None = None
    spans: list[tuple[int, int, int]] | None = None


class TokenPairs(Pairs):
    """`Pairs` whose items are whole utterances."""

    def spoken(self, rngs: list[np.random.Generator], count: int, among: np.ndarray, how: BatchConfig) -> Waves:
        """`count` sentences an item, the first of the places `among`, padded; `places`, `speeds` are kept."""
        self.places = [self.speech.one_of(among, rng, how.even_voices) for rng in rngs]
        self.speeds = [1.0 if how.speed == (1.0, 1.0) else float(rng.uniform(*how.speed)) for rng in rngs]
        joined = [self.speech.joined(place, rng, count, how.pause_seconds) for place, rng in zip(self.places, rngs)]
        waves = [torch.from_numpy(at_speed(wave, speed).copy()) for (wave, _), speed in zip(joined, self.speeds)]
        padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).to(self.device)
        return Waves(padded, [len(wave) for wave in waves], [text for _, text in joined])

    def simulate(self, task: str, waves: Waves, rngs: list[np.random.Generator], how: BatchConfig, hop: int) -> Waves:
        """Source, prompt and target of a task from clean speech; `hop` samples a frame."""
        clean, lengths = waves.target, waves.lengths
        if task in ("tse", "tts"):
            samples = round(float(rngs[0].uniform(*how.prompt_seconds)) * self.speech.rate_hz)
            others = [self.speech.other_of_speaker(place, rng) for place, rng in zip(self.places, rngs)]
            waves.prompt = self._crops(others, rngs, samples, self.speeds)
        if task == "tse":
            others = [self.speech.other_speaker(place, rng) for place, rng in zip(self.places, rngs)]
            interferer = self._crops(others, rngs, clean.shape[1], [1.0] * len(rngs)) * _real(clean, lengths)
            louder_db = torch.tensor([-rng.uniform(*how.sir_db) for rng in rngs], dtype=torch.float32)
            waves.source, waves.target = degrade.mix(clean, interferer, louder_db.to(clean.device))
        if task in ("ns", "sr"):
            out = self._degrade(clean, [self._params(rng, how) for rng in rngs], rngs, lengths)
            waves.source, waves.target = out.source, clean if task == "ns" else out.noise
        if task in EDITS:
            waves.spans = [_span(rng, length // hop, how.mask_share) for rng, length in zip(rngs, lengths)]
            waves.source = clean
        if task == "edit_noisy":
            out = self._degrade(clean, [self._noise_alone(rng, how) for rng in rngs], rngs, lengths)
            waves.target = out.source
            waves.source = self._other_words(out.speech, waves, rngs, hop) + out.noise
        return waves

    def _params(self, rng: np.random.Generator, how: BatchConfig) -> dict:
        """One item's degradation: noise alone, or now and then the whole chain."""
        whole = degrade.draw(rng, self.config, range(len(self.noises)), range(len(self.rirs)))
        alone = self._noise_alone(rng, how)
        return whole if rng.random() < how.full_degradation and whole["snr_db"] is not None else alone

    def _noise_alone(self, rng: np.random.Generator, how: BatchConfig) -> dict:
        config = {"noise": {"probability": 1.0, "snr_db": list(how.snr_db)}}
        return degrade.draw(rng, config, range(len(self.noises)), []) | NOTHING

    def _other_words(self, speech: Tensor, waves: Waves, rngs: list[np.random.Generator], hop: int) -> Tensor:
        """The speech [b, s] with other speech of the same speaker in each span: what was said before the edit."""
        others = [self.speech.other_of_speaker(place, rng) for place, rng in zip(self.places, rngs)]
        said = speech.clone()
        crops = self._crops(others, rngs, speech.shape[1], self.speeds)
        for row, crop, (first, last, _) in zip(said, crops, waves.spans or []):
            row[first * hop : last * hop] = crop[: (last - first) * hop]
        return said


def _real(wave: Tensor, lengths: list[int]) -> Tensor:
    return (torch.arange(wave.shape[1]) < torch.tensor(lengths)[:, None]).to(wave)


def _span(rng: np.random.Generator, frames: int, share: tuple[float, float]) -> tuple[int, int, int]:
    """The frames [first, last) of an edit and how many take their place: as many, in training."""
    count = max(1, round(rng.uniform(*share) * frames))
    first = int(rng.integers(max(1, frames - count + 1)))
    return first, first + count, count


class Drawer:
    """Draws micro-batches of requests with their outputs; equal (seed, step) give equal ones.

    `ranks` processes share a global batch: item i belongs to rank i mod ranks.
    """

    def __init__(
        self, pairs: TokenPairs, codec: TokenCodec, config: BatchConfig, seed: int, rank: int = 0, ranks: int = 1
    ):
        self.pairs, self.codec, self.config, self.seed = pairs, codec, config, seed
        self.rank, self.ranks = rank, ranks

    def draw(self, *stream, task: str = "") -> tuple[list[Request], list[Tensor], list[np.random.Generator]]:
        """Requests, their outputs' codes [n, q] each, and the generators that go on to draw for them."""
        config = self.config
        shared = np.random.default_rng(seed_of(self.seed, "group", *stream))
        weights = np.array(list(config.tasks.values())) / sum(config.tasks.values())
        drawn = list(config.tasks)[int(shared.choice(len(weights), p=weights))]
        task, count = task or drawn, int(shared.choice(config.sentences))
        among = self.pairs.speech.alike(shared, config.alike, config.recorded)
        mine = range(self.rank, max(1, config.size // count) * self.ranks, self.ranks)
        rngs = [np.random.default_rng(seed_of(self.seed, *stream, index)) for index in mine]
        waves = self.pairs.simulate(task, self.pairs.spoken(rngs, count, among, config), rngs, config, self.codec.hop)
        target = self.codec.encode(waves.target).cpu()
        source, prompt = self._codes(waves.source), self._codes(waves.prompt)
        requests, outputs = [], []
        for row, (text, rng, length) in enumerate(zip(waves.texts, rngs, waves.lengths)):
            frames = length // self.codec.hop
            dropped = task in TEXT_MAY_LACK and rng.random() < config.text_dropped
            requests.append(
                Request(
                    task,
                    None if dropped else text,
                    None if prompt is None else prompt[row],
                    None if source is None else source[row, :frames],
                    waves.spans[row] if waves.spans else None,
                    frames=round(frames * spread(config.pace, rng)),  # of tts alone: its length is not known in use
                )
            )
            outputs.append(target[row, :frames])
        return requests, outputs, rngs

    def _codes(self, wave: Tensor | None) -> Tensor | None:
        return None if wave is None else self.codec.encode(wave).cpu()
