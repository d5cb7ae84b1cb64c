"""Where a comparison's numbers come from: our scores, the toy study, training curves, and the paper's printed cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fileio.files import read_jsonl, seed_of
from workflow.comparisons import Bare, Comparison, Printed, Resampled, Result

ERRORS = ("substitutions", "deletions", "insertions")


class NotRun(Exception):
    """Why a comparison has no numbers: a finding, not a failure."""


def row_of(preset: dict, name: str) -> dict:
    """The row that a claim calls by its label, its system, or system@set (names are checked when claims are read)."""
    for row in preset["rows"]:
        system = row.get("system")
        if name in (row["label"], system, f"{system}@{row.get('set', preset['set'])}"):
            return row
    raise KeyError(name)


def printed(comparison: Comparison, presets: dict[str, dict]) -> Result:
    """The same comparison on the paper's own printed cells; no estimate where one of them is not printed."""
    if comparison.table not in presets:
        return Result(comparison, None, "the paper prints no numbers of it")
    preset, cells = presets[comparison.table], []
    for name in filter(None, (comparison.of, comparison.against)):
        cell = row_of(preset, name).get("paper", {}).get(comparison.role)
        if cell is None:
            return Result(comparison, None, f"the paper prints no {comparison.role} for {name}")
        cells.append(cell if isinstance(cell, list) else [cell, None])
    point = cells[0][0] - (cells[1][0] if len(cells) > 1 else 0.0)
    shown = (cells[0][0], cells[1][0] if len(cells) > 1 else None)
    errors = [error for _, error in cells]
    if None in errors:
        return Result(comparison, Bare(point, "printed without standard errors"), cells=shown)
    return Result(comparison, Printed(point, math.hypot(*errors)), cells=shown)


