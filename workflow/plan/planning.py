"""What is to be run, from data alone (presets, systems, configuration): pure functions that the rules call."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pydantic import Field

from baselines import registry
from metrics.registry import find as find_metric
from speechbase.corpus.text import SLOTS
from speechbase.files import UserError, did_you_mean, read_yaml
from speechbase.items import Task, task_of
from speechbase.settings import Settings, checked, refuse_unknown
from speechbase.systems.card import Card
from speechbase.training import kinds
from workflow.plan.preset import Preset
from workflow.plan.schema import check_systems

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_SCALE = "nano"
PRESETS = ROOT / "workflow" / "presets"
PAPER_KINDS = ("table", "words", "figure")
NOT_TRAINING = ("kind", "after", "study", "on_request")  # keys of a model's entry that decide nothing of its training
RUN = re.compile("_1of[0-9]+_seed[0-9]+$")  # what a study adds to a model's name
NEIGHBOURS = "neighbour"  # the kind of tables of other papers' systems


def results_folder(scale: str) -> str:
    """Where a scale's results go: `results` for the default scale, `results/<scale>` for another."""
    return "results" if scale == DEFAULT_SCALE else f"results/{scale}"


def read_preset(path: Path) -> dict:
    """One table's preset, checked. Raises: UserError: what is wrong with it, and where."""
    preset = read_yaml(path)
    checked(Preset, preset, str(path))
    _check_columns(preset, path)
    return preset


def preset_files(folder: Path = PRESETS) -> dict[str, Path]:
    """Every table's preset by its name: `<name>.yaml` in the folders under `folder`.

    Raises:
        UserError: a name that stands in two folders.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*/*.yaml"), key=lambda path: path.stem):
        if path.stem in found:
            raise UserError(f"{path} and {found[path.stem]} would make the same table: rename one.")
        found[path.stem] = path
    return found


def preset_file(name: str) -> str:
    """A table's preset, relative to the root. Raises: UserError: no such table."""
    files = preset_files()
    if name not in files:
        raise UserError(f"workflow/presets/ has no table {name!r}{did_you_mean(name, files)}.")
    return str(files[name].relative_to(ROOT))


def read_presets(folder: Path = PRESETS) -> dict[str, dict]:
    """Every table by its name, checked. Raises: UserError: what is wrong with a preset, and where."""
    return {name: read_preset(path) for name, path in preset_files(folder).items()}


def of_kind(presets: dict[str, dict], *kinds: str) -> dict[str, dict]:
    """The tables of these kinds, in the order of the paper: figures last, numbers in names as numbers."""

    def place(name: str) -> tuple:
        parts = re.split(r"([0-9]+)", name)
        return presets[name]["kind"] == "figure", [int(part) if part.isdigit() else part for part in parts]

    return {name: presets[name] for name in sorted(presets, key=place) if presets[name]["kind"] in kinds}


def frozen(presets: dict[str, dict]) -> str:
    """The table that the regression compares. Raises: UserError: none, or several."""
    found = list(of_kind(presets, "frozen"))
    if len(found) != 1:
        raise UserError(f"One preset must have the kind frozen, and {', '.join(found) or 'none'} has it.")
    return found[0]


def corrupted(presets: dict[str, dict]) -> dict[str, str]:
    """System -> the name of the transcripts with wrong words that it is guided by, where a table asks for that."""
    told = [item for preset in presets.values() for item in preset.get("transcripts", {}).items()]
    return {system: _wrong(entry) for system, entry in told}


def _wrong(entry: dict) -> str:
    source = f"confused_{entry['confusions']}" if "confusions" in entry else "corrupted"
    return f"{source}_{entry['corrupted_percent']}"


def _check_columns(preset: dict, path: Path) -> None:
    if (preset["kind"] == "sweep") != ("sweep" in preset):
        raise UserError(f"{path}: the kind sweep needs the key `sweep`, and no other kind takes it.")
    unheard = set(preset.get("transcripts", {})) - set(preset.get("systems", {}))
    if unheard:
        raise UserError(f"{path}: transcripts names {sorted(unheard)[0]!r}, which is none of the table's own systems.")
    roles = [metric["role"] for metric in preset["metrics"]]
    labels = [row["label"] for row in preset["rows"]]
    if len(set(roles)) < len(roles) or len(set(labels)) < len(labels):
        raise UserError(f"{path}: a role or a row's label occurs twice.")
    for row in preset["rows"]:
        unknown = (set(row.get("paper", {})) | set(row.get("roles", []))) - set(roles)
        if unknown:
            name = sorted(unknown)[0]
            raise UserError(
                f"{path}, row {row['label']!r}: no column has the role {name!r}{did_you_mean(name, roles)}."
            )
        if not row.get("system") and not row.get("paper"):
            raise UserError(f"{path}, row {row['label']!r}: a row needs a system to run or the paper's values.")


