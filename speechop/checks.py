"""What is refused of a prompt, a recording to edit, or a text to say, before a model is loaded; and whether anybody
speaks in a recording."""

from __future__ import annotations

from speechbase import editing, voice_activity
from speechbase.files import UserError
from speechop.recordings import Recording
from speechop.transcripts import check_text

PROMPT_SECONDS, SPOKEN_SECONDS = 10.0, (0.2, 30.0)  # the longest prompt; the range of what is spoken at once
EDIT_SECONDS = 28.0  # of a recording to edit: what aligners take at once


def has_speech(source: Recording) -> bool:
    """Whether anybody speaks in some ten seconds of a recording, in any of its channels.

    Raises:
        NoDetector: as `speechbase.voice_activity.has_speech`.
    """
    size = round(voice_activity.PIECE_S * source.rate_hz)
    last = max(0, source.samples - size)
    pieces = (track.read(at, at + size) for track in source.tracks for at in (*range(0, last, size), last))
    return any(voice_activity.has_speech(piece, source.rate_hz) for piece in pieces)


def check_prompt(source: Recording, name: str) -> None:
    """Refuse (UserError) prompts of more than 10 s, and silence."""
    if source.seconds > PROMPT_SECONDS:
        raise UserError(f"{name} is too long: at most {PROMPT_SECONDS:.0f} s are used, 2 or 3 are best; cut it.")
    if source.silent:
        raise UserError(f"{name} is silent; choose one with speech in it.")


def check_editable(source: Recording) -> Recording:
    """Refuse (UserError) recordings that are silent or too long to be edited at once."""
    if source.seconds > EDIT_SECONDS:
        raise UserError(f"The recording is too long to edit: at most {EDIT_SECONDS:.0f} s; cut it.")
    if source.silent:
        raise UserError("The recording is silent: there are no words to change.")
    return source


def check_spoken(text: str, prompt_text: str) -> tuple[str, str]:
    """A text to say and a prompt's in the form that the model knows; without letters, or phonemes, a UserError."""
    text, prompt_text = check_text(text, "The text"), check_text(prompt_text, "The prompt's text")
    check_text(f"{prompt_text} {text}", "The prompt's text with the text")
    phones_of(text, "The text")
    phones_of(prompt_text, "The prompt's text")
    return text, prompt_text


def check_seconds(seconds: float) -> float:
    """A duration of new speech; outside of 0.2 to 30 s it is a UserError."""
    low, high = SPOKEN_SECONDS
    if not low <= seconds <= high:
        raise UserError(
            f"{seconds:.2f} s of new speech: {low} to {high:.0f} s are made at once; change the text or --seconds."
        )
    return seconds


def new_seconds(text: str, prompt_text: str, prompt_seconds: float, seconds: float | None = None) -> float:
    """How long a text will be: `seconds`, or as long as the prompt's rate makes it; out of range it is a UserError."""
    if seconds is None:
        rate = editing.rate_of(phones_of(prompt_text, "The prompt's text"), prompt_seconds)
        seconds = phones_of(text, "The text") / rate
    return check_seconds(seconds)


def phones_of(text: str, name: str) -> int:
    """How many phonemes a text has; none is a UserError that names it."""
    from speechbase.corpus.phones import phone_count

    if not (count := phone_count(text)):
        raise UserError(f"{name} {text[:60]!r} has no phonemes: the model speaks English.")
    return count
