"""What is said, and when: the lines that guide a recording's windows, from a recogniser, a subtitle file or a user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from speechbase.files import UserError, write_text
from speechbase.settings import NotNegative, Settings
from speechbase.texts import check_text, read_text, spoken

MIN_CONFIDENCE = 0.5  # noise, chords and clicks came below .43, speech at 5 dB and more above .69 (Whisper base)
# Below this probability of English (Whisper base) a transcript does not guide. Of 290 English validation clips (clean
# and at 10, 5 and 0 dB) none of the 205 that were otherwise trusted fell below it, of 180 in Spanish, Portuguese,
# Italian and Japanese, in the same voices, 54 of 60. With .2 it would be 58, and one English clip.
MIN_ENGLISH, NAMED = 0.1, 0.5  # from the latter on another language is called by its name
SUFFIXES = (".srt", ".vtt", ".json")
LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
    "el": "Greek", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "ms": "Malay",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip


@dataclass
class Word:
    """A word with its place in the recording, seconds, and the recogniser's confidence in it (0 to 1)."""

    word: str
    start: float
    end: float
    confidence: float | None = None


@dataclass
class Line:
    """What is said between `start` and `end` (seconds).

    `confidence`: the mean over the words, None where no recogniser was asked. `untrusted`: why it does not guide, "" if
        it does. `gamma`: the strength of its guidance (Eq. 3), None: that of the settings.
    """

    start: float
    end: float
    text: str
    words: list[Word] = field(default_factory=list)
    confidence: float | None = None
    untrusted: str = ""
    gamma: float | None = None

    @property
    def guide(self) -> str | None:
        """The text in the form that the model knows; None where there is nothing to be guided by."""
        return None if self.untrusted else spoken(self.text) or None


class Trust(Settings):
    """How far a recogniser's words guide, by its confidence in them."""

    min_word: NotNegative = Field(0.0, description="words with less confidence are left out")
    gamma: list[Annotated[list[NotNegative], Field(min_length=2, max_length=2)]] = Field(
        min_length=1,
        description="[confidence, gamma] rising: from that confidence on (the mean over the words) text guides with "
        "that strength; below the first one it does not",
    )

    @model_validator(mode="after")
    def _rising(self) -> Trust:
        levels = [level for level, _ in self.gamma]
        if levels != sorted(set(levels)):
            raise ValueError("the confidences must rise")
        return self

    def weigh(self, line: Line) -> Line:
        """The line with the words that are trusted, and the strength of their guidance.

        Raises:
            UserError: a word without confidence.
        """
        if line.untrusted or not spoken(line.text):
            return line
        if not line.words or any(word.confidence is None for word in line.words):
            raise UserError(
                f"{line.text[:40]!r} was transcribed without confidences, which decide how far it guides: take a "
                "recogniser that tells them, or a system without `trust`."
            )
        kept = [word for word in line.words if (word.confidence or 0.0) >= self.min_word]
        sure = line.confidence or 0.0
        gamma = next((gamma for level, gamma in reversed(self.gamma) if sure >= level), 0.0)
        if not gamma or not kept:
            reason = (
                "none of its words is trusted" if gamma else f"its confidence {sure:.2f} is below {self.gamma[0][0]}"
            )
            return replace(line, untrusted=reason)
        return replace(line, text=" ".join(word.word for word in kept), words=kept, gamma=gamma)


def judged(heard, window: Line, offset: float, min_confidence: float = MIN_CONFIDENCE) -> Line:
    """A recogniser's answer as the line of a window, with the reason if it must not guide.

    Args:
        heard: its text, or {"text", and if it knows them "words": [{"word", "start", "end", "confidence"}] (seconds
            from `offset` on), "speech": whether there is any, "repeats": whether it lost its place, "languages":
            how probable each is, {"en": 0.02, "es": 0.93}}.
        window: an empty line with the window's times.
        offset: where in the recording the recogniser began to listen, seconds.
    """
    heard = {"text": heard} if isinstance(heard, str) else dict(heard)
    words = [
        Word(w["word"], offset + float(w["start"]), offset + float(w["end"]), w.get("confidence"))
        for w in heard.get("words", ())
    ]
    known = [w.confidence for w in words if w.confidence is not None]
    confidence = round(sum(known) / len(known), 3) if known else None
    line = Line(window.start, window.end, str(heard["text"]).strip(), words, confidence)
    if heard.get("speech") is False:
        line.untrusted = "no speech was found"
        return line
    line.untrusted = _doubt(line, bool(heard.get("repeats")), min_confidence)
    if foreign := _foreign(heard.get("languages") or {}):
        # A voice that the recogniser hardly makes out may be English for all that: nothing is claimed of it.
        doubt = line.untrusted
        claim = f"it seems to be {foreign}, and the model knows English alone"
        line.untrusted = f"{doubt}, and it may be {foreign}" if doubt else claim
    return line


