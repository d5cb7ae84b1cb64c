"""A table as Markdown: a column a metric, ours with intervals, what the paper prints in columns that say so."""

from __future__ import annotations

import pandas as pd

from workflow.tables import listened, moved

ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}  # after a column's label, by what is better


def markdown(preset: dict, table: pd.DataFrame, about: str) -> str:
    """The readable form of a table built by workflow.tables.build.

    Measured cells read `value [low, high]`; the paper's stand in columns of their own, headed `paper: ...`, in italics,
    and rows that only the paper has are in italics as well, so that nobody takes a printed number for a measured one.
    `about` (the configuration's) says under them what our figures are figures of.
    """
    columns = _columns(preset, table)
    lines = [f"# {preset['title']} ({preset['source']})", ""]
    lines += [_line(["System", *[head for head, _, _, _ in columns]]), _line(["---"] + ["---:"] * len(columns))]
    for row in preset["rows"]:
        cells = table[table["label"] == row["label"]]
        label = row["label"] if row.get("system") else f"*{row['label']} (paper)*"
        lines.append(_line([label, *[_text(cells, metric, kind, digits) for _, metric, kind, digits in columns]]))
    return "\n".join([*lines, "", *_notes(preset, table, about)]) + "\n"


def _columns(preset: dict, table: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    """(heading, metric, ours or paper, digits), as many as the table has values for."""
    found = []
    for column in preset["metrics"]:
        cells = table[table["role"] == column["role"]]
        for metric in cells.loc[cells["provenance"] != "paper", "metric"].unique():
            head = f"{column['label']}{ARROWS[column['better']]} `{metric}`"
            found.append((head, metric, "ours", column["digits"]))
        for metric in cells.loc[cells["paper"].notna(), "metric"].unique():
            found.append((f"paper: {column['label']} `{metric}`", metric, "paper", column["digits"]))
    return found


def _text(cells: pd.DataFrame, metric: str, kind: str, digits: int) -> str:
    found = cells[cells["metric"] == metric]
    if found.empty:
        return ""
    cell = found.iloc[0]
    if kind == "paper":
        if pd.isna(cell["paper"]):
            return ""
        error = "" if pd.isna(cell["paper_se"]) else f" ± {cell['paper_se']:.{digits}f}"
        return f"*{cell['paper']:.{digits}f}{error}*"
    if cell["provenance"] == "paper":
        return ""
    if pd.isna(cell["value"]):
        return missing(cell["status"]) + " †"
    interval = "" if pd.isna(cell["low"]) else f" [{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]"
    return f"{cell['value']:.{digits}f}{interval}" + ("" if cell["status"] == "ok" else " †")


def missing(status: str) -> str:
    """What a cell without a value says: `not run`, or `none` where too little could be scored; a note has the whole
    status."""
    return "not run" if status.startswith("not run") else "none"


def ratings(ours: pd.DataFrame) -> list[str]:
    """The sentence that says what MOS cells rest on; none where no listening study filled one."""
    heard = ours.loc[ours["role"].isin(list(listened.SCALES)) & ours["value"].notna(), "n_scored"]
    if heard.empty:
        return []
    spread = " to ".join(f"{count:.0f}" for count in sorted({heard.min(), heard.max()}))
    return [f"MOS: {spread} ratings a cell of an imported listening study, intervals clustered by rater and utterance."]


def _notes(preset: dict, table: pd.DataFrame, about: str) -> list[str]:
    ours = table[table["provenance"] != "paper"]
    notes = [preset["notes"].strip()] if "notes" in preset else []
    counts = ours["n_expected"].dropna()
    if len(counts):
        spread = f"{counts.min():.0f}" if counts.min() == counts.max() else f"{counts.min():.0f} to {counts.max():.0f}"
        notes.append(f"Ours: {spread} utterances a cell, 95 % bootstrap intervals. In italics: printed by the paper.")
        notes.append(about)
    notes += [*ratings(ours), *moved.notes(ours)]
    for kind, cells in ours.groupby("provenance", sort=True):
        if kind != "ours":
            notes.append(f"Provenance {kind}: {', '.join(cells['label'].unique())}.")
    return [f"{note}\n" for note in [*notes, *_why_missing(ours[ours["status"] != "ok"])]]


def _why_missing(cells: pd.DataFrame) -> list[str]:
    """A note for each status; metrics that lack the same rows share one."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for (metric, status), of_metric in cells.groupby(["metric", "status"], sort=False):
        metrics.setdefault((status, "; ".join(of_metric["label"])), []).append(metric)
    return [f"† {', '.join(names)}: {status} ({rows})." for (status, rows), names in metrics.items()]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
