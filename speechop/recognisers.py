"""Recognisers that installed packages offer under the entry point group "speechop.recognisers": what guides ITC and
editing.

An entry point is a class or function that takes the recogniser's options and returns an object with

- `transcribe(wave, rate_hz)` -> the text of float32 audio [n], or a dict of `text`, and what is known of `words`
  ([{"word", "start", "end", "confidence"}], seconds and 0 to 1), `speech` (false: there is none), `repeats` and
  `languages` ({code: probability}; what is not English does not guide);
- for editing, `align(wave, rate_hz, text)` -> [{"word", "start", "end"}], one for each word of the text.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from speechbase.files import UserError, install
from speechbase.texts import spoken
from speechop.transcripts import Line, judged

GROUP = "speechop.recognisers"
LIKE = 0.5  # of the words (in their order) that must be heard where a text is said to be said


def load(name: str, options: Sequence[str] = ()) -> Any:
    """An installed recogniser.

    Args:
        options: its settings as "key=value", the values as JSON where they can be read so ("beam_size=1").

    Raises:
        UserError: no such recogniser, or options that it does not take.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        raise UserError(f"no recogniser {name!r} is installed; known are {', '.join(sorted(known)) or 'none'}.")
    try:
        return known[name].load()(**_parsed(options))
    except ImportError as error:
        raise UserError(
            f"The recogniser {name!r} cannot be loaded ({error}); install what it needs, for those of this suite with "
            f"{install('itc')}."
        ) from None
    except TypeError as error:
        raise UserError(f"The recogniser {name!r} does not take these options ({error}).") from None


def _parsed(options: Sequence[str]) -> dict:
    values = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"The recogniser's option {option!r} is not of the form key=value.")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    return values


def check_said(recogniser, wave: np.ndarray, rate_hz: int, text: str) -> None:
    """Refuse (UserError) a text that is not what a recording says: an aligner gives any words a place."""
    seconds = len(wave) / rate_hz
    line = judged(recogniser.transcribe(wave, rate_hz), Line(0.0, seconds, ""), 0.0, min_confidence=0.0)
    if line.untrusted:
        raise UserError(f"The recording does not say {text[:60]!r}: {line.untrusted}.")
    heard, said = spoken(line.text).split(), text.split()
    blocks = difflib.SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
    words = sum(block.size for block in blocks) / len(said)
    letters = difflib.SequenceMatcher(None, "".join(said), "".join(heard), autojunk=False).ratio()
    if max(words, letters) < LIKE:
        raise UserError(
            f"The recording says {line.text!r}, as the recogniser hears it, and not {text[:60]!r}: give the words "
            "that are said (--trust-old if the recogniser is wrong)."
        )
