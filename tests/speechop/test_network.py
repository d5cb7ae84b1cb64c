import pytest
import torch
from torch import nn

from speechbase.corpus import phones
from speechbase.files import UserError
from speechop.model.network import SpeechOpNetwork
from speechop.model.text import PhonemeEmbedding, tokenize
from speechop.model.transformer import attention
from speechop.settings import NetworkConfig

from .conftest import TINY, awake


def millions(*modules):
    return sum(p.numel() for module in modules for p in module.parameters()) / 1e6


def test_paper_scale_has_the_papers_parameter_counts():
    """419 M and 71 M (section 7): global AdaLN, dense connections, cross-attention to ByT5-base's 1536 channels."""
    with torch.device("meta"):
        net = SpeechOpNetwork(NetworkConfig(), text_encoder=nn.Identity())
    encoder = millions(net.encoder, net.source_in, net.encoder_condition, net.source_out)
    assert millions(net) - encoder == pytest.approx(419, rel=0.015)
    assert encoder == pytest.approx(71, rel=0.02)


def test_transcripts_of_some_rows_equal_masked_ones_of_all(network):
    tokens, lengths = tokenize(["hello", "goodbye now", "hello"])
    z, logsnr, task = torch.randn(3, 9, 16), torch.zeros(3), torch.tensor([1, 0, 0])
    frames, keep, rows = torch.full((3,), 9), torch.tensor([False, True, False]), torch.tensor([1])
    masked = network.encode_text(tokens, lengths, keep, frames)
    some = network.encode_text(tokens[rows], lengths[rows], keep[rows], frames[rows]).among(rows, 3)
    torch.testing.assert_close(network(z, logsnr, task, some), network(z, logsnr, task, masked), atol=1e-5, rtol=1e-4)


def test_stage_2_starts_as_the_tts_model_in_every_task():
    """What the network says before its first step of stage 2 is what TTS says, source or none (section 5)."""
    torch.manual_seed(0)
    tts = SpeechOpNetwork(TINY)
    nn.init.normal_(tts.latent_out.weight, std=0.1)
    nn.init.normal_(tts.final.weight, std=0.1)
    stage2 = SpeechOpNetwork(TINY)
    stage2.load_state_dict(tts.state_dict())
    stage2.begin_as_tts()
    z, logsnr, source = torch.randn(1, 9, 16), torch.tensor([0.3]), torch.randn(1, 9, 16)
    said = tts(z, logsnr, tts.rows(["tts"]), tts.no_text())
    assert said.abs().max() > 0.1
    for name in TINY.tasks:
        row = stage2.rows([name])
        mixed = stage2.encode_source(source, row, None, None)
        assert torch.equal(stage2(z, logsnr, row, stage2.no_text(), mixed), said), name
        if name != "tts":
            drawn = tts(z, logsnr, tts.rows([name]), tts.no_text(), tts.encode_source(source, row, None, None))
            assert not torch.allclose(drawn, said), "rows as stage 1 leaves them are not the TTS model"


def test_weights_name_their_tasks_and_refuse_others():
    net = SpeechOpNetwork(TINY.model_copy(update={"tasks": ("tts", "enhancement")}))
    assert net.task.weight.shape[0] == 2 and net.rows(["enhancement", "tts"]).tolist() == [1, 0]
    with pytest.raises(UserError, match="not trained for the task 'separation'"):
        net.rows(["separation"])


def test_null_transcript_by_masking_equals_the_cheap_one(network):
    tokens, lengths = tokenize(["hello", "goodbye now"])
    z, logsnr, task = torch.randn(2, 9, 16), torch.tensor([0.3, -1.0]), torch.tensor([0, 0])
    masked = network.encode_text(tokens, lengths, torch.tensor([False, False]), torch.tensor([9, 9]))
    torch.testing.assert_close(
        network(z, logsnr, task, masked), network(z, logsnr, task, network.no_text()), atol=1e-5, rtol=1e-4
    )


def test_padding_does_not_change_an_utterance(network):
    tokens, lengths = tokenize(["hello there", "no"])
    z = torch.randn(2, 12, 16)
    mask = torch.arange(12) < torch.tensor([12, 7])[:, None]
    keep, frames = torch.tensor([True, True]), torch.tensor([12, 7])
    both = network(
        z, torch.zeros(2), torch.tensor([0, 0]), network.encode_text(tokens, lengths, keep, frames), mask=mask
    )
    one = network.encode_text(tokens[1:, :2], lengths[1:], keep[1:], frames[1:])
    alone = network(z[1:, :7], torch.zeros(1), torch.tensor([0]), one)
    torch.testing.assert_close(both[1:, :7], alone, atol=1e-5, rtol=1e-4)


