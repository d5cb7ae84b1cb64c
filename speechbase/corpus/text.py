"""Sentences to be spoken: three sources, and a split by hash so that no sentence lies in two splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from speechbase.corpus.settings import Sentences
from speechbase.files import UserError, seed_of
from speechbase.settings import checked

SPLITS = ("train", "valid", "test")

# Five slots of ten words in the manner of the matrix sentence tests (Hagerman 1982; Kollmeier et al. 2015):
# grammatical, semantically unpredictable, so that a listener's language model cannot guess a word. Chosen among
# twice as many for Whisper hearing each of them in clean synthetic speech: no homophones (two, four, eight, red), no
# names with spelling variants (Steven, Monica), no verbs whose ending gets lost (opened, borrowed).
MATRIX = (
    ["peter", "david", "nancy", "kevin", "martin", "daniel", "richard", "jessica", "michael", "edward"],
    ["found", "wanted", "needed", "painted", "ordered", "collected", "received", "carried", "delivered", "repaired"],
    ["three", "five", "six", "seven", "nine", "ten", "twelve", "twenty", "many", "several"],
    ["small", "green", "yellow", "heavy", "wooden", "purple", "orange", "plastic", "golden", "large"],
    ["tables", "pencils", "windows", "baskets", "houses", "candles", "blankets", "chairs", "tickets", "boxes"],
)

# The GRID corpus's command grammar (Cooke et al. 2006): 51 words.
GRID = (
    ["bin", "lay", "place", "set"],
    ["blue", "green", "red", "white"],
    ["at", "by", "in", "with"],
    list("abcdefghijklmnopqrstuvxyz"),
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    ["again", "now", "please", "soon"],
)


def plain(text: str) -> str:
    """Lower case, letters and apostrophes only, single spaces: the form of the `text` column."""
    return " ".join(re.sub(r"[^a-z' ]+", " ", text.lower().replace("’", "'")).split())


def split_of(text: str, valid_share: float, test_share: float) -> str:
    """The split that a sentence belongs to, decided by its hash alone (shares in 0..1)."""
    place = seed_of("sentence", text) % 1_000_000 / 1_000_000
    if place < test_share:
        return "test"
    return "valid" if place < test_share + valid_share else "train"


def sentences(config: dict, split: str, count: int, seed: int) -> list[str]:
    """Draw `count` different sentences of one split.

    Args:
        config: `corpus.text` (`speechbase.corpus.settings.Sentences`).
        seed: with the split's name it decides the draw; a longer draw begins with the shorter one's sentences.

    Raises:
        UserError: an unknown key or source, or a source that holds too few sentences.
    """
    how = checked(Sentences, config, "corpus.text")
    rng = np.random.default_rng(seed_of(seed, "text", split))
    return distinct(SOURCES[how.source](how, rng), how, split, count)


def distinct(drawn: Iterator[str], how: Sentences, split: str, count: int) -> list[str]:
    """The first `count` different sentences of a split among those drawn; errors as `sentences`."""
    chosen: dict[str, None] = {}
    misses = 0
    for text in drawn:
        if len(chosen) == count:
            break
        known = len(chosen)
        if split_of(text, how.valid_share, how.test_share) == split:
            chosen[text] = None
        misses = misses + 1 if len(chosen) == known else 0
        if misses > 20_000:
            break
    if len(chosen) < count:
        raise UserError(
            f"The text source {how.source!r} gave {len(chosen)} sentences for {split} where {count} are asked "
            "for; ask for fewer utterances or raise that split's share."
        )
    return list(chosen)


SLOTS = {"matrix": MATRIX, "grid": GRID}  # the sources that are grammars


def _from_slots(slots) -> Callable[[Sentences, np.random.Generator], Iterator[str]]:
    def stream(how: Sentences, rng: np.random.Generator) -> Iterator[str]:
        while True:
            yield " ".join(slot[rng.integers(len(slot))] for slot in slots)

    return stream


def _open(how: Sentences, rng: np.random.Generator) -> Iterator[str]:
    """Sentences of packages in the shares that `shares` gives them."""
    from speechbase.corpus import open_text

    yield from open_text.stream(how.shares, how.min_words, how.max_words, rng)


SOURCES: dict[str, Callable[[Sentences, np.random.Generator], Iterator[str]]] = {
    "matrix": _from_slots(MATRIX),
    "grid": _from_slots(GRID),
    "open": _open,
}
