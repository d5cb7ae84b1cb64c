"""A table's preset (workflow/presets/*/*.yaml): every key, what it takes and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from speechbase.settings import Name, Range, Settings, Text, key, needed


class Sweep(Settings):
    """How an experiment is drawn."""

    label: str = needed("of the horizontal axis")
    scale: Literal["linear", "log", "names"] = needed("names: rows are points beside each other")
    diagonal: str = key(None, "the role in whose panel y = x is drawn")
    on_request: bool = key(None, "true: too long for `all`; made when its figure is asked for")


class Corrupted(Settings):
    """Transcripts with a known share of wrong words."""

    corrupted_percent: Annotated[int, Field(ge=0, le=100)] = needed("words of the gold transcript made wrong")
    confusions: Name = key(
        None,
        "the test set on whose noisy speech the guide's own errors are counted, of which these are drawn; else they "
        "are other words of the vocabulary",
    )


class Column(Settings):
    """A column of a table."""

    role: Name
    label: str
    better: Literal["higher", "lower", "none"] = needed("none: neither, or not the same in all rows: no arrow")
    digits: Annotated[int, Field(ge=0, le=5)]
    paper_metric: str = key(None, "the metric that the paper's values in this column are of")
    of_ceiling: str = key(
        None, "another column's role, of which this one is the quotient to the row's `ceiling`, utterance by utterance"
    )


class Row(Settings):
    """A row of a table."""

    label: Text
    system: Name = key(None, "without one, a row of the paper that nobody here runs")
    set: Name = key(None, "the preset's by default")
    roles: Annotated[list[str], Field(min_length=1)] = key(
        None, "the columns that this row is measured in, all by default"
    )
    ceiling: Name = key(
        None, "the system, of another row on the same set, that bounds this one: columns with `of_ceiling` divide by it"
    )
    series: str = key(None, "the line that this row is a point of")
    x: float = key(None, "where on the horizontal axis")
    where: dict[str, str | float | Range] = key(
        None, "only the test set's rows whose columns have these values; [low, high] is an interval with both ends"
    )
    paper: dict[str, float | Range] = key(None, "printed values by role, or [value, standard error]")


class Preset(Settings):
    """A table of the paper, or one of ours: one row a system, one column a role that evaluation.metrics measures."""

    kind: Literal["table", "figure", "words", "frozen", "published", "seeds", "sweep", "neighbour"] = needed(
        "a paper's table or figure; words, more utterances for a table's word errors; frozen, the regression's; "
        "published, systems beside the paper's rows; seeds or a sweep, ours; neighbour, of another paper's system"
    )
    title: str
    source: str = needed("where the paper prints it, or the question that it answers")
    set: Name = needed("the test set of every row that names no other")
    notes: str = key(None, "what a reader must know, printed under the table")
    study: str = key(None, "the listening study that fills the columns of MOS")
    curves: Annotated[dict[str, Annotated[dict[str, str], Field(min_length=1)]], Field(min_length=1)] = key(
        None, "validation curves that are drawn beside the table, as panel -> model -> label"
    )
    transcripts: dict[str, Corrupted] = key(
        None, "what a system of this table is told in place of the recogniser's transcripts"
    )
    systems: dict[str, Any] = key(None, "systems that only this table needs, as in workflow/systems.yaml")
    sweep: Sweep = key(
        None, "an experiment beyond the paper (kind sweep), drawn against each row's x, one line a series"
    )
    metrics: Annotated[list[Column], Field(min_length=1)]
    rows: Annotated[list[Row], Field(min_length=1)]
