"""Speech editing (Table 2): the LibriTTS part of RealEdit (Peng et al. 2024), 100 rows.

Spans are inclusive word indices "i" or "i,j"; several edits of one row are parted by "|", and then the transcript
columns hold every stage. One published row is malformed and named here; another one would be an error.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speechbase import audio
from speechbase.files import UserError, seed_of
from speechbase.recorded.corpora import Location
from speechbase.recorded.manifests import limited, write_set

FIELDS = ["wav_fn", "orig_transcript", "new_transcript", "orig_masked_span", "new_masked_span", "type"]
TYPES = ("substitution", "insertion", "deletion")
# Two substitutions ("substitution|substitution") with one span: 5. It changes "innocence," as well as "of their limbs".
MALFORMED = "7697_245715_000006_000002"
LIBRITTS_PARTS = ("dev-clean", "dev-other")


@dataclass(frozen=True)
class Edit:
    """One row of RealEdit: the first and the last transcript, and a span and a type for each edit."""

    id: str
    original: str
    edited: str
    original_spans: tuple[tuple[int, int], ...]
    edited_spans: tuple[tuple[int, int], ...]
    types: tuple[str, ...]


def read_realedit(path: Path) -> list[Edit]:
    """The LibriTTS rows of RealEdit.txt (those whose file is named speaker_chapter_...).

    Raises:
        UserError: a row that cannot be read, but for the known malformed one, which keeps its one span for both edits.
    """
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        if reader.fieldnames != FIELDS:
            raise UserError(f"{path} has the columns {reader.fieldnames} where {FIELDS} belong; fetch it again.")
        return [_edit(row, path) for row in reader if row["wav_fn"][0].isdigit()]


def _edit(row: dict, path: Path) -> Edit:
    identity = row["wav_fn"].removesuffix(".wav")
    types = tuple(row["type"].split("|"))
    spans = [
        tuple(_span(text, path, identity) for text in row[f"{side}_masked_span"].split("|")) for side in ("orig", "new")
    ]
    if identity == MALFORMED:
        spans = [side * len(types) if len(side) == 1 else side for side in spans]
    if not len(types) == len(spans[0]) == len(spans[1]) or not set(types) <= set(TYPES):
        raise UserError(f"{path}, {identity}: {len(types)} types and {len(spans[0])}/{len(spans[1])} spans do not fit.")
    original, edited = row["orig_transcript"].split("|")[0], row["new_transcript"].split("|")[-1]
    for text, side in ((original, spans[0]), (edited, spans[1])):
        if max(last for _, last in side) >= len(text.split(" ")):
            raise UserError(f"{path}, {identity}: a span lies beyond the {len(text.split(' '))} words of {text!r}.")
    return Edit(identity, original, edited, spans[0], spans[1], types)


def _span(text: str, path: Path, identity: str) -> tuple[int, int]:
    try:
        numbers = [int(number) for number in text.split(",")]
        first, last = numbers[0], numbers[-1]
    except ValueError:
        raise UserError(f"{path}, {identity}: the span {text!r} is neither 'i' nor 'i,j'.") from None
    if len(numbers) > 2 or not 0 <= first <= last:
        raise UserError(f"{path}, {identity}: the span {text!r} is neither 'i' nor 'i,j'.")
    return first, last


def format_spans(spans: tuple[tuple[int, int], ...]) -> str:
    """Spans as the manifest writes them: "i" or "i,j", several parted by "|"."""
    return "|".join(f"{first}" if first == last else f"{first},{last}" for first, last in spans)


def original_audio(libritts: Location, identity: str) -> Path:
    """The original's file in LibriTTS dev-clean or dev-other. Raises: UserError: it is in neither."""
    speaker, chapter = identity.split("_")[:2]
    for part in LIBRITTS_PARTS:
        path = libritts.find(f"LibriTTS/{part}") / speaker / chapter / f"{identity}.wav"
        if path.is_file():
            return path
    raise UserError(f"{identity}.wav is in neither {' nor '.join(LIBRITTS_PARTS)} of LibriTTS: unpack both again.")


def build(realedit: Location, libritts: Location, folder: Path, name: str = "edit", size: int | None = None) -> str:
    """Make the test set. The reference is the original: nobody spoke the edited sentence."""
    edits = limited(read_realedit(realedit.find("RealEdit.txt")), size, seed_of(name))

    def items() -> Iterator[tuple[dict, dict]]:
        for edit in edits:
            wave, rate_hz = audio.read(original_audio(libritts, edit.id))
            row = {"id": edit.id, "task": "edit", "speaker": edit.id.split("_")[0], "rate_hz": rate_hz}
            row |= {"text": edit.edited.lower(), "orig_text": edit.original.lower(), "edit_type": "|".join(edit.types)}
            row |= {"orig_span": format_spans(edit.original_spans), "new_span": format_spans(edit.edited_spans)}
            yield row, {"source": wave, "reference": wave}

    said = write_set(name, items(), folder, None)
    if not size and len(edits) != 100:
        raise UserError(f"{realedit.find('RealEdit.txt')} has {len(edits)} LibriTTS rows where 100 are published.")
    return said
