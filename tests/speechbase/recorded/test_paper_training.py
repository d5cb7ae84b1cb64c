"""Training at the paper's scale on miniatures: shards at the corpora's rates, stored latents, noises at any rate."""

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from speechbase import audio
from speechbase.codec import MelCodec
from speechbase.codec.settings import MelConfig
from speechbase.corpus import pairs
from speechbase.corpus.shards import ShardTable, open_speech, tts_split
from speechbase.corpus.speech import COLUMNS
from speechbase.files import UserError, read_jsonl
from speechbase.recorded import shards
from speechbase.training import __main__ as train
from speechbase.training import checkpoint
from speechop.schedule import SigmoidWeight
from speechop.settings import BatchConfig
from speechop.stages.batches import Drawer
from tests.speechop.conftest import TINY
from workflow.cluster import plan

TRAINING = {"steps": 2, "lr": 1e-3, "warmup": 1, "precision": "fp32", "accumulate": 2, "validate_every": 2}
CODEC = {
    "seed": 1,
    "network": {"kind": "dac", "latent_dim": 16, "encoder_dim": 2, "decoder_dim": 64},
    "training": TRAINING | {"accumulate": 1},
    "losses": {
        "seconds": 0.1,
        "batch": 2,
        "mel_windows": [128],
        "mel_bands": [10],
        "disc_windows": [128],
        "disc_channels": 2,
    },
}
DIFFUSION = {
    "seed": 1,
    "network": TINY.as_dict(),
    "batches": {
        "tts_batch": 2,
        "s2s_batch": 3,
        "crop_seconds": 0.3,
        "prompt_seconds": [0.1, 0.2],
        "sentences": [1],
        "valid_items": 4,
    },
    "training": TRAINING,
    "degradation": {"noise": {"probability": 1, "snr_db": [0, 10]}, "reverb": {"probability": 0.5}},
}


@pytest.fixture
def data(tmp_path, make_noise):
    """data/paper: clean speech at 24 kHz, TTS speech at 16 and 24 kHz, both as shards; a stereo noise, a response."""
    root = tmp_path / "data"
    for table, rates in {"train": [24000], "valid": [24000], "tts": [16000, 24000]}.items():
        rows = []
        for number in range(8):
            rate_hz, identity = rates[number % len(rates)], f"{table}{number}"
            audio.write(root / "audio" / f"{identity}.flac", make_noise(0.6 + 0.02 * number, rate_hz, number), rate_hz)
            row = {"id": identity, "speaker": str(number % 2), "text": f"{table} {number}", "rate_hz": rate_hz}
            rows.append(row | {"path": f"../audio/{identity}.flac", "seconds": 0.6 + 0.02 * number})
        (root / "speech").mkdir(exist_ok=True)
        pd.DataFrame(rows).reindex(columns=COLUMNS).to_csv(root / "speech" / f"{table}.csv", index=False)
        shards.write(root / "speech" / f"{table}.csv", root / "shards" / table, size=4)
    sounds = {"noise": (np.stack([make_noise(1.0, 44100)] * 2, 1), 44100), "rir": (make_noise(0.1, 48000), 48000)}
    for name, (wave, rate_hz) in sounds.items():
        soundfile.write(root / f"{name}.wav", wave, rate_hz)
        rows = [{"id": f"{name}-{split}", "split": split, "path": f"{name}.wav"} for split in ("train", "valid")]
        pd.DataFrame(rows).to_csv(root / f"{name}.csv", index=False)
    return root


