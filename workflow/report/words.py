"""Transcripts with word errors marked: the recogniser's words against the reference's."""

from __future__ import annotations

from dataclasses import dataclass

import jiwer

from metrics.text import whisper_english


@dataclass(frozen=True)
class Word:
    """A word of the alignment; `kind` is ok, substituted, inserted or deleted, `instead_of` the reference's word."""

    text: str
    kind: str
    instead_of: str = ""


def plain(text: str) -> list[str]:
    """The words that the column WER compares: after Whisper's English normaliser."""
    return whisper_english(text).split()


def align(reference: str, heard: str) -> list[Word]:
    """The words that were heard, in order, with the reference's lost words between them."""
    expected, got = plain(reference), plain(heard)
    if not expected:
        return [Word(word, "inserted") for word in got]
    found = []
    for chunk in jiwer.process_words(" ".join(expected), " ".join(got)).alignments[0]:
        wanted = expected[chunk.ref_start_idx : chunk.ref_end_idx]
        said = got[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            found += [Word(word, "deleted") for word in wanted]
        elif chunk.type == "insert":
            found += [Word(word, "inserted") for word in said]
        elif chunk.type == "substitute":
            found += [Word(word, "substituted", before) for word, before in zip(said, wanted)]
        else:
            found += [Word(word, "ok") for word in said]
    return found


def errors(words: list[Word]) -> int:
    """How many of the words are errors."""
    return sum(word.kind != "ok" for word in words)
