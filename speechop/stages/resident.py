"""Text-to-speech batches from latents that lie on the device as a whole, drawn there: no GPU waits for processors."""

from __future__ import annotations

import numpy as np
import torch

from speechbase.corpus.latents import Latents
from speechbase.files import UserError, seed_of
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig, NetworkConfig
from speechop.stages.batches import Batch, inpainting


class Resident:
    """Draws what `Drawer.tts` draws, of utterances alike in length; equal (seed, stream, rank) give equal batches.

    Ranks draw other utterances of the same lengths. Validation (a stream that begins with "valid") hears every
    utterance once before one comes again.

    Args:
        latents: of one split (`speechbase.corpus.latents`).
        network: the network's sizes: its alphabet must be the one that the tokens were made with.
        frame_rate_hz: of the codec.
    """

    def __init__(
        self,
        latents: Latents,
        config: BatchConfig,
        weight: SigmoidWeight,
        seed: int,
        device,
        network: NetworkConfig,
        frame_rate_hz: float,
        rank: int = 0,
    ):
        if latents.alphabet != network.text.alphabet:
            raise UserError(
                "The packed latents have the phonemes of another alphabet than the network: pack them again."
            )
        self.config, self.weight, self.seed, self.device, self.tasks = config, weight, seed, device, network.tasks
        self.step, self.frames, self.frame_rate_hz, self.rank = latents.step, latents.frames, frame_rate_hz, rank
        self.values = torch.from_numpy(latents.values).to(device)
        self.starts = np.concatenate([[0], np.cumsum(latents.frames[:-1], dtype=np.int64)])
        self.counts = latents.counts
        ends = np.cumsum(latents.counts)
        tokens = np.zeros((len(latents), latents.counts.max()), np.int64)
        for row, end, count in zip(tokens, ends, latents.counts):
            row[:count] = latents.tokens[end - count : end]
        self.tokens = torch.from_numpy(tokens).to(device)
        pools = [np.flatnonzero(latents.recorded == real) for real in (True, False)]
        self.real, self.synthetic = (pool[np.argsort(self.frames[pool], kind="stable")] for pool in pools)

    def _size(self, frames: np.ndarray) -> int:
        """How many utterances of about so many frames a batch has."""
        seconds = self.config.tts_seconds
        return max(1, round(seconds * self.frame_rate_hz / frames.mean())) if seconds else self.config.tts_batch

    def _places(self, rng: np.random.Generator, *stream) -> np.ndarray:
        """Utterances [b] next in length to a random one, `tts_seconds` of them."""
        config, shared = self.config, np.random.default_rng(seed_of(self.seed, "alike", *stream))
        share = len(self.real) / len(self.frames) if config.recorded is None else config.recorded
        real = len(self.real) and (not len(self.synthetic) or shared.random() < share)
        pool = self.real if real else self.synthetic
        start = int(shared.integers(len(pool))) - config.alike // 2
        window = pool[max(0, min(start, len(pool) - config.alike)) :][: config.alike]
        return rng.choice(window, self._size(self.frames[window]))

    def _held_out(self, number: int) -> np.ndarray:
        """The utterances [b] of a batch of validation: neighbours in length, the batches in a random order."""
        ordered = np.argsort(self.frames, kind="stable")
        batches = np.array_split(ordered, -(-len(ordered) // self._size(self.frames)))
        order = np.random.default_rng(seed_of(self.seed, "valid")).permutation(len(batches))
        return batches[order[number % len(batches)]]

    def tts(self, *stream) -> Batch:
        """A text-to-speech batch on the device (see `Drawer.tts`)."""
        seed = seed_of(self.seed, "tts", *stream, self.rank)
        rng = np.random.default_rng(seed)
        places = self._held_out(stream[1]) if stream[0] == "valid" else self._places(rng, *stream)
        frames, n = self.frames[places], int(self.frames[places].max())
        on_device = torch.as_tensor(places, device=self.device)
        index = torch.as_tensor(self.starts[places], device=self.device)[:, None] + torch.arange(n, device=self.device)
        mask = torch.arange(n, device=self.device) < torch.as_tensor(frames, device=self.device)[:, None]
        target = self.values[index.clamp(max=len(self.values) - 1)].float() * self.step * mask[..., None]
        keep = rng.random(len(places)) >= self.config.drop
        clean = torch.from_numpy(_inpainting(rng, frames, n) & keep[:, None]).to(self.device)
        logsnr = self.weight.draw(torch.from_numpy(rng.random(len(places)))).float().to(self.device)
        generator = torch.Generator(self.device).manual_seed(seed % 2**63)
        eps = torch.randn(target.shape, generator=generator, device=self.device)
        counts = self.counts[places]
        tokens = self.tokens[on_device, : int(counts.max())], torch.as_tensor(counts, device=self.device).long()
        task = torch.full((len(places),), self.tasks.index("tts"), device=self.device)
        return Batch(target, mask, clean, task, torch.from_numpy(keep).to(self.device), logsnr, eps, tokens=tokens)


def _inpainting(rng: np.random.Generator, frames: np.ndarray, n: int) -> np.ndarray:
    """Given frames [b, n] of utterances of so many frames each, as `inpainting` draws them."""
    rows = (inpainting(rng, int(real)) for real in frames)
    return np.stack([np.pad(row, (0, n - len(row))) for row in rows])
