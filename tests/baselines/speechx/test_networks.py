"""SpeechX: its sequences and its networks."""

import pytest
import torch

from baselines.speechx import layout
from baselines.speechx.layout import Request, condition, kept, refined_so_far, spoken_so_far
from baselines.speechx.network import Autoregressive, build_network
from baselines.speechx.settings import NetworkConfig
from speechbase.files import UserError
from speechbase.settings import checked
from speechbase.tokens.depth import ResidualHead
from speechbase.tokens.sequences import NO_CODE, collate
from speechbase.tokens.settings import LMConfig
from tests.baselines.speechx.conftest import CODES, LEVELS, SIZES, codes


def shown(sequence):
    """A sequence's parts as words: bytes by letter, signs in brackets, frames by segment, each with its place."""
    frames = torch.cat(sequence.codes)
    for kind, symbol, place, frame in zip(sequence.kinds, sequence.symbols, sequence.places, frames):
        name = layout.KINDS[kind]
        if symbol > 256:
            yield f"<{layout.SIGNS[symbol - 257]}>{place}"
        elif symbol:
            yield f"{chr(symbol - 1)}{place}"
        else:
            yield f"{name}{place}" + "".join("-" if code == NO_CODE else "o" for code in frame.tolist())


@pytest.mark.parametrize(
    "task, given, expected",
    [
        ("ns", {"text": "Hi!", "source": codes(2)}, "h0 i1 <ns>0 source0ooo source1ooo"),
        ("sr", {"source": codes(2)}, "<sr>0 source0ooo source1ooo"),
        ("sr", {"source": codes(1), "sign": "ns"}, "<ns>0 source0ooo"),
        ("tse", {"prompt": codes(1), "source": codes(2)}, "prompt0ooo <tse>0 source0ooo source1ooo"),
        ("tts", {"text": "hi", "prompt": codes(2)}, "h0 i3 prompt0ooo prompt1ooo"),
        ("edit", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h0 i4 source0ooo <soe>1 <mask>1 <eoe>6 source6ooo"),
        ("edit_noisy", {"text": "hi", "source": codes(4), "span": (1, 3, 5)},
         "h0 i4 source0ooo <soe>1 source1ooo source2ooo <eoe>6 source6ooo"),
    ],
)  # fmt: skip
def test_a_task_is_laid_out_as_in_its_table(task, given, expected):
    assert list(shown(condition(Request(task, **given), LEVELS, LEVELS, 3.0))) == expected.split()


def test_the_autoregressive_model_may_hear_one_level_and_answers_at_the_source_s_places():
    sequence = condition(Request("ns", source=codes(3)), LEVELS, 1, 3.0)
    spoken_so_far(sequence, codes(2)[:, :1])
    assert list(shown(sequence))[1:] == [
        "source0o--", "source1o--", "source2o--", "<start>0", "target1o--", "target2o--",
    ]  # fmt: skip


def test_the_refining_model_never_sees_the_level_that_it_makes_or_a_later_one_but_of_what_stays():
    request = Request("edit", text="hi", source=codes(4), span=(1, 3, 2))
    sequence = refined_so_far(condition(request, LEVELS, LEVELS, 3.0), codes(4), 1, kept(request, 4))
    assert list(shown(sequence))[-4:] == ["target0ooo", "target1o--", "target2o--", "target3ooo"]


def test_text_stands_evenly_over_the_output_where_its_length_is_known():
    text, prompt = "abcd", codes(2)
    unknown = condition(Request("tts", text, prompt), LEVELS, LEVELS, 3.0)
    known = condition(Request("tts", text, prompt, frames=8), LEVELS, LEVELS, 3.0)
    source = condition(Request("ns", text, source=codes(8), frames=99), LEVELS, LEVELS, 3.0)
    assert unknown.places[:4] == [0, 3, 6, 9] and known.places[:4] == source.places[:4] == [0, 2, 4, 6]


def test_a_text_without_letters_is_refused():
    with pytest.raises(UserError, match="no letters or digits"):
        condition(Request("tts", text="...", prompt=codes(2)), LEVELS, LEVELS, 3.0)


def sequences(outputs):
    """Requests of several lengths with these outputs of the levels that are said."""
    requests = [Request("ns", source=codes(3)), Request("tts", text="one two", prompt=codes(5, 1))]
    return [spoken_so_far(condition(r, LEVELS, LEVELS, 3.0), output) for r, output in zip(requests, outputs)]


def foretold(network, sequences, frames):
    """Logits of all levels side by side [b, t, s * (k + 1)], where the same frames [t, s] follow in each row."""
    logits, _ = network(collate(sequences, left=True), frames[None].expand(len(sequences), -1, -1))
    return logits.nan_to_num(neginf=0).flatten(2)


def test_a_later_frame_does_not_move_earlier_logits(speaking):
    before, after = codes(4)[:, : speaking.said], codes(4)[:, : speaking.said].clone()
    after[2] = (after[2] + 1) % CODES
    end = codes(1, 3)[:, : speaking.said]
    a, b = (foretold(speaking, sequences([x, x]), torch.cat([before, end])) for x in (before, after))
    torch.testing.assert_close(a[:, :3], b[:, :3], atol=1e-6, rtol=0)
    assert (a[:, 3:] - b[:, 3:]).abs().amax((1, 2)).min() > 1e-5


def test_padding_and_neighbours_do_not_move_logits(speaking):
    said = codes(2)[:, : speaking.said]
    frames = torch.cat([said, said[:1]])
    alone = [foretold(speaking, [one], frames) for one in sequences([said] * 2)]
    together = foretold(speaking, sequences([said] * 2), frames)
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=0)


