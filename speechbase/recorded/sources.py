"""Read the speech corpora in their published layouts, one utterance at a time.

lhotse has recipes for the four; they leave out utterances whose audio is missing with no more than a log line, and open
all 10.8 million files of MLS to learn lengths that its segments.txt states. Here a missing file is an error.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from speechbase.files import UserError
from speechbase.recorded.corpora import Location

READERS = 16  # concurrent header reads: latency of a network disk, not work


@dataclass(frozen=True)
class Utterance:
    """One utterance of a corpus; `text` in lower case with its punctuation, `book` the LibriVox book where there is
    one."""

    id: str
    speaker: str
    sex: str
    text: str
    path: Path
    rate_hz: int
    samples: int
    book: str = ""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate_hz


def librispeech(location: Location, part: str) -> Iterator[Utterance]:
    """LibriSpeech/<part>/<speaker>/<chapter>/<id>.flac with a <speaker>-<chapter>.trans.txt a chapter."""
    sexes = _pipe_table(location.find("LibriSpeech/SPEAKERS.TXT"))
    folder = location.find(f"LibriSpeech/{part}")

    def entries():
        for table in sorted(folder.rglob("*.trans.txt")):
            for line in _lines(table):
                identity, text = line.split(maxsplit=1)
                speaker = identity.split("-")[0]
                yield identity, speaker, sexes.get(speaker, ""), text, table.parent / f"{identity}.flac", ""

    return _with_lengths(entries(), location)


def libritts(location: Location, part: str, corpus: str = "LibriTTS") -> Iterator[Utterance]:
    """LibriTTS(_R)/<part>/<speaker>/<chapter>/<id>.wav with a <speaker>_<chapter>.trans.tsv a chapter (normalised
    text)."""
    sexes = _libritts_sexes(location, corpus)
    folder = location.find(f"{corpus}/{part}")

    def entries():
        for table in sorted(folder.rglob("*.trans.tsv")):
            if table.name.startswith("._"):  # left behind by a Macintosh
                continue
            for line in _lines(table):
                fields = line.split("\t")
                if len(fields) != 3:
                    raise UserError(
                        f"{table}: the line {line!r} has {len(fields)} fields where 3 belong; unpack again."
                    )
                identity, speaker = fields[0], fields[0].split("_")[0]
                yield identity, speaker, sexes.get(speaker, ""), fields[2], table.parent / f"{identity}.wav", ""

    return _with_lengths(entries(), location)


def libritts_r(location: Location, part: str) -> Iterator[Utterance]:
    """LibriTTS-R, which has LibriTTS's layout under LibriTTS_R."""
    return libritts(location, part, "LibriTTS_R")


def mls(location: Location, part: str) -> Iterator[Utterance]:
    """mls_<language>/<part>/audio/<speaker>/<book>/<speaker>_<book>_<n>.flac (or .opus), lengths from segments.txt."""
    root = location.find(f"{location.name}/metainfo.txt").parent
    sexes = _pipe_table(root / "metainfo.txt")
    folder = location.find(f"{location.name}/{part}")
    with (
        open(folder / "transcripts.txt", encoding="utf-8") as texts,
        open(folder / "segments.txt", encoding="utf-8") as spans,
    ):
        for text_line, span_line in zip(texts, spans, strict=True):
            identity, text = text_line.rstrip("\n").split("\t")
            segment, _, start, end = span_line.split()
            if segment != identity:
                raise UserError(
                    f"{folder}: transcripts.txt has {identity} where segments.txt has {segment}; unpack again."
                )
            speaker, book, _ = identity.split("_")
            path = folder / "audio" / speaker / book / f"{identity}.flac"
            samples = round((float(end) - float(start)) * 16000)
            yield Utterance(identity, speaker, sexes.get(speaker, ""), text.lower(), path, 16000, samples, book)


# Multilingual LibriSpeech's corpora by language
MLS = {
    "mls_dutch": "nl", "mls_english": "en", "mls_french": "fr", "mls_german": "de", "mls_italian": "it",
    "mls_polish": "pl", "mls_portuguese": "pt", "mls_spanish": "es",
}  # fmt: skip
READ: dict[str, Callable[[Location, str], Iterator[Utterance]]] = {
    "librispeech": librispeech,
    "libritts": libritts,
    "libritts_r": libritts_r,
    **dict.fromkeys(MLS, mls),
}


def failed_restorations(location: Location, part: str) -> set[str]:
    """Ids whose restoration failed, as LibriTTS-R's authors list them (lines
    "./<part>/<speaker>/<chapter>/<id>.wav")."""
    path = location.find(f"libritts_r_failed_speech_restoration_examples/{part}_bad_sample_list.txt")
    return {Path(line.strip()).stem for line in _lines(path)}


def _with_lengths(entries, location: Location) -> Iterator[Utterance]:
    """Add rate and length from the audio's headers. Raises: UserError: names the first missing or broken file."""

    def measure(entry) -> Utterance:
        identity, speaker, sex, text, path, book = entry
        try:
            info = soundfile.info(path)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise UserError(
                f"{path} is missing or broken ({error}), though {location.name} has its transcript: the archive was "
                "not unpacked whole. Delete the unpacked folder and run again."
            ) from None
        return Utterance(identity, speaker, sex, text.strip().lower(), path, info.samplerate, info.frames, book)

    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(measure, entries)


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            if line.strip():
                yield line.rstrip("\n")


def _pipe_table(path: Path) -> dict[str, str]:
    """Speaker -> f or m, of a table whose first two columns, parted by "|", are the speaker and the sex."""
    sexes = {}
    for line in _lines(path):
        fields = [field.strip() for field in line.split("|")]
        if len(fields) > 1 and fields[1].upper() in ("F", "M"):
            sexes[fields[0]] = fields[1].lower()
    return sexes


def _libritts_sexes(location: Location, corpus: str) -> dict[str, str]:
    """LibriTTS has SPEAKERS.txt; LibriTTS-R brings its speakers.tsv in another archive, so that the sex may be
    unknown."""
    try:
        return _pipe_table(location.find(f"{corpus}/SPEAKERS.txt"))
    except UserError:
        pass
    try:
        path = location.find(f"{corpus}/speakers.tsv")
    except UserError:
        return {}
    with open(path, encoding="utf-8", newline="") as stream:
        return {row[0]: row[1].lower() for row in csv.reader(stream, delimiter="\t") if len(row) > 1 and row[1] in "FM"}
