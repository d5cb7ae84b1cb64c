"""The training loop of the matched baselines: time-limited, resumable to the same result, validated, EMA weights."""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from fileio.files import UserError, append_jsonl, atomic, read_jsonl, seed_of, write_json, write_jsonl

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and how hard. Training ends at `max_steps` or after `max_minutes` of training, whichever comes first."""

    max_steps: int
    max_minutes: float
    batch_size: int
    learning_rate: float
    warmup_steps: int = 200
    ema_decay: float = 0.999
    clip_norm: float = 5.0
    valid_every_minutes: float = 5.0
    threads: int = 1
    seed: int = 0

    @classmethod
    def of(cls, config: dict) -> Plan:
        """From the `training` section of a baseline's configuration. Raises: UserError: unknown or missing keys."""
        known = {f.name for f in fields(cls)}
        if unknown := set(config) - known:
            raise UserError(f"unknown training settings {sorted(unknown)}; known are {sorted(known)}.")
        try:
            return cls(**config)
        except TypeError as error:
            raise UserError(f"the training settings are incomplete: {error}.") from None


def fit(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Batch], Tensor],
    train_batch: Callable[[int], Batch],
    valid_batches: list[Batch],
    plan: Plan,
    config: dict,
    out: Path,
    state: Path,
    device: str = "cpu",
) -> dict:
    """Train, or go on training, and write `out/{model.safetensors,config.json,curves.jsonl}`.

    Args:
        loss_of: (model, batch) -> scalar loss, the same for training and validation.
        train_batch: step -> batch; everything random in it comes from the step, so a resumed run sees the same data.
        valid_batches: fixed batches; their mean loss under the EMA weights is the validation loss.
        config: what `config.json` records beside the training record (architecture, data).
        state: folder of the resume state; a run that is killed goes on from the last validation.

    Returns:
        The training record: steps, minutes, loss_first, loss_last.
    """
    torch.set_num_threads(plan.threads)
    run = _Run(model.to(device), plan, state, device)
    run.resume()
    bar = tqdm(total=plan.max_steps, initial=run.step, unit="step", mininterval=10.0, desc=out.name)
    if not run.rows:
        run.validate(loss_of, valid_batches)
    with _stopping() as stopped:
        while not run.finished() and not stopped():
            loss = run.advance(loss_of, {k: v.to(device) for k, v in train_batch(run.step).items()})
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if run.validation_is_due() or run.finished() or stopped():
                run.validate(loss_of, valid_batches)
                run.save()
    bar.close()
    if not run.finished():
        sys.exit(143)
    record = run.record()
    _export(run, config, record, out)
    return record


class _Run:
    """Everything that resuming needs, in one place."""

    def __init__(self, model: nn.Module, plan: Plan, state: Path, device: str):
        self.model, self.plan, self.state, self.device = model, plan, state, device
        self.ema = copy.deepcopy(model).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(model.parameters(), plan.learning_rate)
        self.step, self.seconds, self.validated_at = 0, 0.0, 0.0
        self.losses: list[float] = []
        self.rows: list[dict] = []

    def resume(self) -> None:
        path = self.state / "state.pt"
        if not path.is_file():
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        if saved["plan"]["seed"] != self.plan.seed or saved["plan"]["batch_size"] != self.plan.batch_size:
            raise UserError(f"{path} is of another seed or batch size; delete {self.state} to start afresh.")
        try:
            self.model.load_state_dict(saved["model"])
            self.ema.load_state_dict(saved["ema"])
        except RuntimeError:
            raise UserError(f"{path} is of a model of another shape; delete {self.state} to start afresh.") from None
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.seconds, self.validated_at = saved["step"], saved["seconds"], saved["seconds"]
        self.rows = [row for row in read_jsonl(self.state / "curves.jsonl") if row["step"] <= self.step]

    def save(self) -> None:
        saved = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "plan": asdict(self.plan),
        }
        with atomic(self.state / "state.pt") as temporary:
            torch.save(saved, temporary)

    def progress(self) -> float:
        """How much of the plan is done, 0 to 1: by steps or by time, whichever is further."""
        return max(self.step / self.plan.max_steps, self.seconds / (60 * self.plan.max_minutes))

    def finished(self) -> bool:
        return self.progress() >= 1

    def learning_rate(self) -> float:
        """Linear warm-up, constant, and a half-cosine to zero over the last third of the plan."""
        warm = min(1.0, (self.step + 1) / self.plan.warmup_steps)
        tail = max(0.0, (self.progress() - 2 / 3) * 3)
        return self.plan.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, tail)))

    def advance(self, loss_of: Callable, batch: Batch) -> float:
        started = time.perf_counter()
        torch.manual_seed(seed_of(self.plan.seed, self.step))
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        loss = loss_of(self.model, batch)
        if not torch.isfinite(loss):
            raise RuntimeError(f"the loss is {loss.item()} at step {self.step}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip_norm)
        self.optimizer.step()
        decay = min(self.plan.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
            for own, new in zip(self.ema.buffers(), self.model.buffers(), strict=True):
                own.copy_(new)
        self.step += 1
        self.seconds += time.perf_counter() - started
        self.losses.append(loss.item())
        return self.losses[-1]

    def validation_is_due(self) -> bool:
        return self.seconds - self.validated_at >= 60 * self.plan.valid_every_minutes

    def validate(self, loss_of: Callable, batches: list[Batch]) -> None:
        with torch.no_grad():
            losses = [loss_of(self.ema, {k: v.to(self.device) for k, v in b.items()}).item() for b in batches]
        row = {
            "step": self.step,
            "minutes": round(self.seconds / 60, 3),
            "train_loss": round(sum(self.losses) / max(1, len(self.losses)), 5),
            "valid_loss": round(sum(losses) / max(1, len(losses)), 5),
        }
        self.rows.append(row)
        append_jsonl(self.state / "curves.jsonl", row)
        self.losses, self.validated_at = [], self.seconds

    def record(self) -> dict:
        losses = [row["valid_loss"] for row in self.rows]
        return {
            "steps": self.step,
            "minutes": round(self.seconds / 60, 2),
            "valid_loss_first": losses[0],
            "valid_loss_last": losses[-1],
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "plan": asdict(self.plan),
        }


def _export(run: _Run, config: dict, record: dict, out: Path) -> None:
    with atomic(out / "model.safetensors") as temporary:
        save_file({name: tensor.contiguous() for name, tensor in run.ema.state_dict().items()}, temporary)
    write_json(out / "config.json", {**config, "training": record})
    write_jsonl(out / "curves.jsonl", run.rows)


class _stopping:
    """A context in which SIGTERM (a scheduler's time limit) asks the loop to save and stop instead of killing it."""

    def __enter__(self) -> Callable[[], bool]:
        self.asked = False
        self.before = signal.signal(signal.SIGTERM, self._ask)
        return lambda: self.asked

    def _ask(self, *_) -> None:
        self.asked = True

    def __exit__(self, *_) -> None:
        signal.signal(signal.SIGTERM, self.before)
