"""PolySpeech: its encoder, tokens and language model, and their sequences."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from baselines.polyspeech import layout, probe
from baselines.polyspeech.generate import spoken
from baselines.polyspeech.hubert import Hubert, Semantic
from baselines.polyspeech.hubert_trainee import build as build_hubert
from baselines.polyspeech.layout import Request, given, heard_in, with_text
from baselines.polyspeech.network import PolySpeechLM
from baselines.polyspeech.settings import SsetConfig
from baselines.polyspeech.sset import Sset
from speechbase.tokens.generation import Length, Run
from speechbase.tokens.lm import LMConfig
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import collate
from speechbase.training import checkpoint
from speechbase.training.kinds import Context
from tests.baselines.polyspeech.conftest import CROPS, MODELS, SHARED, SIZES


def test_a_masked_frame_is_not_seen_and_padding_does_not_matter():
    torch.manual_seed(0)
    network = Hubert(4, LMConfig(**SIZES), 5).eval()
    latents, mask = torch.randn(1, 6, 4), torch.zeros(1, 6, dtype=torch.bool)
    mask[0, 2] = True
    other = latents.clone()
    other[0, 2] += 1
    torch.testing.assert_close(network(latents, mask), network(other, mask))
    nothing = torch.zeros_like(mask)
    assert not torch.allclose(network(latents, nothing), network(other, nothing))
    padded = torch.cat([latents, torch.randn(1, 3, 4)], 1)
    real = torch.arange(9)[None] < 6
    for alone, beside in zip(network.layers(latents), network.layers(padded, real)):
        torch.testing.assert_close(alone, beside[:, :6], atol=1e-5, rtol=0)


def test_about_the_asked_share_is_masked_in_spans(made):
    config = SHARED | MODELS["hubert_1"][1]
    config = config | {"batches": CROPS | {"size": 8, "seconds": 4.0, "mask": 0.45, "span": 10}}
    learner = build_hubert(config, Context("hubert", made / "data", made, None, Accelerator(cpu=True)))
    crop = learner.train.draw(learner.how, learner.codec.hop, 0, "x")
    _, labels, mask = learner._batch(crop, "x")
    assert labels.shape == mask.shape and 0.3 < mask.float().mean() < 0.6
    starts = mask[:, 1:-10] & ~mask[:, :-11]
    assert all(mask[row, place + 1 : place + 11].all() for row, place in starts.nonzero().tolist())


def test_the_layer_is_the_one_whose_probe_errs_least(made):
    _, config = checkpoint.read_model(made / "hubert_2")
    assert set(config["probe_cer"]) == {"1", "2"}
    assert config["probe_cer"][str(config["layer"])] == min(config["probe_cer"].values())
    semantic = Semantic(made / "hubert_2")
    embedded = semantic(torch.randn(1, 9, 16))
    assert embedded.shape == (1, 9, 32)


def test_a_probe_reads_what_stands_in_its_features():
    """One-hot characters are read without an error, random ones are not."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdef"), 6)) for _ in range(40)]
    clear = [torch.stack([torch.eye(len(probe.ALPHABET))[probe.ALPHABET.index(c) if n else 0]
                          for c in text for n in (1, 0)]) for text in texts]  # fmt: skip
    noise = [torch.randn(12, len(probe.ALPHABET)) for _ in texts]
    assert probe.character_errors((clear[:30], texts[:30]), (clear[30:], texts[30:]), 0) < 5
    assert probe.character_errors((noise[:30], texts[:30]), (noise[30:], texts[30:]), 0) > 50
    assert probe.greedy([0, 1, 1, 0, 1, 2]) == "aab"


@pytest.mark.parametrize("levels, codes", [(1, 8), (2, 8)])
def test_tokens_learn_to_say_what_they_hear_and_dead_codes_come_back(levels, codes):
    torch.manual_seed(0)
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=codes, levels=levels))
    centres = 3 * torch.randn(8, 6)
    data = centres[torch.randint(8, (4, 40))] + 0.05 * torch.randn(4, 40, 6)
    network.begin(torch.randn(levels, codes, 16) * 50)  # far from everything: nearly all are dead
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(300):
        made, inner, tokens = network(data)
        loss = (made - data).square().mean() + 0.25 * (inner - network.summed(tokens)).square().mean()
        network.follow(inner)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert len(network.encode(data).flatten(0, 1).unique(dim=0)) >= 6
    assert (network.decode(network.encode(data)) - data).square().mean() < 0.3 * data.var()


def test_k_means_is_the_same_without_an_encoder():
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=8, encoder=False))
    network.begin(torch.randn(1, 8, 6))
    assert torch.equal(network.encode(network.codewords), torch.arange(8)[None, :, None])
    assert network.decode(torch.arange(8)[None, :, None]).shape == (1, 8, 6)


