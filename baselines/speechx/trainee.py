"""Training of SpeechX: kinds `speechx_ar` and `speechx_nar`, from random weights or from a TTS model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from baselines.speechx.layout import condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining, build_network
from baselines.speechx.pairs import Drawer, TokenPairs
from baselines.speechx.settings import BatchConfig, NetworkConfig, SpeechXModel
from speechbase.codec.loading import load_token_codec
from speechbase.corpus.shards import open_speech
from speechbase.files import UserError
from speechbase.settings import checked, value_of
from speechbase.tokens.depth import unsaid
from speechbase.tokens.sequences import collate, unheard
from speechbase.tokens.trainee import (
    NO_LABEL,
    Batch,
    TokenTrainee,
    aligned_right,
    frames_a_byte,
    with_end,
    with_latents,
)
from speechbase.training import checkpoint
from speechbase.training.kinds import Context
from speechbase.training.settings import TrainingConfig

HELD_OUT = {"speed": (1.0, 1.0), "token_noise": 0.0, "unheard": 0.0, "pace": (1.0, 1.0)}  # of batches of validation
NEAR = 10  # codes among which token noise draws


class Trainee(TokenTrainee):
    """What the two have in common."""

    def __init__(self, network: nn.Module, train: Drawer, valid: Drawer, sizes: dict, tokens: dict, accumulate: int):
        self.drawer, self.sizes, self.tokens = train, sizes, tokens
        self.levels = train.codec.quantiser.levels
        super().__init__(network, train, valid, accumulate)

    def resolved(self) -> dict:
        """The network's sizes, and the token codec that the weights belong to."""
        return {"network": self.sizes, "tokens": self.tokens}