def test_a_further_level_knows_the_levels_below_it_and_none_above(codewords):
    torch.manual_seed(0)
    network, hidden = Autoregressive(codewords, LMConfig(**SIZES), LEVELS, LEVELS).eval(), torch.randn(1, 4, 32)
    said = codes(4)[None]
    for level in range(1, LEVELS):
        logits = network.further(hidden, said[..., :level])
        for below in range(level):
            other = said.clone()
            other[..., below] = (other[..., below] + 1) % CODES
            assert (network.further(hidden, other[..., :level]) - logits).abs().amax(-1).min() > 1e-5
        assert logits.shape == (1, 4, CODES)


@pytest.mark.parametrize("kind, said", [("speechx_ar", LEVELS + 1), ("speechx_nar", LEVELS)])
def test_more_levels_than_there_are_is_a_sentence(codewords, kind, said):
    sizes = checked(NetworkConfig, SIZES | {"said_levels": said}, "network")
    with pytest.raises(UserError, match=f"said_levels of {kind}: at most {said - 1} of the codec's 3, not {said}"):
        build_network(kind, codewords, sizes)


def test_a_residual_code_is_what_the_guess_leaves_after_the_levels_below(codewords):
    """A right guess says every level's own code; where nothing lies below, the guess alone counts."""
    head, said = ResidualHead(codewords, codewords.shape[-1]).eval(), codes(6)[None]
    latents = codewords[torch.arange(LEVELS), said].sum(-2)  # [1, 6, c]
    with torch.no_grad():
        head.guess.weight.copy_(torch.eye(codewords.shape[-1]) / head.scale[0])
        head.guess.bias.zero_()
        head.gain.fill_(1.0)
        for level in range(1, LEVELS):
            logits, known = head(latents, said, torch.tensor([level]))
            left = latents - codewords[torch.arange(level), said[..., :level]].sum(-2)
            assert torch.equal(logits.argmax(-1), torch.cdist(left, codewords[level][None]).argmin(-1))
            torch.testing.assert_close(known, latents, atol=1e-5, rtol=0)
            assert float(head.error(known[0], said[0])) < 1e-8
        unheard, _ = head(latents, torch.full_like(said, NO_CODE), torch.tensor([1]))
        assert torch.equal(unheard.argmax(-1), torch.cdist(latents, codewords[1][None]).argmin(-1))
        assert float(head.error(torch.zeros_like(latents[0]), said[0])) > 0.1


def test_the_refining_model_hears_all_frames_and_its_level(refining):
    request = Request("ns", source=codes(3))

    def logits(output, level):
        sequence = refined_so_far(condition(request, LEVELS, LEVELS, 3.0), output, 1, kept(request, 3))
        return refining(collate([sequence], left=True), torch.tensor([level]), 3)[0]

    first, later = codes(3), codes(3).clone()
    later[2, 0] = (later[2, 0] + 1) % CODES
    assert (logits(first, 1) - logits(later, 1))[0, 0].abs().max() > 1e-6
    assert not torch.equal(logits(first, 1), logits(first, 2))
    later = first.clone()
    later[:, 1:] = (later[:, 1:] + 1) % CODES  # levels that are still to be made
    assert torch.equal(logits(first, 1), logits(later, 1))
