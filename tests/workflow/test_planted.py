"""A planted regression of each kind is caught: a small evaluation of real parts is run twice and its cells are
compared."""

import copy

import numpy as np
import pytest
import torch

from metrics import mcd, pesq_wb, registry, scorer, summary
from metrics.utterance import Files
from speechbase import audio
from speechbase.codec import build_codec
from speechbase.corpus import degrade
from speechbase.training import checkpoint
from speechop import sampler
from speechop.model.network import SpeechOpNetwork
from speechop.pipeline import Request, SpeechOp
from speechop.settings import Composed, NetworkConfig
from workflow.regression import compare as regression

RATE_HZ, SECONDS, ITEMS = 16_000, 2, 3
SIZE = {"dim": 32, "ff_dim": 64, "layers": 2, "heads": 2, "registers": 2, "dropout": 0.0}
NETWORK = {
    "latent_dim": 16,
    "dit": SIZE,
    "encoder": SIZE,
    "text": {"kind": "bytes", "dim": 32, "layers": 1},
    "encoder_time": False,
}
CODEC = {"kind": "mel", "latent_dim": 16, "decoder_dim": 16, "decoder_layers": 2}
FACTS = {"commit": None, "modified": False, "machine": {}, "drawn": {}, "audio": {}, "weights": {}, "versions": {}}


def voiced(number):
    """Speech-like: a gliding harmonic tone with formants, in syllables."""
    t = np.arange(RATE_HZ * SECONDS) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 20 * number + 15 * np.sin(2 * np.pi * 0.7 * t)) / RATE_HZ
    tone = sum(np.exp(-(((h * 150 - 600) / 900) ** 2)) * np.sin(h * phase) for h in range(1, 25))
    return (0.1 * tone * np.clip(np.sin(2 * np.pi * (3 + 0.3 * number) * t), 0, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A codec and a network with random weights."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    codec = build_codec(CODEC)
    codec.fit([torch.from_numpy(voiced(number)) for number in range(ITEMS)])
    network = SpeechOpNetwork(NetworkConfig(**NETWORK))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape) * 0.05)
    checkpoint.save_model(folder / "codec", codec.state_dict(), {"network": CODEC})
    config = {"network": network.config.as_dict(), "kind": "multitask", "sampling": {}}
    checkpoint.save_model(folder / "multitask", network.state_dict(), config)
    return folder


def evaluate(folder, models):
    """Cells of the degraded input and of the model's answer to it, through the real degradations, sampler and
    metrics."""
    clean = torch.from_numpy(np.stack([voiced(number) for number in range(ITEMS)]))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    rng = np.random.default_rng(0)
    drawn = {"eq": {"probability": 1, "gain_db": 6}, "noise": {"probability": 1, "snr_db": [0, 10]}}
    params = [degrade.draw(rng, drawn, ["white"], []) for _ in range(ITEMS)]
    noisy = degrade.apply(clean, noise, [None] * ITEMS, params, RATE_HZ).source.numpy()
    requests = [Request(str(number), "enhancement", source=wave) for number, wave in enumerate(noisy)]
    made = SpeechOp(models, device="cpu").process(requests, Composed(steps=4, precision="fp32"))
    cells = {}
    for system, waves, names in (("noisy", noisy, ["pesq", "mcd"]), ("speechop", made, ["mcd"])):
        for number, wave in enumerate(waves):
            audio.write(folder / f"{system}{number}.wav", wave, RATE_HZ)
            # Judged against a reference at another rate, so that the resampler has its part.
            audio.write(folder / f"clean{number}.wav", audio.resample(clean[number].numpy(), RATE_HZ, 44_100), 44_100)
        files = [Files(str(n), folder / f"{system}{n}.wav", folder / f"clean{n}.wav") for n in range(ITEMS)]
        rows = scorer.score(files, registry.find_all(names), {"resample": True})
        for name in names:
            found = summary.summarise(rows[name], name, {str(n): "x" for n in range(ITEMS)}, draws=100)
            assert found.n_scored == ITEMS, found.statuses
            cells[f"se/{system}/{name}"] = {
                "value": found.value, "n_scored": ITEMS, "status": "ok", "better": "lower", "digits": 4,
            }  # fmt: skip
    return {"cells": cells, "facts": copy.deepcopy(FACTS)}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, models):
    path = tmp_path_factory.mktemp("reference") / "r.json"
    runs = [evaluate(tmp_path_factory.mktemp("run"), models) for _ in range(2)]
    regression.update(path, runs[0], "the first", runs[1:])
    return regression.read_reference(path)


def moved(reference, folder, models):
    return {
        finding.name for finding in regression.compare(reference, evaluate(folder, models)) if finding.verdict != "same"
    }


def test_nothing_moves_by_itself(reference, models, tmp_path):
    assert not moved(reference, tmp_path, models)


def test_changed_metric_code_is_caught(reference, models, tmp_path, monkeypatch):
    whole = pesq_wb.pesq_wb
    monkeypatch.setattr(pesq_wb, "pesq_wb", lambda **waves: whole(**waves) + 0.002)
    assert moved(reference, tmp_path, models) == {"se/noisy/pesq"}


def test_changed_degradations_are_caught(reference, models, tmp_path, monkeypatch):
    draw = degrade.draw
    monkeypatch.setattr(degrade, "draw", lambda *given: (drawn := draw(*given)) | {"snr_db": drawn["snr_db"] + 0.2})
    assert "se/noisy/mcd" in moved(reference, tmp_path, models)


def test_changed_weights_are_caught(reference, models, tmp_path):
    tensors, config = checkpoint.read_model(models / "multitask")
    checkpoint.save_model(tmp_path / "multitask", {name: tensor * 1.02 for name, tensor in tensors.items()}, config)
    (tmp_path / "codec").symlink_to(models / "codec")
    assert moved(reference, tmp_path, tmp_path) == {"se/speechop/mcd"}


def test_a_changed_sampler_is_caught(reference, models, tmp_path, monkeypatch):
    grid = sampler.logsnrs
    monkeypatch.setattr(sampler, "logsnrs", lambda sampling: grid(sampling) * 0.8)
    assert moved(reference, tmp_path, models) == {"se/speechop/mcd"}


def test_another_version_of_a_dependency_is_caught(reference, models, tmp_path, monkeypatch):
    resample = audio.soxr.resample
    monkeypatch.setattr(audio.soxr, "resample", lambda *given, quality: resample(*given, quality="QQ"))
    assert moved(reference, tmp_path, models)
    assert mcd.METRICS[0].libraries  # the versions that rows record