def test_a_further_level_says_what_the_first_leaves():
    torch.manual_seed(0)
    network = Sset(6, SsetConfig(dim=16, kernel=3, layers=1, codes=8, levels=2, encoder=False))
    network.begin(torch.stack([10 * torch.randn(8, 6), torch.randn(8, 6)]))
    said = torch.stack([torch.arange(8), torch.arange(8).flip(0)], -1)[None]  # [1, 8, 2]
    tokens, wanted = network.nearest(network.summed(said))
    assert torch.equal(tokens, said)
    torch.testing.assert_close(wanted[0, :, 1], network.codewords[1][said[0, :, 1]], atol=1e-5, rtol=0)


def test_a_task_is_laid_out_as_in_its_table():
    heard = torch.ones(3, 4)
    asr = with_text(given(Request("asr", heard), 2.5, 1), [105, 106, 107], 2.5)
    sign = [layout.sign(name) for name in ("asr", "start", "tts")]
    assert asr.symbols == [sign[0], 0, 0, 0, sign[1], 105, 106, 107]
    assert asr.places == [0, 1, 2, 3, 0, 1, 3, 6] and asr.causal == [False] * 4 + [True] * 4
    tts = given(Request("tts", text="Hi"), 2.5, 1)
    assert tts.symbols == [sign[2], 1 + ord("h"), 1 + ord("i"), sign[1]] and tts.places == [0, 1, 3, 0]
    assert given(Request("tts", text="Hi", frames=8), 2.5, 1).places == [0, 1, 5, 0]
    both = [asr, given(Request("lid", heard[:1]), 2.5, 1)]
    there = heard_in(both, [Request("asr", heard), Request("lid", heard[:1])], 4)
    assert there.shape == (2, 8, 4) and there[0, 1:4].all() and there[1, 6].all() and there.sum() == 16


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PolySpeechLM(torch.randn(2, 8, 16), LMConfig(**SIZES), 4, {"lid": 2, "gid": 2}).eval()


def test_a_later_byte_does_not_move_earlier_logits_and_neighbours_none(network):
    requests = [Request("asr", torch.randn(5, 4)), Request("asr", torch.randn(9, 4))]
    said = [[100, 101, 102], [100, 120, 121]]
    sequences = [with_text(given(request, 2.0, 2), text, 2.0) for request, text in zip(requests, said)]

    def logits(rows):
        chosen, asked = [sequences[row] for row in rows], [requests[row] for row in rows]
        return network("asr", collate(chosen, left=True), heard_in(chosen, asked, 4), torch.zeros(len(rows), 4))[0]

    alone = torch.cat([logits([row]) for row in (0, 1)])
    torch.testing.assert_close(alone, logits([0, 1]), atol=1e-5, rtol=0)
    other = with_text(given(requests[0], 2.0, 2), [100, 101, 110], 2.0)
    moved = network("asr", collate([other], left=True), heard_in([other], requests[:1], 4), torch.zeros(1, 4))[0]
    torch.testing.assert_close(moved[0, :3], alone[0, :3], atol=1e-6, rtol=0)
    assert (moved[0, 3] - alone[0, 3]).abs().max() > 1e-5


@pytest.mark.parametrize("task", ["asr", "tts"])
def test_a_cache_gives_what_the_whole_sequence_gives_and_batches_do_not_matter(network, task):
    requests = (
        [Request("asr", torch.randn(n, 4, generator=torch.Generator().manual_seed(n))) for n in (5, 9)]
        if task == "asr"
        else [Request("tts", text=text) for text in ("one", "two three")]
    )
    runs = [Run(Length(least=6, most=6), Drawing(top_p=0.9), seed) for seed in (1, 2)]
    together = spoken(network, requests, runs, 2.0)
    for request, run, (drawn, reason) in zip(requests, runs, together):
        assert torch.equal(spoken(network, [request], [run], 2.0)[0][0], drawn) and len(drawn) == 6
        assert reason in ("end", "limit")
        greedy = [Run(Length(frames=4), Drawing(temperature=0.0), 0)]
        best = spoken(network, [request], greedy, 2.0)[0][0]
        base = given(request, 2.0, 2)
        whole = with_text(base, (best + 1).tolist(), 2.0) if task == "asr" else layout.with_tokens(base, best)
        said = best.view(4, -1)  # [n, s]
        labels = torch.cat([said, said[:1]])[None]
        logits = network(task, collate([whole], left=True), heard_in([whole], [request], 4), labels)[0][0, :4]
        assert torch.equal(logits[..., :-1].argmax(-1), said)
