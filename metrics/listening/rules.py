"""Whose ratings count: the pre-registered rules, each counted, applied where the study says so. Nobody's pay depends on
them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def flagged(settings: dict, ratings: pd.DataFrame, raters: pd.DataFrame) -> dict[str, set[str]]:
    """Submissions (session ids) that each rule catches, in the order of the rules."""
    caught = {f"hidden test: {test['kind']}": _hidden(test, ratings) for test in settings["hidden_tests"]}
    checks = {
        "incomplete": lambda rule: raters["session"][raters["trials"] < settings["samples"]],
        "repeated_participant": lambda rule: _repeated(raters, settings["samples"]),
        "straight_lining": lambda rule: _straight(ratings),
        "too_fast": lambda rule: _fast(raters, rule.get("limit", 3)),
        "no_headphones": lambda rule: raters["session"][raters["headphones"] == "loudspeakers"],
    }
    for name, rule in settings["rules"].items():
        caught[name] = set(checks[name](rule))
    return caught


def applied(settings: dict, rule: str) -> bool:
    """Whether a rule discards ratings; hidden tests always do (Appendix A)."""
    return rule.startswith("hidden test: ") or settings["rules"][rule]["apply"]


def discarded(settings: dict, caught: dict[str, set[str]]) -> set[str]:
    """Submissions that at least one applied rule catches."""
    return set().union(*(sessions for rule, sessions in caught.items() if applied(settings, rule)))


def counts(settings: dict, caught: dict[str, set[str]], submissions: int) -> list[dict]:
    """One row a rule: how many it catches, how many it alone discards, whether it is applied; and the total."""
    rows = []
    for rule, sessions in caught.items():
        others = discarded(settings, {name: found for name, found in caught.items() if name != rule})
        alone = len(sessions - others) if applied(settings, rule) else 0
        rows.append({"rule": rule, "applied": applied(settings, rule), "caught": len(sessions), "alone": alone})
    gone = len(discarded(settings, caught))
    rows.append({"rule": "any applied rule", "applied": True, "caught": gone, "alone": gone})
    return [row | {"submissions": submissions} for row in rows]


def _hidden(test: dict, ratings: pd.DataFrame) -> set[str]:
    rule = test["discard"]
    rows = ratings[(ratings["kind"] == test["kind"]) & ratings["scale"].isin(rule["scales"])]
    bad = (rows["rating"] > rule.get("above", np.inf)) | (rows["rating"] < rule.get("below", -np.inf))
    return set(rows["session"][bad])


def _repeated(raters: pd.DataFrame, samples: int) -> set[str]:
    """All submissions of a participant but the first complete one."""
    ordered = raters.assign(open=raters["trials"] < samples).sort_values(["rater", "open", "session"])
    return set(ordered["session"][ordered.duplicated("rater")])


def _straight(ratings: pd.DataFrame) -> set[str]:
    spread = ratings.groupby("session")["rating"].agg(lambda values: values.max() - values.min())
    return set(spread.index[spread == 0])


def _fast(raters: pd.DataFrame, limit: float) -> set[str]:
    times = raters[raters["rating_seconds"] > 0]
    logs = np.log(times["rating_seconds"])
    return set(times["session"][logs < logs.mean() - limit * logs.std()]) if len(logs) > 2 else set()
