"""Which confidences let a transcript guide, and how far: chosen on validation speech, from outputs at fixed gammas.

python -m workflow.experiments.choose_trust --config config/nano.yaml [--results results --data data/nano]

An utterance's output depends on its own gamma alone, so that what a rule would make of a test set is put together from
the outputs of the table `trust`: no system has to be run again for any of the rules that are compared here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from metrics.wer import ERRORS
from speechbase.commands import command_line
from speechbase.files import UserError, read_jsonl
from workflow.plan import configuration, places, preset_files, system_entries
from workflow.tables.build import read_manifest

LEVELS = (0.0, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.01)
STEP_DB = 5
MIN_WORDS = 100  # at each noise level: of fewer, a word more or less decides
TABLE, JUDGES = "trust", ("wer", "wer_second")


@dataclass(frozen=True)
class Rule:
    """From the confidence `levels[i]` on, guidance by `gammas[i]`; words below `min_word` are left out."""

    min_word: float
    gammas: tuple[float, ...]
    levels: tuple[float, ...]

    def chosen(self, confidence: np.ndarray) -> np.ndarray:
        """Which output each utterance gets: 0 without guidance, i + 1 with gamma i."""
        return (confidence[:, None] >= np.array(self.levels)).sum(1)

    def told(self) -> str:
        """The rule as a system's `trust`."""
        steps = {level: gamma for level, gamma in zip(self.levels, self.gammas) if level <= 1}
        return f"trust: {{min_word: {self.min_word}, gamma: {[list(step) for step in steps.items()]}}}"


def rules(groups: dict[float, Sequence[float]]) -> Iterator[Rule]:
    """Every rule with rising levels, for each group of outputs (`min_word` -> rising gammas)."""
    for min_word, gammas in groups.items():
        for levels in combinations_with_replacement(LEVELS, len(gammas)):
            yield Rule(min_word, tuple(gammas), levels)


def choose(
    groups: dict[float, Sequence[float]], errors: dict[float, np.ndarray], confidence: np.ndarray, level: np.ndarray
) -> tuple[Rule, bool]:
    """The rule with the fewest word errors among those that cost none at any noise level; if none is such, of all.

    Args:
        errors: by `min_word`, word errors [utterances, 1 + gammas], the first without guidance.
        confidence: of each utterance's transcript; level: its SNR's step.

    Returns:
        the rule, and whether it costs no words anywhere. Of rules alike the one that guides least.
    """
    rows, best = np.arange(len(confidence)), []
    for rule in rules(groups):
        table = errors[rule.min_word]
        made = table[rows, rule.chosen(confidence)]
        worse = any(made[level == one].sum() > table[level == one, 0].sum() for one in np.unique(level))
        best.append(((worse, made.sum(), rule.min_word, [-x for x in rule.levels]), rule))
    (worse, *_), rule = min(best, key=lambda pair: pair[0])
    return rule, not worse


def word_errors(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Word errors of each utterance. Raises: UserError: one has no score."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: make the table `{TABLE}` first (snakemake results/beyond/{TABLE}.csv)."
        )
    rows = {row["id"]: row for row in read_jsonl(path)}
    if lost := [name for name in ids if rows.get(name, {}).get("status") != "ok"]:
        raise UserError(f"{path} has no score of {lost[0]}: make it again.")
    return np.array([sum(rows[name]["detail"][kind] for kind in ERRORS) for name in ids])


def check_size(name: str, level: np.ndarray, words: Sequence[int]) -> None:
    """Refuse (UserError) a test set with too few words at a noise level to choose by."""
    for one in np.unique(level):
        if (count := int(np.array(words)[level == one].sum())) < MIN_WORDS:
            raise UserError(
                f"The test set {name} has {count} words at {one} dB, too few to choose by: give it more utterances "
                f"(corpus.testsets.{name}.size; at least {MIN_WORDS} words a level are needed)."
            )


def confidences(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Mean confidence of each utterance's words, 0 where nothing was heard. Raises: UserError: a word without one."""
    rows = {row["id"]: row for row in read_jsonl(path)}
    found = []
    for name in ids:
        words = rows[name]["words"] if name in rows else [{}]
        known = [word["confidence"] for word in words if word.get("confidence") is not None]
        if len(known) < len(words):
            raise UserError(f"{path}: {name} has words without confidences, by which nothing can be chosen.")
        found.append(float(np.mean(known)) if known else 0.0)
    return np.array(found)


def write(
    config: Annotated[Path, typer.Option(help="the scale's configuration")],
    results: Annotated[Path | None, typer.Option(help="the scale's results")] = None,
    data: Annotated[Path | None, typer.Option(help="the scale's data")] = None,
) -> None:
    """Choose on validation speech, and print the choice with what it costs and gains at each noise level."""
    scale = configuration.of_file(config)
    results = results or Path(places.results_folder(scale["scale"]))
    preset, measures = preset_files.read_presets()[TABLE], scale["evaluation"]["metrics"]
    name, systems = preset["set"], system_entries.read_systems({TABLE: preset})
    items = read_manifest((data or Path("data", scale["scale"])) / "testsets" / f"{name}.csv")
    ids = list(items["id"])
    told = f"{scale['evaluation']['guide']}.jsonl"
    sure = confidences(results / "confidences" / name / told, ids)
    level = np.round(pd.to_numeric(items["snr_db"]).to_numpy() / STEP_DB).astype(int) * STEP_DB
    check_size(name, level, [len(text.split()) for text in items["text"]])
    counts = {
        system: np.sum(
            [word_errors(results / "scores" / name / system / f"{measures[j]}.jsonl", ids) for j in JUDGES], 0
        )
        for system in dict.fromkeys(row["system"] for row in preset["rows"])
    }
    groups, columns = _groups(systems, counts)
    rule, free = choose(groups, columns, sure, level)
    typer.echo(rule.told())
    if not free:
        typer.echo("No rule is without cost at every noise level: this one has the fewest errors of all.")
    made = columns[rule.min_word][np.arange(len(ids)), rule.chosen(sure)]
    table = pd.DataFrame({"snr_db": level, **counts, "chosen": made}).groupby("snr_db").sum()
    typer.echo(f"Word errors of both judges on {name}, by noise level:\n{table.to_string()}")


def _groups(systems: dict[str, dict], counts: dict[str, np.ndarray]) -> tuple[dict, dict]:
    """The table's outputs by `min_word`: rising gammas, and their errors after those without guidance."""
    none = next(count for system, count in counts.items() if systems[system]["transcript"] == "none")
    found: dict[float, dict[float, np.ndarray]] = {}
    for system, count in counts.items():
        entry = systems[system]
        if entry["transcript"] != "none":
            trust = entry.get("trust", {"min_word": 0.0, "gamma": [[0.0, entry.get("gamma")]]})
            found.setdefault(trust["min_word"], {})[trust["gamma"][0][1]] = count
    groups = {word: sorted(by_gamma) for word, by_gamma in found.items()}
    return groups, {word: np.stack([none, *(found[word][g] for g in groups[word])], 1) for word in groups}


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
