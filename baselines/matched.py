"""Training of the matched baselines: the pairs and the loop with which SpeechOp is trained, another network and loss.

This module and the `train` modules that call it alone import more of `speechop` than its tasks.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from speechbase.corpus.degrade import Degraded
from speechbase.corpus.pairs import Pair, Pairs
from speechbase.files import UserError, plain_errors, read_jsonl, seed_of, write_jsonl
from speechbase.training import checkpoint
from speechbase.training.loop import Loop, TrainingConfig, check_same_run

SECTIONS = {"seed", "network", "training", "batches", "degradation"}
VALID_BATCHES = 8
UNFINISHED = 75  # sysexits' "temporary failure": run the command again to go on


class MatchedPairs(Pairs):
    """SpeechOp's training pairs, with a mixture's other speaker as well: `last.speech` is the noiseless mixture."""

    last: Degraded

    def _degrade(self, *arguments) -> Degraded:
        self.last = super()._degrade(*arguments)
        return self.last


class MatchedTrainee:
    """What the training loop needs of a network that maps one source to its target(s).

    Args:
        loss: (network, pair, noiseless mixture [b, n]) -> scalar.
        task: the task whose pairs are drawn.
        batches: `size` items of `seconds`.
    """

    rivals: nn.Module | None = None

    def __init__(
        self, network: nn.Module, loss: Callable, task: str, train: Pairs, valid: Pairs, seed: int, batches: dict
    ):
        self.network, self.loss, self.task, self.train, self.valid, self.seed = network, loss, task, train, valid, seed
        self.size, self.samples = batches["size"], round(batches["seconds"] * train.speech.rate_hz)

    def _loss_of(self, network: nn.Module, pairs: Pairs, *stream) -> Tensor:
        rngs = [np.random.default_rng(seed_of(self.seed, self.task, *stream, item)) for item in range(self.size)]
        pair: Pair = pairs.pairs([self.task] * self.size, rngs, self.samples, 0)
        return self.loss(network, pair, pairs.last.speech)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """The loss of one micro-batch, drawn from (seed, step, micro) alone."""
        return {"loss": self._loss_of(network, self.train, "train", step, micro)}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The mean loss over fixed batches of the validation split."""
        losses = [self._loss_of(network, self.valid, "valid", number).item() for number in range(VALID_BATCHES)]
        return {"loss": sum(losses) / len(losses)}


def train(
    name: str, task: str, build: Callable[[dict], nn.Module], loss: Callable, options: argparse.Namespace
) -> bool:
    """Train, or go on training, one matched baseline.

    Args:
        build: the `network` section of the configuration -> network.
        options: what `parse` returns.

    Returns:
        Whether all steps are done; the model folder is written when they are, or when `options.release` asks for it.
    """
    config = options.config
    train_pairs, valid_pairs = (
        MatchedPairs.load(options.data, split, config["degradation"], config["network"]["rate_hz"])
        for split in ("train", "valid")
    )
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    torch.manual_seed(config["seed"])
    network = build(config["network"])
    check_same_run(options.state, config)
    trainee = MatchedTrainee(network, loss, task, train_pairs, valid_pairs, config["seed"], config["batches"])
    training = TrainingConfig(**(config["training"] | {"accumulate": 1, "precision": "fp32"}))
    loop = Loop(trainee, training, options.state, accelerator)
    done = loop.run(options.max_minutes)
    if done or options.release:
        _release(name, loop, config, options.out)
    return done


def _release(name: str, loop: Loop, config: dict, out: Path) -> None:
    record = {
        "steps": loop.step,
        "wall_minutes": round(loop.seconds / 60, 1),
        "parameters": sum(p.numel() for p in loop.ema.parameters()),
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    checkpoint.save_model(out, loop.ema.state_dict(), config | {"baseline": name, "record": record}, torch.float16)
    write_jsonl(out / "curves.jsonl", read_jsonl(loop.folder / "curves.jsonl"))


def parse(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """Read a training command line. Raises: UserError: a configuration that is no JSON or lacks sections."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON file: seed, network, training, batches, degradation"
    )
    parser.add_argument("--data", type=Path, required=True, help="data/<scale>, made by speechbase.corpus.corpus")
    parser.add_argument("--out", type=Path, required=True, help="model folder, such as models/nano/sepformer")
    parser.add_argument("--state", type=Path, required=True, help="resume state, such as .state/nano/sepformer")
    parser.add_argument("--max-minutes", type=float, help="stop after so many minutes, keeping the state (status 75)")
    parser.add_argument("--release", action="store_true", help="write the model folder even if steps remain")
    options = parser.parse_args(arguments)
    try:
        text = Path(options.config).read_text() if options.config.endswith(".json") else options.config
        options.config = json.loads(text)
    except (json.JSONDecodeError, FileNotFoundError) as error:
        raise UserError(f"--config is not JSON ({error}).") from None
    if missing := SECTIONS - set(options.config):
        raise UserError(f"--config lacks the sections {sorted(missing)}.")
    if unknown := set(options.config["training"]) - set(TrainingConfig.__dataclass_fields__):
        raise UserError(
            f"unknown training settings {sorted(unknown)}; known are {list(TrainingConfig.__dataclass_fields__)}."
        )
    return options


def command(name: str, task: str, build: Callable[[dict], nn.Module], loss: Callable, description: str) -> Callable:
    """The entry point of a baseline's `train` module; exit status 75 when steps remain."""

    @plain_errors
    def main(arguments: list[str] | None = None) -> int:
        options = parse(description, arguments)
        if train(name, task, build, loss, options) or options.release:
            return 0
        print(f"stopped before the last step; run the same command again to go on (state in {options.state})")
        return UNFINISHED

    return main
