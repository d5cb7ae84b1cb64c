"""The weights that come with the repository: whole, small, described by their card, and usable as they are."""

import numpy as np
import pytest

from speechbase.codec.loading import load_codec
from speechbase.files import read_json, sha256
from speechop.compose import Settings
from speechop.model.loading import load_network
from speechop.pipeline import Request, SpeechOp
from workflow.plan.planning import ROOT

FOLDER = ROOT / "speechbase" / "pretrained" / "nano"
MODELS = sorted(path.parent for path in FOLDER.glob("*/model.safetensors"))


def test_the_card_has_every_model_and_all_fit_into_60_mb():
    card = (FOLDER / "README.md").read_text()
    assert {"codec", "tts", "multitask"} <= {path.name for path in MODELS}
    for folder in MODELS:
        digest = sha256(folder / "model.safetensors")
        assert read_json(folder / "config.json")["sha256"] == digest
        assert f"| `{folder.name}` |" in card and digest[:16] in card, folder.name
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 60e6


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_every_model_loads_and_has_curves(folder):
    config = read_json(folder / "config.json")
    if "baseline" not in config:
        load_codec(folder) if config["stage"] == "codec" else load_network(folder)
    assert config["record"]["steps"] > 0 and (folder / "curves.jsonl").stat().st_size > 1000


def test_the_shipped_model_enhances_out_of_the_box():
    model = SpeechOp.from_pretrained("nano")
    wave = np.random.default_rng(0).standard_normal(model.rate_hz).astype(np.float32) * 0.05
    (out,) = model.process([Request("a", "enhancement", source=wave)], Settings(steps=2))
    assert out.shape == wave.shape and np.isfinite(out).all()
