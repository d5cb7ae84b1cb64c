"""How a model is trained: the settings of the loop, and of every kind of model."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from speechbase.files import seed_of
from speechbase.settings import Count, Name, Natural, NotNegative, Pair, Positive, Settings, Share, key, needed

SECTIONS = ("batches", "losses")  # what a run may change beside the loop's own settings


class TrainingConfig(Settings):
    """One run of the training loop (Appendix E.2 at the paper's scale; unstated ones after the first author's earlier
    code)."""

    steps: Natural
    lr: Positive
    warmup: Natural = key(4000, "steps over which the learning rate grows")
    weight_decay: NotNegative = 0.1
    betas: Pair = (0.9, 0.999)
    clip: NotNegative = key(1.0, "largest norm of a gradient (0: any)")
    ema: Share = key(0.9999, "what the averaged weights keep of themselves a step")
    accumulate: Count = key(2, "micro-batches a step")
    precision: Literal["bf16", "fp32"] = key("bf16", "bf16: where the processor has units for it, else fp32")
    validate_every: Count = key(1000, "steps")
    samples_every: Natural = key(0, "steps between samples to listen to, in the report too (0 is none)")
    compile: bool = key(False, "fuse the small operations of a network's blocks (a GPU gains, a CPU need not)")
    save_minutes: NotNegative = key(5.0, "minutes between resume states")
    cooldown: Share = key(1.0, "the last share of the steps, over which the learning rate falls to zero along a cosine")

    def lr_at(self, step: int, done: float | None = None) -> float:
        """Learning rate at a step: linear warm-up, constant, then a cosine to zero over the cooldown.

        `done` is the share of the run that is over, where the clock decides and not the steps.
        """
        step_now, start = step if done is None else done * self.steps, self.steps * (1 - self.cooldown)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, (step_now - start) / max(1.0, self.steps - start)))))
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup)) * fall


class Study(Settings):
    """Further trainings of a model, on request: `<model>_1of<part>_seed<seed>`, each with a cooldown of its own."""

    seeds: list[Count] = needed("beside the configuration's own")
    parts: list[Annotated[int, Field(ge=2)]] = needed("n: runs of 1/n of the model's steps, beside whole ones")


class Model(Settings):
    """What every trained model says."""

    kind: str = needed("what trains it (speechbase/training/kinds.py)")
    after: list[Name] = needed("models that must be there first")
    init: Annotated[str, Field(pattern="^[a-z0-9_]+(@[0-9]+)?$")] | None = key(
        None, "the model whose weights this one starts from; name@1: after its first run"
    )
    seed: Natural | None = key(None, "of its weights, batches and noise; the configuration's by default")
    study: Study | None = key(None, "trained with several seeds and over several lengths (Figure 2)")
    on_request: bool = key(False, "trained only when it is asked for by name; tables have its rows from then on")
    store: Literal["fp16", "fp32"] = key("fp16", "precision of the released weights")
    training: TrainingConfig


def runs_of(config: dict) -> list[dict]:
    """The configuration of each run of a model: what `training.runs` changes, in `training` or in the sections
    SECTIONS."""
    training = {key: value for key, value in config["training"].items() if key != "runs"}
    found = []
    for number, changes in enumerate(config["training"].get("runs") or [{}]):
        own = {key: value for key, value in changes.items() if key not in SECTIONS}
        sections = {name: config.get(name, {}) | changes.get(name, {}) for name in SECTIONS if name in config | changes}
        seed = seed_of(config["seed"], "run", number) if number else config["seed"]
        found.append(config | {"training": training | own, "seed": seed} | sections)
    return found