def test_all_stages_train_from_shards_and_stored_latents(data, tmp_path, monkeypatch):
    models = tmp_path / "models"

    def run(stage, config):
        return train.train(stage, stage, config, data, models, tmp_path / "state", None, False)

    assert run("codec", CODEC)
    tensors, _ = checkpoint.read_model(models / "codec")
    assert tensors["mean"].any() and not torch.equal(tensors["std"], torch.ones(16)), "no statistics are stored"
    encode, rate_hz = shards.codec_encoder(models / "codec", "cpu")
    table = ShardTable.open(data / "shards" / "train", rate_hz)
    latents = np.concatenate([encode(table.wave(place)) for place in range(8)])
    assert np.abs(latents.mean(0)).max() < 0.1 and np.abs(latents.std(0) - 1).max() < 0.1
    shards.main(
        ["encode", "--shards", str(data / "shards" / "tts"), "--codec", str(models / "codec"), "--device", "cpu"]
    )
    read = []
    latent = ShardTable.latent
    monkeypatch.setattr(ShardTable, "latent", lambda self, place: read.append(place) or latent(self, place))
    monkeypatch.setattr(pairs, "IN_MEMORY", 0)
    assert run("tts", DIFFUSION) and len(read) == 2 * 2 * 2  # steps, accumulation, batch
    assert run("multitask", DIFFUSION | {"init": "tts"})
    curves = read_jsonl(models / "multitask" / "curves.jsonl")
    assert all(np.isfinite(curves[-1][name]) for name in ("loss", "valid_tts", "valid_s2s"))


def test_stored_latents_are_those_of_the_audio(data):
    torch.manual_seed(0)
    codec = MelCodec(MelConfig(latent_dim=16, decoder_dim=16, decoder_layers=2)).eval()
    codec.fit([torch.randn(16_000) * 0.1])

    def draw():
        speech = open_speech(data, tts_split(data, "train"), codec.rate_hz)
        drawer = Drawer(speech, codec, BatchConfig(tts_batch=4), SigmoidWeight(), 7)
        return drawer.encoded is not None, drawer.tts(3, 0)

    (before, heard) = draw()
    whole = lambda wave: torch.from_numpy(wave[: len(wave) // codec.hop * codec.hop])[None]  # noqa: E731
    shards.encode(data / "shards" / "tts", lambda wave: codec.encode(whole(wave))[0].numpy(), codec.rate_hz)
    (after, stored) = draw()
    assert (before, after) == (False, True) and heard.texts == stored.texts and heard.texts[0].startswith("tts")
    assert torch.equal(heard.mask, stored.mask) and torch.equal(heard.clean, stored.clean)
    inner = slice(0, 10)  # frames near an end hear padding where the batch's longest utterance goes on
    torch.testing.assert_close(heard.target[:, inner], stored.target[:, inner], atol=5e-3, rtol=5e-3)


def test_a_table_in_memory_must_have_the_codecs_rate(data):
    (data / "shards" / "train").rename(data / "shards" / "elsewhere")
    with pytest.raises(UserError, match="audio at 24000 Hz, and the codec works at 48000 Hz"):
        open_speech(data, "train", 48000)
    assert open_speech(data, "train", 24000).rate_hz == 24000
    assert tts_split(data, "train") == "tts" and tts_split(data, "valid") == "valid"


def test_each_stage_waits_for_what_it_streams():
    models = {kind: {"kind": kind} for kind in ("codec", "tts", "multitask")}
    models["speechx"] = {"kind": "speechx_ar", "speech": "tts"}
    models["polyspeech"] = {"kind": "polyspeech", "speech": "tts"}
    marks = {name: plan.training_shards(model, {"shard_parts": 1}) for name, model in models.items()}
    assert marks["codec"] == ["<data>/shards/train/.written/0.done", "<data>/shards/valid/.written/0.done"]
    assert marks["tts"] == ["<data>/shards/valid/.written/0.done", "<data>/shards/tts/.encoded/0.done"]
    assert marks["speechx"] == ["<data>/shards/tts/.written/0.done", "<data>/shards/valid/.written/0.done"]
    assert marks["polyspeech"] == [
        f"<data>/shards/{name}/.written/0.done" for name in ("tts", "valid", "languages_train", "languages_valid")
    ]
    assert len(plan.training_shards(models["multitask"], {"shard_parts": 64})) == 3 * 64
