"""Stages 1 and 2: denoising score matching in v-space over latents (section 2; Appendix E.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechop.guidance import cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.model.network import SpeechOpNetwork
from speechop.model.text import tokenize
from speechop.sampler import Noise, Sampling, sample
from speechop.schedule import alpha_sigma, v_target
from speechop.tasks import TASKS
from speechop.training.batches import Batch, Drawer


class DiffusionLoss(nn.Module):
    """The network with its loss: one forward pass a batch, so that data-parallel wrappers see every parameter."""

    def __init__(self, network: SpeechOpNetwork):
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        """Mean squared v-error [b] of each item over its free frames (noise levels are drawn from the loss weight)."""
        net = self.network
        alpha, sigma = (level[:, None, None] for level in alpha_sigma(batch.logsnr))
        z = torch.where(batch.clean[..., None], batch.target, alpha * batch.target + sigma * batch.eps)
        frames = batch.mask.sum(1)
        if batch.texts is not None:
            tokens, lengths = tokenize(batch.texts, z.device)
            text = net.encode_text(tokens, lengths, batch.keep, frames)
        else:
            text = net.no_text()
        mixed = None
        if batch.source is not None:
            encoded = net.encode_source(batch.source, batch.task, batch.mask, batch.logsnr)
            if net.config.source_mixing == "framewise":
                mixed = encoded * batch.keep[:, None, None]
            else:
                text = net.source_as_memory(encoded, batch.mask, batch.keep)
        v = net(z, batch.logsnr, batch.task, text, mixed, batch.clean, batch.mask)
        free = (batch.mask & ~batch.clean)[..., None].float()
        error = (v - v_target(batch.target, batch.eps, batch.logsnr[:, None, None])).square() * free
        return error.sum((1, 2)) / (free.sum((1, 2)) * z.shape[-1]).clamp_min(1.0)


class DiffusionTrainee:
    """Stage 1 trains on TTS alone; stage 2 alternates TTS and speech-to-speech micro-batches."""

    rivals = None

    def __init__(
        self, network: SpeechOpNetwork, drawer: Drawer, valid: Drawer, stages: tuple[str, ...], batches: int = 2
    ):
        self.network = DiffusionLoss(network)
        self.drawer, self.kinds = drawer, stages
        self.held_out = {kind: [getattr(valid, kind)("valid", i) for i in range(batches)] for kind in stages}

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        kind = self.kinds[micro % len(self.kinds)]
        loss = network(getattr(self.drawer, kind)(step, micro)).mean()
        return {"loss": loss, kind: loss * (len(self.kinds) if len(self.kinds) > 1 else 1)}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Loss by kind, by task, and the text gap: loss with a null transcript minus loss with the transcript."""
        figures: dict[str, float] = {}
        for kind, batches in self.held_out.items():
            figures |= self._by_task(network, batches, kind)
        if "tts" in self.held_out:
            gaps = [self._text_gap(network, batch) for batch in self.held_out["tts"]]
            figures["text_gap"] = sum(gaps) / len(gaps)
        return figures

    def samples(self, network: DiffusionLoss) -> tuple[dict[str, Tensor], int]:
        """A held-out sentence spoken, and a held-out recording processed, without prompts: 32 steps, guidance 2."""
        codec, made = self.drawer.codec, {}
        for kind, batches in self.held_out.items():
            batch, row = _heard(batches)
            task = next(name for name, entry in TASKS.items() if entry.index == int(batch.task[row]))
            free = batch.mask[row] if kind == "tts" else batch.mask[row] & ~batch.clean[row]
            given = {"transcript": [batch.texts[row]]} if kind == "tts" else {"source": [batch.source[row][free]]}
            frames = [int(free.sum())]
            term = NetworkEvaluator(network.network, frames).term(task, **given)
            noise = Noise([0], frames, batch.target.shape[-1], batch.target.device)
            made[task] = codec.decode(sample(cfg(term, 2.0), noise, Sampling(32)))[0]
            if "source" in given:
                made[f"{task}-source"] = codec.decode(given["source"][0][None])[0]
        return made, codec.rate_hz

    @staticmethod
    def _by_task(network: nn.Module, batches: list[Batch], kind: str) -> dict[str, float]:
        losses = torch.cat([network(batch) for batch in batches])
        tasks = torch.cat([batch.task for batch in batches])
        figures = {kind: float(losses.mean())}
        for task in TASKS.values():
            if (tasks == task.index).any() and kind == "s2s":
                figures[task.name] = float(losses[tasks == task.index].mean())
        return figures

    @staticmethod
    def _text_gap(network: nn.Module, batch: Batch) -> float:
        everything = torch.ones_like(batch.keep)
        free = torch.zeros_like(batch.clean)
        with_text = network(Batch(**vars(batch) | {"keep": everything, "clean": free}))
        without = network(Batch(**vars(batch) | {"keep": ~everything, "clean": free}))
        return float((without - with_text).mean())


def _heard(batches: list[Batch]) -> tuple[Batch, int]:
    """The item to listen to: the first that is enhanced, where there is one."""
    for batch in batches:
        rows = (batch.task == TASKS["enhancement"].index).nonzero()
        if len(rows):
            return batch, int(rows[0])
    return batches[0], 0
