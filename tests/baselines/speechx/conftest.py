"""A tiny corpus with both of SpeechX's models, and networks of random weights."""

from typing import get_args

import pytest
import torch

from baselines.speechx.network import Autoregressive, Refining
from baselines.speechx.settings import Task
from speechbase.tokens.settings import LMConfig
from speechbase.training.__main__ import train
from tests.speechbase.codec.test_quantiser import QUANTISER
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

LEVELS, CODES = 3, 8
TASKS = get_args(Task)
SIZES = {"dim": 32, "ff_dim": 48, "layers": 2, "heads": 2}
TWO = SIZES | {"said_levels": 2}
MODEL = {
    "seed": 1,
    "network": SIZES,
    "batches": {"size": 4, "sentences": [1, 2], "prompt_seconds": [0.2, 0.4], "valid_items": 4, "speed": [0.9, 1.1]},
    "training": {"steps": 6, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 2, "validate_every": 3,
                 "save_minutes": 0.0, "ema": 0.5},
    "degradation": QUANTISER["degradation"] | {"reverb": {"probability": 0.5}},
    "store": "fp32",
}  # fmt: skip


def codes(frames, seed=0):
    return torch.randint(CODES, (frames, LEVELS), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def codewords():
    return torch.randn(LEVELS, CODES, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session", params=[1, 2])
def speaking(codewords, request):
    """One that says a level, and one that says two."""
    torch.manual_seed(0)
    return Autoregressive(codewords, LMConfig(**SIZES), LEVELS, request.param).eval()


@pytest.fixture(scope="session")
def refining(codewords):
    torch.manual_seed(0)
    return Refining(codewords, LMConfig(**SIZES)).eval()


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with a corpus, a token codec, and both models trained a little for all tasks."""
    root = tmp_path_factory.mktemp("speechx")
    data = write_corpus(root / "data")
    for kind, name, config in (
        ("codec", "codec", CODEC),
        ("quantiser", "codec_tokens", QUANTISER | {"store": "fp32"}),
        ("speechx_ar", "speechx_ar", MODEL | {"network": TWO | {"prompt_layers": 3}}),
        ("speechx_nar", "speechx_nar", MODEL | {"batches": MODEL["batches"] | {"token_noise": 0.2}, "network": TWO}),
    ):
        assert train(kind, name, config, data, root, root / "state", None, False)
    return root
