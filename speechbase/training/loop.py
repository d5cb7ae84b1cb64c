"""The training loop that every stage shares: AdamW, warm-up and cosine, EMA, resume, curves.

A step draws its data and noise from (seed, step) alone, so that a run that was killed and resumed is the run that was
not.
"""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from speechbase import audio
from speechbase.files import UserError, append_jsonl, read_json, read_jsonl, write_json, write_jsonl
from speechbase.training import checkpoint
from speechbase.training.settings import TrainingConfig

Tensors = tuple[Tensor, ...] | list[Tensor]
CURVE_POINTS = 250  # of a long run, besides its validations: enough to draw, and small enough to ship


class Trainee(Protocol):
    """What the loop trains."""

    network: nn.Module  # its parameters are trained, averaged (EMA) and released
    rivals: nn.Module | None  # discriminators: trained and resumed, not released

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Named losses of one micro-batch; "loss" is minimised over `network`, "rival_loss" (if any) over `rivals`."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Named validation figures with averaged weights, on fixed data and noise."""
        ...

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """What is released of the averaged network, by name."""
        ...

    def samples(self, network: nn.Module) -> tuple[dict[str, Tensor], int]:
        """Held-out items by name as averaged weights make them, audio [s], and their rate in Hz; with `samples_every`
        only."""
        ...


