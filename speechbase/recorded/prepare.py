"""Make the tables and test sets of the paper's scale from corpora that lie unpacked.

    python -m speechbase.recorded.prepare part libritts dev-clean --config JSON --out data/paper
    python -m speechbase.recorded.prepare speech train --config JSON --out data/paper
    python -m speechbase.recorded.prepare sounds noise --config JSON --out data/paper
    python -m speechbase.recorded.prepare recordings tts --config JSON --out data/paper
    python -m speechbase.recorded.prepare testset se --config JSON --out data/paper

The configuration is the `corpus` sub-tree; its `recorded` section says which corpora, parts and sets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pandas
import typer

from speechbase.commands import command_line, json_object
from speechbase.files import UserError, atomic, did_you_mean
from speechbase.recorded import daps_set, edit_set, mixture_sets, sounds, speech_tables, tts_set
from speechbase.recorded.corpora import Location, locate
from speechbase.recorded.settings import RecordedTestSet
from speechbase.settings import checked


class Corpora:
    """The configured corpora of one scale: where they lie and what was made of them."""

    def __init__(self, config: dict, out: Path):
        self.config, self.recorded, self.out = config, config["recorded"], out

    def locate(self, name: str) -> Location:
        """Where a corpus lies."""
        return locate(name, Path(self.recorded["folder"]), self.recorded)

    def part(self, corpus: str, part: str) -> Path:
        """The speech table of one part of a corpus."""
        return self.out / "recorded" / corpus / f"{part}.csv"

    def parts(self, chosen: dict[str, list[str]]) -> list[Path]:
        """The speech tables of several parts, as the configuration names them."""
        return [self.part(corpus, part) for corpus, names in chosen.items() for part in names]

    def words(self, name: str) -> Path:
        """The table of word times of a test set: the user's own, or the one that is aligned here."""
        if own := self.recorded["testsets"][name].get("words"):
            return Path(own)
        return self.out / "recorded" / "words" / f"{name}.csv"


def speech(corpora: Corpora, table: str) -> str:
    """speech/<table>.csv: `train` (speech-to-speech), `tts`, `valid` or several languages', without what test sets
    contain."""
    recorded = corpora.recorded
    chosen = recorded["speech"][table]
    held_out = set() if table.endswith("valid") else speech_tables.speakers_of(corpora.parts(recorded["held_out"]))
    failed = set()
    if "libritts_r" in chosen:
        failed = speech_tables.failed_ids(corpora.locate("libritts_r"), chosen["libritts_r"])
    lengths = {corpus: tuple(span) for corpus, span in recorded.get("seconds", {}).items()} if table == "tts" else {}
    out = corpora.out / "speech" / f"{table}.csv"
    kept = speech_tables.write_training(
        corpora.parts(chosen), out, held_out=held_out, failed=failed, seconds=lengths,
        shares=recorded.get("shares") if table == "languages_train" else None, languages=table.startswith("languages_"),
    )  # fmt: skip
    return "; ".join(f"{corpus}: {t['utterances']:.0f} utterances, {t['hours']} h" for corpus, t in kept.items())


def all_sounds(corpora: Corpora, kind: str) -> str:
    """noise.csv or rir.csv."""
    locations = [corpora.locate(name) for name in corpora.recorded[kind]]
    if kind == "noise":
        return f"{sounds.noise_table(locations, corpora.out / 'noise.csv')} noises"
    return f"{sounds.rir_table(locations, corpora.out / 'rir.csv', corpora.config['rate_hz'])} impulse responses"


def recordings(corpora: Corpora, name: str) -> str:
    """recorded/words/<set>.recordings.csv: what has to be aligned for a test set."""
    out = corpora.words(name).with_suffix(".recordings.csv")
    kind = corpora.recorded["testsets"][name]["from"]
    if kind == "daps":
        daps_set.alignment_table(corpora.locate("daps"), corpora.locate("daps_segmented"), out)
    else:
        table = corpora.part("librispeech", "test-clean")
        rows = pandas.read_csv(table, keep_default_na=False)
        rows = rows[rows["id"].isin(tts_set.read_prompts().values())]
        paths = [str((table.parent / path).resolve()) for path in rows["path"]]
        with atomic(out) as temporary:
            pandas.DataFrame({"recording": rows["id"], "path": paths, "text": rows["text"]}).to_csv(
                temporary, index=False
            )
    return f"{out}: to be aligned"


def testset(corpora: Corpora, name: str) -> str:
    """testsets/<name>.csv and its audio."""
    settings = checked(RecordedTestSet, corpora.recorded["testsets"][name], f"corpus.recorded.testsets.{name}")
    folder, size = corpora.out / "testsets", settings.size
    match settings.from_:
        case "librispeech":
            return tts_set.build(corpora.part("librispeech", "test-clean"), corpora.words(name), folder, name, size)
        case "realedit":
            return edit_set.build(corpora.locate("realedit"), corpora.locate("libritts"), folder, name, size)
        case "daps":
            where, words = corpora.locate("daps"), corpora.words(name)
            return daps_set.build(where, words, folder, name, settings.source_rate_hz, size)
        case "libri2mix":
            noise = corpora.locate("wham_noise") if settings.noisy else None
            mixtures = mixture_sets.libri2mix(corpora.locate("libri2mix"), corpora.locate("librispeech"), noise)
        case "wsj0_2mix":
            mixtures = mixture_sets.wsj0_2mix(corpora.locate("wsj0_2mix"))
        case "whamr":
            mixtures = mixture_sets.whamr(corpora.locate("whamr"), settings.dereverberate)
    return mixture_sets.build(mixtures, settings.from_, folder, name, size)


def part(corpora: Corpora, corpus: str, name: str) -> str:
    """recorded/<corpus>/<part>.csv and its fingerprint."""
    return speech_tables.write_part(corpora.locate(corpus), name, corpora.part(corpus, name))


COMMANDS: dict[str, Callable[..., str]] = {
    "part": part,
    "speech": speech,
    "sounds": all_sounds,
    "recordings": recordings,
    "testset": testset,
}


def make(
    what: Annotated[str, typer.Argument(help=", ".join(COMMANDS))],
    names: Annotated[list[str], typer.Argument(help="of a corpus and its part, a split, sounds or a test set")],
    config: Annotated[dict, json_object("--config", "the `corpus` sub-tree")],
    out: Annotated[Path, typer.Option(help="the scale's data folder, such as data/paper")],
) -> None:
    """Make the tables and test sets of the paper's scale."""
    if what not in COMMANDS:
        raise UserError(f"There is nothing called {what!r} to make{did_you_mean(what, COMMANDS)}.")
    if "recorded" not in config:
        raise UserError("The configuration has no corpus.recorded: this command is for the scale of real corpora.")
    print(COMMANDS[what](Corpora(config, out), *names))


main = command_line(make)


if __name__ == "__main__":
    raise SystemExit(main())
