"""Text normalisers, each under the name that metrics carry, and edit counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from rapidfuzz.distance import Levenshtein

PUNCTUATION = re.compile(r"[^\w\s']|_")


def whisper_english(text: str) -> str:
    """Whisper's EnglishTextNormalizer (Radford et al. 2022, appendix C), with its British-to-American spelling map.

    Tokens without a letter or digit are dropped (it leaves a full stop of an ellipsis, which is no word).
    """
    return " ".join(token for token in _whisper_normalizer()(text).split() if any(map(str.isalnum, token)))


@cache
def _whisper_normalizer():
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


def lower(text: str) -> str:
    """Lower case, with all punctuation kept: words and their commas stay one token."""
    return text.lower()


def lower_nopunct(text: str) -> str:
    """Lower case, with everything but letters, digits, spaces and apostrophes deleted."""
    return PUNCTUATION.sub("", text.lower())


def edit_counts(reference: Sequence, hypothesis: Sequence) -> dict[str, int]:
    """Counts of a minimal alignment: hits, substitutions, deletions, insertions."""
    counts = {"substitutions": 0, "deletions": 0, "insertions": 0}
    for operation in Levenshtein.editops(reference, hypothesis):
        counts[{"replace": "substitutions", "delete": "deletions", "insert": "insertions"}[operation.tag]] += 1
    return {"hits": len(reference) - counts["substitutions"] - counts["deletions"], **counts}