class Loop:
    """Train until `config.steps`, a time limit or a signal; the state on disk is always a whole one."""

    def __init__(self, trainee: Trainee, config: TrainingConfig, state: Path, accelerator):
        if config.samples_every and not callable(getattr(trainee, "samples", None)):
            raise UserError("samples_every: this kind of model has no samples to write; leave the setting out.")
        self.trainee, self.config, self.folder, self.accelerator = trainee, config, Path(state), accelerator
        self.step, self.seconds = 0, 0.0
        if config.compile:
            compile_blocks(trainee.network)
        self.network, self.optimiser = accelerator.prepare(trainee.network, self._adamw(trainee.network))
        self._averages = AveragedModel(trainee.network, multi_avg_fn=self._average)
        self._averages.n_averaged += 1  # what the network begins as counts; the first update would else overwrite it
        self.ema = self._averages.module.requires_grad_(False).eval()
        self.rivals = self.rival_optimiser = None
        if trainee.rivals is not None:
            self.rivals, self.rival_optimiser = accelerator.prepare(trainee.rivals, self._adamw(trainee.rivals))
        self._stop = False
        self.within_s: float | None = None  # seconds that the schedule has, where the clock decides
        self._done: float | None = None  # the share of them that is over

    def _adamw(self, module: nn.Module) -> torch.optim.AdamW:
        trained = [p for p in module.parameters() if p.requires_grad]
        config = self.config
        return torch.optim.AdamW(trained, config.lr, config.betas, weight_decay=config.weight_decay, fused=True)

    def run(self, max_minutes: float | None = None, within: float | None = None) -> bool:
        """Train on from the saved state; returns whether all steps are done.

        With `within` the whole schedule has so many minutes of training, resumed or not: the cooldown follows the
        clock, and the run is done when they are over, whatever its step.
        """
        self.load()
        started = saved = time.monotonic()
        self.within_s = None if within is None else 60 * within
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        main = self.accelerator.is_main_process
        bar = tqdm(
            total=self.config.steps, initial=self.step, desc="training", unit="step", disable=not main, mininterval=5
        )
        try:
            while self.step < self.config.steps:
                if self.within_s is not None:
                    self._done = (self.seconds + time.monotonic() - started) / self.within_s
                    if self._any_process(self._done >= 1):
                        break
                figures = self._one_step()
                self.step += 1
                self._log(figures, bar)
                now = time.monotonic()
                late = max_minutes is not None and (now - started) / 60 >= max_minutes
                if self._any_process(self._stop or late):
                    break
                if (now - saved) / 60 >= self.config.save_minutes:
                    self._account(started)
                    started, max_minutes = self._restart_clock(started, max_minutes)
                    self.save()
                    saved = time.monotonic()
        finally:
            bar.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        self._account(started)
        self.save()
        return self.step >= self.config.steps or self.out_of_time

    @property
    def out_of_time(self) -> bool:
        """Whether the clock ended the schedule."""
        return self._done is not None and self._done >= 1

    def _any_process(self, wish: bool) -> bool:
        """Whether any process wishes to stop: all leave at the same step, or those that go on would wait for the
        others."""
        if self.accelerator.num_processes == 1:
            return wish
        return bool(self.accelerator.reduce(torch.tensor(float(wish), device=self.accelerator.device)) > 0)

    def _account(self, started: float) -> None:
        self.seconds += time.monotonic() - started

    @staticmethod
    def _restart_clock(started: float, max_minutes: float | None) -> tuple[float, float | None]:
        now = time.monotonic()
        return now, None if max_minutes is None else max_minutes - (now - started) / 60

    def _on_signal(self, number, frame) -> None:
        self._stop = True

    def _one_step(self) -> dict[str, float]:
        self._set_lr()
        figures: dict[str, float] = {}
        for micro in range(self.config.accumulate):
            for name, value in self._micro_step(micro).items():
                figures[name] = figures.get(name, 0.0) + value / self.config.accumulate
        if not math.isfinite(figures["loss"]):
            raise UserError(
                f"the loss is not finite at step {self.step}; the last good state is in {self.folder}: "
                "lower the learning rate, or look for bad audio in the corpus, and run again."
            )
        if self.config.clip:
            figures["grad_norm"] = float(self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip))
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.rival_optimiser is not None:
            self._share_rival_gradients()
            self.rival_optimiser.step()
            self.rival_optimiser.zero_grad()
        self._averages.update_parameters(self.accelerator.unwrap_model(self.network))
        return figures

    def _share_rival_gradients(self) -> None:
        """Average the discriminators' gradients over processes: their losses pass by the data-parallel wrapper."""
        if self.accelerator.num_processes > 1 and self.trainee.rivals is not None:
            for parameter in self.trainee.rivals.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.accelerator.reduce(parameter.grad, "mean")

    def _micro_step(self, micro: int) -> dict[str, float]:
        torch.manual_seed(self.step * 64 + micro)  # dropout
        with self.accelerator.autocast():
            losses = self.trainee.losses(self.network, self.step, micro)
        self.accelerator.backward(losses["loss"] / self.config.accumulate)
        if "rival_loss" in losses:
            self.accelerator.backward(losses["rival_loss"] / self.config.accumulate)
        return {name: float(self.accelerator.reduce(value.detach(), "mean")) for name, value in losses.items()}

    def _set_lr(self) -> None:
        for optimiser in filter(None, (self.optimiser, self.rival_optimiser)):
            for group in optimiser.param_groups:
                group["lr"] = self.config.lr_at(self.step, self._done)

    def _average(self, averaged: Tensors, online: Tensors, _: Tensor | int) -> None:
        """Move averages towards weights, faster in the first steps."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(averaged, online, _)

    def _log(self, figures: dict[str, float], bar) -> None:
        bar.update()
        bar.set_postfix({name: f"{value:.3f}" for name, value in figures.items()}, refresh=False)
        row = {"step": self.step, "lr": self.config.lr_at(self.step - 1, self._done), **figures}
        last = self.step == self.config.steps
        if self.step % self.config.validate_every == 0 or last:
            with self.accelerator.autocast(), torch.no_grad():
                row |= {f"valid_{name}": value for name, value in self.trainee.validate(self.ema).items()}
        if self.config.samples_every and (self.step % self.config.samples_every == 0 or last):
            self._write_samples()
        due = self.step % max(10, self.config.steps // CURVE_POINTS) == 0
        if self.accelerator.is_main_process and (due or last or len(row) > len(figures) + 2):
            append_jsonl(
                self.folder / "curves.jsonl", {k: _shown(v) if isinstance(v, float) else v for k, v in row.items()}
            )

    def _write_samples(self) -> None:
        if self.accelerator.is_main_process:
            waves, rate_hz = self.trainee.samples(self.ema)
            for name, wave in waves.items():
                path = self.folder / "samples" / f"{self.step:07d}-{name}.flac"
                audio.write(path, wave.float().clamp(-1, 1).cpu().numpy(), rate_hz, comment="synthetic speech")

    def save(self) -> None:
        """Write the resume state, whole or not at all: weights, averages, moments and counters in one file."""
        if not self.accelerator.is_main_process:
            return
        tensors = {f"network.{k}": v for k, v in self.accelerator.unwrap_model(self.network).state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        tensors |= _moments("optimiser", self.optimiser)
        if self.rivals is not None:
            tensors |= {f"rivals.{k}": v for k, v in self.accelerator.unwrap_model(self.rivals).state_dict().items()}
            tensors |= _moments("rival_optimiser", self.rival_optimiser)
        tensors["counters"] = torch.tensor([self.step, round(self.seconds * 1000)])
        checkpoint.save_tensors(self.folder / "state.safetensors", tensors)

    def load(self) -> None:
        """Take up a saved state, if there is one; curves beyond it are cut off."""
        path = self.folder / "state.safetensors"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_jsonl(self.folder / "curves.jsonl", [])
            return
        tensors = checkpoint.read_tensors(path)
        modules = {"network": self.accelerator.unwrap_model(self.network), "ema": self.ema}
        if self.rivals is not None:
            modules["rivals"] = self.accelerator.unwrap_model(self.rivals)
        for prefix, module in modules.items():
            checkpoint.load_into(module, _under(tensors, prefix), path)
        _restore(self.optimiser, _under(tensors, "optimiser"))
        if self.rivals is not None:
            _restore(self.rival_optimiser, _under(tensors, "rival_optimiser"))
        self.step, milliseconds = (int(v) for v in tensors["counters"])
        self.seconds = milliseconds / 1000
        curves = self.folder / "curves.jsonl"
        if curves.is_file() and self.accelerator.is_main_process:
            write_jsonl(curves, [row for row in read_jsonl(curves) if row["step"] <= self.step])


def check_same_run(folder: Path, settings: dict) -> None:
    """Refuse to resume a state that other settings made; remember the settings of a new one."""
    path = folder / "settings.json"
    if (folder / "state.safetensors").is_file() and path.is_file() and read_json(path) != settings:
        raise UserError(
            f"{folder} holds the state of a run with other settings; delete that folder to start anew, "
            "or restore the configuration to go on."
        )
    write_json(path, settings)


def compile_blocks(network: nn.Module) -> nn.Module:
    """Compile the blocks of a network's stacks: equal blocks share one compilation, of all lengths and batch sizes.

    Precisions, masks and conditions that are there or not make variants of it; what cannot be compiled runs as it is.
    """
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.suppress_errors = True
    for stack in network.modules():
        for block in stack if isinstance(stack, nn.ModuleList) else ():
            if any(block.children()):
                block.compile(dynamic=True)
    return network


def _shown(value: float) -> float | None:
    """A curve's point: four digits are more than anyone can see; null where it is not finite."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(prefix + ".")}


def _moments(prefix: str, optimiser) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"{prefix}.{index}.{key}": value for index, row in state.items() for key, value in row.items()}


def _restore(optimiser, tensors: dict[str, Tensor]) -> None:
    whole = optimiser.state_dict()
    whole["state"] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        whole["state"].setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(whole)
