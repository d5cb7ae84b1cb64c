"""The paper's claims as comparisons of cells (workflow/presets/claims.yaml): every key and what it means."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from speechbase.settings import Name, NotNegative, Settings, Text, key, needed

Names = Text | Annotated[list[Text], Field(min_length=1)]


class SecondJudge(Settings):
    """The recogniser that guided nothing."""

    table: str = needed("the table in which it hears what no other table has it hear")
    of: dict[str, str] = needed("role -> the second judge's role")


class Compared(Settings):
    """One comparison, or several where names are lists."""

    of: Names
    against: Names = key(None, "the other cell; above and below are about one")
    role: Names
    expect: Literal["lower", "higher", "not_higher", "not_lower", "within", "above", "below", "fraction"]
    margin: NotNegative = key(None, "in the cell's units")
    margin_percent: NotNegative = key(None, "the margin in per cent of the value of `against`")
    over: Text = key(None, "the row beyond which `of` lies where a threshold's direction holds")
    needs: Literal["phase"] = key(None, "what a scale must have for this to be able to come out either way")
    since: Annotated[list[Text], Field(min_length=2, max_length=2)] = key(
        None, "two rows from which `of` and `against` are counted: their gains are compared instead of their values"
    )
    ceiling: Text = key(None, "above: the row whose own interval must lie above the bound, or nothing could")
    value: float = key(None, "the bound of above, below and fraction")
    paper_only: bool = key(None, "a system that nobody here runs: checked on the printed values")
    larger: str = key(None, "a table with these rows on more utterances, which decides where a scale has its set")


class StatedClaim(Settings):
    """One sentence of the paper and the comparisons that must hold for it."""

    id: Annotated[str, Field(pattern="^[CEXNP][0-9]{1,2}[a-z]?$")]
    table: Name
    evidence: Literal["toy"] = key(None, "the toy study's samples instead of a preset's scores")
    claim: str
    beside: str = key(None, "another claim, whose verdict is printed with this one's")
    floor: str = key(None, "a row; compared systems that do not reach it are named")
    paper: str = key(None, "what the paper prints where that is no cell, or a caution about its cells")
    compare: Annotated[list[Compared], Field(min_length=1)]


class StatedClaims(Settings):
    """The paper's claims as comparisons of cells."""

    second_judge: SecondJudge = key(
        None,
        "the judge that guided nothing: every comparison in a role of `of` is made by it too, and both must agree",
    )
    claims: Annotated[list[StatedClaim], Field(min_length=1)]