def test_given_frames_tasks_and_sources_matter(network):
    z, logsnr = torch.randn(1, 10, 16), torch.tensor([0.0])
    plain = network(z, logsnr, torch.tensor([1]), network.no_text())
    given = network(z, logsnr, torch.tensor([1]), network.no_text(), clean=torch.arange(10)[None] < 4)
    other = network(z, logsnr, torch.tensor([2]), network.no_text())
    mixed = network.encode_source(torch.randn(1, 10, 16), torch.tensor([1]), None, None)
    heard = network(z, logsnr, torch.tensor([1]), network.no_text(), mixed)
    for changed in (given, other, heard):
        assert (changed - plain).abs().max() > 1e-3


def test_cross_attention_to_the_source_is_a_flag():
    config = NetworkConfig(**TINY.as_dict() | {"source_mixing": "cross_attention"})
    net = awake(SpeechOpNetwork(config))
    source, keep = torch.randn(2, 9, 16), torch.tensor([True, False])
    encoded = net.encode_source(source, torch.tensor([1, 1]), None, None)
    text = net.source_as_memory(encoded, None, keep)
    v = net(torch.randn(2, 9, 16), torch.zeros(2), torch.tensor([1, 1]), text)
    assert v.shape == (2, 9, 16)
    with pytest.raises(ValueError, match="framewise"):
        NetworkConfig(source_mixing="film")


def test_attention_equals_torchs():
    q, k, v = (torch.randn(2, 3, n, 8, dtype=torch.float64) for n in (5, 7, 7))
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    theirs = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    torch.testing.assert_close(attention(q, k, v, mask), theirs)


def test_phonemes_are_read_by_the_alphabet_that_the_weights_carry():
    torch.manual_seed(0)
    reading = NetworkConfig(
        **TINY.as_dict() | {"text": {"kind": "phonemes", "dim": 32, "layers": 1, "alphabet": phones.AMERICAN}}
    )
    network = awake(SpeechOpNetwork(reading))
    tokens, lengths = network.tokenize(["Hello there!", "he paid $5"])
    assert tokens.shape == (2, max(lengths)) and int(tokens.max()) <= 6 * len(phones.AMERICAN)
    everything, frames = torch.ones(2, dtype=torch.bool), torch.full((2,), 9)
    z, logsnr, task = torch.randn(2, 9, 16), torch.zeros(2), torch.zeros(2, dtype=torch.long)
    said = network(z, logsnr, task, network.encode_text(tokens, lengths, everything, frames))
    other, count = network.tokenize(["hello THERE", "he paid $6"])
    again = network(z, logsnr, task, network.encode_text(other, count, everything, frames))
    torch.testing.assert_close(said[0], again[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(said[1], again[1], atol=1e-3)


def test_stress_and_word_beginnings_are_heard_and_padding_is_not():
    torch.manual_seed(0)
    embed = PhonemeEmbedding("ab", 8)
    numbers = embed(torch.tensor([[1, 2, 3, 7, 0]]))[0]
    assert len({tuple(row.tolist()) for row in numbers}) == 5
    shared = embed(torch.tensor([[1, 2, 7, 8]]))[0]  # a, beginning a, b, beginning b: one vector marks a beginning
    torch.testing.assert_close(shared[1] - shared[0], shared[3] - shared[2])


def test_usual_lengths_place_sounds_in_time():
    embed = PhonemeEmbedding("ab", 8, [[10, 30], [20, 50]])
    tokens = torch.tensor([[1, 7, 3, 0], [9, 1, 1, 1]])  # a, b, stressed a; stressed b, a, a, a
    expected = torch.tensor([[5, 25, 50, 60], [25, 55, 65, 75]]) / torch.tensor([[60.0], [80.0]])
    torch.testing.assert_close(embed.places(tokens), expected)
    even = PhonemeEmbedding("ab", 8).places(tokens[1:])
    torch.testing.assert_close(even, torch.tensor([[0.125, 0.375, 0.625, 0.875]]))
