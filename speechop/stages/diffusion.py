"""Stages 1 and 2: denoising score matching in v-space over latents (section 2; Appendix E.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from speechbase.codec import Codec
from speechbase.files import seed_of
from speechbase.training.ahead import Ahead
from speechop.guidance import cfg
from speechop.model.evaluator import NetworkEvaluator
from speechop.model.loading import FROZEN_TEXT, UNTRAINED
from speechop.model.network import SpeechOpNetwork
from speechop.sampler import Noise, sample
from speechop.schedule import alpha_sigma, v_target
from speechop.settings import DiffusionLossConfig, Sampling
from speechop.stages.batches import Batch, Drawer

PAPER = DiffusionLossConfig()


class DiffusionLoss(nn.Module):
    """The network with its loss: one forward pass a batch, so that data-parallel wrappers see every parameter."""

    def __init__(self, network: SpeechOpNetwork, codec: Codec | None = None, config=PAPER):
        super().__init__()
        self.network, self.config = network, config
        self._codec = (codec,)  # in a tuple: not trained, averaged or stored with the network

    def forward(self, batch: Batch) -> Tensor:
        """Mean squared v-error [b] of each item over its free frames (noise levels are drawn from the loss weight).

        In training, `si_sdr` times the SI-SDR of the decoded estimate is taken off, weighed by the share of signal in
        z_t.
        """
        net = self.network
        alpha, sigma = (level[:, None, None] for level in alpha_sigma(batch.logsnr))
        z = torch.where(batch.clean[..., None], batch.target, alpha * batch.target + sigma * batch.eps)
        frames = batch.mask.sum(1)
        if batch.tokens is None and batch.texts is not None:
            batch = replace(batch, tokens=net.tokenize(batch.texts, z.device))
        if batch.tokens is not None:
            text = net.encode_text(*batch.tokens, batch.keep, frames)
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
        loss = error.sum((1, 2)) / (free.sum((1, 2)) * z.shape[-1]).clamp_min(1.0)
        if self.training and self.config.si_sdr:
            estimate = torch.where(free > 0, alpha * z - sigma * v, batch.target)
            loss = loss - self.config.si_sdr * alpha[:, 0, 0] ** 2 * self._si_sdr_db(
                estimate, batch.target, free[..., 0]
            )
        return loss

    def _si_sdr_db(self, estimate: Tensor, target: Tensor, free: Tensor) -> Tensor:
        """SI-SDR [b] in dB of decoded latents [b, n, c] over the free frames [b, n], against the target's own decoding.

        Of the last second only: decoding costs more than all the rest of a step.
        """
        (codec,) = self._codec
        if codec is None:
            raise ValueError("a loss of SI-SDR needs the codec that decodes")
        estimate, target, free = (part[:, -round(codec.rate_hz / codec.hop) :] for part in (estimate, target, free))
        heard = free.repeat_interleave(codec.hop, 1)
        with torch.autocast(target.device.type, enabled=False):
            waves = [codec.synthesise(codec.raw(latents.float())) for latents in (estimate, target)]
        made, wanted = (
            (wave - (wave * heard).sum(1, True) / heard.sum(1, True).clamp_min(1)) * heard for wave in waves
        )
        scale = (made * wanted).sum(1, True) / wanted.square().sum(1, True).clamp_min(1e-8)
        signal, error = ((part**2).sum(1) + 1e-8 for part in (scale * wanted, made - scale * wanted))
        return 10 * torch.log10(signal / error)


class DiffusionTrainee:
    """Stage 1 trains on TTS alone; stage 2 alternates TTS and speech-to-speech micro-batches."""

    rivals = None

    def __init__(
        self,
        network: SpeechOpNetwork,
        drawer: Drawer,
        valid: Drawer,
        stages: tuple[str, ...],
        losses: DiffusionLossConfig = PAPER,
        kind: str = "multitask",
        accumulate: int = 1,
        codec: Codec | None = None,
    ):
        slow = [micro for micro in range(accumulate) if stages[micro % len(stages)] != "tts" or drawer.resident is None]
        self.codec = valid.codec if codec is None else codec
        self.network = DiffusionLoss(network, self.codec, losses)
        self.drawer, self.kinds, self.kind = drawer, stages, kind
        device = next(network.parameters()).device
        how = drawer.config
        self.ahead = Ahead(self._draw, how.workers, slow, device, how.replay, self._noised_anew)
        self.held_out = {kind: [batch.to(device) for batch in self._items(valid, kind)] for kind in stages}

    def resolved(self) -> dict:
        """What the released configuration must say beside what was asked for: the network's sizes and its tasks."""
        return {"network": self.network.network.config.as_dict()}

    @staticmethod
    def _items(valid: Drawer, kind: str) -> Iterator[Batch]:
        """Fixed batches of at least `valid_items` items (of each of the processes the same)."""
        count = number = 0
        while count < valid.config.valid_items:
            batch = getattr(valid, kind)("valid", number)
            count, number = count + len(batch.keep), number + 1
            yield batch

    def _draw(self, step: int, micro: int) -> Batch:
        return getattr(self.drawer, self.kinds[micro % len(self.kinds)])(step, micro)

    def _noised_anew(self, batch: Batch, turn: int) -> Batch:
        """The same speech under other noise, at other levels."""
        seed = seed_of(self.drawer.seed, "again", turn, self.drawer.rank) % 2**63
        generator = torch.Generator(batch.eps.device).manual_seed(seed)
        uniform = torch.rand(len(batch.keep), generator=generator, device=batch.eps.device)
        eps = torch.randn(batch.eps.shape, generator=generator, device=batch.eps.device)
        return replace(batch, logsnr=self.drawer.weight.draw(uniform), eps=eps)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """The loss of one micro-batch, also under its kind, in units of that kind's own mean."""
        kind = self.kinds[micro % len(self.kinds)]
        loss = network(self.ahead.take(step, micro)).mean()
        return {"loss": loss, kind: loss * (len(self.kinds) if len(self.kinds) > 1 else 1)}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Loss by kind and by task with the condition given, `<kind>_unconditional` without it, and the text gap.

        The text gap is the loss with a null transcript minus the loss with the transcript, no frames given.
        """
        figures: dict[str, float] = {}
        for kind, batches in self.held_out.items():
            figures |= self._by_task(network, batches, kind)
            dropped = [network(_without_condition(batch)) for batch in batches]
            figures[f"{kind}_unconditional"] = float(torch.cat(dropped).mean())
        if "tts" in self.held_out:
            gaps = [self._text_gap(network, batch) for batch in self.held_out["tts"]]
            figures["text_gap"] = sum(gaps) / len(gaps)
        return figures

    def weights(self, averaged: DiffusionLoss) -> dict[str, Tensor]:
        """The network's weights without what this kind does not train and what is frozen."""
        left_out = UNTRAINED.get(self.kind, ())
        tensors = averaged.network.state_dict()
        return {k: v for k, v in tensors.items() if FROZEN_TEXT not in k and not k.startswith(left_out)}

    def samples(self, network: DiffusionLoss) -> tuple[dict[str, Tensor], int]:
        """A held-out sentence spoken, and a held-out recording processed, without prompts: 32 steps, guidance 2."""
        codec, made = self.codec, {}
        for kind, batches in self.held_out.items():
            batch, row = self._heard(batches)
            task = self.drawer.tasks[int(batch.task[row])]
            free = batch.mask[row] if kind == "tts" else batch.mask[row] & ~batch.clean[row]
            frames = [int(free.sum())]
            evaluator = NetworkEvaluator(network.network, frames)
            if batch.source is not None:
                term = evaluator.term(task, source=[batch.source[row][free]])
                made[f"{task}-source"] = codec.decode(batch.source[row][free][None])[0]
            elif batch.texts is not None:
                term = evaluator.term(task, transcript=[batch.texts[row]])
            else:
                continue  # packed latents have no text that could be told beside the sound
            noise = Noise([0], frames, batch.target.shape[-1], batch.target.device)
            made[task] = codec.decode(sample(cfg(term, 2.0), noise, Sampling(steps=32)))[0]
        return made, codec.rate_hz

    def _by_task(self, network: nn.Module, batches: list[Batch], kind: str) -> dict[str, float]:
        losses = torch.cat([network(batch) for batch in batches])
        tasks = torch.cat([batch.task for batch in batches])
        figures = {kind: float(losses.mean())}
        for row, name in enumerate(self.drawer.tasks):
            if (tasks == row).any() and kind == "s2s":
                figures[name] = float(losses[tasks == row].mean())
        return figures

    def _heard(self, batches: list[Batch]) -> tuple[Batch, int]:
        """The item to listen to: the first that is enhanced, where there is one."""
        for batch in batches:
            rows = (batch.task == self.drawer.tasks.index("enhancement")).nonzero()
            if len(rows):
                return batch, int(rows[0])
        return batches[0], 0

    @staticmethod
    def _text_gap(network: nn.Module, batch: Batch) -> float:
        with_text = network(Batch(**vars(batch) | {"clean": torch.zeros_like(batch.clean)}))
        return float((network(_without_condition(batch)) - with_text).mean())


def _without_condition(batch: Batch) -> Batch:
    """The batch with every condition dropped: no source, transcript or given frames."""
    mask = batch.mask.clone()
    mask[:, : batch.prompt] = False  # a prepended prompt that is not given does not exist
    nothing = {"keep": torch.zeros_like(batch.keep), "clean": torch.zeros_like(batch.clean)}
    return Batch(**vars(batch) | nothing | {"mask": mask})
