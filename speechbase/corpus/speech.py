"""The speech table: what the corpus builder writes and what training and the test sets read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas

from speechbase import audio
from speechbase.files import UserError, seed_of, write_text

COLUMNS = ["id", "speaker", "base", "sex", "split", "text", "path", "rate_hz", "seconds", "phones", "sha256"]


RECORDED = "recorded"  # the `base` of real voices
DEBIAN = "debian"  # how the splits of Debian's recorded speech begin


def base_split(split: str) -> str:
    """The split whose speakers, noises and rooms a table has: `test` for `test_more`, `languages_test`, `real` and
    `debian_...`."""
    first = split.removeprefix("languages_").partition("_")[0]
    return "test" if first in ("real", DEBIAN) else first


@dataclass
class SpeechTable:
    """The utterances of one split, with their audio in memory.

    Attributes:
        rows: the table (`COLUMNS`), sorted by id, index 0..n-1.
        folder: what `path` is relative to.
        rate_hz: the one rate of all utterances.
    """

    rows: pandas.DataFrame
    folder: Path
    rate_hz: int

    def __post_init__(self) -> None:
        self._waves: list[np.ndarray | None] | None = [None] * len(self.rows)  # None: nothing is kept
        self._look_up()

    def _look_up(self) -> None:
        """Where each speaker's and real voices' utterances are."""
        groups = self.rows.groupby("speaker", observed=True).groups
        self.by_speaker = {name: group.to_numpy() for name, group in groups.items()}
        recorded = (self.rows["base"] == RECORDED).to_numpy() if "base" in self.rows else np.zeros(len(self.rows), bool)
        self._recorded, self._synthetic = np.flatnonzero(recorded), np.flatnonzero(~recorded)

    @classmethod
    def load(cls, *paths: str | Path, eager: bool = True, columns: Iterable[str] = COLUMNS) -> SpeechTable:
        """Read a speech table, or several of one folder as one.

        Args:
            paths: `<folder>/<split>.csv`.
            eager: decode all audio now (about 1 ms an utterance, 115 MB an hour); else at first use.

        Raises:
            UserError: missing or broken table, mixed rates, missing or broken audio.
        """
        folder = Path(paths[0]).parent
        rows = pandas.concat([read_table(path, columns) for path in paths], ignore_index=True)
        rates = rows["rate_hz"].unique()
        if len(rates) != 1:
            raise UserError(f"{folder} mixes the rates {sorted(rates)} Hz; one rate is needed: build the corpus again.")
        table = cls(rows, folder, int(rates[0]))
        if eager:
            for place in range(len(rows)):
                table.wave_int16(place)
        return table

    def __len__(self) -> int:
        return len(self.rows)

    def wave_int16(self, place: int) -> np.ndarray:
        """The utterance at `place` as int16 [n]; kept in memory after the first call."""
        assert self._waves is not None, "a table that keeps nothing reads for itself"
        if (kept := self._waves[place]) is not None:
            return kept
        wave, _ = audio.read(self.folder / self.rows["path"].iat[place], self.rate_hz)
        self._waves[place] = decoded = np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)
        return decoded

    def wave(self, place: int) -> np.ndarray:
        """The utterance at `place` as float32 [n] in [-1, 1]."""
        return self.wave_int16(place).astype(np.float32) / 32768

    def joined(
        self, place: int, rng: np.random.Generator, count: int, pause_seconds: tuple[float, float]
    ) -> tuple[np.ndarray, str]:
        """`count` sentences of one speaker, the one at `place` first, joined by pauses: (float32 [n], text)."""
        waves, texts = [self.wave(place)], [self.rows["text"].iat[place]]
        for _ in range(count - 1):
            place = self.other_of_speaker(place, rng)
            waves += [np.zeros(int(rng.uniform(*pause_seconds) * self.rate_hz), np.float32), self.wave(place)]
            texts.append(self.rows["text"].iat[place])
        return np.concatenate(waves), " ".join(texts)

    def with_text(self) -> SpeechTable:
        """The utterances whose words are known: all but real voices whose transcript is not sure."""
        return self._only(self.rows["text"].to_numpy() != "")

    def of_voices(self, share: float) -> SpeechTable:
        """The utterances of a share of the speakers, two at least, chosen by their names alone."""
        names = sorted(self.by_speaker, key=lambda name: seed_of("voices", name))
        kept = names[: max(2, round(share * len(names)))]
        return self._only(self.rows["speaker"].isin(kept).to_numpy())

    def _only(self, kept: np.ndarray) -> SpeechTable:
        """The rows that are kept [n]; what was read of them is not read again."""
        if kept.all():
            return self
        table = type(self)(self.rows[kept].reset_index(drop=True), self.folder, self.rate_hz)
        if self._waves is not None:
            table._waves = [wave for wave, keep in zip(self._waves, kept) if keep]
        return table

    def is_recorded(self, place: int) -> bool:
        """Whether the utterance at `place` is a real voice's."""
        return "base" in self.rows and self.rows["base"].iat[place] == RECORDED

    def draw(self, rng: np.random.Generator, recorded: float | None = None) -> int:
        """A random place; with `recorded` this share of the draws are real voices, where there are any."""
        if recorded is None or not len(self._recorded) or not len(self._synthetic):
            return int(rng.integers(len(self)))
        places = self._recorded if rng.random() < recorded else self._synthetic
        return int(places[rng.integers(len(places))])

    def alike(self, rng: np.random.Generator, count: int, recorded: float | None = None) -> np.ndarray:
        """The `count` places next in length to a random one; real voices and others apart, the former with this
        probability."""
        ordered = self._by_length
        if recorded is not None and len(self._recorded) and len(self._synthetic):
            places = self._recorded if rng.random() < recorded else self._synthetic
            ordered = places[np.argsort(self.rows["seconds"].to_numpy()[places], kind="stable")]
        start = int(rng.integers(len(ordered))) - count // 2
        return ordered[max(0, min(start, len(ordered) - count)) :][:count]

    def one_of(self, places: np.ndarray, rng: np.random.Generator, even: bool = False) -> int:
        """One of the places; with `even` every speaker is equally likely in the long run, however much it says."""
        return int(rng.choice(places, p=self._rarity[places] / self._rarity[places].sum() if even else None))

    @cached_property
    def _rarity(self) -> np.ndarray:
        """One over how many utterances the speaker of each place has [n]."""
        rarity = np.empty(len(self))
        for places in self.by_speaker.values():
            rarity[places] = 1 / len(places)
        return rarity

    @cached_property
    def _by_length(self) -> np.ndarray:
        """All places, the shortest first: of millions they are sorted once."""
        return np.argsort(self.rows["seconds"].to_numpy(), kind="stable")

    def other_of_speaker(self, place: int, rng: np.random.Generator) -> int:
        """Another utterance of the same speaker (for a prompt); the same one where the speaker has no other."""
        places = self.by_speaker[self.rows["speaker"].iat[place]]
        others = places[places != place]
        return int(rng.choice(others)) if len(others) else place

    def other_speaker(self, place: int, rng: np.random.Generator) -> int:
        """An utterance of another speaker (an interferer).

        Raises:
            UserError: the table has one speaker only.
        """
        speaker = self.rows["speaker"].iat[place]
        names = [name for name in self.by_speaker if name != speaker]
        if not names:
            raise UserError(f"{self.folder} has one speaker ({speaker}) only; a mixture needs two.")
        return int(rng.choice(self.by_speaker[names[rng.integers(len(names))]]))


def read_table(path: str | Path, columns: Iterable[str]) -> pandas.DataFrame:
    """Read a CSV table whose text columns stay text and whose missing values are empty strings.

    Raises:
        UserError: missing file, broken CSV, missing columns or no rows.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; build it with `python -m speechbase.corpus.corpus`.")
    try:
        rows = pandas.read_csv(path, keep_default_na=False)
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV table ({error}); delete it and build it again.") from None
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}; delete it and build it again.")
    if rows.empty:
        raise UserError(f"{path} has no rows; delete it and build it again.")
    return rows


def write_table(path: str | Path, rows: list[dict], columns: list[str]) -> None:
    """Write rows sorted by id as CSV, whole or not at all; the same rows give the same bytes."""
    frame = pandas.DataFrame(rows, columns=columns).sort_values("id", kind="stable")
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
