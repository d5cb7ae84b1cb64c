"""SLURM's commands for a machine without SLURM: jobs start at once, have a time limit, and their steps an early signal.

`install` writes them into a folder for PATH. As in SLURM, the signal of `--signal` goes to the processes that `srun`
started and not to the batch script, and at the limit everything is killed. A minute lasts a second, and the clock
starts when the job's output says STAND_IN_START, so that it does not matter how fast the machine is. Only the first
STAND_IN_LIMITED jobs have a limit. STAND_IN_JOBS is the folder of jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol", "sinfo", "sacctmgr", "sshare", "_job")
OWN = ("PATH", "HOME", "LANG", "PYTHONPATH", "STAND_IN_JOBS", "STAND_IN_START", "STAND_IN_LIMITED", "OMP_WAIT_POLICY")


def install(folder: Path) -> None:
    """Write a launcher of each command."""
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        (folder / name).chmod(0o755)


def jobs() -> Path:
    return Path(os.environ["STAND_IN_JOBS"])


def sbatch(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    for option in ("--job-name", "--output", "--wrap", "--signal", "-t"):
        parser.add_argument(option)
    asked, _ = parser.parse_known_args(arguments)
    identity = str(len(list(jobs().glob("*.json"))) + 1)
    name, lead = re.fullmatch(r"(\w+)@(\d+)", asked.signal).groups() if asked.signal else ("", 0)
    job = {"id": identity, "name": asked.job_name, "state": "RUNNING", "limit": float(asked.t)}
    job |= {"script": asked.wrap, "output": asked.output.replace("%j", identity)}
    job |= {"signal": name, "lead": int(lead) / 60}
    note(job)
    subprocess.Popen([sys.executable, __file__, "_job", identity], start_new_session=True)
    print(identity)


def note(job: dict) -> None:
    path = jobs() / f"{job['id']}.json"
    path.with_suffix(".new").write_text(json.dumps(job))
    path.with_suffix(".new").rename(path)


def _job(arguments: list[str]) -> None:
    """The node's side: the batch script, its time limit and the signal before it."""
    job = json.loads((jobs() / f"{arguments[0]}.json").read_text())
    environment = {name: os.environ[name] for name in OWN if name in os.environ}
    with open(job["output"], "wb") as log:
        limited, started, announced = int(job["id"]) <= int(os.environ["STAND_IN_LIMITED"]), None, False
        command = ["sh", "-c", job["script"]]
        environment["SLURM_JOB_ID"] = job["id"]
        batch = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        while batch.poll() is None:
            if (
                limited
                and started is None
                and os.environ["STAND_IN_START"] in Path(job["output"]).read_text(errors="replace")
            ):
                started = time.monotonic()
            left = job["limit"] - (time.monotonic() - started if started else 0)
            if left < job["lead"] and not announced:
                announced = True
                tell(job["id"], signal.Signals[f"SIG{job['signal']}"])
            if left < 0:
                tell(job["id"], signal.SIGKILL)
                os.killpg(batch.pid, signal.SIGKILL)
            time.sleep(0.05)
    state = {0: "COMPLETED", -signal.SIGKILL: "TIMEOUT"}.get(batch.returncode, "FAILED")
    note(job | {"state": state, "told": announced})


def tell(identity: str, number: signal.Signals) -> None:
    for step in jobs().glob(f"{identity}.step.*"):
        with suppress(ProcessLookupError):
            os.killpg(int(step.suffix[1:]), number)


def srun(arguments: list[str]) -> None:
    """Start a step in a process group of its own; options end where the command begins."""
    command = next(at for at, argument in enumerate(arguments) if not argument.startswith("-"))
    step = subprocess.Popen(arguments[command:], start_new_session=True)
    (jobs() / f"{os.environ['SLURM_JOB_ID']}.step.{step.pid}").touch()
    raise SystemExit(step.wait())


def sacct(arguments: list[str]) -> None:
    name = arguments[arguments.index("--name") + 1] if "--name" in arguments else None
    for path in jobs().glob("*.json"):
        job = json.loads(path.read_text())
        if job["name"] == name:
            print(f"{job['id']}|{job['state']}")


if __name__ == "__main__":
    acts = {"sbatch": sbatch, "_job": _job, "srun": srun, "sacct": sacct}
    acts.get(sys.argv[1], lambda arguments: None)(sys.argv[2:])
