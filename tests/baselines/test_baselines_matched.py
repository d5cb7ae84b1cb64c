"""The matched baselines: their losses, their training on a miniature corpus, and their adapters on what was trained."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from baselines import registry
from baselines.matched import MatchedPairs, MatchedTrainee
from baselines.permutation import remix, si_sdr_db, target_of
from baselines.predictive.model import Enhancer, spectral_loss
from baselines.predictive.settings import Size as PredictiveSize
from baselines.sepformer.model import negative_si_snr
from baselines.settings import MatchedBatches
from speechbase import audio
from speechbase.files import UserError, read_json, read_jsonl
from speechbase.items import read_items
from speechbase.systems.runner import run_manifest
from speechbase.training.__main__ import train

RATE_HZ = 16000
DEGRADATION = {"noise": {"probability": 1.0, "snr_db": [0, 5]}}
TRAINING = {
    "steps": 16,
    "precision": "fp32",
    "accumulate": 1,
    "lr": 3e-3,
    "warmup": 2,
    "validate_every": 8,
    "ema": 0.5,
    "cooldown": 0.2,
}
SIZES = {
    "predictive": {"rate_hz": RATE_HZ, "window": 256, "hop": 128, "hidden": 32, "layers": 1},
    "sepformer": {"rate_hz": RATE_HZ, "channels": 16, "chunk": 50, "blocks": 1, "heads": 2, "feedforward": 32},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_speech):
    """A corpus folder in the contract's form: two speakers, one noise, one impulse response a split."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "valid"):
        rows = []
        for number in range(6):
            path = f"{split}{number}.wav"
            audio.write(root / "speech" / path, make_speech(number * 7 + len(split), 1.2), RATE_HZ)
            row = {"id": f"{split}{number}", "speaker": f"s{number % 2}", "base": "b", "sex": "f", "split": split}
            rows.append(
                row | {"text": "a", "path": path, "rate_hz": RATE_HZ, "seconds": 1.2, "phones": 9, "sha256": ""}
            )
        pd.DataFrame(rows).to_csv(root / "speech" / f"{split}.csv", index=False)
    rng = np.random.default_rng(0)
    tables = {"noise": rng.normal(0, 0.1, RATE_HZ), "rir": np.r_[1.0, rng.normal(0, 0.05, 800)]}
    for name, wave in tables.items():
        audio.write(root / f"{name}.wav", wave.astype(np.float32), RATE_HZ)
        rows = [{"id": f"{name}-{split}", "split": split, "path": f"{name}.wav"} for split in ("train", "valid")]
        pd.DataFrame(rows).to_csv(root / f"{name}.csv", index=False)
    return root


def run_training(name, data, folder, **changes):
    config = {"seed": 1, "network": SIZES[name], "training": TRAINING, "degradation": DEGRADATION}
    config |= {"batches": {"size": 2, "seconds": 0.5}} | changes
    return train(name, name, config, data, folder / "models", folder / "state", None, False)


@pytest.mark.parametrize("name", list(SIZES))
def test_training_lowers_the_loss_and_the_adapter_runs(name, data, manifest, tmp_path):
    task = {"predictive": "enhancement", "sepformer": "separation"}[name]
    path = manifest(task, count=2)
    settings = {"models_dir": str(tmp_path / "models")}
    assert "holds no trained model" in registry.create(name, settings).skip()
    assert run_training(name, data, tmp_path)
    curves = [row for row in read_jsonl(tmp_path / "models" / name / "curves.jsonl") if "valid_loss" in row]
    assert curves[-1]["valid_loss"] < curves[0]["valid_loss"]
    assert read_json(tmp_path / "models" / name / "config.json")["record"]["steps"] == TRAINING["steps"]
    index = run_manifest(registry.create(name, settings), path, tmp_path / "out")
    assert list(index["status"]) == ["ok", "ok"], list(index["detail"])
    for identifier in index["id"]:
        source, _ = audio.read(tmp_path / f"{identifier}-source.wav")
        assert len(audio.read(tmp_path / "out" / f"{identifier}.wav")[0]) == len(source)


