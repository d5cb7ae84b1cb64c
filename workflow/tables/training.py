"""Which panels a model's training is drawn in: what of its curves.jsonl stands beside what, for every kind of model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pandas as pd

from workflow.record.curves import TEXT_GAP


@dataclass(frozen=True)
class Sort:
    """What some validation columns are of.

    Attributes:
        columns: a pattern of their names; its group `line` names a column's line, `top` how many guesses count.
        title: of the panel, {top} in it.
        trained: columns of the training of the same sort; the first that a curve has is drawn beside them.
        share: whether values are shares, which are drawn in per cent.
    """

    columns: str
    title: str
    trained: tuple[str, ...] = ()
    share: bool = False


# A column is of the first sort that it fits. A kind of model needs a line here only if it records something new.
SORTS = (
    # speechx_ar and speechx_nar count the right token among the likeliest ten, polyspeech the likeliest
    Sort(r"valid_top(?P<top>\d+)_(?P<line>level_\d+)", "top-{top} accuracy by level", ("top10", "top1"), share=True),
    Sort(r"valid_(?P<line>\w+)_top(?P<top>\d+)", "top-{top} accuracy by task", ("top10", "top1"), share=True),
    Sort(r"valid_(?P<line>accuracy)", "accuracy", ("accuracy",), share=True),  # hubert
    Sort(r"valid_(?P<line>perplexity)", "perplexity"),  # sset
    # codec and quantiser validate the distance of mel spectra alone, sset its error without the commitment
    Sort(r"valid_(?P<line>\w+?)(_loss)?", "loss", ("mel", "error", "loss")),
)


@dataclass
class Panel:
    """One panel: `lines` (validation column -> label) and the column of the training beside them, if there is one."""

    title: str
    sort: Sort
    trained: str | None
    lines: dict[str, str] = field(default_factory=dict)


def panels(rows: pd.DataFrame) -> list[Panel]:
    """The panels of a model's curves, its losses first; these are there where nothing was validated as well."""

    def panel(sort: Sort, **named: str) -> Panel:
        trained = next((name for name in sort.trained if name in rows), None)
        return Panel(sort.title.format(**named), sort, trained)

    found = {SORTS[-1]: panel(SORTS[-1])}
    for column in rows:
        if not column.startswith("valid_") or column == TEXT_GAP:
            continue
        sort, fits = next((sort, fits) for sort in SORTS if (fits := re.fullmatch(sort.columns, column)))
        lines = found.setdefault(sort, panel(sort, **fits.groupdict())).lines
        lines[column] = "validation " + fits["line"].replace("_", " ")
    return [found[sort] for sort in reversed(SORTS) if sort in found]


def trained_label(panel: Panel, rows: pd.DataFrame) -> str:
    """What the training's line is called: a token model's loss holds the error of the latents, its validation's not."""
    more = ", with the latents' error" if panel.trained == "loss" and "latents" in rows else ""
    return f"training {panel.trained}{more}"
