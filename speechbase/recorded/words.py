"""When each word of a recording is spoken: read from a table, or found by WhisperX's forced alignment.

A table has the columns recording, word, start_s, end_s.

    python -m speechbase.recorded.words --table recordings.csv --out words.csv [--device cuda]
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from speechbase import audio
from speechbase.commands import command_line
from speechbase.files import UserError, atomic

COLUMNS = ["recording", "word", "start_s", "end_s"]
RATE_HZ = 16000


@dataclass(frozen=True)
class Word:
    """A spoken word and its time in seconds."""

    text: str
    start_s: float
    end_s: float


def read_words(path: Path) -> dict[str, list[Word]]:
    """Recording -> its words in the order of time. Raises: UserError: a missing table, column or number."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: run the rule that aligns words, or bring a table of your own aligner.")
    words: dict[str, list[Word]] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if missing := set(COLUMNS) - set(reader.fieldnames or []):
            raise UserError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        for row in reader:
            try:
                word = Word(row["word"], float(row["start_s"]), float(row["end_s"]))
            except ValueError:
                raise UserError(f"{path}, {row['recording']} {row['word']!r}: the times are not numbers.") from None
            words.setdefault(row["recording"], []).append(word)
    return {recording: sorted(spoken, key=lambda word: word.start_s) for recording, spoken in words.items()}


def of_recording(words: dict[str, list[Word]], recording: str) -> list[Word]:
    """The words of a recording. Raises: UserError: it is not in the table."""
    if recording not in words:
        raise UserError(f"No word times are known for {recording}: align it, or add it to the table of words.")
    return words[recording]


def last_words(spoken: list[Word], seconds: float) -> list[Word]:
    """As many words as fit into `seconds` before the end of the last one; at least one."""
    end = spoken[-1].end_s
    return [word for word in spoken if end - word.start_s <= seconds] or spoken[-1:]


def inside(spoken: list[Word], start_s: float, end_s: float) -> list[Word]:
    """The words of which at least half is heard between two times."""
    return [w for w in spoken if min(w.end_s, end_s) - max(w.start_s, start_s) >= 0.5 * (w.end_s - w.start_s)]


class Aligner:
    """WhisperX's phoneme-level forced alignment (wav2vec 2.0 base), which downloads its model at first use."""

    def __init__(self, device: str):
        import whisperx

        self._whisperx, self._device = whisperx, device
        self._model, self._metadata = whisperx.load_align_model(language_code="en", device=device)

    def __call__(self, wave: np.ndarray, text: str) -> list[Word]:
        """The words of `text` in float32 [n] at 16 kHz; a word that cannot be placed takes the gap between its
        neighbours."""
        end_s = len(wave) / RATE_HZ
        segment = {"text": text, "start": 0.0, "end": end_s}
        result = self._whisperx.align([segment], self._model, self._metadata, wave, self._device)
        return fill_gaps([(w["word"], w.get("start"), w.get("end")) for w in result["word_segments"]], end_s)


def fill_gaps(found: list[tuple], end_s: float) -> list[Word]:
    """Words from (text, start or None, end or None): the unplaced (numbers, signs) share the gap they stand in
    evenly."""
    words: list[Word] = []
    at = 0
    while at < len(found):
        run = at
        while run < len(found) and found[run][1] is None:
            run += 1
        if run > at:
            left = words[-1].end_s if words else 0.0
            right = found[run][1] if run < len(found) else end_s
            edges = np.linspace(left, right, run - at + 1)
            words += [Word(found[at + i][0], float(edges[i]), float(edges[i + 1])) for i in range(run - at)]
        if run < len(found):
            words.append(Word(*found[run]))
        at = run + 1
    return words


def align_table(rows: list[dict], out: Path, aligner) -> None:
    """Align every row of {recording, path, text} and write the table of words."""
    with atomic(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in tqdm(rows, desc="alignment", unit="recording", mininterval=5):
            wave, _ = audio.read(row["path"], RATE_HZ, resampled=True)
            for word in aligner(wave, row["text"]):
                writer.writerow([row["recording"], word.text, f"{word.start_s:.3f}", f"{word.end_s:.3f}"])


def write(
    table: Annotated[Path, typer.Option(help="columns recording, path, text")],
    out: Annotated[Path, typer.Option()],
    device: Annotated[str, typer.Option()] = "cuda",
) -> None:
    """Align the recordings of a table."""
    with open(table, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    align_table(rows, out, Aligner(device))


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