@dataclass
class Ours:
    """Estimates from what a run wrote.

    Attributes:
        measures: role -> metric of this scale, None where nothing measures it.
        absent: system -> why this scale cannot run it.
        min_scored: a cell with a smaller share of scored utterances has no value.
    """

    presets: dict[str, dict]
    measures: dict[str, str | None]
    results: Path
    data: Path
    models: Path
    absent: dict[str, str] = field(default_factory=dict)
    draws: int = 10_000
    min_scored: float = 0.99
    seed: int = 0

    def __call__(self, comparison: Comparison) -> Result:
        """The comparison's estimate, or the reason why it was not run."""
        try:
            if comparison.table == "fig4":
                return self._toy(comparison)
            if comparison.role == "steps":
                return self._steps(comparison)
            if comparison.role == "val_mse":
                return self._final_loss(comparison)
            return self._scores(comparison)
        except NotRun as reason:
            return Result(comparison, None, str(reason))

    def _scores(self, comparison: Comparison) -> Result:
        preset = self.presets[comparison.table]
        metric = self.measures.get(comparison.role)
        if metric is None:
            listening = comparison.role.startswith("mos")
            why = (
                "no listening study was imported" if listening else f"nothing measures {comparison.role} at this scale"
            )
            raise NotRun(why)
        cells = [
            self._cell(row_of(preset, name), preset, metric)
            for name in filter(None, (comparison.of, comparison.against))
        ]
        if len(cells) == 2:
            shared = cells[0].join(cells[1][["sum", "size"]].add_suffix("_against"), how="inner")
        else:
            shared = cells[0].assign(sum_against=0.0, size_against=1.0)
        values = [float(cell["sum"].sum() / cell["size"].sum()) for cell in cells] + [None] * (2 - len(cells))
        return Result(comparison, self._bootstrap(shared, comparison), cells=(values[0], values[1]))

    def _cell(self, row: dict, preset: dict, metric: str) -> pd.DataFrame:
        """A cell's utterances by id: `sum` over `size` is the value (a mean, or a corpus-level rate); `speaker`."""
        system, test_set = row.get("system"), row.get("set", preset["set"])
        if not system or system in self.absent:
            raise NotRun(self.absent.get(system, f"{row['label']} is not run here"))
        path = self.results / "scores" / test_set / system / f"{metric}.jsonl"
        if not path.is_file():
            raise NotRun(f"{system} has no {metric} scores on {test_set}")
        rows = pd.DataFrame(read_jsonl(path)).set_index("id").join(self._manifest(test_set), how="left")
        scored = rows[(rows["status"] == "ok") & rows["value"].notna()]
        if len(scored) < self.min_scored * len(rows) or scored.empty:
            worst = rows.loc[rows["status"] != "ok", "status"].mode()
            raise NotRun(
                f"{system} has {len(scored)} of {len(rows)} {metric} scores on {test_set} (mostly: {worst.iloc[0]})"
            )
        details = scored["detail"].map(lambda detail: detail if isinstance(detail, dict) else {})
        if all("reference_words" in detail for detail in details):
            sums = details.map(lambda detail: 100.0 * sum(detail[name] for name in ERRORS))
            sizes = details.map(lambda detail: float(detail["reference_words"]))
        else:
            sums, sizes = scored["value"].astype(float), pd.Series(1.0, scored.index)
        return pd.DataFrame({"sum": sums, "size": sizes, "speaker": scored["speaker"]})

    def _manifest(self, test_set: str) -> pd.DataFrame:
        path = self.data / "testsets" / f"{test_set}.csv"
        if not path.is_file():
            raise NotRun(f"the test set {test_set} has not been made")
        return pd.read_csv(path, dtype=str, keep_default_na=False, usecols=["id", "speaker"]).set_index("id")

    def _bootstrap(self, pairs: pd.DataFrame, comparison: Comparison) -> Resampled:
        columns = ["sum", "size", "sum_against", "size_against"]
        several = pairs["speaker"].nunique() > 1
        draws = resample_rates(
            pairs[columns].to_numpy(float),
            pairs["speaker"].to_numpy() if several else None,
            self.draws,
            seed_of(self.seed, comparison.table, comparison.role, comparison.of, comparison.against),
        )
        totals = pairs[columns].sum()
        point = totals["sum"] / totals["size"] - totals["sum_against"] / totals["size_against"]
        people = f", {pairs['speaker'].nunique()} speakers" if several else ""
        return Resampled(float(point), draws, f"{len(pairs)} utterances{people}")

    def _toy(self, comparison: Comparison) -> Result:
        rows = self._toy_seeds
        values = [
            rows[rows["method"] == name].set_index("seed")[comparison.role]
            for name in (comparison.of, comparison.against)
        ]
        paired = pd.DataFrame({"sum": values[0], "size": 1.0, "sum_against": values[1], "size_against": 1.0})
        draws = resample_rates(paired.to_numpy(float), None, self.draws, seed_of(self.seed, "fig4", comparison.role))
        point = float((values[0] - values[1]).mean())
        return Result(
            comparison,
            Resampled(point, draws, f"{len(paired)} sampling seeds"),
            cells=(values[0].mean(), values[1].mean()),
        )

    @cached_property
    def _toy_seeds(self) -> pd.DataFrame:
        path = self.results / "fig4_seeds.csv"
        if not path.is_file():
            raise NotRun("the toy study has not been run")
        rows = pd.read_csv(path, keep_default_na=False)
        return rows[rows["part"] == "figure"]

    def _curve(self, name: str) -> pd.DataFrame:
        path = self.models / name / "curves.jsonl"
        if not path.is_file():
            raise NotRun(f"the model {name} has no training curve")
        rows = pd.DataFrame(read_jsonl(path))
        if "valid_loss" not in rows:
            raise NotRun(f"the training curve of {name} has no validation loss")
        return rows.dropna(subset=["valid_loss"]).sort_values("step")

    def _steps(self, comparison: Comparison) -> Result:
        of, against = self._curve(comparison.of), self._curve(comparison.against)
        goal, whole = against["valid_loss"].iloc[-1], float(against["step"].iloc[-1])
        reached = of.loc[of["valid_loss"] <= goal, "step"]
        first = None if reached.empty else float(reached.iloc[0])
        share = math.inf if first is None else first / whole
        return Result(comparison, Bare(share, "one training run each"), cells=(first, whole))

    def _final_loss(self, comparison: Comparison) -> Result:
        of, against = (float(self._curve(name)["valid_loss"].iloc[-1]) for name in (comparison.of, comparison.against))
        return Result(comparison, Bare(of - against, "one training run each"), cells=(of, against))


def resample_rates(pairs: np.ndarray, clusters: np.ndarray | None, draws: int, seed: int) -> np.ndarray:
    """Paired bootstrap of a difference of rates: [draws].

    Args:
        pairs: [n, 4] of sum, size, sum_against, size_against, one row an utterance; a mean has size 1.
        clusters: [n] labels that are resampled whole (speakers), None to resample utterances.
    """
    if clusters is not None:
        groups = pd.factorize(clusters)[0]
        pairs = np.stack([np.bincount(groups, column) for column in pairs.T], axis=1)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=draws)
    total = weights @ pairs
    return total[:, 0] / total[:, 1] - total[:, 2] / total[:, 3]