def read_systems(presets: dict[str, dict], path: Path = ROOT / "workflow" / "systems.yaml") -> dict[str, dict]:
    """Every system by name, `base` followed: the registry and each preset's own `systems`.

    An entry with a `method` is a compared system's, another one a composition of SpeechOp.

    Raises:
        UserError: an unknown base, key, method, checkpoint or setting, with the nearest known one.
    """
    entries = dict(read_yaml(path))
    for name, preset in presets.items():
        for system, entry in preset.get("systems", {}).items():
            if entries.get(system, entry) != entry:
                raise UserError(
                    f"workflow/presets/*/{name}.yaml: the system {system!r} stands elsewhere with other settings."
                )
            entries[system] = entry
    where = f"{path} (with the presets' own systems)"
    if wrong := [name for name, entry in entries.items() if not isinstance(entry, dict)]:
        raise UserError(f"{where}: {wrong[0]} must hold a mapping of keys to values.")
    systems = {name: _follow_base(name, entries, (), where) for name in entries}
    check_systems({name: entries[name] for name, entry in systems.items() if "method" not in entry}, where)
    for name, entry in compared(systems).items():
        _check_compared(entry, f"{where}, {name}")
    return systems


def _check_compared(entry: dict, where: str) -> None:
    checked(Compared, entry, where)
    try:
        known = registry.card(entry["method"], entry.get("checkpoint", "")).settings
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    refuse_unknown(entry.get("settings", {}), known, f"{where}.settings")


class Compared(Settings):
    """An entry of workflow/systems.yaml that names a method of baselines/."""

    method: str
    checkpoint: str = ""
    settings: dict = Field(default_factory=dict)


def compared(systems: dict[str, dict]) -> dict[str, dict]:
    """The compared systems among them: floors, ceilings, and all that is not SpeechOp."""
    return {name: entry for name, entry in systems.items() if "method" in entry}


def card_of(systems: dict[str, dict], name: str) -> Card:
    """The card of a compared system."""
    return registry.card(systems[name]["method"], systems[name].get("checkpoint", ""))


def _follow_base(name: str, entries: dict[str, dict], seen: tuple[str, ...], where: str) -> dict:
    if name in seen:
        raise UserError(f"{where}: the systems {', '.join(seen)} take each other as base.")
    if name not in entries:
        raise UserError(f"{where}: the system {seen[-1]!r} has the unknown base {name!r}{did_you_mean(name, entries)}.")
    entry = dict(entries[name])
    base = entry.pop("base", None)
    return entry if base is None else _follow_base(base, entries, (*seen, name), where) | entry


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


def _check_judged(names: Iterable[str], task: Task, where: str) -> None:
    """Refuse a metric that judges something else than the task's answers."""
    for name in names:
        if (judged := find_metric(name).judges) != task.gives:
            raise UserError(
                f"{where}: the metric {name!r} judges {judged}, but the task {task.name} is answered with "
                f"{task.gives}; take a metric that judges {task.gives}, or leave the column out of the row's `roles`."
            )


RECORDED_TASKS = {"librispeech": "tts", "realedit": "edit", "daps": "enhancement"}


def test_sets(config: dict) -> dict[str, str]:
    """The scale's test sets with their tasks; those of recorded corpora are what these are made for."""
    corpus = config.get("corpus", {})
    if "recorded" in corpus:
        sets = corpus["recorded"]["testsets"]
        return {name: RECORDED_TASKS.get(entry["from"], "separation") for name, entry in sets.items()}
    return {name: entry.get("task", "") for name, entry in corpus.get("testsets", {}).items() if entry}


def sets_without_recordings(config: dict, environment: Mapping[str, str] = os.environ) -> set[str]:
    """The test sets of the split `recorded`, where the user has not got the recordings."""
    corpus = config.get("corpus", {})
    if has_recordings(corpus, "real_tests", environment):
        return set()
    return {name for name, entry in corpus.get("testsets", {}).items() if entry and entry.get("split") == "recorded"}


def absent(
    config: dict, systems: dict[str, dict], presets: dict[str, dict], here: Collection[str] | None = None
) -> dict[str, str]:
    """System, or `set <name>`, -> why this scale cannot run it: its configuration has no such model or test set.

    Args:
        here: the models that are there; one that is trained on request alone and is not, is absent. None: all are.
    """
    scale = config["scale"]
    where = f"not run at the scale {scale}: its configuration has no"
    found = {name: reason for name in systems if (reason := _lacking(config, systems, name, here))}
    sets = {row.get("set", preset["set"]) for preset in presets.values() for row in preset["rows"]}
    found |= {f"set {name}": f"{where} test set {name!r}" for name in sorted(sets - set(test_sets(config)))}
    elsewhere = f"not run at the scale {scale}: the recordings are not here (corpus.real_tests)"
    return found | {f"set {name}": elsewhere for name in sorted(sets_without_recordings(config))}


