"""SpeechX: how outputs are drawn, and where they end."""

from dataclasses import replace

import pytest
import torch

from baselines.speechx import layout
from baselines.speechx.generate import Job, generate, speak
from baselines.speechx.layout import Request, condition, spoken_so_far
from baselines.speechx.network import Autoregressive
from speechbase.files import UserError
from speechbase.tokens.generation import Length, one_position
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import collate
from speechbase.tokens.settings import LMConfig
from tests.baselines.speechx.conftest import CODES, LEVELS, SIZES, codes


def jobs():
    """One of each kind: as long as its source, drawn to its end, and an edit."""
    free, cool = Drawing(top_p=0.9, repeats=0.3), Drawing(temperature=0.7, top_k=4)
    return [
        Job(Request("ns", source=codes(5)), Length(5), cool, 1),
        Job(Request("tts", text="one two", prompt=codes(4, 1)), Length(least=3, most=9), free, 2),
        Job(Request("edit", text="three", source=codes(7, 2), span=(2, 4, 3)), Length(3, "edit"), free, 3),
    ]


def test_a_cache_gives_the_logits_of_the_whole_sequence(speaking):
    (drawn, reason), *_ = speak(speaking, jobs()[:1], LEVELS)
    assert len(drawn) == 5 and reason == "source"
    sequence = spoken_so_far(condition(jobs()[0].request, LEVELS, LEVELS, 3.0), drawn)
    whole = speaking(collate([sequence], left=True), torch.cat([drawn, drawn[:1]])[None])[0][0, :, 0]  # [6, k + 1]
    cache, hidden = speaking.lm.new_cache(), []
    tokens = collate([spoken_so_far(condition(jobs()[0].request, LEVELS, LEVELS, 3.0), drawn[:0])], left=True)
    hidden.append(speaking.lm(speaking.embed(tokens), tokens.places, tokens.visible(), cache)[:, -1:])
    for number, code in enumerate(drawn, 1):
        step = one_position(layout.TARGET, torch.tensor([[number]]), LEVELS, code[None])
        tokens.real = torch.cat([tokens.real, step.real], 1)
        hidden.append(speaking.lm(speaking.embed(step), step.places, tokens.real[:, None, None], cache))
    torch.testing.assert_close(speaking.logits(torch.cat(hidden, 1))[0], whole, atol=1e-4, rtol=0)


def test_an_item_s_output_depends_on_its_seed_and_not_on_its_batch(speaking, refining):
    together = generate(speaking, refining, jobs(), LEVELS)
    alone = [generate(speaking, refining, [job], LEVELS)[0] for job in jobs()]
    assert all(torch.equal(a.codes, b.codes) and a.reason == b.reason for a, b in zip(together, alone))
    other = generate(speaking, refining, [replace(jobs()[0], seed=9)], LEVELS)[0]
    assert not torch.equal(other.codes, together[0].codes)


def test_outputs_end_where_they_must(speaking, refining):
    aligned, spoken, edited = generate(speaking, refining, jobs(), LEVELS)
    assert len(aligned.codes) == 5 and aligned.reason == "source"
    assert 3 <= spoken.drawn <= 9 and (spoken.reason == "end" or spoken.drawn == 9)
    assert edited.reason == "edit" and edited.drawn == 3
    source = jobs()[2].request.source
    assert torch.equal(edited.codes, torch.cat([source[:2], edited.codes[2:5], source[4:]]))
    assert all(output.codes.min() >= 0 and output.codes.max() < CODES for output in (aligned, spoken, edited))


def test_an_end_that_never_comes_is_said(speaking, refining):
    job = replace(jobs()[1], length=Length(least=7, most=6))
    assert generate(speaking, refining, [job], LEVELS)[0].reason == "limit"


def test_more_than_the_window_is_a_sentence_before_any_work(codewords):
    network = Autoregressive(codewords, LMConfig(**SIZES, window=20), LEVELS)
    with pytest.raises(UserError, match=r"11 positions .* and 11 frames to say are more than the model's window of 20"):
        speak(network, [Job(Request("ns", source=codes(9)), Length(11), Drawing(), 0)], LEVELS)
    whole = speak(network, [Job(Request("ns", source=codes(9)), Length(10), Drawing(), 0)], LEVELS)
    assert len(whole[0][0]) == 10


def test_speech_to_an_end_of_its_own_stops_where_the_window_does_whatever_stands_beside_it(codewords):
    """A row is padded by its neighbour, which must not make its window smaller."""
    torch.manual_seed(0)
    network = Autoregressive(codewords, LMConfig(**SIZES, window=20), LEVELS)
    free = Job(Request("tts", text="a", prompt=codes(3)), Length(least=99, most=99), Drawing(), 0)
    with pytest.raises(UserError, match=r"5 positions .* and 99 frames"):
        speak(network, [free], LEVELS)
    free = replace(free, length=Length(least=15, most=99))
    beside = Job(Request("ns", source=codes(9)), Length(2), Drawing(), 0)
    alone, together = speak(network, [free], LEVELS), speak(network, [free, beside], LEVELS)
    assert len(alone[0][0]) <= 16 and torch.equal(alone[0][0], together[0][0])


def test_a_seed_below_zero_is_a_sentence(speaking):
    with pytest.raises(UserError, match="whole number from 0 on, not -1"):
        speak(speaking, [replace(jobs()[0], seed=-1)], LEVELS)
