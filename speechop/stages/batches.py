"""Batches for both diffusion stages, drawn from (seed, step): what is said, heard, given and masked.

Legend: b batch, n latent frames, c latent channels, p prompt frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from speechbase.audio import at_speed
from speechbase.codec import Codec
from speechbase.corpus.shards import ShardTable
from speechbase.corpus.speech import SpeechTable
from speechbase.files import seed_of
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig
from speechop.tasks import ROWS, TABLE9

if TYPE_CHECKING:
    from speechop.stages.resident import Resident

# Beta distribution, mode 0.01 and concentration 5 (section 5): a = mode (conc - 2) + 1, b = (1 - mode) (conc - 2) + 1
CLEAN_SHARE = (1.03, 3.97)


@dataclass
class Batch:
    """One micro-batch; every tensor's first axis is b.

    `target` [b, n, c] latents, `mask` [b, n] real frames, `clean` [b, n] given frames, `task` [b], `source` [b, n, c]
    or None, `keep` [b] false where the condition is dropped (10 %), `texts` or their `tokens` with lengths or None,
    `logsnr` [b], `eps` [b, n, c]. `prompt` frames are prepended.
    """

    target: Tensor
    mask: Tensor
    clean: Tensor
    task: Tensor
    keep: Tensor
    logsnr: Tensor
    eps: Tensor
    source: Tensor | None = None
    texts: list[str] | None = None
    tokens: tuple[Tensor, Tensor] | None = None  # [b, t] and [b], where the texts were encoded before
    prompt: int = 0

    def to(self, device) -> Batch:
        """The batch on a device."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        if self.tokens is not None:
            moved["tokens"] = self.tokens[0].to(device), self.tokens[1].to(device)
        return replace(self, **moved)


