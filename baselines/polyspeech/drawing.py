"""What PolySpeech learns from: utterances with their words, and crops with their language and their speaker's sex.

Legend: b items, s samples, n frames, e width of the embeddings.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baselines.polyspeech.crops import Crops
from baselines.polyspeech.hubert import Semantic, frames_of
from baselines.polyspeech.layout import NAMING, Request
from baselines.polyspeech.settings import BatchConfig
from baselines.polyspeech.sset import Sset
from speechbase.audio import at_speed
from speechbase.codec import Codec
from speechbase.corpus.speech import SpeechTable
from speechbase.files import seed_of
from speechbase.tokens.sequences import spread, text_bytes, unheard

COLUMNS = {"lid": "language", "gid": "sex"}  # of the speech, that a naming task asks for


class Drawer:
    """Draws micro-batches of requests with what is wanted; equal (seed, stream) give equal ones.

    Args:
        spoken, named: English speech with its words, and speech of all languages.
        semantic: what makes embeddings of latents; None hears the latents themselves.
        sset: what makes tokens of semantic embeddings, by `tokens_of`.
        labels: of each naming task, in the order of its classes.
        rank, ranks: processes share a global batch: item i belongs to rank i mod ranks.
    """

    def __init__(
        self,
        spoken: Crops,
        named: Crops,
        codec: Codec,
        hearing: Semantic | None,
        tokens_of: tuple[Semantic, Sset],
        config: BatchConfig,
        labels: dict[str, list[str]],
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ):
        self.spoken, self.named, self.codec, self.hearing, self.tokens_of = spoken, named, codec, hearing, tokens_of
        self.config, self.labels, self.seed, self.rank, self.ranks = config, labels, seed, rank, ranks
        self.weights = weights_of(config, len(spoken.speech), len(named.speech))

    def draw(self, *stream, task: str = "") -> tuple[list[Request], list[Tensor]]:
        """Requests of one task, and of each what is wanted: bytes [m], tokens [n, q] or one label, no end."""
        shared = np.random.default_rng(seed_of(self.seed, "group", *stream))
        shares = np.array(list(self.weights.values())) / sum(self.weights.values())
        task = task or list(self.weights)[int(shared.choice(len(shares), p=shares))]
        mine = range(self.rank, items_of(self.config, task) * self.ranks, self.ranks)
        rngs = [np.random.default_rng(seed_of(self.seed, *stream, index)) for index in mine]
        if task in NAMING:
            return self._named(task, rngs)
        places = self._alike(self.spoken.speech, shared, rngs)
        texts = [self.spoken.speech.rows["text"].iat[place] for place in places]
        waves = [self._at_speed(self.spoken.speech.wave(place), rng) for place, rng in zip(places, rngs)]
        if task == "asr":
            return self._recognised(waves, texts, rngs)
        said = self._tokens(waves)
        return [self._to_say(text, len(one), rng) for text, one, rng in zip(texts, said, rngs)], said

    def _to_say(self, text: str, frames: int, rng: np.random.Generator) -> Request:
        """A text that has so many frames, spread over more or fewer: what is to be spoken has no length yet."""
        told, low_high = unheard(frames, self.config.unheard, rng), self.config.pace
        return Request("tts", text=text, frames=round(frames * spread(low_high, rng)), told=told)

    def _alike(self, speech: SpeechTable, shared: np.random.Generator, rngs: list) -> list[int]:
        among = speech.alike(shared, self.config.alike)
        return [int(rng.choice(among)) for rng in rngs]

    def _at_speed(self, wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        low, high = self.config.speed
        return wave if low == high == 1 else at_speed(wave, float(rng.uniform(low, high)))

    def _recognised(self, waves: list[np.ndarray], texts: list[str], rngs: list) -> tuple[list[Request], list[Tensor]]:
        heard = self._heard(waves, rngs, self.spoken)
        wanted = [torch.tensor(text_bytes(text)) - 1 for text in texts]
        return [Request("asr", one) for one in heard], wanted

    def _named(self, task: str, rngs: list[np.random.Generator]) -> tuple[list[Request], list[Tensor]]:
        speech = self.named.speech
        places = [int(rng.integers(len(speech))) for rng in rngs]
        waves = [self._crop(self._at_speed(speech.wave(place), rng), rng) for place, rng in zip(places, rngs)]
        column = speech.rows[COLUMNS[task]]
        wanted = [torch.tensor([self.labels[task].index(column.iat[place])]) for place in places]
        return [Request(task, one) for one in self._heard(waves, rngs, self.named)], wanted

    def _crop(self, wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = min(len(wave), round(rng.uniform(*self.config.crop_seconds) * self.codec.rate_hz))
        start = int(rng.integers(len(wave) - count + 1))
        return wave[start : start + count]

    def _heard(self, waves: list[np.ndarray], rngs: list[np.random.Generator], crops: Crops) -> list[Tensor]:
        """Embeddings [n, e] of each, some of them in noise."""
        padded, lengths = _padded(waves, crops.device)
        if self.config.noisy:
            padded = crops.disturbed(padded, rngs, self.config.noisy, lengths)
        return embeddings(self.codec, self.hearing, padded, lengths)

    def _tokens(self, waves: list[np.ndarray]) -> list[Tensor]:
        """Tokens [n, q] of each."""
        semantic, sset = self.tokens_of
        found = embeddings(self.codec, semantic, *_padded(waves, self.spoken.device))
        return [tokens_of(sset, one) for one in found]


def weights_of(config: BatchConfig, spoken: int, named: int) -> dict[str, float]:
    """How often micro-batches have each task, up to a factor: by weight, and by its data's utterances where they count.

    Args:
        spoken, named: utterances of English with its words, and of all languages.
    """
    volumes = {task: named if task in NAMING else spoken for task in config.tasks}
    return {task: weight * (volumes[task] if config.draw == "volume" else 1) for task, weight in config.tasks.items()}


def items_of(config: BatchConfig, task: str) -> int:
    """Items of a micro-batch of a task."""
    return config.size * (config.naming if task in NAMING else 1)


def _padded(waves: list[np.ndarray], device) -> tuple[Tensor, list[int]]:
    tensors = [torch.from_numpy(np.ascontiguousarray(wave, np.float32)) for wave in waves]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device), [len(wave) for wave in waves]


@torch.no_grad()
def embeddings(codec: Codec, semantic: Semantic | None, waves: Tensor, lengths: list[int]) -> list[Tensor]:
    """What a model hears of audio [b, s] of so many samples each: [n, e], or the latents themselves."""
    with torch.autocast(waves.device.type, enabled=False):
        latents = codec.encode(waves)
        real = frames_of(codec, lengths, latents.shape[1]).to(latents.device)
        found = latents if semantic is None else semantic(latents, real)
    return [one[keep] for one, keep in zip(found, real)]


@torch.no_grad()
def tokens_of(sset: Sset, embedded: Tensor) -> Tensor:
    """Tokens [n, q] of one item's semantic embeddings [n, e]; each alone, since padding would be heard at its end."""
    with torch.autocast(embedded.device.type, enabled=False):
        return sset.encode(embedded[None])[0].cpu()
