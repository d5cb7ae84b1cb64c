"""Drawing tokens, and batches of sequences."""

import numpy as np
import pytest
import torch

from speechbase.files import UserError
from speechbase.tokens.generation import speech_length
from speechbase.tokens.lm import RoomyLayer
from speechbase.tokens.sampling import Drawing, draw
from speechbase.tokens.sequences import NO_CODE, Sequence, collate, spread, text_bytes, unheard

NONE = torch.zeros(1, 0, dtype=torch.long)


def drawn(logits, how, before=NONE, count=400):
    rng = np.random.default_rng(0)
    return [int(draw(torch.tensor([logits]), [rng], how, before)) for _ in range(count)]


def test_tokens_come_as_often_as_their_probability_says():
    shares = np.bincount(drawn([0.0, float(np.log(3))], Drawing(), count=2000), minlength=2) / 2000
    assert shares == pytest.approx([0.25, 0.75], abs=0.03)


def test_the_nucleus_and_the_likeliest_leave_the_rest_out_but_never_less_than_two():
    logits = [3.0, 2.9, 0.0, -1.0]
    assert set(drawn(logits, Drawing(top_p=0.6))) == {0, 1}
    assert set(drawn(logits, Drawing(top_k=1))) == {0, 1}
    assert set(drawn([9.0, 0.0, 0.0, 0.0], Drawing(top_p=0.5), count=3000)) == {0, 1}
    assert set(drawn(logits, Drawing())) == {0, 1, 2, 3}


def test_what_may_not_come_never_comes():
    assert set(drawn([5.0, -torch.inf, -torch.inf], Drawing(top_p=0.1))) == {0}


def test_cold_draws_are_the_likeliest():
    assert set(drawn([1.0, 1.1, 0.0], Drawing(temperature=0.001))) == {1}
    assert set(drawn([1.0, 1.1, 0.0], Drawing(temperature=0))) == {1}


def test_a_token_that_fills_the_last_ones_is_drawn_again_from_all():
    logits, how = [2.0, 0.0, 0.0, 0.0], Drawing(top_p=0.1, repeats=0.1)
    much, little = torch.tensor([[0] * 10]), torch.tensor([[3] * 10])
    assert set(drawn(logits, how, little)) == {0, 1}
    assert set(drawn(logits, how, much)) == {0, 1, 2, 3}
    assert set(drawn(logits, Drawing(top_p=0.1), much)) == {0, 1}


def test_rows_have_generators_of_their_own():
    logits = torch.zeros(3, 50)
    together = draw(logits, [np.random.default_rng(seed) for seed in (1, 2, 3)], Drawing(), NONE.expand(3, 0))
    alone = [draw(logits[:1], [np.random.default_rng(seed)], Drawing(), NONE) for seed in (1, 2, 3)]
    assert together.tolist() == [int(one) for one in alone] and len(set(together.tolist())) > 1


def test_a_layer_s_room_grows_and_keeps_keys_and_values_in_their_order():
    layer, keys = RoomyLayer(), torch.randn(2, 3, 300, 4)
    assert layer.get_seq_length() == 0
    for piece in keys.split([3, *[1] * 297], dim=2):
        found = layer.update(piece, -piece)
    assert layer.get_seq_length() == 300
    assert torch.equal(found[0], keys) and torch.equal(found[1], -keys)


def test_a_batch_is_padded_on_the_side_asked_for_and_sees_no_padding():
    long = Sequence(2).add_symbols(0, [5, 6]).add_codes(1, torch.tensor([[1, 2]]), causal=True)
    short = Sequence(2).add_codes(1, torch.tensor([[3]]))
    left = collate([long, short], left=True)
    assert left.codes[1].tolist() == [[NO_CODE] * 2] * 2 + [[3, NO_CODE]] and left.real[1].tolist() == [
        False,
        False,
        True,
    ]
    assert left.visible()[0, 0].tolist() == [[True, True, False], [True, True, False], [True, True, True]]
    assert left.visible()[1, 0].tolist() == [[True, False, True], [False, True, True], [False, False, True]]
    assert collate([long, short]).real[1].tolist() == [True, False, False]
    assert left.visible(causal=False)[0].all()


def test_texts_are_said_in_bytes_or_refused():
    assert text_bytes("Ab!") == [1 + ord("a"), 1 + ord("b")]
    for text, message in (("?!", "no letters or digits"), ("a" * 1025, "too long")):
        with pytest.raises(UserError, match=message):
            text_bytes(text)


def test_a_phoneme_lasts_as_long_whatever_the_codec_s_rate():
    slow, fast = (speech_length("ten boxes", rate, 0.225) for rate in (40, 75))
    assert slow.least == fast.least > 5
    assert (slow.most / slow.least, fast.most / fast.least) == (9, 16), "VALL-E's public code has 16 at 75 Hz"
    assert speech_length("ten boxes", 1, 0.225).most == slow.least, "a frame at least"


def test_a_factor_is_as_often_above_one_as_below_in_a_range_about_it():
    rng = np.random.default_rng(0)
    drawn = np.array([spread((0.5, 2.0), rng) for _ in range(1000)])
    assert drawn.min() > 0.5 and drawn.max() < 2 and (drawn > 1).mean() == pytest.approx(0.5, abs=0.05)
    assert spread((1.0, 1.0), rng) == 1


def test_history_is_hidden_before_a_random_frame_in_a_share_of_the_items():
    rng = np.random.default_rng(0)
    drawn = np.array([unheard(9, 0.5, rng) for _ in range(1000)])
    assert (drawn > 0).mean() == pytest.approx(0.45, abs=0.05) and drawn.max() == 9
    assert not any(unheard(9, 0.0, rng) for _ in range(20))
    hidden = Sequence(2).add_codes(0, torch.ones(4, 1, dtype=torch.long), told=3)
    assert hidden.codes[0].tolist() == [[NO_CODE, NO_CODE]] * 3 + [[1, NO_CODE]]
