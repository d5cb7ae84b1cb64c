"""From imported ratings to mos.csv: discards, means with honest errors, claims, leniency, unintelligible samples."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from metrics.listening import clustered, contrasts, rules
from metrics.listening.clustered import Ratings
from metrics.listening.prepare import frozen, table
from metrics.listening.study import paper_value
from metrics.statistics import holm
from speechbase.files import UserError, read_json, sha256, write_json, write_text

TOTAL = "total"


def analyse_study(out: Path, *, simulated: bool = False) -> Path:
    """Write mos.csv with its sidecar mos.json, contrasts.csv, discards.csv, intelligibility.csv and leniency.json.

    Raises:
        UserError: nothing imported, ratings that were changed after the import, or nobody left after the rules.
    """
    settings, _ = frozen(out)
    folder = out / "simulated" if simulated else out
    imported = read_json(folder / "imported" / "import.json")
    ratings_path = folder / "imported" / "ratings.csv"
    if sha256(ratings_path) != imported["ratings_sha256"]:
        raise UserError(f"{ratings_path} changed after the import; import again.")
    if (imported["source"] == "simulated") != simulated:
        raise UserError(f"{folder}/imported holds {imported['source']} ratings; import the study again.")
    ratings, raters = read_imported(folder)
    caught = rules.flagged(settings, ratings, raters)
    gone = rules.discarded(settings, caught)
    kept = ratings[~ratings["session"].isin(gone)]
    if kept.empty:
        raise UserError(f"{folder}: the rules discard all {len(raters)} submissions; see rules in private/rules.json.")
    rated = {True: _rated(kept), False: _rated(ratings)}
    name = "mos_SIMULATED.csv" if simulated else "mos.csv"
    mos = [row for filtered, rows in rated.items() for row in _mos(settings, rows, filtered)]
    write_text(
        folder / "contrasts.csv",
        table([row for filtered, rows in rated.items() for row in _contrasts(settings, rows, filtered)]),
    )
    write_text(folder / "discards.csv", table(rules.counts(settings, caught, len(raters))))
    write_text(folder / "intelligibility.csv", table(_intelligibility(rated[True])))
    write_json(folder / "leniency.json", _leniency(rated[False], gone, mos))
    write_text(folder / name, table(mos))
    write_json(folder / "mos.json", imported | {"mos_sha256": sha256(folder / name), "discarded": len(gone)})
    return folder / name


def read_imported(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Imported ratings and raters as tables."""
    text = dict.fromkeys(("rater", "session", "list", "utterance", "headphones", "comment"), str)
    ratings = pd.read_csv(folder / "imported" / "ratings.csv", dtype=text)
    raters = pd.read_csv(folder / "imported" / "raters.csv", dtype=text)
    return ratings, raters


def select(ratings: pd.DataFrame, system: str, scale: str, set_name: str) -> Ratings:
    """Ratings of a system on a scale and a test set (`total`: all of them); an utterance is a set's own."""
    rows = ratings[(ratings["system"] == system) & (ratings["scale"] == scale)]
    if set_name != TOTAL:
        rows = rows[rows["set"] == set_name]
    return Ratings(
        rows["rating"].to_numpy(float), rows["rater"].to_numpy(), (rows["set"] + "/" + rows["utterance"]).to_numpy()
    )


def set_names(settings: dict) -> list[str]:
    """The study's test sets, and `total` where there are several."""
    return settings["sets"] + ([TOTAL] if len(settings["sets"]) > 1 else [])


def _rated(ratings: pd.DataFrame) -> pd.DataFrame:
    return ratings[ratings["kind"] == "rated"]


def _mos(settings: dict, ratings: pd.DataFrame, filtered: bool) -> list[dict]:
    rows = []
    for set_name in set_names(settings):
        for system in ratings["system"].unique():
            for scale in settings["scales"]:
                estimate = clustered.mean(select(ratings, system, scale, set_name))
                low, high = estimate.interval()
                rows.append(
                    {
                        "system": system,
                        "scale": scale,
                        "set": set_name,
                        "mos": _round(estimate.value),
                        "se": _round(estimate.se_simple),
                    }
                    | {"low": _round(max(low, 1)), "high": _round(min(high, 5)), "se_clustered": _round(estimate.se)}
                    | {
                        "n_ratings": estimate.n,
                        "n_raters": estimate.n_raters,
                        "n_utterances": estimate.n_utterances,
                        "filtered": filtered,
                    }
                )
    return rows


