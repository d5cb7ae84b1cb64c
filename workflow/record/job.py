"""Run a rule's command: its output goes to the log and the terminal, a record of its provenance beside the result.

    python -m workflow.record.job --log L --record R.provenance.json --inputs A B --outputs C --settings JSON -- COMMAND ...

A command that fails ends with one sentence: what was said last, where the log is, and what to do.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from speechbase.files import UserError, plain_errors, write_json
from workflow.record import provenance

PR_SET_PDEATHSIG = 1


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status is the command's (128 + n where signal n ended it)."""
    parser = argparse.ArgumentParser(prog="python -m workflow.record.job", description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--inputs", nargs="*", default=[])
    parser.add_argument("--outputs", nargs="*", default=[])
    parser.add_argument("--settings", default="{}")
    own, command = _split(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(own)
    settings = provenance.parse_settings(options.settings)
    inputs = provenance.hashes(options.inputs)
    started, clock = datetime.now(UTC), time.perf_counter()
    status = _run(command, options.log)
    if status:
        print(_sentence(status, options.log), file=sys.stderr)
        return status
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = {
        "command": shlex.join(command),
        "settings": settings,
        "inputs": inputs,
        "outputs": provenance.hashes(options.outputs),
        "code": provenance.code(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(time.perf_counter() - clock, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mb": round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1),
    }
    write_json(options.record, record)
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments or arguments[-1] == "--":
        raise UserError("no command given: write it after --, as in `--log L --record R -- COMMAND`.")
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]


def _run(command: list[str], log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    # Idle OpenMP threads that spin slow the other jobs down; MKL and torch read this once, at their start.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
    with open(log, "wb") as stream:
        stream.write(f"$ {shlex.join(command)}\n".encode())
        stream.flush()
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, preexec_fn=_die_with_parent
        )
        assert child.stdout is not None
        with _passed_on_to(child):
            while chunk := child.stdout.read1(8192):
                stream.write(chunk)
                stream.flush()
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()
            status = child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _passed_on_to(child: subprocess.Popen) -> Iterator[None]:
    """Leave the end to the command: training that is told to stop first saves its state, and must not be left alone then."""

    def pass_on(number, frame):
        child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die_with_parent() -> None:
    """So that no orphan goes on writing where the next run writes (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _sentence(status: int, log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "nothing was printed")
    if status == 128 + signal.SIGKILL:
        reason = "It was killed, most likely because memory ran out; run fewer jobs at once (--cores)."
    elif status == 128 + signal.SIGINT:
        reason = "It was interrupted."
    else:
        reason = f"It said last: {last}"
    advice = "What is finished is kept: mend the cause and run the same command again."
    return f"job failed (status {status}). {reason} Log: {log}. {advice}"


if __name__ == "__main__":
    raise SystemExit(main())
