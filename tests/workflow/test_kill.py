"""SIGKILL at random points: the next run finishes, and with the same result as an undisturbed one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.workflow.conftest import SMOKE, snakemake
from workflow.plan import configuration, corpus_parts, places, trainings
from workflow.record.provenance import read_record

pytestmark = pytest.mark.end_to_end
KILLS = 4  # a command; five commands
CONFIG = configuration.resolve({"scale": "smoke"})


def speech(made, out):
    corpus = json.dumps(corpus_parts.corpus_part(CONFIG["corpus"], "speech", "test"))
    return [
        "-m",
        "speechbase.corpus.corpus",
        "speech",
        "--split",
        "test",
        "--workers",
        "1",
        "--config",
        corpus,
        "--out",
        out,
    ]


def training(made, out):
    config = trainings.training_config(CONFIG, "tts")
    config["training"] = config["training"] | {"save_minutes": 0.0}  # so that kills fall into saving as well
    (out / "models").mkdir(parents=True, exist_ok=True)
    if not (out / "models" / "codec").exists():
        (out / "models" / "codec").symlink_to(made / "models/smoke/codec")
    return [
        "-m",
        "speechbase.training",
        "tts",
        "--name",
        "tts",
        "--config",
        json.dumps(config),
        "--data",
        made / "data/smoke",
        "--models",
        out / "models",
        "--state",
        out / "state",
    ]


def sampling(made, out):
    system = read_record(made / "results/smoke/audio/se/speechop/provenance.json")["settings"] | {"batch": 1}
    return [
        "-m", "speechop.system", "--manifest", made / "data/smoke/testsets/se.csv", "--system", json.dumps(system),
        "--models", made / "models/smoke", "--out", out,
    ]  # fmt: skip


def scoring(made, out):
    return [
        "-m",
        "metrics",
        "score",
        "--manifest",
        made / "data/smoke/testsets/se.csv",
        "--metrics",
        "pesq,mcd,mcd_dtw,si_sdr",
        "--index",
        made / "results/smoke/audio/se/noisy/index.csv",
        "--out",
        out,
        "--jobs",
        "1",
    ]


def table(made, out):
    settings = read_record(made / "results/smoke/table3.provenance.json")["settings"]
    return [
        "-m",
        "workflow.tables.build",
        "--preset",
        "workflow/presets/speechop/table3.yaml",
        "--results",
        made / "results/smoke",
        "--data",
        made / "data/smoke",
        "--settings",
        json.dumps(settings),
        "--out",
        out / "table3.csv",
    ]


def start(command):
    arguments = [sys.executable, *map(str, command)]
    return subprocess.Popen(
        arguments, cwd=places.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    )  # fmt: skip


def finish(command):
    process = start(command)
    _, errors = process.communicate(timeout=1200)
    assert process.returncode == 0, errors.decode()[-2000:]


def result(folder):
    """Every file that a run leaves, by its content; what says how long something took is left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        # A temporary file that a kill leaves is never taken for a result; the next run need not remove it.
        if path.is_dir() or path.is_symlink() or path.name.startswith(".part-") or name.startswith("state/"):
            continue
        if path.name == "model.safetensors":
            found[name] = {key: tensor.tobytes() for key, tensor in load_file(path).items()}
        elif path.name == "index.csv":
            found[name] = pd.read_csv(path).drop(columns="wall_s").to_csv()
        elif path.name not in ("config.json", "curves.jsonl", "done.jsonl", "journal.jsonl", "summary.json"):
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("command", [speech, training, sampling, scoring, table], ids=lambda command: command.__name__)
def test_a_killed_command_goes_on_to_the_same_result(made, tmp_path, command):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir(), torn.mkdir()
    clock = time.perf_counter()
    finish(command(made, whole))
    seconds = time.perf_counter() - clock
    chance = random.Random(command.__name__)
    for _ in range(KILLS):
        process = start(command(made, torn))
        time.sleep(seconds * chance.uniform(0.3, 0.95))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(command(made, torn))
    expected, found = result(whole), result(torn)
    assert sorted(expected) == sorted(found)
    assert [name for name in expected if expected[name] != found[name]] == []


def test_two_runs_in_one_folder_leave_one_whole_result(made, tmp_path):
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    finish(sampling(made, alone))
    both = [start(sampling(made, shared)) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors.decode()[-2000:]
    assert result(alone) == result(shared)


def test_a_killed_workflow_goes_on_and_a_second_one_is_kept_out(made, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True, ignore=shutil.ignore_patterns("locks"))
    target = "results/smoke/scores/se/noisy/pesq.jsonl"
    before = (folder / target).read_bytes()
    (folder / target).unlink()
    arguments = [sys.executable, "-m", "snakemake", *map(str, SMOKE), "--", target]
    first = subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    at_work = folder / ".snakemake" / "incomplete"
    for _ in range(600):
        if at_work.is_dir() and any(at_work.iterdir()):
            break
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGSTOP)  # else it may have finished before the second one has started
    second = snakemake(folder, *SMOKE, "--", target)
    assert second.returncode != 0 and "lock" in (second.stdout + second.stderr).lower()
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert snakemake(folder, *SMOKE, "--unlock").returncode == 0
    done = snakemake(folder, *SMOKE, "--", target)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / target).read_bytes() == before
