"""Durations for TTS and editing, and splicing of edited speech (Appendix E.3; RealEdit's span rules)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from speechbase.files import UserError

MARGIN_SECONDS = 0.08  # around the edited words, as VoiceCraft's evaluation
FADE_SECONDS = 0.02
PHONES_PER_SECOND = (5.0, 25.0)


def rate_of(phones: int, seconds: float) -> float:
    """Speaking rate in phones a second, held within what people speak.

    The paper multiplies this rate by the phoneme count, which has no sense as a duration; count / rate is meant.
    """
    if phones < 1 or seconds <= 0:
        raise UserError("A speaking rate needs a prompt with words in it: give the prompt's transcript.")
    return float(np.clip(phones / seconds, *PHONES_PER_SECOND))


@dataclass(frozen=True)
class Edit:
    """Where to cut: the original keeps [0, start) and [stop, end) seconds; `seconds` of new speech go between."""

    start: float
    stop: float
    seconds: float


def parse_span(text: str) -> tuple[int, int]:
    """RealEdit's span: "i" or "i,j", inclusive indices of words (several spans "a,b|c,d" give their hull)."""
    try:
        numbers = [int(part) for span in text.split("|") for part in span.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is not an edit span: use 'i' or 'i,j' (inclusive word indices).") from None
    return min(numbers), max(numbers)


def spans_of(old: str, new: str) -> dict:
    """RealEdit's row (texts, spans, type) for changing one text into another: one contiguous change.

    Raises:
        UserError: equal texts, or nothing left of either.
    """
    original, changed = old.lower().split(), new.lower().split()
    if original == changed or not original or not changed:
        raise UserError("The old and the new text must both have words, and differ.")
    shortest = min(len(original), len(changed))
    head = next((i for i in range(shortest) if original[i] != changed[i]), shortest)
    tail = next((i for i in range(shortest - head) if original[-1 - i] != changed[-1 - i]), shortest - head)
    (o1, o2), (n1, n2) = ((head, len(words) - tail - 1) for words in (original, changed))
    row = {"orig_text": " ".join(original), "text": " ".join(changed), "edit_type": "substitution"}
    if o2 < o1:  # an insertion's original span is its flanking words; at an end the flank is changed along
        o1, o2 = max(0, o1 - 1), min(len(original) - 1, o2 + 1)
        if 0 < head < len(original):
            row["edit_type"] = "insertion"
        else:
            n1, n2 = max(0, n1 - 1), min(len(changed) - 1, n2 + 1)
    elif n2 < n1:
        flanked = 0 < head < len(changed)
        n1, n2 = max(0, n1 - 1), min(len(changed) - 1, n2 + 1)
        if flanked:
            row["edit_type"] = "deletion"
        else:
            o1, o2 = max(0, o1 - 1), min(len(original) - 1, o2 + 1)
    return row | {"orig_span": f"{o1},{o2}", "new_span": f"{n1},{n2}"}


def plan_edit(row: dict, words: list[dict], seconds: float, count_phones, margin: float = MARGIN_SECONDS) -> Edit:
    """Cut points and the new part's duration for one edit.

    Args:
        row: `orig_text`, `text`, `orig_span`, `new_span`, `edit_type` (RealEdit: for an insertion the original span,
            for a deletion the new span, names the two flanking words).
        words: word timings of the original, [{"word", "start", "end"}], from a recogniser or an aligner.
        seconds: length of the original.
        count_phones: text -> number of phonemes.
        margin: seconds on each side that are made anew along with the words; none where ready speech is put in.
    """
    original, new = row["orig_text"].split(), row["text"].split()
    times = word_times(original, words, seconds)
    (o1, o2), (n1, n2) = parse_span(row["orig_span"]), parse_span(row["new_span"])
    if not (0 <= o1 <= o2 < len(original) and 0 <= n1 <= n2 < len(new)):
        raise UserError(f"the spans {row['orig_span']!r} and {row['new_span']!r} lie outside of their texts")
    kinds = set(row["edit_type"].split("|"))
    inner = (o1 + 1, o2 - 1) if kinds == {"insertion"} else (o1, o2)
    fresh = (n1 + 1, n2 - 1) if kinds == {"deletion"} else (n1, n2)
    start = times[inner[0] - 1][1] if inner[0] else 0.0
    stop = times[inner[1] + 1][0] if inner[1] + 1 < len(times) else seconds
    start, stop = max(0.0, start - margin), min(seconds, max(stop, start) + margin)
    if times[-1][1] <= times[0][0]:
        raise UserError(f"The words {row['orig_text']!r} were not found in the recording: is that what it says?")
    rate = rate_of(count_phones(row["orig_text"]), times[-1][1] - times[0][0])
    said = " ".join(new[fresh[0] : fresh[1] + 1])
    return Edit(start, stop, (count_phones(said) / rate if said else 0.0) + 2 * margin)


def word_times(text: list[str], words: list[dict], seconds: float) -> list[tuple[float, float]]:
    """(start, end) seconds of every word of a known text, from a recogniser's timed words.

    Words that the recogniser heard otherwise are placed between their neighbours, in proportion to their letters.
    """
    heard = ["".join(c for c in w["word"].lower() if c.isalnum() or c == "'") for w in words]
    times: list[tuple[float, float] | None] = [None] * len(text)
    for block in difflib.SequenceMatcher(None, text, heard, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            word = words[block.b + k]
            times[block.a + k] = (float(word["start"]), float(word["end"]))
    if not any(times):
        letters = np.cumsum([0, *map(len, text)]) / max(1, sum(map(len, text))) * seconds
        return list(zip(letters[:-1].tolist(), letters[1:].tolist()))
    for first in range(len(text)):
        if times[first] is None:
            last = first
            while last + 1 < len(text) and times[last + 1] is None:
                last += 1
            before = times[first - 1] if first else None
            after = times[last + 1] if last + 1 < len(text) else None
            begin, end = before[1] if before else 0.0, after[0] if after else seconds
            edges = begin + np.cumsum([0, *map(len, text[first : last + 1])]) * max(0.0, end - begin) / sum(
                map(len, text[first : last + 1])
            )
            times[first : last + 1] = list(zip(edges[:-1].tolist(), edges[1:].tolist()))
    return [time for time in times if time is not None]


def splice(original: np.ndarray, middle: np.ndarray, edit: Edit, rate_hz: int) -> np.ndarray:
    """Original before and after the edit, generated speech between, joined by short cross-fades.

    `middle` [m] is the generated part with one fade's length of generated context on each side.
    """
    fade = int(FADE_SECONDS * rate_hz)
    start, stop = round(edit.start * rate_hz), round(edit.stop * rate_hz)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    head, tail = original[:start].copy(), original[stop:].copy()
    middle = middle.copy()
    left, right = min(fade, len(head)), min(fade, len(tail))
    body = middle[fade : len(middle) - fade]
    if left:
        head[-left:] = head[-left:] * (1 - ramp[-left:]) + middle[fade - left : fade] * ramp[-left:]
    if right:
        after = middle[len(middle) - fade : len(middle) - fade + right]
        tail[:right] = after * (1 - ramp[:right]) + tail[:right] * ramp[:right]
    return np.concatenate([head, body, tail])
