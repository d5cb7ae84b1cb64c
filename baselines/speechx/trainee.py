"""Training of SpeechX: kinds `speechx_ar` and `speechx_nar`, from random weights or from a TTS model's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.speechx.layout import condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, Refining, build_network
from baselines.speechx.pairs import Drawer, TokenPairs
from baselines.speechx.settings import BatchConfig, NetworkConfig, SpeechXModel
from speechbase.codec.loading import load_token_codec
from speechbase.corpus.shards import open_speech
from speechbase.files import UserError
from speechbase.settings import checked, value_of
from speechbase.tokens.sequences import Tokens, collate
from speechbase.training import checkpoint
from speechbase.training.ahead import Ahead
from speechbase.training.kinds import Context
from speechbase.training.settings import TrainingConfig

NO_LABEL = -100
NEAR = 10  # codes among which token noise draws
TOP = 10  # of token accuracy: what others watch (40 % before a model speaks)


@dataclass
class Batch:
    """A micro-batch: what is heard, and labels [b, t] of the last t positions, `NO_LABEL` where there is nothing to
    learn.

    `level` [b] is the level that the labels are of, from 0 on.
    """

    tokens: Tokens
    labels: Tensor
    level: Tensor
    task: str

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(self.tokens.to(device), self.labels.to(device), self.level.to(device), self.task)


class Trainee:
    """What the two have in common: batches, cross-entropy over the output's positions, accuracy by task or level.

    `stream` names the batches: ("train", step, micro) or ("valid", task, number).
    """

    rivals: nn.Module | None = None

    def __init__(self, network: nn.Module, train: Drawer, valid: Drawer, sizes: dict, tokens: dict, accumulate: int):
        self.network, self.drawer, self.sizes, self.tokens = network, train, sizes, tokens
        self.levels = train.codec.quantiser.levels
        draw = partial(self.batch, train, "train")
        self.ahead = Ahead(draw, train.config.workers, range(accumulate))
        self.held_out = {task: list(self._held_out(valid, task)) for task in valid.config.tasks}

    def _held_out(self, drawer: Drawer, task: str) -> Iterator[Batch]:
        count = number = 0
        while count < drawer.config.valid_items:
            batch = self.batch(drawer, "valid", task, number, task=task)
            count, number = count + len(batch.labels), number + 1
            yield batch

    def resolved(self) -> dict:
        """The network's sizes, and the token codec that the weights belong to."""
        return {"network": self.sizes, "tokens": self.tokens}

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network."""
        return averaged.state_dict()

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Mean cross-entropy over a micro-batch's output tokens, and the share of tokens among the likeliest ten."""
        batch = self.ahead.take(step, micro).to(next(network.parameters()).device)
        loss, right = self.scores(network, batch)
        return {"loss": loss.mean(), "top10": right.float().mean()}

    def scores(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of each labelled token: its cross-entropy, and whether it is among the likeliest ten."""
        logits = self.logits(network, batch).float()
        there = batch.labels != NO_LABEL
        logits, labels = logits[there], batch.labels[there]  # [tokens, k], [tokens]
        best = logits.topk(min(TOP, logits.shape[-1]), -1).indices
        return F.cross_entropy(logits, labels, reduction="none"), (best == labels[:, None]).any(-1)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Loss and accuracy by task on held-out speech, and their means; by level where there are several."""
        figures: dict[str, float] = {}
        by_level: dict[int, list[Tensor]] = {}
        device = next(network.parameters()).device
        for task, batches in self.held_out.items():
            losses, hits = [], []
            for batch in batches:
                loss, right = self.scores(network, batch.to(device))
                losses.append(loss)
                hits.append(right.float())
                levels = batch.level[:, None].expand_as(batch.labels)[batch.labels != NO_LABEL]
                for level in levels.unique().tolist():
                    by_level.setdefault(level, []).append(hits[-1][(levels == level).to(device)])
            figures |= {f"{task}_loss": float(torch.cat(losses).mean()), f"{task}_top10": float(torch.cat(hits).mean())}
        figures["loss"] = float(np.mean([figures[f"{task}_loss"] for task in self.held_out]))
        if len(by_level) > 1:
            figures |= {f"top10_level_{level + 1}": float(torch.cat(hits).mean()) for level, hits in by_level.items()}
        return figures

    def batch(self, drawer: Drawer, *stream, task: str = "") -> Batch:
        """A micro-batch of one task: what is heard, and the labels of the output's positions."""
        raise NotImplementedError

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits [b, t, k] at the last t positions, those with labels."""
        raise NotImplementedError


class AutoregressiveTrainee(Trainee):
    """Level 1 and the end."""

    network: Autoregressive

    def batch(self, drawer: Drawer, *stream, task: str = "") -> Batch:
        """What is heard, and the labels of the output's positions."""
        requests, outputs, _ = drawer.draw(*stream, task=task)
        heard, end = self.sizes["prompt_layers"], self.drawer.codec.quantiser.codewords.shape[1]
        sequences = [
            spoken_so_far(condition(request, self.levels, heard), codes[:, 0])
            for request, codes in zip(requests, outputs)
        ]
        labels = [torch.cat([codes[:, 0], codes.new_tensor([end])]) for codes in outputs]
        return Batch(
            collate(sequences, left=True),
            _aligned_right(labels),
            torch.zeros(len(labels), dtype=torch.long),
            requests[0].task,
        )

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of the labelled positions."""
        return network(batch.tokens, batch.labels.shape[1])


class RefiningTrainee(Trainee):
    """Levels 2 to q, one an item; of an edit the new frames, with all levels of what stays given."""

    network: Refining

    def __init__(self, *arguments, **named):
        codewords = arguments[1].codec.quantiser.codewords
        distances = torch.cdist(codewords, codewords)  # [q, k, k]
        self.near = distances.topk(min(NEAR + 1, codewords.shape[1]), largest=False).indices[..., 1:].cpu()
        super().__init__(*arguments, **named)

    def batch(self, drawer: Drawer, *stream, task: str = "") -> Batch:
        """What is heard, and the labels of the output's positions."""
        requests, outputs, rngs = drawer.draw(*stream, task=task)
        sequences, labels, levels = [], [], []
        for request, codes, rng in zip(requests, outputs, rngs):
            level, given = int(rng.integers(1, self.levels)), kept(request, len(codes))
            heard = self._disturbed(codes, rng, drawer.config.token_noise)
            heard = torch.where(given[:, None], codes, heard)
            sequence = condition(request, self.levels, self.levels)
            sequences.append(refined_so_far(sequence, heard, level, given))
            labels.append(codes[:, level].masked_fill(given, NO_LABEL))
            levels.append(level)
        return Batch(collate(sequences, left=True), _aligned_right(labels), torch.tensor(levels), requests[0].task)

    def _disturbed(self, codes: Tensor, rng: np.random.Generator, share: float) -> Tensor:
        """Codes [n, q] of which a share became one of the nearest: in use, level 1 comes from samples."""
        if not share:
            return codes
        hit = torch.from_numpy(rng.random(tuple(codes.shape)) < share)
        pick = torch.from_numpy(rng.integers(self.near.shape[-1], size=tuple(codes.shape)))
        return torch.where(hit, self.near[torch.arange(codes.shape[1]), codes, pick], codes)

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of the labelled positions."""
        return network(batch.tokens, batch.level, batch.labels.shape[1])


def _aligned_right(labels: list[Tensor]) -> Tensor:
    longest = max(map(len, labels))
    return torch.stack([F.pad(one, (longest - len(one), 0), value=NO_LABEL) for one in labels])


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
    torch.manual_seed(config["seed"])
    network = build_network(context.kind, codewords, sizes)
    if context.init is not None:
        tensors, before = checkpoint.read_model(context.init)
        check_codes(before, tokens, context.init)
        checkpoint.load_into(network, tensors, context.init)
    how = checked(BatchConfig, config.get("batches", {}), "batches")
    share = (context.accelerator.process_index, context.accelerator.num_processes)
    drawers: dict[str, Drawer] = {}
    for split in ("train", "valid"):
        drawn = how if split == "train" else how.model_copy(update={"speed": (1.0, 1.0), "token_noise": 0.0})
        where = "cpu" if split == "train" and how.workers else device  # processes that draw ahead share no GPU
        table = value_of(SpeechXModel, config, "speech") if split == "train" else split
        speech = open_speech(context.data, table, codec.rate_hz, ahead=bool(drawn.workers)).with_text()
        pairs = TokenPairs.load(context.data, split, config["degradation"], codec.rate_hz, where, speech=speech)
        own = load_token_codec(folder).to(where)
        rank, ranks = share if split == "train" else (0, 1)
        drawers[split] = Drawer(pairs, own, drawn, config["seed"], rank, ranks)
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