def test_bad_configurations_are_sentences(data, tmp_path):
    for changes, message in (
        ({"network": {"speed": 1}}, "network has no setting 'speed'"),
        ({"training": {"step": 1}}, "training has no setting 'step'"),
        ({"network": {"rate_hz": 8000}}, "8000 Hz"),
    ):
        model = {"rate_hz": RATE_HZ} | changes.get("network", {})
        with pytest.raises(UserError, match=message):
            run_training("predictive", data, tmp_path, **(changes | {"network": model}))


def test_both_speakers_of_a_mixture_are_known(data):
    pairs = MatchedPairs.load(data, "train", DEGRADATION, RATE_HZ)
    rngs = [np.random.default_rng(seed) for seed in range(4)]
    pair = pairs.pairs(["separation"] * 4, rngs, 8000, 0)
    other = pairs.last.speech - pair.target
    assert torch.allclose(pair.target + other + pairs.last.noise, pair.source, atol=1e-5)
    level_db = 10 * torch.log10(other.square().mean(1) / pair.target.square().mean(1))
    assert (level_db.abs() < 5.5).all()


def test_separation_loss_ignores_order_and_scale():
    sources = torch.randn(2, 800, 2, generator=torch.Generator().manual_seed(0))
    batch = {"mixture": sources.sum(-1), "sources": sources}
    losses = [negative_si_snr(lambda _, s=s: s, batch).item() for s in (sources, 3 * sources.flip(-1))]
    assert losses == [-30.0, -30.0]
    assert negative_si_snr(lambda mixture: torch.stack([mixture, mixture], -1), batch).item() == pytest.approx(
        0, abs=0.5
    )


def test_enhancer_starts_as_the_identity_and_its_loss_has_no_level(make_speech):
    model = Enhancer(PredictiveSize(hidden=32))
    wave = torch.from_numpy(np.stack([make_speech(1, 0.5), make_speech(2, 0.5)]))
    assert si_sdr_db(model(wave)[0].detach().numpy(), wave[0].numpy()) > 40
    noisy = wave + 0.02 * torch.randn_like(wave)
    losses = [spectral_loss(model, {"noisy": noisy * gain, "clean": wave * gain}).item() for gain in (1, 0.1)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0] > 0.01


def test_best_permutation_and_level_of_a_blind_separator(manifest, tmp_path):
    for item in read_items(manifest("separation")):
        target, mixture = item.wave("reference"), item.wave("source")
        swapped = np.stack([-5 * (mixture - target), 0.1 * target])
        estimates = remix(swapped, mixture)
        np.testing.assert_allclose(estimates.sum(0), mixture, atol=1e-4)
        np.testing.assert_allclose(target_of(estimates, item, item.rate_hz), target, atol=1e-3)


def test_weights_of_another_size_are_refused(data, tmp_path):
    run_training("predictive", data, tmp_path)
    config = tmp_path / "models" / "predictive" / "config.json"
    values = read_json(config)
    values["network"]["hidden"] = 64
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match="does not fit"):
        registry.create("predictive", {"models_dir": str(tmp_path / "models")}).load("cpu")


def test_speed_perturbation_is_of_training_items_alone(data):
    network = torch.nn.Linear(1, 1)
    pairs = {split: MatchedPairs.load(data, split, DEGRADATION, RATE_HZ) for split in ("train", "valid")}
    heard = []

    def loss(_, pair, mixture):
        heard.append(pair.target)
        return pair.target.mean()

    for speed in ({}, {"speed": [0.8, 0.9]}):
        batches = MatchedBatches(**{"size": 2, "seconds": 0.5} | speed)
        trainee = MatchedTrainee(network, loss, "enhancement", pairs["train"], pairs["valid"], 1, batches)
        trainee._loss_of(network, trainee.train, "train", 0, 0)
        trainee._loss_of(network, trainee.valid, "valid", 0)
    plain, valid, slow, same = heard
    assert not torch.equal(plain, slow) and torch.equal(valid, same)


def test_a_second_training_of_a_method_is_a_setting(data, manifest, tmp_path):
    settings = {"models_dir": str(tmp_path / "models"), "model": "predictive_fair"}
    system = registry.create("predictive", settings)
    assert system.model_dir == tmp_path / "models" / "predictive_fair" and "predictive_fair" in system.skip()
