"""Figures from a run's files: validation curves (Figure 2) and the sweeps beyond the paper.

python -m workflow.tables.figures curves --preset P.yaml --models M --out fig2.png
python -m workflow.tables.figures training --models M --names codec tts multitask --out training.png
python -m workflow.tables.figures sweep --preset P.yaml --table T.csv --out T.png
python -m workflow.tables.figures confusion --preset P.yaml --results R --metric accuracy --out T_confusion.png
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import typer

from speechbase.commands import command_line, words
from speechbase.files import UserError, atomic, read_jsonl
from workflow.plan import preset_files
from workflow.record.curves import DROPPED, LOSS, TEXT_GAP, first_at, matched_table, read, validation
from workflow.record.options import Models, Results
from workflow.tables.training import Panel, panels, trained_label

COLOURS = ("#2f6fb2", "#c2571a", "#1b7f4d", "#8a4fb0", "#8a8f98", "#b8901f", "#2a9d9a", "#b03a5b")
ACROSS = 4  # panels of trainings beside each other

Preset = Annotated[Path, typer.Option()]
Out = Annotated[Path, typer.Option()]


def draw_curves(preset: Preset, models: Models, out: Out) -> None:
    """Validation loss against steps, from two starts (Figure 2, left)."""
    _save(curves(preset_files.read_preset(preset), models), out)


def draw_training(models: Models, names: Annotated[list[str], words("models", "NAME")], out: Out) -> None:
    """Losses, accuracies and text gap of models, by step."""
    _save(training(models, names), out)


def draw_sweep(preset: Preset, table: Annotated[Path, typer.Option()], out: Out) -> None:
    """One panel a metric, one line a series."""
    _save(sweep(preset_files.read_preset(preset), pd.read_csv(table)), out)


def draw_confusion(
    preset: Preset, results: Results, metric: Annotated[str, typer.Option(help="whose scores hold labels")], out: Out
) -> None:
    """Which label was answered to which, a panel a row of the table that has labels."""
    _save(confusion(preset_files.read_preset(preset), results, metric), out)


def _save(figure: plt.Figure, out: Path) -> None:
    with atomic(out) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)


def curves(preset: dict, models: Path) -> plt.Figure:
    """The panels of a preset's `curves` (Figure 2, left).

    Where a panel has two runs, a dotted line marks the first one's final loss, and where the second reaches it.
    """
    panels = preset["curves"]
    figure, axes = plt.subplots(2, len(panels), figsize=(5 * len(panels), 7), squeeze=False, constrained_layout=True)
    for axis, below, (task, runs) in zip(*axes, panels.items()):
        found = {name: curve for name in runs if (curve := validation(models / name)) is not None}
        for colour, (name, curve) in zip(COLOURS, found.items()):
            axis.plot(curve["step"], curve[LOSS], color=colour, label=runs[name])
            if DROPPED in curve:
                below.plot(curve["step"], curve[DROPPED], color=colour, label=runs[name])
        below.set(title=f"{task}, every condition dropped", xlabel="step")
        if len(found) == len(runs) == 2:
            _mark(axis, *found.values())
        missing = [label for name, label in runs.items() if name not in found]
        axis.set(title=task + (f" (not trained: {', '.join(missing)})" if missing else ""), xlabel="step")
        if found:
            axis.legend(frameon=False)
    for row in axes:
        row[0].set_ylabel("validation loss")
    return figure


def draw_matched(
    preset: Preset, models: Models, out: Out, table: Annotated[Path, typer.Option(help="CSV: a row a run")]
) -> None:
    """Final losses of runs of several lengths, each with its own cooldown, from two starts and with several seeds."""
    panels = preset_files.read_preset(preset)["curves"]
    runs = {task: matched_table(models, names) for task, names in panels.items()}
    with atomic(table) as temporary:
        pd.concat(runs.values()).to_csv(temporary, index=False, float_format="%.6g")
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.8), squeeze=False, constrained_layout=True)
    for axis, (task, rows) in zip(axes[0], runs.items()):
        for colour, (label, mine) in zip(COLOURS, rows.groupby("label")):
            by_steps = mine.groupby("steps")["loss"]
            mean = by_steps.mean()
            bars = [mean - by_steps.min(), by_steps.max() - mean]
            axis.errorbar(mean.index, mean, bars, color=colour, capsize=3, marker="o", label=label)
        axis.set(title=task, xlabel="steps of the run", xscale="log")
        if len(rows):
            axis.legend(frameon=False)
    axes[0][0].set_ylabel("validation loss at the end, mean and range of seeds")
    _save(figure, out)


def _mark(axis: plt.Axes, random: pd.DataFrame, pretrained: pd.DataFrame) -> None:
    goal = random[LOSS].iloc[-1]
    axis.axhline(goal, color="#8a8f98", ls=":")
    reached = first_at(pretrained, goal)
    if reached is not None:
        axis.axvline(reached, color="#8a8f98", ls=":")
        share = random["step"].iloc[-1] / reached
        side, shift = ("left", 6) if share > 2 else ("right", -6)  # where there is room
        place: dict[str, Any] = {
            "xycoords": axis.get_xaxis_transform(),
            "textcoords": "offset points",
            "xytext": (shift, 0),
            "ha": side,
        }
        axis.annotate(f"{share:.1f}x fewer steps", (reached, 0.6), **place)


def training(models: Path, names: list[str]) -> plt.Figure:
    """Panels of every model, each a sort of what its training recorded: validation in colours, and the training beside
    it in grey; the last panel: the text gap of all that have one."""
    found = {name: rows for name in names if len(rows := read(models / name))}
    if not found:
        raise UserError(
            f"none of {', '.join(names)} has a curves.jsonl in {models}: train them or copy their curves there."
        )
    drawn = [(name, rows, panel) for name, rows in found.items() for panel in panels(rows)]
    gaps = {name: rows for name, rows in found.items() if TEXT_GAP in rows}
    count = len(drawn) + bool(gaps)
    across, down = min(ACROSS, count), -(-count // ACROSS)
    figure, axes = plt.subplots(down, across, figsize=(4.2 * across, 4.2 * down), squeeze=False, layout="constrained")
    for axis in axes.flat[count:]:
        axis.axis("off")
    for axis, (name, rows, panel) in zip(axes.flat, drawn):
        _panel(axis, name, rows, panel)
    if gaps:
        _text_gaps(axes.flat[count - 1], gaps)
    return figure


def _panel(axis: plt.Axes, name: str, rows: pd.DataFrame, panel: Panel) -> None:
    scale = 100 if panel.sort.share else 1
    if panel.trained:
        median = rows[panel.trained].rolling(9, 1, center=True).median()
        axis.plot(rows["step"], scale * median, color="#c9ced6", label=trained_label(panel, rows))
    for colour, (column, label) in zip(cycle(COLOURS), panel.lines.items()):
        points = rows.dropna(subset=[column])
        axis.plot(points["step"], scale * points[column], color=colour, marker="o", ms=2.5, lw=1.3, label=label)
    axis.set(title=f"{name}: {panel.title}", xlabel="step", ylabel="%" if panel.sort.share else "")
    axis.title.set_fontsize(10)
    axis.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _text_gaps(axis: plt.Axes, found: dict[str, pd.DataFrame]) -> None:
    for colour, (name, rows) in zip(cycle(COLOURS), found.items()):
        points = rows.dropna(subset=[TEXT_GAP])
        axis.plot(points["step"], points[TEXT_GAP], color=colour, label=name)
    axis.set(title="text gap: what the transcript is worth", xlabel="step")
    axis.title.set_fontsize(10)
    axis.axhline(0, color="#8a8f98", ls=":")
    axis.legend(frameon=False, fontsize=7)


def sweep(preset: dict, table: pd.DataFrame) -> plt.Figure:
    """A sweep's table as panels, with bootstrap intervals; cells without a value are left out."""
    columns = [
        column for column in preset["metrics"] if table.loc[table["role"] == column["role"], "value"].notna().any()
    ]
    panels = max(1, len(columns))
    figure, axes = plt.subplots(1, panels, figsize=(4.2 * panels, 3.6), squeeze=False, layout="constrained")
    for axis, column in zip(axes[0], columns):
        cells = table[table["role"] == column["role"]].set_index("label")
        for number, (series, rows) in enumerate(_series(preset).items()):
            _line(axis, [(row["x"], cells.loc[row["label"]]) for row in rows], series, COLOURS[number % len(COLOURS)])
        aim = "" if column["better"] == "none" else f" ({column['better']} is better)"
        axis.set(title=f"{column['label']}{aim}", xlabel=preset["sweep"]["label"])
        _scale(axis, preset, column)
    if columns and preset["sweep"]["scale"] != "names" and len(_series(preset)) > 1:
        axes[0][0].legend(frameon=False, fontsize=8)
    return figure


