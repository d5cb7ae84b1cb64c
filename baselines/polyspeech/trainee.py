"""Training of PolySpeech's language model, kind `polyspeech`: of all tasks, or of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.polyspeech import weights
from baselines.polyspeech.crops import Crops
from baselines.polyspeech.drawing import COLUMNS, Drawer
from baselines.polyspeech.hubert import Semantic
from baselines.polyspeech.layout import given, heard_in, with_text, with_tokens
from baselines.polyspeech.network import PolySpeechLM
from baselines.polyspeech.settings import BatchConfig, LossConfig, PolySpeechModel
from baselines.polyspeech.sset import Sset, load_sset
from speechbase.codec import Codec
from speechbase.codec.loading import load_codec
from speechbase.corpus.shards import open_speech
from speechbase.corpus.speech import SpeechTable
from speechbase.files import UserError
from speechbase.settings import checked, value_of
from speechbase.tokens.sequences import collate, text_bytes
from speechbase.tokens.settings import LMConfig
from speechbase.tokens.trainee import (
    Batch,
    TokenTrainee,
    aligned_right,
    frames_a_byte,
    with_end,
    with_latents,
)
from speechbase.training.kinds import Context
from speechbase.training.settings import TrainingConfig

SEMANTIC = "semantic"  # what the model is given of speech: the encoder's embeddings, or else the codec's latents
AS_IT_IS = (1.0, 1.0)
HELD_OUT = {"speed": AS_IT_IS, "noisy": 0.0, "unheard": 0.0, "pace": AS_IT_IS, "draw": "uniform"}  # in validation


@dataclass
class HeardBatch(Batch):
    """A micro-batch whose positions also hear: `heard` [b, n, e].

    Where speech has a text, `speech` is where in each row, from its end, it is heard or said next, `letters` [m] the
    text's bytes.
    """

    heard: Tensor | None = None
    speech: list[tuple[int, int]] | None = None
    letters: list[Tensor] | None = None

    def to(self, device: torch.device | str) -> HeardBatch:
        """The batch on a device."""
        heard = None if self.heard is None else self.heard.to(device)
        moved = (self.tokens.to(device), self.labels.to(device), self.levels.to(device), self.task)
        return HeardBatch(*moved, heard, self.speech, self.letters)


class PolySpeechTrainee(TokenTrainee):
    """What the training loop needs."""

    network: PolySpeechLM
    top = 1

    def __init__(
        self,
        network: PolySpeechLM,
        train: Drawer,
        valid: Drawer,
        losses: LossConfig,
        stretch: float,
        record: dict,
        accumulate: int,
    ):
        self.cost, self.stretch, self.record = losses, stretch, record
        self.width = network.hear.in_features
        super().__init__(network, train, valid, accumulate)

    def batch(self, drawer: Drawer, *stream, task: str = "") -> HeardBatch:
        """A micro-batch of one task."""
        requests, wanted = drawer.draw(*stream, task=task)
        task = requests[0].task
        sequences = [given(request, self.stretch, self.network.levels) for request in requests]
        labels, count = [said.view(len(said), -1) for said in wanted], 1  # [m, 1] or [n, q]
        speech, letters = None, None
        if task == "asr":
            sequences = [with_text(one, (said + 1).tolist(), self.stretch) for one, said in zip(sequences, wanted)]
            labels, letters = with_end(labels, self.network.text.out_features - 1), wanted
            frames = [len(request.heard) for request in requests if request.heard is not None]
            speech = [(1 - len(one), 1 - len(one) + many) for one, many in zip(sequences, frames)]
        elif task == "tts":
            sequences = [
                with_tokens(one, said, request.told) for one, said, request in zip(sequences, wanted, requests)
            ]
            labels, count = with_end(labels, self.network.end), self.network.levels
            letters = [torch.tensor(text_bytes(request.text)) - 1 for request in requests]
            speech = [(-1 - len(said), -1) for said in wanted]
        levels = torch.arange(count).expand(len(labels), -1)
        tokens = collate(sequences, left=True)
        heard = heard_in(sequences, requests, self.width)
        return HeardBatch(tokens, aligned_right(labels), levels, task, heard, speech, letters)

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of the labelled positions."""
        assert isinstance(batch, HeardBatch)
        return network(batch.task, batch.tokens, batch.heard, batch.labels)[0]

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Mean cross-entropy over what is wanted, the share of it that is likeliest, and CTC where it is asked for."""
        batch: HeardBatch = self.ahead.take(step, micro)
        weight = {"asr": self.cost.ctc, "tts": self.cost.ctc_spoken}.get(batch.task, 0)
        speech = batch.speech if weight else None
        logits, aligned, guesses = network(batch.task, batch.tokens, batch.heard, batch.labels, speech)
        loss, right = self.judged(logits, batch)
        figures = {"loss": loss.mean(), "top1": right.float().mean()}
        figures = with_latents(figures, self.network.depth.head, guesses, batch.labels)
        if aligned is not None:
            figures["loss"] = figures["loss"] + weight * self._ctc(aligned, batch)
        return figures

    @staticmethod
    def _ctc(aligned: Tensor, batch: HeardBatch) -> Tensor:
        assert batch.speech is not None and batch.letters is not None
        frames = torch.tensor([last - first for first, last in batch.speech])
        letters = torch.tensor([len(text) for text in batch.letters])
        flat, scores = torch.cat(batch.letters) + 1, aligned.float().log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(scores, flat.to(scores.device), frames, letters, zero_infinity=True)

    def resolved(self) -> dict:
        """Sizes, labels, and the weights that it was trained with."""
        return self.record


def build(config: dict, context: Context) -> PolySpeechTrainee:
    """The trainee of a language model that speaks the tokens of `tokens` over the embeddings of `semantic`.

    Raises:
        UserError: an unknown key, missing models, or models that do not belong together.
    """
    hears = value_of(PolySpeechModel, config, "hears")
    codec, semantic, sset, tokens = parts(context.models, config, context.accelerator.device)
    how = checked(BatchConfig, config.get("batches", {}), "batches")
    names = {"train": value_of(PolySpeechModel, config, "speech"), "valid": "valid"}
    train, valid = (
        _tables(context.data, split, name, codec.rate_hz, bool(how.workers)) for split, name in names.items()
    )
    labels = _labels(train[1], valid[1])
    stretch = frames_a_byte(train[0], codec.rate_hz / codec.hop)
    torch.manual_seed(config["seed"])
    sizes = checked(LMConfig, config["network"], "network")
    width = semantic.dim if hears == SEMANTIC else codec.latent_dim
    counts = {task: len(names) for task, names in labels.items()}
    network = PolySpeechLM(sset.codewords.cpu(), sizes, width, counts)
    record = {
        "network": sizes.model_dump() | {"heard": width}, "labels": labels, "stretch": stretch, "hears": hears,
        "semantic": semantic.record, "tokens": tokens,
    }  # fmt: skip
    weights.begin(network, context.init, "polyspeech", semantic=semantic.record, tokens=tokens)
    drawers = []
    for split, tables in (("train", train), ("valid", valid)):
        training = split == "train"
        drawn = how if training else how.model_copy(update=HELD_OUT)
        where = "cpu" if training and how.workers else context.accelerator.device
        frames, encoder, tokeniser, _ = parts(context.models, config, where)
        first = Crops.load(context.data, split, config["degradation"], codec.rate_hz, where, speech=tables[0])
        second = Crops(tables[1], first.noises, first.rirs, config["degradation"], where)
        hearing = encoder if hears == SEMANTIC else None
        made_by, share = (encoder, tokeniser), context.share(split)
        drawers.append(Drawer(first, second, frames, hearing, made_by, drawn, labels, config["seed"], *share))
    losses = checked(LossConfig, config.get("losses", {}), "losses")
    accumulate = checked(TrainingConfig, config["training"], "training").accumulate
    network = network.to(context.accelerator.device)
    return PolySpeechTrainee(network, drawers[0], drawers[1], losses, stretch, record, accumulate)


def parts(models: Path, config: dict, device) -> tuple[Codec, Semantic, Sset, dict]:
    """Codec, semantic encoder and tokeniser that a model's configuration names, and the tokeniser's record."""
    codec = load_codec(models / value_of(PolySpeechModel, config, "codec")).to(device)
    semantic = Semantic(models / config["semantic"], device)
    sset, tokens = load_sset(models / config["tokens"], semantic.record, device)
    return codec, semantic, sset, tokens


def _tables(data: Path, split: str, name: str, rate_hz: int, ahead: bool) -> tuple[SpeechTable, SpeechTable]:
    """English speech (of the table of this name) with its words, and speech of all languages."""
    spoken = open_speech(data, name, rate_hz, ahead=ahead)
    return spoken.with_text(), open_speech(data, f"languages_{split}", rate_hz, ahead=ahead)


def _labels(train: SpeechTable, valid: SpeechTable) -> dict[str, list[str]]:
    """The labels of each naming task. Raises: UserError: a table does not say them, or validation has further ones."""
    found = {}
    for task, column in COLUMNS.items():
        if any(column not in table.rows for table in (train, valid)):
            raise UserError(
                f"{train.folder}: the speech of several languages says no {column}; build its tables again."
            )
        found[task] = sorted(set(train.rows[column]))
        if further := sorted(set(valid.rows[column]) - set(found[task])):
            raise UserError(
                f"Validation speech has the {column} {further[0]!r}, which training speech lacks: train on it."
            )
    return found
