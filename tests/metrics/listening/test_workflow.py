"""The rules of the listening studies, run by Snakemake on synthetic audio in a folder of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from speechbase.files import read_json
from tests.metrics.listening.conftest import Worker, write_export
from tests.metrics.listening.make_study import make_audio, make_testset

ROOT = Path(__file__).resolve().parents[3]
RULES = [
    "listening_prepare",
    "listening_simulate",
    "listening_import",
    "listening_analyse",
    "listening_pay",
    "listening_report",
]


def run(folder: Path, *targets: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", "1", *arguments, "--allowed-rules", *RULES, "--", *targets]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A working directory with our sources and a small `se` test set that two systems and the recordings have."""
    for path in ROOT.iterdir():
        if path.name not in ("data", "models", "results", "logs", ".snakemake", ".git"):
            (tmp_path / path.name).symlink_to(path)
    rows = make_testset(tmp_path / "data" / "nano" / "testsets", "se", 40)
    for system in ("speechop", "speechop_itc", "sgmse"):
        make_audio(tmp_path / "results" / "audio", "se", system, rows)
    skipped = tmp_path / "results" / "audio" / "se" / "sgmse" / "index.csv"
    skipped.write_text("id,path,rate_hz,seconds,wall_s,status,detail\nutt000,,,,0,skipped,no weights\n")
    return tmp_path


@pytest.mark.slow
def test_the_rules_prepare_rehearse_import_and_report(folder, serve):
    study = "results/listening/enhancement"
    done = run(folder, f"{study}/report/index.html", f"{study}/simulated/report/index.html")
    assert done.returncode == 0, done.stderr[-3000:]
    out = folder / study
    prepared = read_json(out / "prepared.json")
    assert prepared["systems"] == ["noisy", "speechop", "speechop_itc", "clean"]
    assert any("sgmse is left out" in note for note in prepared["notes"])
    assert "Not run:" in (out / "report" / "index.html").read_text()
    assert "SIMULATED" in (out / "simulated" / "report" / "index.html").read_text()
    assert not (out / "mos.csv").exists()

    port = serve(out)
    key = {row.split(",")[6]: row.split(",")[2] for row in (out / "private" / "key.csv").read_text().splitlines()[1:]}
    for i in range(2):
        worker = Worker(port, out, f"participant-{i}")
        worker.start(), worker.consent()
        for trial, clip in enumerate(worker.trials):
            assert worker.answer(trial, 1 if key[clip["sample"]] == "noisy" else 4 + i)[0] == 200
    listed = [(f"session-participant-{i}", f"participant-{i}", "AWAITING REVIEW", 900) for i in range(2)]
    write_export(out / "private" / "prolific_export.csv", listed)
    shutil.rmtree(out / "report")
    answers = (out / "private" / "answers.jsonl").read_bytes()
    done = run(folder, f"{study}/report/index.html", arguments=("--forcerun", "listening_prepare"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Not run:" not in (out / "report" / "index.html").read_text()
    assert read_json(out / "prepared.json") == prepared  # a study that runs is kept as it is
    assert (out / "private" / "answers.jsonl").read_bytes() == answers
    assert json.loads((out / "mos.json").read_text())["source"] == "prolific"
    assert read_json(out / "private" / "pay" / "pay.json")["complete"] == 2
