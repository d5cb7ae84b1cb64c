"""What a recogniser makes of words in noise: how often each is heard rightly, taken for which other, lost or added.

python -m workflow.experiments.confusions --manifest M.csv --transcripts T.jsonl --out confusions.csv
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

import pandas as pd
import typer
from scipy.optimize import brentq

from speechbase.commands import command_line
from speechbase.files import UserError, atomic, read_jsonl
from workflow.report.words import align
from workflow.tables.build import read_manifest

KINDS = ("ok", "substituted", "deleted", "inserted")
SNR_STEP_DB = 5


def counted(reference: str, heard: str) -> Counter[tuple[str, str, str]]:
    """(kind, said, heard) of every word, normalised as WER has them; `said` or `heard` is "" where there is none."""
    found: Counter[tuple[str, str, str]] = Counter()
    for word in align(reference, heard):
        said = {"ok": word.text, "deleted": word.text, "substituted": word.instead_of, "inserted": ""}[word.kind]
        found[word.kind, said, "" if word.kind == "deleted" else word.text] += 1
    return found


@dataclass
class Confusions:
    """Counts of a confusion table, over all of its noise levels.

    Attributes:
        words: by word said, how often it was said.
        errors: by word said, what was heard in its place, "" for nothing.
        inserted: what was heard where nothing was said.
    """

    words: Counter = field(default_factory=Counter)
    errors: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    inserted: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, int]]) -> Confusions:
        """From (kind, said, heard, count).

        Raises:
            UserError: no error in it, of which none can be drawn.
        """
        found = cls()
        for kind, said, heard, count in rows:
            if kind == "inserted":
                found.inserted[heard] += count
                continue
            found.words[said] += count
            if kind != "ok":
                found.errors[said][heard] += count
        if not found.errors:
            raise UserError("The confusion table holds no error to draw from: transcribe more, or noisier, speech.")
        return found

    @classmethod
    def read(cls, path: Path) -> Confusions:
        """From what `write` made. Raises: UserError: no such table, or one without errors."""
        try:
            table = pd.read_csv(path, keep_default_na=False)
            return cls.of(table[["kind", "said", "heard", "count"]].itertuples(index=False, name=None))
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise UserError(f"{path} is no confusion table ({error}); make it again.") from None

    def rate(self, word: str) -> float:
        """Errors for each time that a word is said: its own and, since these belong to no word, the mean of insertions.

        One more word with the mean rate is counted, so that a word that was seldom or never said has about that.
        """
        total = self.words.total()
        mean = sum(errors.total() for errors in self.errors.values()) / total
        own = (self._own(word).total() + mean) / (self.words[word] + 1)
        return own + self.inserted.total() / total

    def _own(self, word: str) -> Counter:
        return self.errors[word] if word in self.errors else Counter()

    def corrupt(self, words: Sequence[str], strength: float, draw: Random) -> list[str]:
        """Words with errors, each as likely as `strength` times its word's own rate (at most 1)."""
        spurious = self.inserted.total() / self.words.total()
        found = []
        for word in words:
            rate = self.rate(word)
            if draw.random() >= min(1.0, strength * rate):
                found.append(word)
            elif draw.random() < spurious / rate and self.inserted:
                found += [word, _drawn(self.inserted, draw)]
            else:
                heard = _drawn(self._own(word) or sum(self.errors.values(), Counter()), draw)
                found += [heard] if heard and heard != word else []
        return found

    def strength(self, texts: Iterable[Sequence[str]], share: float) -> float:
        """The strength at which a share of these texts' words is expected to be wrong.

        Raises:
            UserError: more than all words.
        """
        rates = [self.rate(word) for words in texts for word in words]
        if not 0 <= share <= 1 or not rates:
            raise UserError(f"{share:.0%} of {len(rates)} words cannot be made wrong.")
        if share in (0, 1):
            return share / min(rates) if share else 0.0

        def lacking(strength: float) -> float:
            return sum(min(1.0, strength * rate) for rate in rates) / len(rates) - share

        return float(brentq(lacking, 0.0, 1.0 / min(rates)))


def _drawn(counts: Counter, draw: Random) -> str:
    names = sorted(counts)
    return draw.choices(names, [counts[name] for name in names])[0]


def write(
    manifest: Annotated[Path, typer.Option(help="validation speech in noise, with column snr_db")],
    transcripts: Annotated[Path, typer.Option(help="what the recogniser that guides heard in it, JSON lines")],
    out: Annotated[Path, typer.Option(help="CSV: snr_db, kind, said, heard, count")],
) -> None:
    """Count a recogniser's confusions on speech in noise, by noise level."""
    items = read_manifest(manifest)
    if "snr_db" not in items:
        raise UserError(f"{manifest} has no column snr_db: confusions are counted by noise level.")
    heard = {row["id"]: row for row in read_jsonl(transcripts)}
    rows: Counter = Counter()
    for name, text, snr in zip(items["id"], items["text"], pd.to_numeric(items["snr_db"], errors="coerce")):
        row = heard.get(name)
        if row is not None and row["status"] == "ok" and pd.notna(snr):
            level = round(snr / SNR_STEP_DB) * SNR_STEP_DB
            for what, count in counted(text, row["text"]).items():
                rows[level, KINDS.index(what[0]), *what] += count
    Confusions.of((*what, count) for (_, _, *what), count in rows.items())
    table = pd.DataFrame(
        [(level, *what, count) for (level, _, *what), count in sorted(rows.items())],
        columns=["snr_db", "kind", "said", "heard", "count"],
    )
    with atomic(out) as temporary:
        table.to_csv(temporary, index=False)


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
