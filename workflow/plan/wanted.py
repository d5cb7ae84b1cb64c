"""What tables ask for: cells, scorings, models, and the words that systems are told."""

from __future__ import annotations

from metrics.registry import find as find_metric
from workflow.plan.absences import why_absent
from workflow.plan.corpus_parts import test_sets
from workflow.plan.preset_files import roles_of
from workflow.plan.system_entries import card_of, models_of

REAL_TIME = "real_time"  # the role of columns that audio indexes fill


def cells(preset: dict, absent: dict[str, str], measures: dict[str, str | None]) -> list[tuple[str, str, str]]:
    """The (test set, system, metric) triples that a table needs, in its order, each once.

    A role that nothing measures at this scale (null in `measures`) has no cell.
    """
    found: dict[tuple[str, str, str], None] = {}
    for row in preset["rows"]:
        if row.get("system") and not why_absent(preset, row, absent):
            for role in roles_of(preset, row):
                if metric := measures[role]:
                    found[row.get("set", preset["set"]), row["system"], metric] = None
    return list(found)


def timed(preset: dict, absent: dict[str, str]) -> list[tuple[str, str]]:
    """The (test set, system) pairs whose audio indexes a table reads for how long they took."""
    rows = [row for row in preset["rows"] if row.get("system") and REAL_TIME in roles_of(preset, row)]
    here = [row for row in rows if not why_absent(preset, row, absent)]
    return [(row.get("set", preset["set"]), row["system"]) for row in here]


def labelled(preset: dict, absent: dict[str, str], measures: dict[str, str | None]) -> str:
    """The metric of a table whose scores hold labels, for its confusion matrices; nothing where none does."""
    metrics = {metric for _, _, metric in cells(preset, absent, measures)}
    return next((metric for metric in sorted(metrics) if find_metric(metric).judges == "label"), "")


def models_needed(preset: dict, systems: dict[str, dict], absent: dict[str, str]) -> set[str]:
    """The models trained here that a table's systems need."""
    rows = [row for row in preset["rows"] if row.get("system") and not why_absent(preset, row, absent)]
    return {model for row in rows for model in models_of(systems, row["system"])}


def has_something(preset: dict, absent: dict[str, str], measures: dict[str, str | None]) -> bool:
    """Whether a table would say anything at this scale: a measured cell or a printed one."""
    return any("paper" in row for row in preset["rows"]) or bool(cells(preset, absent, measures))


def scorings(presets: dict[str, dict], config: dict, absent: dict[str, str]) -> list[tuple[str, str, list[str]]]:
    """(test set, recogniser or "", metrics) of every scoring job that some table asks for.

    Metrics that read a recogniser's transcripts end in its name; they are scored apart, so that a table without them
    does not wait for that recogniser.
    """
    evaluation = config["evaluation"]
    wanted: dict[tuple[str, str], set[str]] = {}
    for preset in presets.values():
        for name, _, metric in cells(preset, absent, evaluation["metrics"]):
            heard_by = next((asr for asr in evaluation["asr"] if metric.endswith(f"_{asr}")), "")
            wanted.setdefault((name, heard_by), set()).add(metric)
    return [(*key, sorted(metrics)) for key, metrics in sorted(wanted.items())]


def text_column(config: dict, test_set: str, system: str) -> str:
    """The test set's column with what a system's audio should say: a recording before its edit says the original
    text."""
    return "orig_text" if system == "clean" and test_sets(config)[test_set] == "edit" else "text"


def transcripts_for(
    config: dict, systems: dict[str, dict], name: str, system: str, corrupted: dict[str, str]
) -> str | list:
    """What a system is told of a test set's words: their times in an edit's original, a recogniser's transcript, or
    nothing.

    A system of a table's own whose transcripts are `corrupted` is told those.
    """
    entry = systems[system]
    if "method" in entry:
        settings = card_of(systems, system).settings | entry.get("settings", {})
        if "transcript" not in settings:
            return []
        entry = settings
    told = corrupted.get(system)
    if told is None and test_sets(config).get(name) == "edit":
        return f"<results>/transcripts/{name}/words.jsonl"
    if told is None and entry["transcript"] != "asr":
        return []
    told = told or ("snapped" if entry.get("snap") else config["evaluation"]["guide"])
    return f"<results>/confidences/{name}/{told}.jsonl" if entry.get("trust") else heard(config, name, told)


def heard(config: dict, name: str, told: str) -> str:
    """Where the transcripts `told` of a test set's input lie: the guide's own, or made of those or of the gold ones."""
    if told == config["evaluation"]["guide"]:
        return f"<results>/transcripts/{name}/noisy/{told}.jsonl"
    return f"<results>/beyond/transcripts/{name}/{told}.jsonl"
