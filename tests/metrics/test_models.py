"""Networks of the paper's scale in miniature: strict loading, local files only, one file at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from metrics import sim
from metrics.judges import ctc, packaged, transformer_features, wavlm_tdcnn
from speechbase.files import UserError
from tests.metrics.signals import speech_like

transformers = pytest.importorskip("transformers")

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (16,) * 7,
}


def tiny_tdcnn() -> wavlm_tdcnn.WavLMTdcnn:
    torch.manual_seed(0)
    config = transformers.WavLMConfig(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=False, **TINY)
    return wavlm_tdcnn.WavLMTdcnn(config, channels=32, pooled=48, width=8).eval()


def published_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of wavlm_tdcnn.rename, written out from the published checkpoint's names."""
    fixed = {
        "masked_spec_embed": "mask_emb",
        "feature_projection.layer_norm": "layer_norm",
        "feature_projection.projection": "post_extract_proj",
        "encoder.pos_conv_embed.conv.bias": "encoder.pos_conv.0.bias",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv.0.weight_g",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "encoder.pos_conv.0.weight_v",
        "attention.gru_rel_pos_linear": "self_attn.grep_linear",
        "attention.gru_rel_pos_const": "self_attn.grep_a",
        "attention.rel_attn_embed": "self_attn.relative_attention_bias",
        "feed_forward.intermediate_dense": "fc1",
        "feed_forward.output_dense": "fc2",
    }
    renamed = {}
    for key, value in state.items():
        if key.startswith("backbone."):
            key = key.removeprefix("backbone.")
            in_layer = key.startswith("encoder.layers.")
            for ours, theirs in fixed.items():
                key = key.replace(ours, theirs)
            if in_layer:
                key = key.replace(".attention.", ".self_attn.").replace(".layer_norm.", ".self_attn_layer_norm.")
            if key.startswith("feature_extractor"):
                key = key.replace(".conv.", ".0.").replace(".layer_norm.", ".2.1.")
            key = f"feature_extract.model.{key}"
        renamed[key] = value
    return renamed