def _lacking(config: dict, systems: dict[str, dict], name: str, here: Collection[str] | None) -> str | None:
    """Why a system cannot run at this scale; None where it can."""
    scale, models = config["scale"], config["models"]
    for model in models_of(systems, name):
        entry = models.get(model.partition("@")[0])
        if entry is None:
            return f"not run at the scale {scale}: its configuration has no model {model!r}"
        if entry.get("on_request") and here is not None and model not in here:
            asked = f"snakemake --cores all models/{scale}/{model}/model.safetensors"
            return f"not run: the model {model!r} is trained on request alone ({asked})"
    source = config.get("corpus", {}).get("text", {}).get("source", "recorded")
    if systems[name].get("snap") and source not in SLOTS:
        return f"not run at the scale {scale}: its sentences ({source}) have no grammar to snap to"
    return None


def runs_of(config: dict, names: Iterable[str]) -> list[str]:
    """The runs of the studies of these models that a scale has."""
    wanted = {name for name in names if name in config["models"]}
    return [model for model in config["models"] if model not in wanted and RUN.sub("", model) in wanted]


def models_here(scale: str, root: Path = Path()) -> set[str]:
    """The models of a scale that ship or are trained already."""
    return {
        *shipped_models(scale),
        *(path.parent.name for path in (root / "models" / scale).glob("*/model.safetensors")),
    }


def why_absent(preset: dict, row: dict, absent: dict[str, str]) -> str | None:
    """Why a row cannot be measured at this scale; None where it can."""
    return absent.get(row["system"]) or absent.get(f"set {row.get('set', preset['set'])}")


def lacks(config: dict) -> dict[str, str]:
    """What a scale lacks for some claims to be able to come out either way -> the reason, in words for a verdict."""
    models, found = config["models"], {}
    if models.get("codec", {}).get("network", {}).get("kind") == "mel":
        found["phase"] = (
            "the codec keeps no phase, so that every output of it, its own round trip included, has an SI-SDR far "
            "below zero"
        )
    return found


def card_file(systems: dict[str, dict], name: str) -> str:
    """Where a compared system's card stands, from the repository's root."""
    return str(Path("baselines") / card_of(systems, name).file.relative_to(registry.ROOM))


def which(entry: dict) -> list[str]:
    """A compared system as `python -m baselines run` is told it."""
    return [entry["method"], *(["--checkpoint", entry["checkpoint"]] if "checkpoint" in entry else [])]


def models_of(systems: dict[str, dict], name: str) -> list[str]:
    """The folders of the models that a system needs of those that are trained here."""
    if "method" not in systems[name]:
        return [systems[name]["model"]] if systems[name].get("model") else []
    card = card_of(systems, name)
    return card.models_trained(card.settings | systems[name].get("settings", {}))


def provenance_of(systems: dict[str, dict], name: str) -> str:
    """Whose numbers a system's are: `ours`, or what its card says."""
    return card_of(systems, name).provenance if name in compared(systems) else "ours"


def compared_settings(config: dict, systems: dict[str, dict], name: str) -> dict:
    """What `python -m baselines run` is told by --config: folders, and changed settings under the method's name.

    The system's own changes go over those of `evaluation.baselines` in the configuration.
    """
    overrides = config["evaluation"]["baselines"]
    shared = {key: overrides[key] for key in ("weights_dir",) if key in overrides}
    settings = overrides.get(name, {}) | systems[name].get("settings", {})
    own = {systems[name]["method"]: settings} if settings else {}
    return shared | {"models_dir": f"models/{config['scale']}"} | own


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


def roles_of(preset: dict, row: dict) -> list[str]:
    """The roles that a row is measured in."""
    return row.get("roles") or [column["role"] for column in preset["metrics"]]


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


def shipped_models(scale: str, folder: Path = ROOT / "speechbase" / "pretrained") -> list[str]:
    """Names of the models that the repository ships for a scale."""
    return sorted(path.parent.name for path in (folder / scale).glob("*/model.safetensors"))


def any_of(names: Iterable[str]) -> str:
    """A wildcard's pattern that matches just these names (nothing at all, where there are none)."""
    return "|".join(sorted(names)) or "(?!)"


