"""How cost grows: `python -m tests.speed.scaling` writes docs/performance.md and its curves, docs/performance.svg.

Time and memory against rows scored, audio enhanced and systems in a table. Each point is a process of its own, so that
peak memory is its own too; beside it an alternative, in turns in the same run: the plain loop over the libraries,
DeepFilterNet 3 on the same audio, a bare Snakefile of as many jobs. `--quick` takes small sizes.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import yaml

from speechbase.commands import command_line
from speechbase.files import write_text
from tests.speed.metrics import make_files, serial
from workflow.plan.places import ROOT

RATE_HZ = 16000
SCORED = ("pesq", "mcd", "si_sdr")
DISTINCT = 50  # pairs of files; more rows are these again under other ids
SIZES = {"rows": (100, 1000, 10_000), "seconds": (5, 30, 120, 600, 3600), "systems": (10, 50, 200, 500)}
QUICK = {"rows": (20, 60), "seconds": (5, 30), "systems": (10, 50)}
ALTERNATIVE_UP_TO = {"rows": 1000, "seconds": 600, "systems": 500}
PAGE = ROOT / "docs" / "performance.md"
CHAIN = """rule all:
    input: expand("{step}/{i}", step=["score", "words"], i=range(COUNT))
rule audio:
    output: "audio/{i}"
    shell: "touch {output}"
"""
CHAIN += "".join(
    f"""rule {name}:
    input: "{source}/{{i}}"
    output: "{name}/{{i}}"
    shell: "touch {{output}}"
"""
    for name, source in (("text", "audio"), ("score", "audio"), ("words", "text"))
)


@dataclass(frozen=True)
class Point:
    """One measurement; CPU seconds are the process's and its children's."""

    size: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    count: int | None = None  # of jobs


def score(size: int, folder: Path) -> None:
    """Score `size` rows in one process."""
    from metrics import registry, scorer

    files = make_files(folder, min(size, DISTINCT), 2.0)
    rows = [replace(files[k % len(files)], id=f"u{k}") for k in range(size)]
    scorer.score(rows, registry.find_all(SCORED), out=folder / "scores")


def score_plainly(size: int, folder: Path) -> None:
    """The loop that one would write first: file by file, metric by metric."""
    files = make_files(folder, min(size, DISTINCT), 2.0)
    serial([files[k % len(files)] for k in range(size)], SCORED)


def enhance(size: int, folder: Path) -> None:
    """SpeechOp nano on `size` seconds of noise."""
    from speechop.pipeline import SpeechOp

    SpeechOp.from_pretrained("nano").enhance(_noise(size), RATE_HZ)


def enhance_by_deepfilternet(size: int, folder: Path) -> None:
    """DeepFilterNet 3's runtime on the same."""
    from baselines import registry
    from speechbase import audio

    adapter = registry.create("deepfilternet3")
    adapter.load("cpu")
    adapter.enhance(audio.resample(_noise(size), RATE_HZ, 48_000))


def _noise(seconds: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(seconds * RATE_HZ).astype(np.float32) * 0.05


def plan(size: int, folder: Path) -> int:
    """A dry run of a table of `size` systems on a test set that is not made yet; returns its jobs."""
    for name in ("Snakefile", "environment.yml", "requirements.lock", "config", "speechbase", "speechop", "metrics",
                 "baselines", "toy_gmm", "profiles"):  # fmt: skip
        (folder / name).symlink_to(ROOT / name)
    for path in (ROOT / "workflow").rglob("*"):  # real files: the workflow finds its root by its own place
        if path.is_file() and "__pycache__" not in path.parts:
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    systems = {f"many_{k}": {"base": "speechop_gold", "seed": k} for k in range(size)}
    preset = {
        "kind": "table", "title": "Many systems", "source": "none", "set": "se", "systems": systems,
        "metrics": [
            {"role": "pesq", "label": "PESQ", "better": "higher", "digits": 2},
            {"role": "wer", "label": "WER", "better": "lower", "digits": 1},
        ],
        "rows": [{"system": name, "label": name} for name in systems],
    }  # fmt: skip
    write_text(folder / "workflow/presets/many/many.yaml", yaml.safe_dump(preset))
    return _dry_run(folder, "results/many.csv")


def plan_bare(size: int, folder: Path) -> int:
    """A dry run of as many jobs a system, from a Snakefile of five rules."""
    (folder / "Snakefile").write_text(f"COUNT = {size}\n{CHAIN}")
    return _dry_run(folder)


def _dry_run(folder: Path, *targets: str) -> int:
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "2", *targets]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    said = done.stdout + done.stderr
    if done.returncode:
        raise RuntimeError(said[-2000:])
    return next(int(line.split()[1]) for line in said.splitlines() if line.startswith("total "))


