"""Rows to numbers: one metric of one system on one set, and the paired difference of two systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from metrics import registry, statistics
from metrics.contract import Metric
from metrics.statistics import Bootstrap
from speechbase.files import UserError

MIN_SCORED = 0.99


@dataclass(frozen=True)
class Summary:
    """A metric of one system on one set, with its 95 % interval.

    Attributes:
        value: mean over scored rows, or the corpus rate; NaN if no row is scored.
        low, high: bootstrap interval (NaN below two units).
        n_expected: utterances that should have a value.
        n_scored: utterances that have one.
        statuses: status -> number of utterances, "missing" for those without a row.
        unit: what was resampled: "speaker" or "utterance".
        bootstrap: for other confidences and one-sided tests.
    """

    value: float
    low: float
    high: float
    n_expected: int
    n_scored: int
    statuses: dict[str, int]
    unit: str
    bootstrap: Bootstrap = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether at least 99 % of the utterances are scored: below that, the value may not be compared."""
        return self.n_expected > 0 and self.n_scored >= MIN_SCORED * self.n_expected


@dataclass(frozen=True)
class Difference:
    """A paired contrast over the utterances that all its systems have a value for, with 95 % interval and two-sided p.

    `bootstrap` has the one-sided tests (p_below, p_above) and equivalence(margin).
    """

    value: float
    low: float
    high: float
    p: float
    n_pairs: int
    n_expected: int
    unit: str
    bootstrap: Bootstrap = field(repr=False)


def summarise(
    rows: Iterable[Mapping],
    metric: str,
    speakers: Mapping[str, str],
    *,
    draws: int = statistics.DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
) -> Summary:
    """Summarise score rows of one metric.

    Args:
        rows: score rows ({"id", "metric", "value", "status", "detail", ...}).
        metric: the metric's name.
        speakers: utterance id -> speaker, for every utterance that is expected.

    Raises:
        UserError: rows of another metric, an id twice, or an id that `speakers` lacks.
    """
    found = registry.find(metric)
    by_id = _by_id(rows, metric, speakers)
    statuses = Counter(by_id[i]["status"] if i in by_id else "missing" for i in speakers)
    scored = [i for i in speakers if i in by_id and by_id[i]["status"] == "ok"]
    sums = np.array([_fraction(by_id[i], found) for i in scored]).reshape(-1, 2)
    boot = statistics.bootstrap(sums[:, 0], sums[:, 1], clusters=[speakers[i] for i in scored], draws=draws, seed=seed)
    low, high = boot.interval(confidence)
    if len(sums) and (sums >= 0).all():
        low = max(low, 0.0)  # a stretched interval may leave the range of what is never negative
    return Summary(boot.value, low, high, len(speakers), len(scored), dict(sorted(statuses.items())), boot.unit, boot)


def contrast(
    sides: Sequence[Iterable[Mapping]],
    metric: str,
    speakers: Mapping[str, str],
    *,
    draws: int = statistics.DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Two systems' difference (a - b), or the difference of two differences, (a - b) - (c - d): what one gains more.

    Arguments and errors as for `summarise`; `sides` are the score rows of two or four systems.
    """
    found = registry.find(metric)
    by_id = [_by_id(rows, metric, speakers) for rows in sides]
    shared = [i for i in speakers if all(i in rows and rows[i]["status"] == "ok" for rows in by_id)]
    sums = np.array([[_fraction(rows[i], found) for rows in by_id] for i in shared]).reshape(-1, len(by_id), 2)
    clusters = [speakers[i] for i in shared]
    boot = statistics.bootstrap(sums[..., 0], sums[..., 1], clusters=clusters, draws=draws, seed=seed)
    low, high = boot.interval(confidence)
    return Difference(boot.value, low, high, boot.p_zero(), len(shared), len(speakers), boot.unit, boot)


def _by_id(rows: Iterable[Mapping], metric: str, speakers: Mapping[str, str]) -> dict[str, Mapping]:
    by_id: dict[str, Mapping] = {}
    for row in rows:
        if row["metric"] != metric:
            raise UserError(f"A row of {row['id']} has metric {row['metric']!r} where {metric!r} is summarised.")
        if row["id"] in by_id:
            raise UserError(f"{row['id']} has two rows of {metric}; score the set again.")
        if row["id"] not in speakers:
            raise UserError(f"{row['id']} has a row of {metric} but is not in the test set; score the set again.")
        by_id[row["id"]] = row
    return by_id


def _fraction(row: Mapping, metric: Metric) -> tuple[float, float]:
    """(numerator, denominator) of one scored row."""
    if metric.ratio is None:
        return row["value"], 1.0
    detail = row["detail"]
    return metric.ratio.scale * sum(detail[name] for name in metric.ratio.numerators), detail[metric.ratio.denominator]
