"""The wrapper around every rule's command: log, record, sentence, exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_job(folder, code, *options):
    command = [
        sys.executable,
        "-m",
        "workflow.record.job",
        "--log",
        folder / "a.log",
        "--record",
        folder / "r.json",
        *options,
    ]
    return subprocess.run([*command, "--", sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_a_record_says_where_the_result_comes_from(tmp_path):
    given, made = tmp_path / "in.txt", tmp_path / "out.txt"
    given.write_text("abc")
    done = run_job(
        tmp_path, f"open({str(made)!r}, 'w').write('x'); print('hello')",
        "--inputs", given, "--outputs", made, "--settings", '{"seed": 3}',
    )  # fmt: skip
    assert done.returncode == 0 and "hello" in done.stderr
    assert "hello" in (tmp_path / "a.log").read_text()
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["settings"] == {"seed": 3}
    assert record["inputs"] == {str(given): "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert list(record["outputs"]) == [str(made)]
    assert record["versions"]["torch"] == "2.8.0" and record["peak_memory_mb"] > 1 and record["wall_s"] > 0
    assert "commit" in record["code"]


def test_a_failure_ends_with_a_sentence_and_leaves_no_record(tmp_path):
    done = run_job(tmp_path, "import sys; print('the file x is empty', file=sys.stderr); sys.exit(2)")
    assert done.returncode == 2 and not (tmp_path / "r.json").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert "the file x is empty" in last and "a.log" in last and "run the same command again" in last


def test_a_killed_command_is_named_so(tmp_path):
    done = run_job(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert done.returncode == 137 and "memory ran out" in done.stderr


@pytest.mark.parametrize("options", [["--settings", "[1]"], ["--settings", "{"]])
def test_bad_settings_are_an_error(tmp_path, options):
    done = run_job(tmp_path, "pass", *options)
    assert done.returncode == 2 and "--settings" in done.stderr and "Traceback" not in done.stderr


def test_a_signal_is_left_to_the_command(tmp_path):
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(75)))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    command = [
        sys.executable,
        "-m",
        "workflow.record.job",
        "--log",
        tmp_path / "a.log",
        "--record",
        tmp_path / "r.json",
    ]
    job = subprocess.Popen([*command, "--", sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
    assert job.stderr is not None and b"ready" in job.stderr.readline()
    job.terminate()
    assert job.wait(30) == 75 and "saved" in (tmp_path / "a.log").read_text()