WAYS: dict[str, tuple[Callable, Callable]] = {
    "rows": (score, score_plainly),
    "seconds": (enhance, enhance_by_deepfilternet),
    "systems": (plan, plan_bare),
}


def point(function: Callable, size: int) -> Point:
    """Measure one call in this process, which does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        start, wall = _cpu(), time.perf_counter()
        count = function(size, Path(folder))
        cpu, wall = _cpu() - start, time.perf_counter() - wall
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Point(size, cpu, wall, max(peaks) / 1024, count)


def _cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def alone(function: Callable, size: int) -> Point:
    """`point` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(point, function, size).result()


def page(found: dict[str, list[tuple[Point, Point | None]]]) -> str:
    """docs/performance.md."""
    parts = [
        "# How cost grows",
        "",
        "Made by `python -m tests.speed.scaling`; do not edit. Each point is a process of its own, on a machine of",
        f"{os.cpu_count()} cores ({platform.machine()}). CPU seconds bear a busy machine, wall seconds do not. The "
        "alternative ran in turns with it.",
        "`ratio` is the alternative's CPU seconds over ours: below 1 ours is slower. The 39.9 CPU s for 600 s of audio",
        "in `docs/training_log.md` are of another day, another program (`tests/speed/sampler.py`) and one thread. This",
        "page's processor was not recorded: compare figures within it.",
        "",
        "![Curves](performance.svg)",
        "",
    ]
    for kind, (title, unit, other) in TITLES.items():
        parts += [f"## {title}", "", f"| {unit} | CPU s | wall s | peak MB | {other}, CPU s | ratio |"]
        parts += ["| --: | --: | --: | --: | --: | --: |"]
        for ours, theirs in found[kind]:
            size = f"{ours.size:,}" + (f" ({ours.count:,} jobs)" if ours.count else "")
            beside = f"{theirs.cpu_s:.1f} | {theirs.cpu_s / ours.cpu_s:.2f}" if theirs else "- | -"
            parts.append(f"| {size} | {ours.cpu_s:.1f} | {ours.wall_s:.1f} | {ours.peak_mb:,.0f} | {beside} |")
        parts.append("")
    return "\n".join(parts)


TITLES = {
    "rows": ("Rows scored (PESQ, MCD, SI-SDR of 2 s)", "rows", "plain loop over pesq, pysptk, fast-bss-eval"),
    "seconds": ("Audio enhanced (`SpeechOp.enhance`, nano)", "seconds", "DeepFilterNet 3"),
    "systems": ("Systems in a table (`snakemake -n`)", "systems", "bare Snakefile, as many jobs a system"),
}


def curves(found: dict[str, list[tuple[Point, Point | None]]], out: Path) -> None:
    """CPU seconds (solid), those of the alternative (dashed) and peak memory (dotted), all axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure((12, 3.6), layout="constrained")
    for axes, (kind, points) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        ours, theirs = [a for a, _ in points], [b for _, b in points if b]
        axes.loglog([p.size for p in ours], [p.cpu_s for p in ours], "o-", label="CPU s")
        axes.loglog([p.size for p in theirs], [p.cpu_s for p in theirs], "s--", label=TITLES[kind][2])
        axes.loglog([p.size for p in ours], [p.peak_mb for p in ours], ".:", label="peak MB")
        axes.set_xlabel(TITLES[kind][1])
        axes.legend(fontsize=7)
    figure.savefig(out)


def measure(
    out: Annotated[Path, typer.Option(help="the page; its curves go beside it")] = PAGE,
    quick: Annotated[bool, typer.Option("--quick", help="small sizes")] = False,
    only: Annotated[str | None, typer.Option(help="rows, seconds or systems; prints JSON and writes nothing")] = None,
) -> None:
    """Measure and write the page."""
    found: dict[str, list[tuple[Point, Point | None]]] = {}
    for kind, (ours, theirs) in WAYS.items():
        if only in (None, kind):
            found[kind] = []
            for size in (QUICK if quick else SIZES)[kind]:
                other = alone(theirs, size) if size <= ALTERNATIVE_UP_TO[kind] else None
                found[kind].append((alone(ours, size), other))
                print(json.dumps([kind, *(p and vars(p) for p in found[kind][-1])]), file=sys.stderr, flush=True)
    if only is None:
        curves(found, out.with_suffix(".svg"))
        write_text(out, page(found))


main = command_line(measure)

if __name__ == "__main__":
    raise SystemExit(main())
