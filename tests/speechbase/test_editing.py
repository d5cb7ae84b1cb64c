import numpy as np
import pytest

from speechbase import editing
from speechbase.files import UserError

WORDS = [
    {"word": w, "start": i * 0.5, "end": i * 0.5 + 0.4}
    for i, w in enumerate(["peter", "found", "three", "small", "boxes"])
]
ROW = {"orig_text": "peter found three "
                    "small boxes", "text": "peter found nine small boxes", "orig_span": "2", "new_span": "2",
       "edit_type": "substitution"}  # fmt: skip


def letters(text: str) -> int:
    return len(text.replace(" ", ""))


def test_substitution_keeps_everything_outside_the_words():
    plan = editing.plan_edit(ROW, WORDS, 2.5, letters)
    assert plan.start == pytest.approx(0.9 - 0.08) and plan.stop == pytest.approx(1.5 + 0.08)
    rate = 25 / 2.4  # letters of the original over the time it is spoken
    assert plan.seconds == pytest.approx(4 / rate + 0.16)


def test_words_that_an_aligner_found_in_no_stretch_of_the_recording_are_a_sentence():
    nowhere = [word | {"start": 0.5, "end": 0.5} for word in WORDS]
    with pytest.raises(UserError, match="were not found in the recording: is that what it says"):
        editing.plan_edit(ROW, nowhere, 2.5, letters)


def test_insertion_and_deletion_spans_name_the_flanking_words():
    insertion = ROW | {
        "text": "peter found three very small boxes",
        "orig_span": "2,3",
        "new_span": "3,3",
        "edit_type": "insertion",
    }
    plan = editing.plan_edit(insertion, WORDS, 2.5, letters)
    assert plan.start == pytest.approx(1.4 - 0.08) and plan.stop == pytest.approx(1.5 + 0.08)
    rate = 25 / 2.4
    assert plan.seconds == pytest.approx(4 / rate + 0.16), "the new word alone, not its neighbours"
    assert editing.spans_of(insertion["orig_text"], insertion["text"]) == insertion
    bare = editing.plan_edit(insertion, WORDS, 2.5, letters, margin=0.0)
    assert (bare.start, bare.stop, bare.seconds) == pytest.approx((1.4, 1.5, 4 / rate))
    deletion = ROW | {"text": "peter found small boxes", "orig_span": "2", "new_span": "1,2", "edit_type": "deletion"}
    assert editing.plan_edit(deletion, WORDS, 2.5, letters).seconds == pytest.approx(0.16)


def test_spans_accept_single_indices_and_hulls():
    assert (
        editing.parse_span("5") == (5, 5)
        and editing.parse_span("2,4") == (2, 4)
        and editing.parse_span("1,2|6") == (1, 6)
    )
    with pytest.raises(UserError, match="edit span"):
        editing.parse_span("two")
    with pytest.raises(UserError, match="outside"):
        editing.plan_edit(ROW | {"orig_span": "9"}, WORDS, 2.5, letters)


def test_misheard_words_lie_between_their_neighbours():
    heard = [WORDS[0], {"word": "fount", "start": 0.5, "end": 0.9}, *WORDS[2:]]
    times = editing.word_times(ROW["orig_text"].split(), heard, 2.5)
    assert times[1] == (pytest.approx(0.4), pytest.approx(1.0)) and times[4] == (2.0, 2.4)
    nothing = editing.word_times(["a", "bcd"], [], 2.0)
    assert nothing == [(0.0, 0.5), (0.5, 2.0)]


def test_splice_leaves_the_original_untouched_and_fades_at_the_joints():
    rate = 1000
    original, fade = np.full(2500, 0.5, np.float32), 20
    plan = editing.Edit(1.0, 1.5, 0.7)
    middle = np.full(700 + 2 * fade, -0.5, np.float32)
    out = editing.splice(original, middle, plan, rate)
    assert len(out) == 1000 + 700 + 1000
    np.testing.assert_array_equal(out[:980], original[:980])
    np.testing.assert_array_equal(out[-980:], original[-980:])
    assert np.abs(np.diff(out)).max() < 0.06  # a linear fade over 20 samples, no step


def test_rate_needs_words():
    with pytest.raises(UserError, match="prompt"):
        editing.rate_of(0, 2.0)
    assert editing.rate_of(10, 0.1) == 25.0 and editing.rate_of(30, 3.0) == 10.0


@pytest.mark.parametrize(
    "old,new,kind,spans",
    [
        ("a b c d", "a x c d", "substitution", ("1,1", "1,1")),
        ("a b c d", "a x y d", "substitution", ("1,2", "1,2")),
        ("a b c", "a x b c", "insertion", ("0,1", "1,1")),
        ("a b c d", "a d", "deletion", ("1,2", "0,1")),
        ("b c", "a b c", "substitution", ("0,0", "0,1")),
        ("a b", "a b c", "substitution", ("1,1", "1,2")),
        ("a b c", "b c", "substitution", ("0,1", "0,0")),
    ],
)
def test_spans_of_two_texts(old, new, kind, spans):
    row = editing.spans_of(old, new)
    assert (row["edit_type"], (row["orig_span"], row["new_span"])) == (kind, spans)
    words = [{"word": w, "start": i, "end": i + 0.9} for i, w in enumerate(old.split())]
    plan = editing.plan_edit(row, words, float(len(words)), letters)
    assert 0 <= plan.start < plan.stop <= len(words) and plan.seconds > 0


def test_equal_or_empty_texts_have_no_edit():
    for old, new in (("a b", "A b"), ("", "a"), ("a", "")):
        with pytest.raises(UserError, match="differ"):
            editing.spans_of(old, new)
