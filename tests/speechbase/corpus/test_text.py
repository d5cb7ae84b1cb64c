from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbase.corpus import edit, text
from speechbase.files import UserError

MATRIX = {"source": "matrix", "valid_share": 0.1, "test_share": 0.1}


def test_sentences_are_grammatical_unique_and_disjoint_between_splits():
    drawn = {split: text.sentences(MATRIX, split, 300, seed=1) for split in text.SPLITS}
    for split, sentences in drawn.items():
        assert len(set(sentences)) == 300
        for sentence in sentences:
            assert all(word in slot for word, slot in zip(sentence.split(), text.MATRIX, strict=True))
            assert text.split_of(sentence, 0.1, 0.1) == split
    assert not set(drawn["train"]) & set(drawn["test"]) and not set(drawn["valid"]) & set(drawn["test"])


def test_a_longer_draw_begins_with_the_shorter_one():
    assert text.sentences(MATRIX, "test", 40, 3)[:15] == text.sentences(MATRIX, "test", 15, 3)
    assert text.sentences(MATRIX, "test", 15, 3) != text.sentences(MATRIX, "test", 15, 4)


def test_hash_shares_are_as_asked():
    rng = np.random.default_rng(0)
    splits = [text.split_of(str(rng.integers(2**60)), 0.2, 0.1) for _ in range(20_000)]
    assert splits.count("valid") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert splits.count("test") / 20_000 == pytest.approx(0.1, abs=0.01)


def test_the_grid_has_its_51_words_and_the_matrix_fifty():
    assert [len({*chain(*text.SLOTS[name])}) for name in ("grid", "matrix")] == [51, 50]


def test_asking_too_much_or_an_unknown_source_is_a_plain_error():
    with pytest.raises(UserError, match="sentences for valid where 50"):
        text.sentences(MATRIX | {"valid_share": 0.0001}, "valid", 50, 0)
    with pytest.raises(UserError, match="source is 'opera': input should be 'matrix'"):
        text.sentences(MATRIX | {"source": "opera"}, "train", 1, 0)


def test_plain_leaves_words_only():
    assert text.plain("“Don’t!” she said —  12 TIMES.") == "don't she said times"


@pytest.mark.slow
def test_open_sentences_have_the_asked_length_and_come_again():
    config = {"source": "open", "valid_share": 0.1, "test_share": 0.1, "min_words": 5, "max_words": 20}
    sentences = text.sentences(config, "train", 60, 5)
    assert all(5 <= len(sentence.split()) <= 20 and sentence == text.plain(sentence) for sentence in sentences)
    assert sentences == text.sentences(config, "train", 60, 5)


@given(st.integers(0, 2**32))
def test_an_edit_says_truly_what_it_changed(seed):
    rng = np.random.default_rng(seed)
    spoken = " ".join(text.sentences(MATRIX, "test", 2, seed))
    change = edit.draw(rng, spoken, MATRIX, "test")
    old, new = spoken.split(), change.text.split()
    (a, b), (c, d) = (_bounds(change.orig_span), _bounds(change.new_span))
    if change.kind == "substitution":
        assert old[:a] == new[:c] and old[b + 1 :] == new[d + 1 :] and len(old) == len(new)
        assert all(x != y for x, y in zip(old[a : b + 1], new[c : d + 1]))
    elif change.kind == "insertion":
        assert b == a + 1 and old[: a + 1] == new[:c] and old[b:] == new[d + 1 :] and len(new) > len(old)
    else:
        assert d == c + 1 and old[:a] == new[: c + 1] and old[b + 1 :] == new[d:] and len(new) < len(old)


def _bounds(span: str) -> tuple[int, int]:
    numbers = [int(number) for number in span.split(",")]
    return numbers[0], numbers[-1]
