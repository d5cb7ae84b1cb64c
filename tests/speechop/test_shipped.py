"""The weights that come with the repository: whole, small, described by their card, and usable as they are."""

import numpy as np
import pytest

from speechbase import items
from speechbase.codec.loading import load_codec
from speechbase.files import read_json, sha256
from speechop import tasks
from speechop.model.loading import load_network
from speechop.pipeline import Request, SpeechOp
from speechop.settings import Composed
from workflow.plan.places import ROOT

PRETRAINED = ROOT / "speechbase" / "pretrained"
MODELS = sorted(path.parent for path in PRETRAINED.glob("*/*/model.safetensors"))


@pytest.mark.parametrize(("scale", "most"), [("nano", 150e6), ("mini", 110e6)])
def test_the_card_has_every_model_and_they_are_small(scale, most):
    models = [path for path in MODELS if path.parent.name == scale]
    card = (PRETRAINED / scale / "README.md").read_text()
    assert {"codec", "multitask"} <= {path.name for path in models}
    for folder in models:
        digest = sha256(folder / "model.safetensors")
        assert read_json(folder / "config.json")["sha256"] == digest
        assert f"| `{folder.name}` |" in card and digest[:16] in card, folder.name
    sizes = [path.stat().st_size for path in (PRETRAINED / scale).rglob("*") if path.is_file()]
    assert sum(sizes) <= most and max(sizes) < 50e6


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_model_loads_and_has_curves(folder):
    config = read_json(folder / "config.json")
    if config["kind"] == "codec":
        load_codec(folder)
    elif "dit" in config["network"]:
        load_network(folder)
    asked = config["training"]
    assert config["record"]["steps"] == (asked.get("runs") or [asked])[-1]["steps"]
    assert (folder / "curves.jsonl").stat().st_size > 500


def test_a_task_more_leaves_shipped_weights_as_they_are(monkeypatch):
    """The tuple of trained tasks lies with the weights: one more row for new networks changes no old byte."""
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.05

    def answers():
        model = SpeechOp.from_pretrained("nano")
        return model.process([Request("a", "enhancement", source=wave)], Composed(steps=2))[0]

    before = answers()
    dummy = tasks.TrainedTask("whispering", 1.0, 0.1)
    monkeypatch.setitem(tasks.TABLE9, "whispering", dummy)
    monkeypatch.setattr(tasks, "ROWS", ("whispering", *tasks.ROWS))
    monkeypatch.setitem(items.TASKS, "whispering", items.Task("whispering"))
    assert np.array_equal(answers(), before)
    for folder in MODELS:
        config = read_json(folder / "config.json")
        if "dit" in config["network"]:
            network, _ = load_network(folder)
            assert "whispering" not in network.config.tasks and len(network.task.weight) == len(network.config.tasks)


@pytest.mark.parametrize("scale", ["nano", "mini"])
def test_the_shipped_model_enhances_out_of_the_box(scale):
    model = SpeechOp.from_pretrained(scale)
    wave = np.random.default_rng(0).standard_normal(model.rate_hz).astype(np.float32) * 0.05
    (out,) = model.process([Request("a", "enhancement", source=wave)], Composed(steps=2))
    assert out.shape == wave.shape and np.isfinite(out).all()


def test_mini_is_guided_by_words_that_no_list_holds():
    """Another transcript is another sound, and a text with numbers and names can be said."""
    model = SpeechOp.from_pretrained("mini")
    wave = np.random.default_rng(0).standard_normal(model.rate_hz).astype(np.float32) * 0.05
    plain, one, other = (
        model.enhance(wave, model.rate_hz, transcript=text, steps=2)
        for text in (None, "Dr. Okonkwo paid $12.", "fjords")
    )
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - plain).max() > 1e-3