def training_config(config: dict, model: str) -> dict:
    """What a model's training command is given: its own entry, the seed, how speech is degraded, and how it samples.

    Sampling settings are released with the weights: tables, library and command line read them there.
    """
    entry = {key: value for key, value in config["models"][model].items() if key not in NOT_TRAINING}
    shared = {"seed": entry.get("seed", config["seed"]), "degradation": config["corpus"].get("degradation", {})}
    if "seed" in entry:  # other weights and batches, judged on the same items
        shared["valid_seed"] = config["seed"]
    return {"sampling": config["sampling"]} | entry | shared


def sampling_settings(config: dict, system: dict) -> dict:
    """What `speechop.system` is given: the system's own settings, over those that come with its weights, and a seed.

    `chunk_seconds: crop` becomes the length of the crops that the system's model was trained on.
    """
    portable = {"precision": "fp32"} if config.get("portable") else {}
    settings = portable | system | {"seed": system.get("seed", config["seed"])}
    if settings.get("chunk_seconds") == "crop":
        settings["chunk_seconds"] = config["models"][system["model"]]["batches"]["crop_seconds"]
    return settings


def training_command(config: dict, model: str, folder: Path, state: Path) -> list[str]:
    """The module that trains a model, with its arguments but data and configuration.

    Args:
        folder: where the released model goes.
        state: where every model's resume state lies.
    """
    kind = config["models"][model]["kind"]
    return ["speechbase.training", kind, "--name", model, "--models", str(folder.parent), "--state", str(state)]


def training_modules(config: dict, model: str) -> list[str]:
    """The modules whose sources decide what a model's training does: the command's and its kind's."""
    return ["speechbase.training.__main__", kinds.module_of(config["models"][model]["kind"])]


MANY_LANGUAGES = ("hubert", "sset", "polyspeech_decoder", "polyspeech")  # kinds that learn from all of them


def training_tables(corpus: dict, environment: Mapping[str, str], kind: str = "") -> list[str]:
    """The speech tables that a training reads, by name: of every split of training or validation, and of real voices.

    Kinds that learn from several languages read those too.

    The real voices take part where `corpus.real_voices` names their folder, or the environment does.
    """
    splits = [split for split in corpus["speech"]["utterances"] if split.partition("_")[0] in ("train", "valid")]
    splits += ["languages_train", "languages_valid"] if kind in MANY_LANGUAGES else []
    return splits + (["train_recorded", "valid_recorded"] if has_recordings(corpus, "real_voices", environment) else [])


def has_recordings(corpus: dict, kind: str, environment: Mapping[str, str]) -> bool:
    """Whether the user has the recordings of `corpus.real_voices` or `corpus.real_tests`."""
    settings = corpus.get(kind) or {}
    return bool(settings.get("have") or environment.get(settings.get("variable", "")))


def corpus_part(corpus: dict, part: str, name: str = "") -> dict:
    """What one part of the corpus depends on, so that a change elsewhere does not make it again.

    Args:
        corpus: the `corpus` sub-tree.
        part: speech, noise, rir or testset.
        name: of the split or the test set.
    """
    others = {"noise", "rir", "degradation", "testsets", "real", "real_voices", "real_tests"} - {part, name}
    others |= set() if name.startswith("languages_") else {"languages"}
    kept = {key: value for key, value in corpus.items() if key not in others}
    if part == "testset":
        kept["testsets"] = {name: corpus["testsets"][name]}
    # A test set reads the speech as it lies there; only that table's own rule depends on how much there is, and on the
    # sizes of the splits before it whose sentences it follows: `test` before `test_more`.
    sizes = corpus["speech"]["utterances"]
    before = list(sizes)[: list(sizes).index(name) + 1] if part == "speech" and name in sizes else []
    counts = {split: sizes[split] for split in before if split.partition("_")[0] == name.partition("_")[0]}
    kept["speech"] = corpus["speech"] | {"utterances": counts}
    return kept


def speech_splits(corpus: dict) -> list[str]:
    """The speech tables that packaged voices are made for."""
    languages = [f"languages_{base}" for base in corpus.get("languages", {}).get("utterances", {})]
    return [*corpus["speech"]["utterances"], *languages, "real"]


def sounds_of(config: dict, test_set: str) -> str:
    """What the noise and room tables of a test set end in: those of its split alone; recorded speech has its own."""
    split = config["corpus"]["testsets"][test_set]["split"]
    return "_test" if split == "real" else f"_{split.removeprefix('languages_').partition('_')[0]}"


def sounds_parts(config: dict, kind: str) -> list[str]:
    """What the tables of single splits of noise or rir end in."""
    corpus = config["corpus"]
    return [f"_{split}" for split in (corpus["noise"]["clips"] if kind == "noise" else corpus["rir"]["count"])]


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