def test_wavlm_tdcnn_fills_every_tensor_from_the_published_names(tmp_path):
    source = tiny_tdcnn()
    state = {
        key: value + 0.01 * torch.rand_like(value) if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    checkpoint = published_names(state) | {"loss_calculator.projection.weight": torch.zeros(3)}
    torch.save({"model": checkpoint}, tmp_path / "weights.pth")
    loaded = wavlm_tdcnn.load_checkpoint(tiny_tdcnn(), tmp_path / "weights.pth")
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
    embedding = loaded.embed(speech_like(0.5))
    assert embedding.shape == (8,) and np.isfinite(embedding).all()
    assert np.abs(embedding - loaded.embed(0.5 * speech_like(0.5))).max() < 1e-3  # its input is normalised


@pytest.mark.parametrize("harm", ["missing", "unknown", "shape", "pickled", "absent"])
def test_wavlm_tdcnn_refuses_what_is_not_its_checkpoint(tmp_path, harm):
    path = tmp_path / "weights.pth"
    state = published_names(tiny_tdcnn().state_dict())
    if harm == "missing":
        state.pop("feature_extract.model.encoder.layers.1.fc1.weight")
    if harm == "unknown":
        state["layer5.conv.weight"] = torch.zeros(1)
    if harm == "shape":
        state["linear.bias"] = torch.zeros(3)
    if harm == "pickled":
        torch.save({"model": state, "options": UserError}, path)
    elif harm != "absent":
        torch.save({"model": state}, path)
    with pytest.raises(UserError, match="weights"):
        wavlm_tdcnn.load_checkpoint(tiny_tdcnn(), path)


def test_large_weights_must_be_given_and_local(tmp_path):
    for load in (
        lambda: wavlm_tdcnn.load(None, "cpu"),
        lambda: transformer_features.load("wavlm_large", None, "cpu"),
        lambda: transformer_features.load("wavlm_large", "microsoft/wavlm-large", "cpu"),
        lambda: ctc.load("facebook/hubert-large-ls960-ft", "cpu", 1),
        lambda: ctc.load(str(tmp_path), "cpu", 1),
    ):
        with pytest.raises(UserError):
            load()


def test_hidden_states_are_counted_from_the_first_layer_s_input(tmp_path):
    torch.manual_seed(0)
    model = transformers.WavLMModel(transformers.WavLMConfig(**TINY)).eval()
    model.save_pretrained(tmp_path)
    encoder = transformer_features.load("wavlm_large", str(tmp_path), "cpu")
    wave = speech_like(0.4)
    with torch.no_grad():
        states = model(torch.from_numpy(wave)[None], output_hidden_states=True).hidden_states
    assert len(states) == 3
    for layer in (0, 2):
        assert np.abs(encoder.layer(wave, layer) - states[layer][0].numpy()).max() < 1e-6
    assert np.abs(encoder.layer(wave, 1) - encoder.layer(wave, 2)).max() > 1e-3


def test_padding_in_a_batch_would_change_features(tmp_path):
    """Why files go through these networks one at a time."""
    torch.manual_seed(0)
    model = transformers.WavLMModel(transformers.WavLMConfig(**TINY)).eval()
    short, long = speech_like(0.3), speech_like(0.6, seed=1)
    batch = torch.from_numpy(np.stack([np.pad(short, (0, len(long) - len(short))), long]))
    with torch.no_grad():
        alone = model(torch.from_numpy(short)[None]).last_hidden_state[0]
        padded = model(batch).last_hidden_state[0, : len(alone)]
    assert (alone - padded).abs().max() > 1e-3


@pytest.fixture
def tiny_ctc(tmp_path):
    torch.manual_seed(0)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJ"]
    config = transformers.HubertConfig(vocab_size=len(letters), pad_token_id=0, **TINY)
    model = transformers.HubertForCTC(config).eval()
    model.lm_head.weight.data *= 50
    model.lm_head.bias.data[1:4] = -1e4  # what no trained model says
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({letter: k for k, letter in enumerate(letters)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(tmp_path / "vocab.json")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(tmp_path)
    return tmp_path, model, letters


def test_ctc_decodes_the_best_path(tiny_ctc):
    folder, model, letters = tiny_ctc
    wave = speech_like(0.8)
    normalised = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    with torch.no_grad():
        path = model(torch.from_numpy(normalised)[None]).logits[0].argmax(-1).tolist()
    merged = [k for k, before in zip(path, [None, *path], strict=False) if k != before]
    expected = "".join(letters[k].replace("|", " ") for k in merged if k >= 4).lower()
    heard = ctc.load(str(folder), "cpu", 1).transcribe(wave)
    assert " ".join(heard.split()) == " ".join(expected.split()) and heard
    assert ctc.load(str(folder), "cpu", 1).transcribe(wave[:100]) == ""


def test_ctc_transcripts_carry_name_and_version(tiny_ctc, write):
    from metrics import transcripts

    folder, *_ = tiny_ctc
    write("audio/a.wav", speech_like(0.5))
    index = folder / "audio/index.csv"
    index.write_text("id,path,status\na,a.wav,ok\nb,,failed\nc,c.wav,ok\n")
    asr = {"model": "hubert_large", "path": str(folder), "name": "judge2"}
    rows = transcripts.transcribe_index(index, asr, folder / "t.jsonl")
    assert [row["id"] for row in rows] == ["a", "b", "c"] and rows[0]["status"] == "ok"
    assert rows[1]["status"] == "no audio: failed" and "does not exist" in rows[2]["status"]
    assert rows[0]["asr"].startswith("judge2 ") and packaged.fingerprint(folder) in rows[0]["version"]


@pytest.mark.slow
def test_speaker_windows_in_a_batch_are_the_windows_alone_and_the_weights_are_read_once(monkeypatch):
    read = []
    monkeypatch.setattr(packaged, "read", lambda name, original=packaged.read: read.append(name) or original(name))
    sim._ge2e.cache_clear()
    wave = speech_like(5.0)
    starts = sim.partial_starts(len(wave))
    together = sim._ge2e()(wave)
    alone = []
    for start in starts:
        monkeypatch.setattr(sim, "partial_starts", lambda _, start=start: [start])
        alone.append(sim._ge2e()(wave))
    mean = np.mean(alone, axis=0)
    assert len(starts) == 5 and np.abs(together - mean / np.linalg.norm(mean)).max() < 1e-6  # float32
    assert read == ["ge2e"]


@pytest.mark.parametrize(
    ("samples", "starts"), [(8000, [0]), (25600, [0]), (31000, [0]), (40000, [0, 77]), (80000, [0, 77, 154, 231, 308])]
)
def test_speaker_windows_cover_the_file(samples, starts):
    assert sim.partial_starts(samples) == starts


def test_packaged_weights_are_checked(monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(packaged.PACKAGES, "ge2e", replace(packaged.PACKAGES["ge2e"], sha256="0" * 64))
    with pytest.raises(UserError, match="SHA-256"):
        packaged.read("ge2e")
    monkeypatch.setitem(
        packaged.PACKAGES, "ge2e", replace(packaged.PACKAGES["ge2e"], parts={"pretrained.pt": ("nowhere_/x",)})
    )
    with pytest.raises(UserError, match="pip install Resemblyzer"):
        packaged.read("ge2e")
