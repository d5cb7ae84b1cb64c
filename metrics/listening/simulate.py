"""Invented listeners for a prepared study: a rehearsal of the whole road, and a check that it finds what was put in.

Everything goes to `simulated/`, is marked there, and can fill no table.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
from scipy import optimize, stats

from metrics.listening.analyse import analyse_study
from metrics.listening.importing import import_study
from metrics.listening.pay import pay_study
from metrics.listening.prepare import frozen, table
from metrics.listening.report import write_report
from metrics.listening.store import hashed
from metrics.listening.study import paper_value
from speechbase.files import UserError, read_json, write_jsonl, write_text

# Standard deviations of the parts of a rating on the latent scale.
SPREAD = {"rater": 0.5, "utterance": 0.2, "system_utterance": 0.25, "rater_system": 0.2, "residual": 0.85}
WATERMARK = "SIMULATED: invented ratings, no listener heard anything"
UNPRINTED = 3.5  # the mean of a system for which the paper prints nothing
HIDDEN = {"identical": 4.95, "clean": 4.9, "noisy": 1.3}  # what attentive listeners give on the average
MISMATCHED = {"voice_similarity": 1.3, "style_similarity": 2.0}  # other scales: a real recording


def simulate_study(out: Path, *, seed: int = 1, careless: float = 0.1) -> Path:
    """Invent answers and an export, then import, analyse, pay and report them. Returns the report's path.

    Raises:
        UserError: the study is not prepared, or `careless` is no share.
    """
    if not 0 <= careless < 1:
        raise UserError("--careless is a share from 0 to below 1.")
    settings, prepared = frozen(out)
    folder = out / "simulated"
    shutil.rmtree(folder, ignore_errors=True)
    write_text(folder / "SIMULATED.txt", WATERMARK + "\n")
    _answer(settings, prepared, out, folder, np.random.default_rng(seed), careless)
    import_study(out, simulated=True)
    analyse_study(out, simulated=True)
    pay_study(out, simulated=True)
    return write_report(out, simulated=True)


def true_means(settings: dict) -> dict[tuple[str, str, str], float]:
    """The means that are put in, by (system, scale, set): the paper's where it prints one."""
    means = {}
    for system in settings["systems"]:
        for name in settings["sets"]:
            for scale in settings["scales"]:
                printed = paper_value(system, name, scale)
                means[system["name"], scale, name] = printed[0] if printed else UNPRINTED
    return means


def latent(mean: float) -> float:
    """Where the latent mean must lie so that ratings, rounded and cut to 1..5, have this mean."""
    spread = float(np.sqrt(sum(sd**2 for sd in SPREAD.values())))
    edges = np.arange(1.5, 5)

    def expected(centre: float) -> float:
        return 1 + float(stats.norm.sf(edges, centre, spread).sum())

    return optimize.brentq(lambda centre: expected(centre) - mean, -10, 16)


def draw_ratings(latents: np.ndarray, codes: dict[str, np.ndarray], draw: np.random.Generator) -> np.ndarray:
    """Ratings 1..5 of the model: latent mean + random parts shared by the same rater, utterance, and their pairs with
    systems."""
    values = latents + draw.normal(0, SPREAD["residual"], len(latents))
    for part, code in codes.items():
        values += draw.normal(0, SPREAD[part], code.max() + 1)[code]
    return np.clip(np.round(values), 1, 5).astype(int)


def _answer(
    settings: dict, prepared: dict, out: Path, folder: Path, draw: np.random.Generator, careless: float
) -> None:
    key = bytes.fromhex((out / "private" / "secret").read_text(encoding="ascii").strip())
    with open(out / "private" / "key.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    names = list(dict.fromkeys(row["list"] for row in rows))[: prepared["lists"]]
    rows = [row for row in rows if row["list"] in set(names)]
    ratings = {scale: draw_ratings(_latents(settings, rows, scale), _codes(rows), draw) for scale in settings["scales"]}
    lazy = {name for name in names if draw.random() < careless}
    minutes = read_json(out / "private" / "budget.json")["minutes"]
    answers, export = [], []
    for number, name in enumerate(names):
        ids = {"participant": f"SIMULATED-{number:05d}", "session": f"SIMULATED-SESSION-{number:05d}"}
        mark = {
            "session": hashed(key, "session", ids["session"]),
            "version": prepared["preregistration"][:16],
            "simulated": True,
        }
        answers.append(
            mark | {"kind": "start", "trial": -1, "list": name, "rater": hashed(key, "rater", ids["participant"])}
        )
        answers.append(mark | {"kind": "consent", "trial": -1, "time": "SIMULATED"})
        answers.append(mark | {"kind": "remark", "trial": 0, "headphones": "headphones"})
        seconds = 60 * minutes * draw.lognormal(-0.1, 0.35)
        for i in (i for i, row in enumerate(rows) if row["list"] == name):
            given = {
                scale: int(draw.integers(1, 6)) if name in lazy else int(ratings[scale][i])
                for scale in settings["scales"]
            }
            answers.append(
                mark
                | {"kind": "answer", "trial": int(rows[i]["trial"]), "sample": rows[i]["sample"], "ratings": given}
                | {"unintelligible": False, "milliseconds": round(1000 * seconds / settings["samples"])}
            )
        export.append(
            {"Submission id": ids["session"], "Participant id": ids["participant"], "Status": "AWAITING REVIEW"}
            | {"Time taken": round(seconds), "Completion code": "SIMULATED"}
        )
    write_jsonl(folder / "answers.jsonl", answers)
    write_text(folder / "prolific_export.csv", table(export))


def _latents(settings: dict, rows: list[dict], scale: str) -> np.ndarray:
    means = true_means(settings)
    cache: dict[float, float] = {}
    values = []
    for row in rows:
        if row["kind"] == "rated":
            mean = means[row["system"], scale, row["set"]]
        elif row["kind"] == "mismatched":
            mean = MISMATCHED.get(scale, HIDDEN["identical"])
        else:
            mean = HIDDEN[row["kind"]]
        values.append(cache.setdefault(mean, latent(mean)) if mean not in cache else cache[mean])
    return np.array(values)


def _codes(rows: list[dict]) -> dict[str, np.ndarray]:
    columns = {
        "rater": [row["list"] for row in rows],
        "utterance": [f"{row['set']}/{row['utterance']}" for row in rows],
        "system_utterance": [f"{row['system']}/{row['set']}/{row['utterance']}" for row in rows],
        "rater_system": [f"{row['list']}/{row['system']}" for row in rows],
    }
    return {part: np.unique(values, return_inverse=True)[1] for part, values in columns.items()}