def confusion(preset: dict, results: Path, metric: str) -> plt.Figure:
    """Shares in % of answers (across) by the right label (down), of every row of a table whose scores hold labels."""
    found = {}
    for row in preset["rows"]:
        path = results / "scores" / row.get("set", preset["set"]) / row.get("system", "") / f"{metric}.jsonl"
        rows = [score["detail"] for score in read_jsonl(path) if score["status"] == "ok"] if path.is_file() else []
        if rows:
            found[row["label"]] = _counts(pd.DataFrame(rows))
    if not found:
        raise UserError(
            f"no row of {preset['title']!r} has scores of {metric} under {results}: score its systems first."
        )
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 3.4 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, (title, counts) in zip(axes.flat, found.items()):
        _matrix(axis, counts, title)
    return figure


def _counts(told: pd.DataFrame) -> pd.DataFrame:
    """How often each answer (across) came to each right label (down); right answers lie on the diagonal, whether or not
    a label was ever answered, and answers that are never right follow."""
    counts = pd.crosstab(told["label"], told["answer"])
    further = [answer for answer in counts.columns if answer not in counts.index]
    return counts.reindex(columns=[*counts.index, *further], fill_value=0)


def _matrix(axis: plt.Axes, counts: pd.DataFrame, title: str) -> None:
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for down, across in np.ndindex(*shares.shape):
        share = shares.iat[down, across]
        axis.text(across, down, f"{share:.0f}", ha="center", va="center", color="white" if share > 60 else "black")
    axis.set_xticks(range(len(shares.columns)), shares.columns)
    axis.set_yticks(range(len(shares.index)), [f"{name} ({n})" for name, n in counts.sum(axis=1).items()])
    axis.set(title=title, xlabel="answered, %", ylabel="right (how many)")
    axis.title.set_fontsize(9)


