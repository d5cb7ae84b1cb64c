"""Text as phonemes: what a small model that cannot learn English spelling reads instead of letters.

The packaged lexicon (hibari: misaki's American English lexicon, its number, currency and abbreviation rules, and a
small network for words that it lacks) spells a text. A sign is one phoneme with its stress and whether a word begins
with it, so that every sign is something heard, and text positions stretched over the audio lie near the sounds they
stand for.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np

from speechbase.files import UserError, install

# Every phoneme of misaki's American English; a diphthong is one letter: A (day), I (my), O (no), W (now), Y (boy).
AMERICAN = "AIOWYTbdfhijklmnpstuvwxzæðŋɐɑɔəɚɛɜɡɪɹʃʊʌʒʤʧθᵊᵻ"
STRESSES = ("", "ˈ", "ˌ")
MAX_SIGNS = 1024
STRESS_AND_PUNCTUATION = set("ˈˌ .,;:!?—…\"“”()'ː")


def signs(text: str) -> list[tuple[str, int, bool]]:
    """(phoneme, stress, begins a word) of each sound of a text; stress is 0, 1 (primary) or 2 (secondary).

    Numbers, currencies, abbreviations and unknown words are spoken as the lexicon's rules say; punctuation is silent.

    Raises:
        UserError: nothing to say, letters of another script, or more than 1,024 sounds.
    """
    check_script(text)
    found: list[tuple[str, int, bool]] = []
    for word in spoken(text).split():
        stress, begins = 0, True
        for sign in word:
            if sign in STRESSES[1:]:
                stress = STRESSES.index(sign)
            elif sign in AMERICAN:
                found.append((sign, stress, begins))
                stress, begins = 0, False
    if not found:
        raise UserError(f"The text {text!r} has no letters or digits: there is nothing to say.")
    if len(found) > MAX_SIGNS:
        raise UserError(f"A text of {len(found)} sounds is too long (at most {MAX_SIGNS}): split it into sentences.")
    return found


def spoken(text: str) -> str:
    """The phonemes of a text in misaki's notation, words apart, as the synthetic voices say it."""
    text = text.strip()
    stop = "" if text[-1:] in (".", "!", "?") else "."
    return _g2p()(text[:1].upper() + text[1:] + stop)


def check_script(text: str) -> None:
    """Refuse letters that are not Latin.

    Raises:
        UserError: naming the first word in another script.
    """
    for word in text.split():
        if any(
            sign.isalpha() and not unicodedata.name(sign, "").startswith(("LATIN", "FEMININE", "MASCULINE"))
            for sign in word
        ):
            raise UserError(f"The word {word!r} is not in Latin letters; the text must be English.")


def encode(text: str, alphabet: str = AMERICAN) -> list[int]:
    """Numbers of a text's signs from 1 on, six to a phoneme of `alphabet` (stress times beginning of a word); errors as
    `signs`.

    A phoneme that an older alphabet lacks is left out.
    """
    place = {sign: index for index, sign in enumerate(alphabet)}
    return [1 + 6 * place[sign] + 2 * stress + begins for sign, stress, begins in signs(text) if sign in place]


def sound_lengths(texts: list[str], seconds: list[float], alphabet: str = AMERICAN) -> list[list[int]]:
    """How long each phoneme lasts, in ms, without and with stress: [[unstressed], [stressed]] in the alphabet's order.

    Least squares over utterances, drawn towards the mean where a phoneme is rare; so text positions can be stretched
    over the audio by what is said and not only by how much.
    """
    kinds = 2 * len(alphabet)
    counts = np.zeros((len(texts), kinds))
    for row, text in zip(counts, texts):
        for number in encode(text, alphabet):
            phoneme, rest = divmod(number - 1, 6)
            row[2 * phoneme + (rest >= 2)] += 1
    mean = sum(seconds) / counts.sum()
    towards = 20.0  # utterances that the mean weighs as much as
    fitted = np.linalg.solve(
        counts.T @ counts + towards * np.eye(kinds), counts.T @ np.asarray(seconds) + towards * mean * np.ones(kinds)
    )
    lengths = np.clip(np.round(1000 * fitted), 10, 300).astype(int)
    return [lengths[0::2].tolist(), lengths[1::2].tolist()]


def phone_count(text: str) -> int:
    """How many phonemes a text has, without stress marks and punctuation: what speaking rates are reckoned by."""
    said = " ".join(hibari().phonemize(text[0].upper() + text[1:] + ".")) if text else ""
    return sum(sign not in STRESS_AND_PUNCTUATION for sign in said)


@functools.cache
def hibari() -> Any:
    """The packaged lexicon with its voice."""
    try:
        from hibari import Hibari
    except ImportError:
        raise UserError(f"Phonemes need the package hibari-tts: {install('speak')}.") from None
    return Hibari()


@functools.cache
def _g2p():
    from hibari.g2p import G2P

    return G2P()
