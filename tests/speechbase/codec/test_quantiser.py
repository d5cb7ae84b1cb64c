"""The residual quantiser on latents made here, and its training on a tiny corpus."""

import pytest
import torch

from speechbase.codec import MelCodec
from speechbase.codec.loading import load_token_codec
from speechbase.codec.quantiser import ResidualQuantiser, TokenCodec
from speechbase.codec.settings import MelConfig
from speechbase.files import UserError, read_jsonl
from speechbase.training import checkpoint
from speechbase.training.__main__ import train
from tests.speechbase.training.conftest import write_corpus
from tests.speechbase.training.test_training import CODEC

QUANTISER = {
    "seed": 1,
    "init": "codec",
    "network": {"levels": 3, "codes": 8},
    "fit": {"frames": 400, "iterations": 4, "parts": {"clean": 2, "noisy": 1, "noise": 1}},
    "losses": CODEC["losses"] | {"adversarial_from": 100},
    "training": CODEC["training"] | {"save_minutes": 0.0},
    "degradation": {"noise": {"probability": 1, "snr_db": [0, 10]}},
}


@pytest.fixture(scope="module")
def fitted():
    """A quantiser of four levels, and latents that it was fitted to."""
    latents = torch.randn(1500, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([4, 3, 2, 1, 0.5, 0.1])
    quantiser = ResidualQuantiser(4, 32, 6)
    return quantiser, latents, quantiser.fit(latents, 0, 10)


def test_each_level_leaves_less_over(fitted):
    quantiser, latents, left = fitted
    codes = quantiser.encode(latents)
    assert codes.shape == (1500, 4) and codes.min() == 0 and codes.max() == 31
    errors = [(quantiser.decode(codes[:, :count]) - latents).square().sum(1).mean() for count in range(1, 5)]
    assert sorted(errors, reverse=True) == errors
    total = latents.var(0, correction=0).sum()
    assert [float(error / total) for error in errors] == pytest.approx(left, rel=1e-3)


def test_no_code_is_dead(fitted):
    quantiser, latents, _ = fitted
    codes = quantiser.encode(latents)
    assert [len(codes[:, level].unique()) for level in range(4)] == [32] * 4


def test_a_sum_of_codewords_is_said_by_its_first_level(fitted):
    quantiser, _, _ = fitted
    words = quantiser.codewords[0]
    assert quantiser.encode(words)[:, 0].tolist() == list(range(32))
    torch.testing.assert_close(quantiser.decode(torch.arange(32)[:, None]), words)


def test_levels_nest_and_batches_do_not_matter(fitted):
    quantiser, latents, _ = fitted
    first = ResidualQuantiser(2, 32, 6)
    first.codewords.copy_(quantiser.codewords[:2])
    whole = quantiser.encode(latents)
    assert torch.equal(first.encode(latents), whole[:, :2])
    assert torch.equal(quantiser.encode(latents[:10].view(2, 5, 6)).view(10, 4), whole[:10])


def test_too_few_frames_are_refused():
    with pytest.raises(UserError, match="5 latent frames cannot fit 32 codes"):
        ResidualQuantiser(1, 32, 6).fit(torch.randn(5, 6), 0, 2)


def test_joined_audio_gives_joined_codes_but_at_the_seam():
    """Splices of tokens are sound: a latent frame of the mel codec sees little beyond its own samples."""
    torch.manual_seed(0)
    codec = TokenCodec(MelCodec(MelConfig(latent_dim=8, decoder_dim=16, decoder_layers=2)).eval(), 3, 16)
    codec.quantiser.codewords.normal_()
    left, right = torch.randn(2, 1, 400 * 20) * 0.1
    apart = torch.cat([codec.encode(left), codec.encode(right)], 1)
    joined = codec.encode(torch.cat([left, right], 1))
    same = (apart == joined).all(-1)[0]
    assert same[:19].all() and same[21:].all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of models with a codec, and a token codec made from it."""
    root = tmp_path_factory.mktemp("quantised")
    data = write_corpus(root / "data")
    assert train("codec", "codec", CODEC, data, root, root / "state", None, False)
    assert train("quantiser", "tokens", QUANTISER, data, root, root / "state", None, False)
    return root


def test_the_encoder_stays_and_the_decoder_learns(trained):
    before, _ = checkpoint.read_model(trained / "codec")
    after, config = checkpoint.read_model(trained / "tokens")
    assert all(torch.equal(before[name], after[f"codec.{name}"]) for name in ("basis", "centre", "mean", "std"))
    assert not torch.equal(before["decoder.leave.weight"], after["codec.decoder.leave.weight"])
    assert config["network"]["codec"]["latent_dim"] == 16 and config["network"]["levels"] == 3
    last = read_jsonl(trained / "tokens" / "curves.jsonl")[-1]
    assert {"valid_mel", "valid_mel_1", "valid_mel_2"} <= set(last)


def test_a_released_token_codec_says_audio_in_codes(trained):
    codec = load_token_codec(trained / "tokens")
    codes = codec.encode(torch.randn(2, 400 * 7 + 3) * 0.1)
    assert codes.shape == (2, 8, 3)
    assert codec.decode(codes).shape == codec.decode(codes[..., :1]).shape == (2, 3200)


def test_a_resumed_training_ends_as_the_undisturbed_one(trained):
    rounds = 0
    while not train("quantiser", "pieces", QUANTISER, trained / "data", trained, trained / "state", 0.0, False):
        rounds += 1
        assert rounds < 10
    assert rounds
    whole, pieces = (checkpoint.read_model(trained / name)[0] for name in ("tokens", "pieces"))
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())


def test_a_quantiser_without_a_codec_is_refused(trained):
    config = {key: value for key, value in QUANTISER.items() if key != "init"}
    with pytest.raises(UserError, match="init: codec"):
        train("quantiser", "x", config, trained / "data", trained, trained / "state", None, False)


@pytest.fixture(scope="module")
def encodec(tmp_path_factory):
    """A tiny EnCodec as it is published, with codewords that differ."""
    from transformers import EncodecConfig, EncodecModel

    sizes = {"num_filters": 4, "hidden_size": 8, "codebook_dim": 8, "codebook_size": 32, "num_lstm_layers": 1}
    torch.manual_seed(0)
    model = EncodecModel(EncodecConfig(**sizes, target_bandwidths=[1.0], sampling_rate=16000))  # 50 Hz, two levels
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    folder = tmp_path_factory.mktemp("encodec")
    model.eval().save_pretrained(folder)
    return folder, model


def test_a_published_encodec_becomes_a_token_codec_as_it_is(encodec, trained):
    """Its codes and its audio are those of the library's own road, and no step of training has touched it."""
    folder, model = encodec
    config = QUANTISER | {"network": {"levels": 2, "folder": str(folder)}, "store": "fp32"}
    config |= {"training": CODEC["training"] | {"steps": 0}}
    del config["init"]
    assert train("quantiser", "encodec", config, trained / "data", trained, trained / "state", None, False)
    codec = load_token_codec(trained / "encodec")
    wave = torch.randn(2, 3200) * 0.1
    codes = codec.encode(wave)
    expected = model.quantizer.encode(model.encoder(wave[:, None]), bandwidth=1.0)[:2]  # [q, b, n]
    assert (codec.rate_hz, codec.hop) == (16000, 320) and torch.equal(codes, expected.permute(1, 2, 0))
    audio = model.decoder(model.quantizer.decode(expected))[:, 0]
    torch.testing.assert_close(codec.decode(codes), audio.detach(), atol=1e-5, rtol=1e-4)


def test_a_folder_without_encodec_says_what_to_download(trained, tmp_path):
    config = QUANTISER | {"network": {"levels": 2, "folder": str(tmp_path)}}
    with pytest.raises(UserError, match="has no EnCodec: download facebook/encodec_24khz"):
        train("quantiser", "x", config, trained / "data", trained, trained / "state", None, False)