class AutoregressiveTrainee(Trainee):
    """Level 1, the end, and the further levels that it says."""

    network: Autoregressive

    def batch(self, drawer: Drawer, *stream, task: str = "") -> Batch:
        """What is heard, and the labels of the output's positions."""
        requests, outputs, rngs = drawer.draw(*stream, task=task)
        heard, end = self.sizes["prompt_layers"], self.drawer.codec.quantiser.codewords.shape[1]
        said = [codes[:, : self.network.said] for codes in outputs]
        sequences = [
            spoken_so_far(
                condition(request, self.levels, heard, self.network.frames_a_byte),
                codes,
                told=unheard(len(codes), drawer.config.unheard, rng),
            )
            for request, codes, rng in zip(requests, said, rngs)
        ]
        labels = aligned_right(with_end(said, end))
        levels = torch.arange(self.network.said).expand(len(labels), -1)
        return Batch(collate(sequences, left=True), labels, levels, requests[0].task)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """As of every token model, with the error of the latents added to the loss where it says several levels."""
        batch = self.ahead.take(step, micro)
        logits, latents = network(batch.tokens, batch.labels)
        loss, right = self.judged(logits, batch)
        figures = {"loss": loss.mean(), f"top{self.top}": right.float().mean()}
        return with_latents(figures, self.network.depth.head, latents, batch.labels)

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of the labelled positions."""
        return network(batch.tokens, batch.labels)[0]


@dataclass
class Refined(Batch):
    """A batch with all levels [b, t, q] of its outputs."""

    whole: Tensor

    def to(self, device: torch.device | str) -> Refined:
        """The batch on a device."""
        moved = super().to(device)
        return Refined(moved.tokens, moved.labels, moved.levels, moved.task, self.whole.to(device))


class RefiningTrainee(Trainee):
    """The levels above those that are said, one an item; of an edit the new frames, with all levels of what stays
    given.

    A level is drawn in proportion to what the levels before it leave of the latents. Beside the codes it learns those
    latents: a code of the last levels alone says next to nothing about them.
    """

    network: Refining

    def __init__(self, *arguments, **named):
        codewords = arguments[1].codec.quantiser.codewords
        distances = torch.cdist(codewords, codewords)  # [q, k, k]
        self.near = distances.topk(min(NEAR + 1, codewords.shape[1]), largest=False).indices[..., 1:].cpu()
        left = unsaid(codewords.double())[arguments[0].said :].cpu().numpy()  # [q - s]
        self.drawn = left / left.sum()
        super().__init__(*arguments, **named)

    def batch(self, drawer: Drawer, *stream, task: str = "") -> Refined:
        """What is heard, and the labels of the output's positions."""
        requests, outputs, rngs = drawer.draw(*stream, task=task)
        sequences, labels, levels = [], [], []
        for request, codes, rng in zip(requests, outputs, rngs):
            level = self.network.said + int(rng.choice(len(self.drawn), p=self.drawn))
            given = kept(request, len(codes))
            heard = self._disturbed(codes, rng, drawer.config.token_noise)
            heard = torch.where(given[:, None], codes, heard)
            sequence = condition(request, self.levels, self.levels, self.network.frames_a_byte)
            sequences.append(refined_so_far(sequence, heard, level, given))
            labels.append(codes[:, [level]].masked_fill(given[:, None], NO_LABEL))
            levels.append(level)
        tokens, each = collate(sequences, left=True), torch.tensor(levels)[:, None]
        return Refined(tokens, aligned_right(labels), each, requests[0].task, aligned_right(outputs))

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """As of every token model, with the error of the latents added to the loss."""
        batch = self.ahead.take(step, micro)
        assert isinstance(batch, Refined)
        logits, latents = network(batch.tokens, batch.levels[:, 0], batch.labels.shape[1])
        loss, right = self.judged(logits[..., None, :], batch)
        figures = {"loss": loss.mean(), f"top{self.top}": right.float().mean()}
        wanted = batch.whole.masked_fill(batch.labels == NO_LABEL, NO_LABEL)
        return with_latents(figures, self.network.head, [latents], wanted)

    def _disturbed(self, codes: Tensor, rng: np.random.Generator, share: float) -> Tensor:
        """Codes [n, q] of which a share became one of the nearest: in use, level 1 comes from samples."""
        if not share:
            return codes
        hit = torch.from_numpy(rng.random(tuple(codes.shape)) < share)
        pick = torch.from_numpy(rng.integers(self.near.shape[-1], size=tuple(codes.shape)))
        return torch.where(hit, self.near[torch.arange(codes.shape[1]), codes, pick], codes)

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of the labelled positions."""
        return network(batch.tokens, batch.levels[:, 0], batch.labels.shape[1])[0][..., None, :]


def build(config: dict, context: Context) -> Trainee:
    """The trainee of either model.

    Raises:
        UserError: an unknown key, no token codec, or weights of another model or for other codes.
    """
    folder = context.models / value_of(SpeechXModel, config, "codec")
    device = context.accelerator.device
    codec = load_token_codec(folder)
    codewords, tokens = codec.quantiser.codewords, token_record(folder)
    sizes = checked(NetworkConfig, config["network"], "network")
    how = checked(BatchConfig, config.get("batches", {}), "batches")
    names = {"train": value_of(SpeechXModel, config, "speech"), "valid": "valid"}
    spoken = {
        split: open_speech(context.data, table, codec.rate_hz, ahead=bool(how.workers)).with_text()
        for split, table in names.items()
    }
    if not sizes.frames_a_byte:
        measured = frames_a_byte(spoken["train"], codec.rate_hz / codec.hop)
        sizes = sizes.model_copy(update={"frames_a_byte": measured})
    torch.manual_seed(config["seed"])
    network = build_network(context.kind, codewords, sizes)
    if context.init is not None:
        tensors, before = checkpoint.read_model(context.init)
        check_codes(before, tokens, context.init)
        checkpoint.load_into(network, tensors, context.init)
    drawers: dict[str, Drawer] = {}
    for split in spoken:
        drawn = how if split == "train" else how.model_copy(update=HELD_OUT)
        where = "cpu" if split == "train" and how.workers else device  # processes that draw ahead share no GPU
        pairs = TokenPairs.load(context.data, split, config["degradation"], codec.rate_hz, where, speech=spoken[split])
        own = load_token_codec(folder).to(where)
        drawers[split] = Drawer(pairs, own, drawn, config["seed"], *context.share(split))
    named = sizes.model_dump(exclude={"prompt_layers"})
    if isinstance(network, Autoregressive):
        named["prompt_layers"] = network.prompt_layers
    trainee = AutoregressiveTrainee if isinstance(network, Autoregressive) else RefiningTrainee
    accumulate = checked(TrainingConfig, config["training"], "training").accumulate
    return trainee(network.to(device), drawers["train"], drawers["valid"], named, tokens, accumulate)


def token_record(folder: Path) -> dict:
    """Which codes a model speaks: the token codec's folder and the digest of its weights."""
    _, config = checkpoint.read_model(folder)
    return {"model": folder.name, "sha256": config["sha256"]}


def check_codes(config: dict, tokens: dict, where: Path) -> None:
    """Raises: UserError: a model whose codes are those of another codec or quantiser."""
    if config.get("tokens", {}).get("sha256") != tokens["sha256"]:
        raise UserError(
            f"{where} speaks the codes of another codec or quantiser than {tokens['model']} (its digest differs): "
            "put the weights together that were trained together, or train it again."
        )
