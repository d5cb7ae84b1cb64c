"""Command lines: lists of words, JSON, sub-commands, and mistakes as a sentence with status 2."""

from pathlib import Path
from typing import Annotated

import pytest
import typer

from speechbase.commands import command_line, json_object, words
from speechbase.files import UserError

seen: dict = {}


def gather(
    out: Annotated[Path, typer.Option()],
    names: Annotated[list[str], words("what to call them")] = [],  # noqa: B006
    settings: Annotated[dict, json_object("--settings", "such as {}")] = "{}",
    command: Annotated[list[str], typer.Argument()] = [],  # noqa: B006
) -> None:
    """Gather what is given."""
    seen.update(out=out, names=names, settings=settings, command=command)


def fail() -> None:
    """End badly."""
    raise UserError("the file x is empty")


def leave() -> None:
    """End with a status."""
    raise typer.Exit(3)


one = command_line(gather)
several = command_line(about="Two of them.", gather=gather, fail_=fail)


def test_lists_take_all_words_up_to_the_next_option():
    assert one(["--names", "a", "b", "--settings", '{"n": 1}', "--out", "x", "--", "run", "--names", "c"]) == 0
    assert seen == {"out": Path("x"), "names": ["a", "b"], "settings": {"n": 1}, "command": ["run", "--names", "c"]}
    assert one(["--names", "--out", "y"]) == 0 and seen["names"] == [] and seen["settings"] == {}


def test_sub_commands_are_named(capsys):
    assert several(["gather", "--out", "z", "--names", "c", "d"]) == 0 and seen["names"] == ["c", "d"]
    assert several(["--help"]) == 0
    said = capsys.readouterr().out
    assert "Two of them." in said and "End badly." in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fail"], "error: the file x is empty"),
        (["gather"], "--out"),
        (["gather", "--out", "x", "--settings", "{"], "--settings is not valid JSON"),
        (["gather", "--out", "x", "--settings", "[1]"], "--settings must be a JSON object"),
        (["gathers"], "did you mean 'gather'"),
        ([], "Missing command"),
    ],
)
def test_mistakes_end_with_a_sentence_and_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        several(arguments)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and message in said and said.startswith("error: ") and said.count("\n") == 1


def test_a_command_s_own_status_is_returned():
    assert command_line(leave)([]) == 3