def _series(preset: dict) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in preset["rows"]:
        found.setdefault(row["series"], []).append(row)
    return found


def _line(axis: plt.Axes, points: list[tuple[float, pd.Series]], label: str, colour: str) -> None:
    """One line; rows of one x are runs with different seeds: their mean, and a bar from the smallest to the largest."""
    kept = pd.DataFrame([{"x": x, **cell[["value", "low", "high"]]} for x, cell in points if pd.notna(cell["value"])])
    if kept.empty:
        return
    runs = kept.astype(float).groupby("x", sort=False)
    value, many = runs["value"].mean(), runs.size() > 1
    low = runs["low"].first().mask(many, runs["value"].min()).fillna(value)
    high = runs["high"].first().mask(many, runs["value"].max()).fillna(value)
    bars = np.maximum([value - low, high - value], 0)
    axis.errorbar(value.index, value, yerr=bars, marker="o", ms=4, lw=1.6, capsize=2, color=colour, label=label)


def _scale(axis: plt.Axes, preset: dict, column: dict) -> None:
    kind = preset["sweep"]["scale"]
    if kind == "log":
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%d"))
    elif kind == "names":
        names = {row["x"]: row["series"] for row in preset["rows"]}
        axis.set_xticks(list(names), list(names.values()), rotation=30, ha="right", fontsize=8)
    if preset["sweep"].get("diagonal") == column["role"]:
        ends = [row["x"] for row in preset["rows"]]
        axis.plot([min(ends), max(ends)], [min(ends), max(ends)], color="#8a8f98", ls=":", zorder=0)


main = command_line(
    about="Figures from a run's files.",
    curves=draw_curves,
    matched=draw_matched,
    training=draw_training,
    sweep=draw_sweep,
    confusion=draw_confusion,
)


if __name__ == "__main__":
    raise SystemExit(main())
