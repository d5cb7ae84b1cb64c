"""A run whose schedule has minutes instead of steps."""

import itertools

import torch
from accelerate import Accelerator
from torch import nn

from speechbase.files import read_json
from speechbase.training import loop as loops
from speechbase.training.loop import Loop
from speechbase.training.release import release
from speechbase.training.settings import TrainingConfig


class Line:
    """The smallest trainee: one number."""

    rivals = None

    def __init__(self):
        self.network = nn.Linear(1, 1)

    def losses(self, network, step, micro):
        return {"loss": network(torch.ones(1, 1)).square().mean()}

    def validate(self, network):
        return {}

    def weights(self, averaged):
        return averaged.state_dict()


def test_the_cooldown_ends_with_the_minutes_also_of_a_resumed_run(monkeypatch, tmp_path):
    config = TrainingConfig(
        steps=10_000, lr=1.0, warmup=1, cooldown=0.5, accumulate=1, precision="fp32", validate_every=10**6, ema=0.5
    )

    def run(**limits):
        clock = itertools.count(0, 3)  # three seconds pass whenever somebody looks
        monkeypatch.setattr(loops.time, "monotonic", lambda: next(clock))
        loop = Loop(Line(), config, tmp_path / "state", Accelerator(cpu=True))
        return loop, loop.run(**limits)

    first, done = run(max_minutes=0.5, within=2.0)
    assert not done and config.lr_at(first.step, first._done) == 1.0 and 0 < first.step < 12
    second, done = run(within=2.0)
    assert done and first.step < second.step < 60 and second.seconds >= 115
    assert config.lr_at(second.step, second._done) < 0.05
    third, done = run(within=2.0)
    assert done and third.step == second.step  # nothing is left to do
    release(tmp_path / "released", second, {"training": {"steps": 10_000}})
    told = read_json(tmp_path / "released" / "config.json")
    assert told["training"]["steps"] == told["record"]["steps"] == second.step and told["record"]["within_minutes"] == 2
