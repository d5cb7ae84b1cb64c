"""Names in presets and configuration that must be known: systems, test sets, tasks, roles and metrics."""

from __future__ import annotations

from collections.abc import Iterable

from metrics.registry import find as find_metric
from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.items import Task, task_of
from speechbase.settings import refuse_unknown
from workflow.plan.corpus_parts import test_sets
from workflow.plan.places import ROOT
from workflow.plan.preset_files import quotients_of, roles_of
from workflow.plan.system_entries import card_of, compared


def check_references(presets: dict[str, dict], systems: dict[str, dict], config: dict) -> None:
    """Every system, test set, task, role and metric is known, and metrics judge what the tasks' systems answer with.

    Raises:
        UserError: names the file, the word and the remedy.
    """
    measures = config["evaluation"]["metrics"]
    sets = {name for path in (ROOT / "config").glob("*.yaml") for name in test_sets(read_yaml(path))} | set(
        test_sets(config)
    )
    overrides = {
        name: entry for name, entry in config["evaluation"].get("baselines", {}).items() if name != "weights_dir"
    }
    for name, settings in overrides.items():
        refuse_unknown([name], compared(systems), "evaluation.baselines")
        refuse_unknown(settings, card_of(systems, name).settings, f"evaluation.baselines.{name}")
    for role, metric in measures.items():
        if metric is not None:
            _check_metric(metric, f"evaluation.metrics.{role}")
    tasks = {name: task_of(task, f"corpus.testsets.{name}") for name, task in test_sets(config).items()}
    for table, preset in presets.items():
        where = f"workflow/presets/*/{table}.yaml"
        for role in (column["role"] for column in preset["metrics"]):
            if role not in measures:
                raise UserError(
                    f"{where}: evaluation.metrics says nothing about {role!r}{did_you_mean(role, measures)}."
                )
        for role, divided in quotients_of(preset).items():
            _check_quotient(role, measures[role], measures[divided], where)
        for row in preset["rows"]:
            system = row.get("system")
            if not system:
                continue
            if system not in systems:
                raise UserError(f"{where}: unknown system {system!r}{did_you_mean(system, systems)}.")
            name = row.get("set", preset["set"])
            if name not in sets:
                raise UserError(f"{where}: no scale has a test set {name!r}{did_you_mean(name, sets)}.")
            if name in tasks:
                names = filter(None, (measures[role] for role in roles_of(preset, row)))
                _check_judged(names, tasks[name], f"{where}, row {row['label']!r}, test set {name!r}")


def _check_metric(name: str, where: str) -> None:
    try:
        find_metric(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _check_quotient(role: str, own: str | None, divided: str | None, where: str) -> None:
    """Refuse a quotient that a metric measures too, or of a metric whose corpus value is no mean over utterances."""
    if own is not None:
        raise UserError(f"{where}: {role!r} is a quotient, so evaluation.metrics must have null there, not {own!r}.")
    if divided is not None and find_metric(divided).ratio is not None:
        raise UserError(f"{where}: {role!r} divides {divided!r}, a rate over the corpus: no utterance has a quotient.")


def _check_judged(names: Iterable[str], task: Task, where: str) -> None:
    """Refuse a metric that judges something else than the task's answers."""
    for name in names:
        if (judged := find_metric(name).judges) != task.gives:
            raise UserError(
                f"{where}: the metric {name!r} judges {judged}, but the task {task.name} is answered with "
                f"{task.gives}; take a metric that judges {task.gives}, or leave the column out of the row's `roles`."
            )
