"""Edits of a transcript in RealEdit's form (Peng et al. 2024): substitution, insertion or deletion of one stretch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speechbase.corpus import open_text, text
from speechbase.files import UserError

KINDS = ("substitution", "insertion", "deletion")


@dataclass(frozen=True)
class Edit:
    """A changed transcript. Spans are inclusive word indices "first,last" (or "first"), as in RealEdit's table.

    For an insertion `orig_span`, for a deletion `new_span`, names the two words that flank the place.
    """

    kind: str
    text: str
    orig_span: str
    new_span: str


def draw(rng: np.random.Generator, spoken: str, text_config: dict, split: str) -> Edit:
    """Draw an edit of one to three words away from a sentence's ends.

    Args:
        spoken: the words of the recording.
        text_config: `source` decides where new words come from (the same slot of a slot grammar, else other sentences).
        split: a substituted sentence must belong to this split, so that no edited sentence was trained on.

    Raises:
        UserError: fewer than five words, or no edit found.
    """
    words = spoken.split()
    if len(words) < 5:
        raise UserError(f"An edit needs a sentence of five words or more, not {spoken!r}.")
    for _ in range(200):
        kind = KINDS[rng.choice(3, p=(0.5, 0.25, 0.25))]
        first, last = _place(rng, len(words), len(_slots(text_config) or words))
        edit = _EDITS[kind](rng, words, first, last, text_config)
        if edit and _unheard(edit.text.split(), text_config, split):
            return edit
    raise UserError(f"No edit of {spoken!r} was found whose sentences belong to {split} alone.")


def _place(rng, words: int, sentence: int) -> tuple[int, int]:
    """Where to edit: one to three words inside one of the text's sentences of `sentence` words, not its first or
    last."""
    start = sentence * int(rng.integers(words // sentence))
    first = start + int(rng.integers(1, sentence - 1))
    return first, min(first + int(rng.integers(1, 4)) - 1, start + sentence - 2)


def _substitution(rng, words: list[str], first: int, last: int, config: dict) -> Edit | None:
    new = [_other(rng, word, config) for word in words[first : last + 1]]
    changed = [*words[:first], *new, *words[last + 1 :]]
    return Edit("substitution", " ".join(changed), _span(first, last), _span(first, last))


def _insertion(rng, words: list[str], first: int, last: int, config: dict) -> Edit | None:
    """New words after `first`, of the kind of the word that follows: a second adjective, a second name."""
    new = [_other(rng, words[first + 1], config) for _ in range(last - first + 1)]
    if len(set(new)) < len(new):
        return None
    changed = [*words[: first + 1], *new, *words[first + 1 :]]
    return Edit("insertion", " ".join(changed), _span(first, first + 1), _span(first + 1, first + len(new)))


def _deletion(rng, words: list[str], first: int, last: int, config: dict) -> Edit | None:
    changed = [*words[:first], *words[last + 1 :]]
    return Edit("deletion", " ".join(changed), _span(first, last), _span(first - 1, first))


_EDITS = {"substitution": _substitution, "insertion": _insertion, "deletion": _deletion}


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first},{last}"


def _slots(config: dict):
    return {"matrix": text.MATRIX, "grid": text.GRID}.get(config["source"])


def _other(rng, word: str, config: dict) -> str:
    """Another word of the same slot; for open text a common word of about the same length."""
    slots = _slots(config)
    pool = next((slot for slot in slots if word in slot), []) if slots else open_text.common_words(len(word))
    others = [other for other in pool if other != word]
    if not others:
        raise UserError(f"No other word is known that could stand for {word!r}.")
    return others[rng.integers(len(others))]


def _unheard(words: list[str], config: dict, split: str) -> bool:
    """Whether no whole sentence of a slot grammar in the edited text belongs to another split."""
    slots = _slots(config)
    if not slots:
        return True
    size = len(slots)
    windows = (words[at : at + size] for at in range(len(words) - size + 1))
    whole = (" ".join(w) for w in windows if all(word in slot for word, slot in zip(w, slots)))
    return all(text.split_of(sentence, config["valid_share"], config["test_share"]) == split for sentence in whole)