def _contrasts(settings: dict, ratings: pd.DataFrame, filtered: bool) -> list[dict]:
    rows = []
    systems = {system["name"]: system for system in settings["systems"]}
    for contrast in settings["contrasts"]:
        for set_name in contrast.get("sets", set_names(settings)):
            for scale in contrast.get("scales", settings["scales"]):
                a, b = (select(ratings, contrast[side], scale, set_name) for side in "ab")
                row = {name: contrast.get(name, "") for name in ("id", "a", "b", "kind", "margin", "claim")}
                rows.append(
                    row
                    | {"set": set_name, "scale": scale}
                    | _ours(contrast, a, b)
                    | _paper(contrast, systems, set_name, scale)
                )
    for row, p in zip(rows, holm([row["p"] if row["p"] != "" else math.nan for row in rows]), strict=True):
        row["p_holm"] = _round(p, 5)
        row["filtered"] = filtered
    return rows


def _ours(contrast: dict, a: Ratings, b: Ratings) -> dict:
    if not len(a.values) or not len(b.values):
        missing = [contrast[side] for side, found in (("a", a), ("b", b)) if not len(found.values)]
        empty = dict.fromkeys(("difference", "se", "low", "high", "low_bootstrap", "high_bootstrap", "p"), "")
        return empty | {"verdict": "not run", "reason": f"no ratings of {' and '.join(missing)}"}
    estimate = clustered.difference(a, b)
    found = contrasts.judge(contrast["kind"], estimate.value, estimate.se, estimate.df, contrast.get("margin", 0.0))
    low, high = np.quantile(clustered.crossed_bootstrap(a, b), [0.025, 0.975])
    return {
        "difference": _round(found.difference),
        "se": _round(found.se),
        "low": _round(found.low),
        "high": _round(found.high),
        "low_bootstrap": _round(low),
        "high_bootstrap": _round(high),
        "p": _round(found.p, 5),
        "verdict": found.verdict,
        "reason": "",
    }


def _paper(contrast: dict, systems: dict, set_name: str, scale: str) -> dict:
    a, b = (
        paper_value(systems[contrast[side]], set_name, scale) if contrast[side] in systems else None for side in "ab"
    )
    if a is None or b is None:
        return {"paper_difference": "", "paper_se": "", "paper_p": "", "paper_verdict": "not printed"}
    found = contrasts.judge_printed(contrast["kind"], a, b, contrast.get("margin", 0.0))
    return {
        "paper_difference": _round(found.difference),
        "paper_se": _round(found.se),
        "paper_p": _round(found.p, 5),
        "paper_verdict": found.verdict,
    }


def _intelligibility(ratings: pd.DataFrame) -> list[dict]:
    """By system: the share of ratings with the flag, and the samples that a majority of their raters flagged."""
    once = ratings.drop_duplicates(["session", "position"])
    samples = once.groupby(["system", "set", "utterance"])["unintelligible"].mean().reset_index()
    return [
        {
            "system": system,
            "flagged_share": _round(once.loc[once["system"] == system, "unintelligible"].mean()),
            "samples": len(part),
            "flagged_by_majority": int((part["unintelligible"] > 0.5).sum()),
        }
        for system, part in samples.groupby("system")
    ]


def _leniency(ratings: pd.DataFrame, gone: set[str], mos: list[dict]) -> dict:
    """Do the rules keep lenient raters? Each rater's mean above the sample's mean, kept against discarded."""
    centred = ratings["rating"] - ratings.groupby(["system", "set", "utterance", "scale"])["rating"].transform("mean")
    above = centred.groupby(ratings["session"]).mean()
    out = above.index.isin(list(gone))
    result = {"kept": int((~out).sum()), "discarded": int(out.sum()), "kept_mean": _round(above[~out].mean())}
    result["discarded_mean"] = _round(above[out].mean()) if out.any() else None
    if out.sum() > 1 and (~out).sum() > 1:
        test = stats.ttest_ind(above[~out], above[out], equal_var=False)
        interval = test.confidence_interval()
        result["difference"] = _round(above[~out].mean() - above[out].mean())
        result["low"], result["high"], result["p"] = _round(interval.low), _round(interval.high), _round(test.pvalue, 5)
    by_cell = {(row["system"], row["scale"], row["set"], row["filtered"]): row["mos"] for row in mos}
    shifts = {
        "/".join(cell[:3]): _round(value - by_cell[(*cell[:3], False)])
        for cell, value in by_cell.items()
        if cell[3] and value is not None and by_cell.get((*cell[:3], False)) is not None
    }
    return result | {"shift_of_mos": shifts}


def _round(value: float, digits: int = 4) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