def _doubt(line: Line, repeats: bool, min_confidence: float) -> str:
    """Why what was heard must not guide, whatever the language; "" where it may."""
    if not spoken(line.text):
        return "no words were heard"
    if repeats:
        return "the recogniser repeats itself"
    if line.confidence is not None and line.confidence < min_confidence:
        return f"its confidence {line.confidence:.2f} is below {min_confidence:.2f}"
    try:
        check_text(line.text, "what was heard")
    except UserError as error:
        return str(error).rstrip(".")
    return ""


def _foreign(languages: dict[str, float]) -> str:
    """In which language something is that is hardly in English, "" where it may well be."""
    if not languages or languages.get("en", 0.0) >= MIN_ENGLISH:
        return ""
    code = max(languages, key=languages.__getitem__)
    if languages[code] < NAMED:
        return "in another language than English"
    return f"in {LANGUAGES.get(code, 'another language')} ({code}, {100 * languages[code]:.0f} %)"


def told(line: Line, min_confidence: float = MIN_CONFIDENCE) -> str:
    """A line to read: times, words (those that the recogniser doubts with a question mark), and whether it guides."""
    words = [f"{w.word}?" if w.confidence is not None and w.confidence < min_confidence else w.word for w in line.words]
    text = " ".join(words) or line.text
    reason = f" [not used: {line.untrusted}]" if line.untrusted else ""
    sure = "" if line.confidence is None else f" ({line.confidence:.2f})"
    return f"{line.start:.2f}-{line.end:.2f} s: {text!r}{sure}{reason}"


def for_windows(lines: Sequence[Line], spans: Sequence[tuple[float, float]]) -> list[Line]:
    """One line a window: the texts whose middles lie in it, in order.

    Args:
        spans: start and end of each window, seconds; together they are the recording.
    """
    result = []
    for start, end in spans:
        inside = [line for line in lines if start <= (line.start + line.end) / 2 < end]
        used = [line for line in inside if line.guide]
        text = " ".join(line.text for line in used)
        words = [word for line in inside for word in line.words]
        if text:
            check_text(text, f"The transcript from {start:.2f} to {end:.2f} s")
        untrusted = "" if text else next((line.untrusted for line in inside if line.untrusted), "no text was given")
        result.append(Line(start, end, text or " ".join(line.text for line in inside), words, None, untrusted))
    return result


def write(path: str | Path, lines: Sequence[Line]) -> None:
    """Write lines as SRT, WebVTT or JSON, by the suffix; what was not trusted is left out of subtitles but for its
    place."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False) + "\n")
        return
    import pysubs2

    subtitles = pysubs2.SSAFile()
    for line in lines:
        text = "" if line.untrusted else line.text
        subtitles.append(pysubs2.SSAEvent(round(line.start * 1000), round(line.end * 1000), text))
    write_text(path, subtitles.to_string(check_suffix(path)[1:]))


def check_suffix(path: str | Path) -> str:
    """The suffix of a transcript's file in lower case; another than .srt, .vtt and .json is a UserError."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: a transcript is a file of {', '.join(SUFFIXES)}, not {suffix!r}.")
    return suffix


def read(path: str | Path) -> list[Line]:
    """Read lines from SRT, WebVTT, or JSON ([{"start", "end", "text"}], seconds), in the order of their times.

    Raises:
        UserError: missing, another format, no lines, or times that are not rising numbers.
    """
    suffix, text = check_suffix(path), read_text(path)
    lines = _from_json(path, text) if suffix == ".json" else _from_subtitles(path, text, suffix[1:])
    if not lines:
        raise UserError(f"{path} holds no lines with times.")
    for line in lines:
        if not 0 <= line.start < line.end:
            raise UserError(f"{path}: the line {line.text[:40]!r} has the times {line.start} to {line.end} s.")
        if line.guide:
            check_text(line.text, f"{path}, the line at {line.start:.2f} s:")
    return sorted(lines, key=lambda line: line.start)


def _from_subtitles(path, text: str, kind: str) -> list[Line]:
    import pysubs2

    try:
        events = pysubs2.SSAFile.from_string(text, format_=kind)
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as error:
        raise UserError(f"{path} cannot be read as {kind.upper()} ({error}).") from None
    return [
        Line(e.start / 1000, e.end / 1000, e.plaintext.replace("\n", " ").strip()) for e in events if not e.is_comment
    ]


def _from_json(path, text: str) -> list[Line]:
    try:
        rows = json.loads(text)
        return [
            Line(
                float(row["start"]),
                float(row["end"]),
                str(row["text"]),
                [Word(**word) for word in row.get("words", ())],
                row.get("confidence"),
                str(row.get("untrusted", "")),
            )
            for row in rows
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f'{path} is no transcript: a list of {{"start", "end", "text"}} in seconds is needed ({error!r:.80}).'
        ) from None
