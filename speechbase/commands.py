"""Command lines: typer's, with a user's mistakes as one sentence and lists of words as `--names a b c`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, get_args

import typer

from speechbase.files import UserError, did_you_mean, parse_json, plain_errors

MANY = "..."  # how the metavar of an option ends that takes all words up to the next option


def words(meaning: str = "", of: str = "WORD") -> Any:
    """An option that takes several words at once."""
    return typer.Option(help=meaning, metavar=f"{of}{MANY}")


def json_object(name: str, meaning: str) -> Any:
    """An option whose value is a JSON object; the function is given a dictionary."""
    return typer.Option(name, help=meaning, metavar="JSON", parser=partial(parse_json, where=name))


def command_line(
    single: Callable[..., None] | None = None, /, about: str | None = None, **several: Callable[..., None]
) -> Callable[..., int]:
    """What runs a function with the words of a command line, or the one of several that the first word names.

    Args:
        single: the function of a command without sub-commands.
        about: help of a command with sub-commands.
        several: sub-commands by name; an underscore at its end is no part of it (`import_`).

    Returns:
        A function of the words (by default those that the process was given): the status that the command ends with, 0
        unless it raises `typer.Exit`. A mistake is a sentence and SystemExit(2).
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    functions = {name.rstrip("_"): function for name, function in several.items()}
    for name, function in functions.items():
        app.command(name)(function)
    if single:
        app.command()(single)
    else:
        app.callback(help=about)(_nothing)

    @plain_errors
    def main(arguments: Sequence[str] | None = None) -> int:
        given = list(sys.argv[1:] if arguments is None else arguments)
        asked = single or functions.get(given[0] if given else "")
        if asked is None and given and not given[0].startswith("-"):
            raise UserError(f"there is no command {given[0]!r}{did_you_mean(given[0], functions)}.")
        try:
            return app(list(_repeated(given, _lists(asked) if asked else set())), standalone_mode=False) or 0
        except typer.TyperException as mistake:
            raise UserError(f"{mistake.format_message()} (--help says more)") from None
        except typer.Abort:
            raise SystemExit(130) from None

    return main


def _nothing() -> None:
    """Keep the sub-command's name needed."""


def _lists(function: Callable[..., None]) -> set[str]:
    """The options of a function that take several words."""
    found = set()
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        for part in get_args(parameter.annotation):
            if str(getattr(part, "metavar", None)).endswith(MANY):
                found.add("--" + name.rstrip("_").replace("_", "-"))
    return found


def _repeated(given: Sequence[str], lists: set[str]) -> Iterator[str]:
    """`--names a b` as `--names a --names b`, for the options that are lists; what follows `--` stays."""
    current = ""
    for place, word in enumerate(given):
        if word == "--":
            yield from given[place:]
            return
        if word in lists:
            current = word
        elif word.startswith("-"):
            current = ""
            yield word
        else:
            yield from (current, word) if current else (word,)
