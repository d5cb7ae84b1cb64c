"""A tiny corpus with all of PolySpeech's models."""

import pytest

from baselines.polyspeech import layout, probe
from speechbase.training.__main__ import train
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

SIZES = {"dim": 32, "ff_dim": 48, "layers": 2, "heads": 2}
SHARED = {
    "seed": 1,
    "training": {"steps": 2, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 1, "validate_every": 2,
                 "save_minutes": 0.0, "ema": 0.5},
    "degradation": {"noise": {"probability": 1, "snr_db": [0, 10]}},
    "store": "fp32",
}  # fmt: skip
CROPS = {"size": 2, "seconds": 0.8, "prompt_seconds": 0.4, "valid_items": 2}
CLUSTERS = {"clusters": 6, "frames": 120, "iterations": 3}
LABELS = {"lid": ["en", "it"], "gid": ["f", "m"]}
MODELS = {
    "hubert_1": ("hubert", {"network": SIZES, "batches": {**CROPS, "noisy": 0.5}, "targets": CLUSTERS}),
    "hubert_2": ("hubert", {"network": SIZES, "batches": CROPS, "targets": CLUSTERS | {"of": "hubert_1"}}),
    "sset": ("sset", {"network": {"dim": 16, "kernel": 3, "layers": 1, "codes": 8, "levels": 2}, "batches": CROPS,
                      "fit": {"frames": 120, "iterations": 3}, "semantic": "hubert_2"}),
    "polyspeech_decoder": ("polyspeech_decoder", {"network": SIZES, "batches": CROPS, "semantic": "hubert_2",
                                                  "tokens": "sset"}),
    "polyspeech": ("polyspeech", {"network": SIZES, "semantic": "hubert_2", "tokens": "sset", "losses": {"ctc": 0.3},
                                  "batches": {"size": 2, "valid_items": 2, "speed": [0.9, 1.1],
                                              "tasks": dict.fromkeys(layout.TASKS, 1.0)}}),
    "polyspeech_lid": ("polyspeech", {"network": SIZES, "semantic": "hubert_2", "tokens": "sset", "hears": "latents",
                                      "batches": {"size": 2, "valid_items": 2, "tasks": {"lid": 1.0}}}),
}  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with a tiny corpus and all models of it, each trained for two steps."""
    root = tmp_path_factory.mktemp("polyspeech")
    write_corpus(root / "data")
    assert train("codec", "codec", CODEC, root / "data", root, root / "state", None, False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "STEPS", 3)
        for name, (kind, config) in MODELS.items():
            assert train(kind, name, SHARED | config, root / "data", root, root / "state", None, False), name
    return root