class Drawer:
    """Draws batches of all tasks from speech tables; equal (seed, step) give equal batches.

    `ranks` processes share a global batch: item i belongs to rank i mod ranks. Single sentences of a table with stored
    latents are not encoded again. `tasks` are the rows of the network's task embedding. Text-to-speech batches come
    from `resident` where there is one.
    """

    def __init__(
        self,
        speech: SpeechTable | None,
        codec: Codec,
        config: BatchConfig,
        weight: SigmoidWeight,
        seed: int,
        degrader=None,
        rank: int = 0,
        ranks: int = 1,
        tasks: tuple[str, ...] = ROWS,
        resident: Resident | None = None,
    ):
        self.codec, self.config, self.weight, self.seed = codec, config, weight, seed
        self.degrader, self.rank, self.ranks, self.tasks, self.resident = degrader, rank, ranks, tasks, resident
        self._speech = None if speech is None else speech.with_text()
        self.encoded = self._speech if isinstance(self._speech, ShardTable) and self._speech.has_latents else None

    @property
    def speech(self) -> SpeechTable:
        """What is said. Raises: ValueError: all of it lies on the device."""
        if self._speech is None:
            raise ValueError("this drawer has no audio: its sentences come from the device")
        return self._speech

    def _generators(self, size: int, *stream) -> list[np.random.Generator]:
        mine = range(self.rank, size * self.ranks, self.ranks)
        return [np.random.default_rng(seed_of(self.seed, *stream, index)) for index in mine]

    # -- text to speech --------------------------------------------------------------------------------------------

    def tts(self, *stream) -> Batch:
        """A text-to-speech batch: utterances of one to a few sentences of one speaker, with inpainting (75 %).

        Where several sentences are joined the batch has as many fewer items, so that batches are about equally long.
        """
        if self.resident is not None:
            return self.resident.tts(*stream)
        shared = np.random.default_rng(seed_of(self.seed, "sentences", *stream))
        count = int(shared.choice(self.config.sentences))
        size, among = self.config.tts_batch // count, None
        if self.config.tts_seconds:
            among = self.speech.alike(shared, self.config.alike, self.config.recorded)
            size = round(self.config.tts_seconds / (count * self.speech.rows["seconds"].to_numpy()[among].mean()))
        rngs = self._generators(max(1, size), "tts", *stream)
        if self.encoded is not None and count == 1 and self.config.speed == (1.0, 1.0):
            target, frames, texts = self._stored(self.encoded, rngs)
        else:
            spoken = [self.utterance(rng, count, among) for rng in rngs]
            target, frames = self._encode([wave for wave, _ in spoken])
            texts = [text for _, text in spoken]
        clean = [inpainting(r, n) for r, n in zip(rngs, frames)]
        return self._finish(rngs, target, frames, clean, ["tts"] * len(rngs), texts=texts)

    def utterance(
        self, rng: np.random.Generator, count: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, str]:
        """`count` sentences of one speaker, joined by pauses: (audio [s], text); the first of the places `among`."""
        place = self.speech.draw(rng, self.config.recorded) if among is None else int(rng.choice(among))
        speed = self._speed(rng)
        wave, text = self.speech.joined(place, rng, count, self.config.pause_seconds)
        return at_speed(wave, speed), text

    def _speed(self, rng: np.random.Generator) -> float:
        """Speed perturbation of one item; nothing is drawn where none is wanted."""
        return 1.0 if self.config.speed == (1.0, 1.0) else float(rng.uniform(*self.config.speed))

    def _stored(self, table: ShardTable, rngs: list[np.random.Generator]) -> tuple[Tensor, list[int], list[str]]:
        """Stored latents [b, n, c] of the utterances that `utterance` would draw, their frames and texts."""
        places = [int(rng.integers(len(table))) for rng in rngs]
        latents = [torch.from_numpy(table.latent(place).astype(np.float32)) for place in places]
        padded = torch.nn.utils.rnn.pad_sequence(latents, batch_first=True).to(self.codec.mean.device)
        return padded, [len(rows) for rows in latents], [table.rows["text"].iat[place] for place in places]

    # -- speech to speech ------------------------------------------------------------------------------------------

    def s2s(self, *stream) -> Batch:
        """A speech-to-speech batch: crops of one length, so that nothing is padded but left-out prompts.

        Tasks that prepend a prompt and tasks that do not fill separate micro-batches, in proportion to Table 9's
        weights.
        """
        shared = np.random.default_rng(seed_of(self.seed, "group", *stream))
        tasks = [TABLE9[name] for name in self.config.tasks]
        prepending = [task for task in tasks if task.prompt_probability > 0.5]
        share = sum(task.weight for task in prepending) / sum(task.weight for task in tasks)
        prepend = bool(shared.random() < share)
        group = prepending if prepend else [task for task in tasks if task not in prepending]
        weights = np.array([task.weight for task in group]) / sum(task.weight for task in group)
        rngs = self._generators(self.config.s2s_batch, "s2s", *stream)
        names = [group[int(rng.choice(len(group), p=weights))].name for rng in rngs]
        crop = round(self.config.crop_seconds * self.codec.rate_hz / self.codec.hop)
        prompt = (
            round(shared.uniform(*self.config.prompt_seconds) * self.codec.rate_hz / self.codec.hop) if prepend else 0
        )
        speeds = [self._speed(rng) for rng in rngs]
        pairs = self.degrader.pairs(names, rngs, crop * self.codec.hop, prompt * self.codec.hop, speeds)
        target, source = self.codec.encode(torch.cat([pairs.target, pairs.source])).chunk(2)
        if prepend:
            heard = self.codec.encode(pairs.prompt)
            target, source = torch.cat([heard, target], 1), torch.cat([heard, source], 1)
        frames = [crop + prompt] * len(rngs)
        clean = [self._prompt(rng, name, crop, prompt) for rng, name in zip(rngs, names)]
        return self._finish(rngs, target, frames, clean, names, source=source, prompt=prompt)

    @staticmethod
    def _prompt(rng: np.random.Generator, name: str, crop: int, prompt: int) -> np.ndarray:
        """Given frames: the prepended prompt, or in 10 % of the other tasks' items their own first frames."""
        clean = np.zeros(prompt + crop, bool)
        if rng.random() < TABLE9[name].prompt_probability:
            clean[: prompt or round(rng.beta(*CLEAN_SHARE) * crop)] = True
        return clean

    # -- both ------------------------------------------------------------------------------------------------------

    def _encode(self, waves: list[np.ndarray]) -> tuple[Tensor, list[int]]:
        """Latents [b, n, c] of audio of several lengths, and how many frames of each are real."""
        frames = [len(wave) // self.codec.hop for wave in waves]
        padded = np.zeros((len(waves), max(frames) * self.codec.hop), np.float32)
        for row, wave, n in zip(padded, waves, frames):
            row[: n * self.codec.hop] = wave[: n * self.codec.hop]
        return self.codec.encode(torch.from_numpy(padded).to(self.codec.mean.device)), frames

    def _finish(self, rngs, target, frames, clean, names, *, source=None, texts=None, prompt: int = 0) -> Batch:
        """Draw dropout, noise level and noise, and collate."""
        _, n, c = target.shape
        keep = np.array([rng.random() >= self.config.drop for rng in rngs])
        uniform = torch.tensor([rng.random() for rng in rngs])
        eps = np.stack(
            [np.pad(rng.standard_normal((f, c), np.float32), ((0, n - f), (0, 0))) for rng, f in zip(rngs, frames)]
        )
        given = torch.from_numpy(np.stack([np.pad(row, (0, n - len(row))) for row in clean]))
        mask = torch.arange(n) < torch.tensor(frames)[:, None]
        kept = torch.from_numpy(keep)
        given &= kept[:, None]  # dropping the condition drops the prompt as well (joint guidance, Appendix E.3)
        if prompt:  # a prepended prompt that is not given does not exist
            mask[:, :prompt] &= given[:, :prompt]
        device = target.device
        return Batch(
            target=target, mask=mask, clean=given, task=torch.tensor([self.tasks.index(name) for name in names]),
            keep=kept, logsnr=self.weight.draw(uniform), eps=torch.from_numpy(eps), source=source, texts=texts,
            prompt=prompt,
        ).to(device)  # fmt: skip


def inpainting(rng: np.random.Generator, n: int) -> np.ndarray:
    """Given frames [n]: none (25 %), a prefix, or all but a middle part (half of the rest each; section 5)."""
    clean = np.zeros(n, bool)
    if rng.random() >= TABLE9["tts"].prompt_probability:
        return clean
    given = round(rng.beta(*CLEAN_SHARE) * n)
    left = given if rng.random() < 0.5 else int(rng.integers(given + 1))
    clean[:left] = True
    clean[n - (given - left) :] = given > left
    return clean
