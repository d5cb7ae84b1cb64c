"""Where a comparison's numbers come from: scores, listening studies, the toy study, curves, and the paper's printed
cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from metrics import statistics
from metrics.statistics import Bootstrap
from metrics.summary import Difference, Summary, contrast, summarise
from speechbase.files import read_jsonl, seed_of
from workflow.claims.comparisons import LEVEL, Bare, Comparison, Printed, Resampled, Result, Seeded
from workflow.plan.absences import why_absent
from workflow.plan.configuration import run_of
from workflow.plan.preset_files import names_of, quotients_of
from workflow.record import curves
from workflow.tables import listened
from workflow.tables.build import read_manifest, select
from workflow.tables.ceilings import quotients


class NotRun(Exception):
    """Why a comparison has no numbers: a finding, not a failure."""


def row_of(preset: dict, name: str) -> dict:
    """The row that a claim calls by its label, its system, or system@set (names are checked when claims are read)."""
    for row in preset["rows"]:
        if name in names_of(row, preset):
            return row
    raise KeyError(name)


def printed(comparison: Comparison, presets: dict[str, dict]) -> Result:
    """The same comparison on the paper's own printed cells; no estimate where one of them is not printed. It has one
    judge."""
    comparison = replace(comparison, second=None)
    if comparison.table not in presets or comparison.since:
        return Result(comparison, None, "the paper prints no numbers of it")
    preset, cells = presets[comparison.table], []
    for name in _rows(comparison):
        cell = row_of(preset, name).get("paper", {}).get(comparison.role)
        if cell is None:
            return Result(comparison, None, f"the paper prints no {comparison.role} for {name}")
        cells.append(cell if isinstance(cell, list) else [cell, None])
    shown = (cells[0][0], cells[1][0] if len(cells) > 1 else None)
    point, comparison = shown[0] - (shown[1] or 0.0), comparison.at(shown[1])
    errors = [error for _, error in cells]
    if None in errors:
        return Result(comparison, Bare(point, "printed without standard errors", printed=True), cells=shown)
    return Result(comparison, Printed(point, math.hypot(*errors)), cells=shown)


def _rows(comparison: Comparison) -> list[str]:
    """The rows that a comparison is about, in the order in which `contrast` takes them."""
    of, against = comparison.of, comparison.against
    if comparison.since and against:
        return [of, comparison.since[0], against, comparison.since[1]]
    return [name for name in (of, against) if name]


@dataclass
class Ours:
    """Estimates from what a run wrote.

    Attributes:
        measures: role -> metric of this scale, None where nothing measures it.
        absent: system, or "set " and a test set -> why this scale cannot run it.
        min_scored: a cell with a smaller share of scored utterances has no value.
        lacks: what this scale lacks for a comparison to be able to come out either way -> the reason.
    """

    presets: dict[str, dict]
    measures: dict[str, str | None]
    results: Path
    data: Path
    models: Path
    absent: dict[str, str] = field(default_factory=dict)
    draws: int = statistics.DRAWS
    min_scored: float = 0.99
    seed: int = 0
    lacks: dict[str, str] = field(default_factory=dict)

    def __call__(self, comparison: Comparison) -> Result:
        """The comparison's estimate with what the second judge says and its direction, or the reason why there is
        none."""
        if reason := self.lacks.get(comparison.needs or ""):
            return Result(comparison, None, reason, untestable=True)
        if comparison.ceiling and (stopped := self._stopped(comparison)):
            return stopped
        result = self._one(comparison)
        if comparison.second:
            result = replace(result, second=self._one(replace(comparison, role=comparison.second, second=None)))
        if comparison.over:
            beyond = replace(comparison, against=comparison.over, expect="higher", bound=0.0, over=None)
            result = replace(result, direction=self._one(beyond).estimate)
        return result

    def _stopped(self, comparison: Comparison) -> Result | None:
        """Why a threshold is held against nothing: its ceiling is not known, or is not sure to pass it.

        The ceiling's interval decides, as the claim's own would: where it reaches below the threshold, a system as good
        as the ceiling could not be supported, whatever the ceiling's mean.
        """
        name = comparison.ceiling or ""
        top = self._one(replace(comparison, of=name, ceiling=None, second=None, over=None))
        if top.estimate is None:
            return Result(comparison, None, f"its ceiling {name} is not known, since {top.reason}")
        interval = top.estimate.interval(1 - LEVEL)
        if interval is not None and interval[0] > comparison.bound:
            return None
        sure = "95 % interval {:.3g} to {:.3g}".format(*interval) if interval else "too few units for an interval"
        asked = f"where more than {comparison.bound:g} is asked for"
        return Result(comparison, None, f"{name} itself has {top.estimate.point:.3g} ({sure}) {asked}", untestable=True)

    def _one(self, comparison: Comparison) -> Result:
        try:
            if comparison.evidence == "toy":
                return self._toy(comparison)
            if comparison.role == "steps":
                return self._steps(comparison)
            if comparison.role in curves.ROLES:
                return self._final_loss(comparison)
            if comparison.role in listened.SCALES:
                return self._listening(comparison)
            return self._scores(comparison)
        except NotRun as reason:
            return Result(comparison, None, str(reason))

    def _scores(self, comparison: Comparison) -> Result:
        preset = self._preset(comparison)
        divided = quotients_of(preset).get(comparison.role)
        metric = self.measures.get(divided or comparison.role)
        if metric is None:
            raise NotRun(f"nothing measures {divided or comparison.role} at this scale")
        found_of = self._quotients_of if divided else self._rows_of
        sides = [found_of(row_of(preset, name), preset, metric) for name in _rows(comparison)]
        speakers = {
            name: speaker for name, speaker in sides[0][1].items() if all(name in people for _, people in sides)
        }
        seed = self._seed(comparison)
        cells = [summarise(rows, metric, people, draws=1, seed=0) for rows, people in sides]
        for name, cell in zip(_rows(comparison), cells):
            self._check_scored(name, metric, cell)
        if len(sides) == 1:
            found: Summary | Difference = summarise(sides[0][0], metric, speakers, draws=self.draws, seed=seed)
        else:
            shared = [[row for row in rows if row["id"] in speakers] for rows, _ in sides]
            found = contrast(shared, metric, speakers, draws=self.draws, seed=seed)
        count = found.n_scored if isinstance(found, Summary) else found.n_pairs
        values = [cell.value for cell in cells]
        if comparison.since:
            values = [values[0] - values[1], values[2] - values[3]]
        where = f", {preset['title']}" if preset is not self.presets[comparison.table] else ""
        units = f"{count} utterances{_people(found.bootstrap)}{where}"
        base = values[1] if len(values) > 1 else None
        return Result(comparison.at(base), _resampled(found.bootstrap, units), cells=(values[0], base))

    def _preset(self, comparison: Comparison) -> dict:
        """The table that measures a comparison: the larger one where this scale has its test set."""
        larger = self.presets.get(comparison.larger or "")
        if larger and f"set {larger['set']}" not in self.absent:
            return larger
        return self.presets[comparison.table]

    def _rows_of(self, row: dict, preset: dict, metric: str) -> tuple[list[dict], dict[str, str]]:
        """A cell's score rows and the speaker of every utterance that it is about."""
        system, test_set = row.get("system"), row.get("set", preset["set"])
        if not system:
            raise NotRun(f"{row['label']} is not run here")
        if reason := why_absent(preset, row, self.absent):
            raise NotRun(reason)
        path = self.results / "scores" / test_set / system / f"{metric}.jsonl"
        manifest = self.data / "testsets" / f"{test_set}.csv"
        if not path.is_file() or not manifest.is_file():
            raise NotRun(f"{system} has no {metric} scores on {test_set}")
        items = select(read_manifest(manifest), row.get("where", {}))
        speakers = dict(zip(items["id"], items["speaker"]))
        return [score for score in read_jsonl(path) if score["id"] in speakers], speakers

    def _quotients_of(self, row: dict, preset: dict, metric: str) -> tuple[list[dict], dict[str, str]]:
        """The same of a cell that divides by its row's ceiling."""
        if "ceiling" not in row:
            raise NotRun(f"{row['label']} has no ceiling")
        scores, speakers = self._rows_of(row, preset, metric)
        return quotients(scores, self._rows_of(row | {"system": row["ceiling"]}, preset, metric)[0]), speakers

    def _check_scored(self, name: str, metric: str, cell: Summary) -> None:
        if cell.n_scored < max(1, self.min_scored * cell.n_expected):
            reasons = {status: count for status, count in cell.statuses.items() if status != "ok"}
            worst = max(reasons, key=lambda status: reasons[status])
            raise NotRun(f"{name} has {cell.n_scored} of {cell.n_expected} {metric} scores (mostly: {worst})")

    def _seed(self, comparison: Comparison) -> int:
        return seed_of(self.seed, comparison.table, comparison.role, comparison.of, comparison.against)

    def _listening(self, comparison: Comparison) -> Result:
        preset = self.presets[comparison.table]
        rows = [row_of(preset, name) for name in _rows(comparison)]
        found = listened.contrast(preset, rows, comparison.role, self.results)
        if isinstance(found, str):
            raise NotRun(found)
        ratings = " and ".join(str(int(count)) for count in found["n_ratings"])
        estimate = Printed(found["difference"], found["se"], f"{ratings} ratings")
        return Result(comparison, estimate, cells=tuple(found["mos"]))

    def _toy(self, comparison: Comparison) -> Result:
        rows = self._toy_seeds(comparison.table)
        sides = [rows[rows["method"] == name].set_index("seed")[comparison.role] for name in _rows(comparison)]
        paired = pd.concat(sides, axis=1).to_numpy(float)
        found = statistics.bootstrap(paired, draws=self.draws, seed=self._seed(comparison))
        return Result(comparison, _resampled(found, f"{len(paired)} sampling seeds"), cells=tuple(paired.mean(0)))

    def _toy_seeds(self, table: str) -> pd.DataFrame:
        path = self.results / f"{table}_seeds.csv"
        if not path.is_file():
            raise NotRun("the toy study has not been run")
        rows = pd.read_csv(path, keep_default_na=False)
        return rows[rows["part"] == "figure"]

    def _curve(self, name: str) -> pd.DataFrame:
        curve = None if name in self.absent else curves.validation(self.models / name)
        if curve is None:
            raise NotRun(self.absent.get(name, f"the model {name} has no training curve"))
        return curve

    def _steps(self, comparison: Comparison) -> Result:
        of, against = (curves.matched(self.models, name) for name in _rows(comparison))
        shares = curves.shares(of, against)
        if len(shares) > 1:
            units = f"runs of several lengths, each with its own cooldown, over {len(shares)} training seeds"
            found = Seeded(tuple(shares), units, ratio=True)
            whole = next(iter(against.values()))[1][0]
            return Result(comparison, found, cells=(found.point * whole, whole))
        one, other = (self._curve(name) for name in _rows(comparison))
        whole = float(other["step"].iloc[-1])
        first = curves.first_at(one, other[curves.LOSS].iloc[-1])
        share = math.inf if first is None else first / whole
        return Result(comparison, Bare(share, "one training run each"), cells=(first, whole))

    def _final_loss(self, comparison: Comparison) -> Result:
        column, names = curves.ROLES[comparison.role], _rows(comparison)
        seeds = [curves.matched(self.models, name).keys() for name in names]
        pairs = [[self._final(run_of(name, 1, seed), column) for name in names] for seed in sorted(seeds[0] & seeds[1])]
        if len(pairs) > 1:
            found = Seeded(tuple(a - b for a, b in pairs), f"{len(pairs)} training seeds")
            return Result(comparison, found, cells=tuple(sum(side) / len(side) for side in zip(*pairs)))
        of, against = (self._final(name, column) for name in names)
        return Result(comparison, Bare(of - against, "one training run each"), cells=(of, against))

    def _final(self, name: str, column: str) -> float:
        self._curve(name)
        value = curves.final(self.models / name, column)
        if value is None:
            raise NotRun(f"the model {name} was trained before its validation had {column.replace('_', ' ')}")
        return value


def _people(found: Bootstrap) -> str:
    return f" of {found.units} speakers" if found.unit == "speaker" else ""


def _resampled(found: Bootstrap, units: str) -> Resampled:
    return Resampled(found.value, found, units)
