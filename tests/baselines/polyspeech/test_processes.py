"""PolySpeech: training on several processes is training on one with all of their items."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from baselines.polyspeech.hubert_trainee import build as build_hubert
from speechbase.files import read_jsonl
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from speechbase.training.kinds import Context
from tests.baselines.polyspeech.conftest import CROPS, MODELS, SHARED

HERE = Path(__file__).parents[3]
RANK = """
import json, os, sys
from pathlib import Path
from speechbase.training.__main__ import train
from speechbase.training.loop import Loop

root, plans = Path(sys.argv[1]), json.loads(sys.argv[2])
save = Loop.save

def saving(self):
    save(self)
    sums = {name: float(tensor.double().sum()) for name, tensor in self.trainee.network.state_dict().items()}
    (root / f"{self.folder.name}-{os.environ['RANK']}.json").write_text(json.dumps(sums))

Loop.save = saving
for name, (kind, config) in plans.items():
    train(kind, name, config, root / "data", root, root / "state", None, False)
"""


def plan(name: str, size: int, **more) -> tuple[str, dict]:
    """Kind and configuration of a model, begun from its weights, with so many items a process."""
    kind, config = MODELS[name]
    training = SHARED["training"] | {"steps": 3, "save_minutes": 9.0}
    batches = config["batches"] | {"size": size} | more.pop("batches", {})
    return kind, SHARED | config | {"init": name, "training": training, "batches": batches} | more


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory):
    """A folder with models of two processes, `_two`, and of one with twice the batch, `_one`."""
    root = tmp_path_factory.mktemp("processes")
    for name in ("data", "codec", *MODELS):
        (root / name).symlink_to(made / name)
    heard = {"sset": {"batches": {"noisy": 0.5}}, "polyspeech_decoder": {}}
    plans = {f"{name}_two": plan(name, 2, **more) for name, more in heard.items()}
    tasks = {"batches": {"tasks": {"asr": 1.0, "tts": 1.0}}}  # those with CTC
    plans["polyspeech_two"] = plan("polyspeech", 2, losses={"ctc": 0.3, "ctc_spoken": 0.3}, **tasks)
    (root / "rank.py").write_text(RANK)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", root / "rank.py"]
    subprocess.run(
        [*launch, root, json.dumps(plans)], check=True, timeout=300, cwd=HERE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
    )  # fmt: skip
    for name, more in heard.items():
        kind, config = plan(name, 4, **more)
        assert train(kind, f"{name}_one", config, root / "data", root, root / "state", None, False)
    return root


@pytest.mark.parametrize("name", ["sset", "polyspeech_decoder"])
def test_two_processes_are_one_of_twice_the_batch_and_codebooks_follow_the_frames_of_both(trained, name):
    curves = [read_jsonl(trained / f"{name}_{number}" / "curves.jsonl") for number in ("one", "two")]
    for one, two in zip(*curves, strict=True):
        for figure in ("step", "loss", "grad_norm"):
            assert two[figure] == pytest.approx(one[figure], rel=2e-3), figure
    one, two = (checkpoint.read_model(trained / f"{name}_{number}")[0] for number in ("one", "two"))
    for tensor, values in one.items():
        torch.testing.assert_close(two[tensor], values, atol=2e-4, rtol=2e-2, msg=lambda m, of=tensor: f"{of}: {m}")


@pytest.mark.parametrize("name", ["sset", "polyspeech_decoder", "polyspeech"])
def test_processes_keep_one_model(trained, name):
    first, second = (json.loads((trained / f"{name}_two-{rank}.json").read_text()) for rank in (0, 1))
    assert first == pytest.approx(second, rel=1e-6, abs=1e-6)


def test_every_process_draws_its_own_items_of_a_global_batch_and_hides_its_own_frames(made):
    config = SHARED | MODELS["hubert_1"][1] | {"batches": CROPS | {"noisy": 0.5, "span": 3}}
    context = Context("hubert", made / "data", made, None, Accelerator(cpu=True))
    learner = build_hubert(config, context)

    def drawn(size: int, share: tuple[int, int]) -> list[torch.Tensor]:
        how = learner.how.model_copy(update={"size": size})
        crop = learner.train.draw(how, learner.codec.hop, 0, "x", share=share)
        return [crop.clean, crop.heard, crop.prompt, *learner._batch(crop, "x", share=share)]

    whole = drawn(4, (0, 1))
    for rank in (0, 1):
        for mine, all_items in zip(drawn(2, (rank, 2)), whole):
            torch.testing.assert_close(mine, all_items[rank::2], atol=1e-5, rtol=1e-4)
    losses = []
    for rank in (0, 1):
        learner.share = (rank, 2)
        losses.append(float(learner.losses(learner.network, 0, 0)["loss"].detach()))
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
