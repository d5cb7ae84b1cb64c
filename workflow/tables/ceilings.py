"""Quotients to a ceiling: what a system keeps of what its codec leaves, utterance by utterance."""

from __future__ import annotations

from collections.abc import Iterable

NO_CEILING, NOT_POSITIVE = "no_ceiling", "ceiling_not_positive"


def quotients(scores: Iterable[dict], ceiling: Iterable[dict]) -> list[dict]:
    """The score rows of a system with its values divided by its ceiling's of the same utterance.

    Args:
        scores: the system's score rows of one metric whose corpus value is a mean.
        ceiling: the ceiling's, of the same metric and test set.

    Returns:
        As many rows as `scores`; those that are not `ok` stay as they are. Where the ceiling has no value the status is
        `no_ceiling`, where that is not above zero `ceiling_not_positive`, and there is no value.
    """
    tops = {row["id"]: row["value"] for row in ceiling if row["status"] == "ok"}
    return [_quotient(row, tops.get(row["id"])) if row["status"] == "ok" else row for row in scores]


def _quotient(row: dict, top: float | None) -> dict:
    if top is None:
        return row | {"value": None, "status": NO_CEILING}
    if top <= 0:
        return row | {"value": None, "status": NOT_POSITIVE}
    return row | {"value": row["value"] / top}
