"""Text normalisers, each under the name that metrics carry, and edit counts.

All of them fold the Unicode variants of a letter first (`speechbase.texts.fold`): "don’t" and "don't" are one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby

from rapidfuzz.distance import Levenshtein

from speechbase.texts import DASHES, fold

# First words of the Unicode names of letters that are written without blanks between words
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "TAI", "JAVANESE")


def whisper_english(text: str) -> str:
    """Whisper's EnglishTextNormalizer (Radford et al. 2022, appendix C), with its British-to-American spelling map.

    Tokens without a letter or digit are dropped (it leaves a full stop of an ellipsis, which is no word). Words with
    vowel signs of another script go around it, since it would delete these, and with them the difference between words.
    """
    pieces = []
    for signed, tokens in groupby(fold(text).split(), has_vowel_signs):
        pieces.append((lower_nopunct if signed else _whisper_normalizer())(" ".join(tokens)))
    return _words(" ".join(pieces))


def has_vowel_signs(word: str) -> bool:
    """Whether a word holds marks that are letters of their script (Devanagari's vowels), not accents upon letters."""
    return any(_is_mark(c) and not unicodedata.name(c, "").startswith("COMBINING") for c in word)


def unspaced_script(text: str) -> str | None:
    """A character of a script that puts no blanks between words, which have no word error rate; None where there is
    none."""
    return next((c for c in fold(text) if unicodedata.name(c, "").split(" ")[0] in UNSPACED and c.isalpha()), None)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


@cache
def _whisper_normalizer():
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


def lower(text: str) -> str:
    """Lower case, with all punctuation kept: words and their commas stay one token."""
    return fold(text).lower()


def lower_nopunct(text: str) -> str:
    """Lower case, with everything but letters, their marks, digits, spaces and apostrophes deleted; dashes are
    spaces."""
    text = re.sub(f"[{DASHES}]", " ", fold(text).lower())
    return _words("".join(c for c in text if c.isalnum() or c.isspace() or c == "'" or _is_mark(c)))


def _words(text: str) -> str:
    return " ".join(token for token in text.split() if any(map(str.isalnum, token)))


def edit_counts(reference: Sequence, hypothesis: Sequence) -> dict[str, int]:
    """Counts of a minimal alignment: hits, substitutions, deletions, insertions."""
    counts = {"substitutions": 0, "deletions": 0, "insertions": 0}
    for operation in Levenshtein.editops(reference, hypothesis):
        counts[{"replace": "substitutions", "delete": "deletions", "insert": "insertions"}[operation.tag]] += 1
    return {"hits": len(reference) - counts["substitutions"] - counts["deletions"], **counts}
