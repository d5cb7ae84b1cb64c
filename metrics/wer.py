"""Error rates of a recogniser's transcripts: words or characters, with the counts they are made of.

The normaliser is part of every name, since rates of different ones differ by whole points: `whispernorm` is Whisper's
English normaliser, `lower_nopunct` lower case without punctuation, `refpunct` the latter against references that keep
theirs. All of them fold the Unicode variants of a letter first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from metrics import text
from metrics.contract import Metric, Ratio, Unscorable, Value

ERRORS = ("substitutions", "deletions", "insertions")


def error_rate(*, reference: str, hypothesis: str, unit: str = "words") -> Value:
    """100 * (substitutions + deletions + insertions) / reference length in %, with the counts, of normalised texts.

    An empty hypothesis is 100 % deletions.

    Raises:
        Unscorable: nothing is left of the reference, so that no rate exists; or words of a script that does not part
            them.
    """
    if unit == "words" and (letter := text.unspaced_script(reference)):
        raise Unscorable(
            "unsupported_script",
            f"{letter!r} belongs to a script without blanks between words: no word error rate exists, but "
            "cer_whispernorm.",
        )
    split: Callable[[str], Any] = str.split if unit == "words" else lambda s: " ".join(s.split())
    tokens = split(reference)
    if not tokens:
        raise Unscorable("empty_reference", "Nothing is left of the reference text after normalisation.")
    counts = text.edit_counts(tokens, split(hypothesis))
    errors = sum(counts[name] for name in ERRORS)
    return Value(100 * errors / len(tokens), {**counts, f"reference_{unit}": len(tokens)})


def _compute(utterance, settings: Mapping[str, Any], *, of_reference, of_hypothesis, unit: str = "words") -> Value:
    heard = utterance.transcript(settings["asr"])
    return error_rate(reference=of_reference(utterance.text()), hypothesis=of_hypothesis(heard), unit=unit)


def _compute_insertions(utterance, settings: Mapping[str, Any]) -> Value:
    value = _compute(utterance, settings, of_reference=text.whisper_english, of_hypothesis=text.whisper_english)
    return Value(100 * value.detail["insertions"] / value.detail["reference_words"], value.detail)


def _family(
    stem: str,
    compute,
    definition: str,
    pitfalls: str,
    ratio: Ratio | None,
    **fields,
) -> Metric:
    common: dict[str, Any] = {
        "unit": "%",
        "range": "0 upwards; above 100 where words are invented",
        "higher": False,
        "rate": "the recogniser's (16 kHz)",
        "source": "Radford et al. 2022 (normaliser); package rapidfuzz (alignment)",
        # 2: variants of a letter are one letter, vowel signs of other scripts are kept; 3: what nobody sees is dropped
        "version": "3",
        "needs": ("text", "transcript"),
        "audio": False,
        "libraries": ("rapidfuzz", *(("whisper-normalizer",) if stem.endswith("whispernorm") else ())),
    }
    return Metric(
        name=f"{stem}_{{asr}}",
        compute=compute,
        definition=definition,
        pitfalls=pitfalls,
        ratio=ratio,
        **common | fields,
    )


_WORDS = Ratio(ERRORS, "reference_words", 100.0)
_JUDGE = "The recogniser is part of the name: a system that was guided by it is judged leniently."
_primary = partial(_compute, of_reference=text.whisper_english, of_hypothesis=text.whisper_english)

METRICS = (
    _family(
        "wer_whispernorm",
        _primary,
        "Word error rate over the corpus: all errors over all reference words, both sides through Whisper's English "
        "normaliser.",
        "The corpus rate is not the mean of the rows. The normaliser rewrites numbers, titles and spellings. " + _JUDGE,
        _WORDS,
    ),
    _family(
        "wer_refpunct",
        partial(_compute, of_reference=text.lower, of_hypothesis=text.lower_nopunct),
        "Word error rate over the corpus with lower-cased references that keep their punctuation, and hypotheses "
        "without any.",
        "A flawed convention, for comparison with the paper's Table 2 only: a word with a comma is always an error, "
        "so even "
        "a perfect transcript has about 15 %. " + _JUDGE,
        _WORDS,
        source="Table 2's printed values fit only this convention: perfect transcripts of its texts have 15.43 "
        "and 14.41 %",
    ),
    _family(
        "wer_lower_nopunct",
        partial(_compute, of_reference=text.lower_nopunct, of_hypothesis=text.lower_nopunct),
        "Word error rate over the corpus, both sides in lower case without punctuation (apostrophes stay).",
        "Numbers are not normalised: `50` against `fifty` is an error. " + _JUDGE,
        _WORDS,
    ),
    _family(
        "wer_mean_utt_whispernorm",
        partial(_compute, of_reference=text.whisper_english, of_hypothesis=text.whisper_english),
        "Mean over utterances of the word error rate, normalised alike (the convention of Seed-TTS-eval and F5-TTS).",
        "Short utterances weigh as much as long ones. " + _JUDGE,
        None,
    ),
    _family(
        "cer_whispernorm",
        partial(_compute, of_reference=text.whisper_english, of_hypothesis=text.whisper_english, unit="characters"),
        "Character error rate over the corpus, normalised as wer_whispernorm; spaces count.",
        _JUDGE,
        Ratio(ERRORS, "reference_characters", 100.0),
    ),
    _family(
        "insertions_whispernorm",
        _compute_insertions,
        "Inserted words per 100 reference words over the corpus, from wer_whispernorm's alignment: a count of what "
        "was invented.",
        "A hallucinated passage that replaces words counts as substitutions, only its surplus as insertions. " + _JUDGE,
        Ratio(("insertions",), "reference_words", 100.0),
    ),
)
