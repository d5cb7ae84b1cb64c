"""One screen on the paper's scale: what is there, what is missing, what a licence binds, how big it is, what comes
next.

python -m workflow.cluster.doctor --config config/paper.yaml
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from baselines import registry
from speechbase.commands import command_line
from speechbase.files import UserError
from speechbase.recorded.corpora import own_folder, read_corpora
from workflow.cluster import plan, scaling
from workflow.plan import configuration, preset_files, system_entries
from workflow.plan.schema import check_config

BYTES_A_SECOND = 50e6  # a download that goes well


@dataclass(frozen=True)
class State:
    """One line of the report. `state`: present, unpacked, fetched, part, missing, licence or error."""

    name: str
    state: str
    detail: str
    bytes_missing: int = 0


def corpora_states(recorded: dict) -> list[State]:
    """The state of every corpus that the configuration uses, then of the licence-bound ones that it does not."""
    used = plan.corpora_used(recorded)
    bound = [name for name, rows in read_corpora().items() if rows[0].needs_licence and name not in used]
    return [_corpus(name, recorded) for name in used] + [
        State(name, "licence", f"not used; opt in by corpus.recorded.have.{name}: {read_corpora()[name][0].licence}")
        for name in bound
    ]


def _corpus(name: str, recorded: dict) -> State:
    folder = Path(recorded["folder"])
    try:
        if own := own_folder(name, recorded):
            return State(name, "present", f"your folder {own}")
        archives = plan.archives_needed(name, recorded)
    except UserError as error:
        return State(name, "licence" if "licence" in str(error) else "error", str(error))
    if (folder / f"{name}.json").is_file():
        return State(name, "unpacked", f"{folder / name}")
    fetched = [a for a in archives if (folder / "archives" / name / f"{a.file}.verified.json").is_file()]
    partial = sum(_size(folder / "archives" / name / f"{a.file}.part") for a in archives)
    missing = sum(a.bytes for a in archives if a not in fetched) - partial
    if len(fetched) == len(archives):
        return State(name, "fetched", f"{len(archives)} archives verified, to be unpacked")
    state = "part" if fetched or partial else "missing"
    return State(
        name, state, f"{len(fetched)} of {len(archives)} archives; for {archives[0].used_for}", max(0, missing)
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def weights_states(config: dict) -> list[State]:
    """Weights that metrics and models are configured to read, and the compared systems that cannot run."""
    evaluation = config["evaluation"]
    wanted = {name: entry.get("path") for name, entry in evaluation["asr"].items()}
    wanted |= evaluation.get("settings", {}).get("weights", {})
    networks = [model.get("network", {}) for model in config["models"].values()]
    folders = {one.get("folder") for network in networks for one in (network, network.get("text", {}))}
    wanted |= {Path(folder).name: folder for folder in folders if folder}
    states = [
        State(name, "present" if Path(path).exists() else "missing", str(path))
        for name, path in sorted(wanted.items())
        if path
    ]
    systems = system_entries.read_systems(preset_files.read_presets())
    for name, entry in system_entries.compared(systems).items():
        settings = system_entries.compared_settings(config, systems, name)
        baseline = registry.configured(settings, entry["method"], entry.get("checkpoint", ""))
        if baseline.card.unavailable or baseline.card.trained_by:
            continue
        reason = baseline.skip()
        states.append(State(name, "present" if reason is None else "missing", reason or baseline.card.title))
    return states


def product_states(config: dict) -> list[State]:
    """What the scale has made so far: tables, test sets, shards, models."""
    scale, recorded = config["scale"], config["corpus"]["recorded"]
    data = Path("data") / scale
    products = [data / f"{name}.csv" for name in ("speech/train", "speech/tts", "speech/valid", "noise", "rir")]
    products += [data / "testsets" / f"{name}.csv" for name in recorded["testsets"]]
    products += [Path("models") / scale / name / "model.safetensors" for name in config["models"]]
    return [State(str(path), "present" if path.is_file() else "missing", "") for path in products]


def next_command(corpora: list[State], products: list[State], config_path: str) -> str:
    """The command that brings the scale one step further."""
    base = f"snakemake --configfile {config_path} --profile profiles/slurm"
    waiting = [state for state in corpora if state.state in ("missing", "part", "fetched")]
    if waiting:
        names = ", ".join(state.name for state in waiting[:3]) + (" ..." if len(waiting) > 3 else "")
        return f"{base} paper_data        # fetches {names} first"
    missing = [state.name for state in products if state.state == "missing"]
    return f"{base} {'all' if not missing else missing[0]}"


def report(config: dict, config_path: str) -> str:
    """The screen."""
    recorded = config["corpus"]["recorded"]
    corpora, weights, products = corpora_states(recorded), weights_states(config), product_states(config)
    missing = sum(state.bytes_missing for state in corpora)
    folder = Path(recorded["folder"])
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    lines = [f"corpora (in {folder})", *map(_line, corpora), "", "weights", *map(_line, weights), "", "made so far"]
    lines += [f"  {state.state:<9} {state.name}" for state in products]
    lines += ["", "to come (docs/scaling.md)"]
    lines += [f"  {what:<40} {size / 1e12:5.2f} TB" for what, size, _ in scaling.disk()]
    for stage in scaling.stages(config):
        least, most = (stage.gpu_hours("A100", how) for how in ("well", "poorly"))
        lines.append(f"  {stage.name:<40} {least:5.0f} to {most:.0f} A100 hours, on {stage.gpus}")
    lines += [
        "",
        f"to fetch  {missing / 1e12:.2f} TB, about {missing / BYTES_A_SECOND / 3600:.0f} h at "
        f"{BYTES_A_SECOND / 1e6:.0f} MB/s; free there: {free / 1e12:.2f} TB",
    ]
    if missing > free:
        lines.append(
            "          too little: set corpus.recorded.folder to a larger disk, or name what you have under "
            "corpus.recorded.have"
        )
    return "\n".join([*lines, f"next      {next_command(corpora, products, config_path)}"])


def _line(state: State) -> str:
    size = f"{state.bytes_missing / 1e9:8.1f} GB" if state.bytes_missing else " " * 11
    text = " ".join(state.detail.split())
    return f"  {state.state:<9} {state.name:<22} {size}  {text if len(text) <= 110 else text[:107] + '...'}"


def show(config: Annotated[Path, typer.Option()] = Path("config/paper.yaml")) -> None:
    """Say what of the paper's scale is there, what is missing, what a licence binds, and what comes next."""
    resolved = configuration.of_file(config)
    if "recorded" not in resolved.get("corpus", {}):
        raise UserError(f"{config} has no corpus.recorded: nothing to look after at this scale.")
    check_config(resolved, str(config))
    print(report(resolved, str(config)))


main = command_line(show)


if __name__ == "__main__":
    raise SystemExit(main())
