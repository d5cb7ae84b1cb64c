"""Run a rule's command: its output goes to the log and the terminal, a record of its provenance beside the result.

    python -m workflow.record.job --log L --record R.provenance.json --inputs A B --outputs C --settings JSON -- COMMAND
    ...

A command that fails ends with one sentence: what was said last, where the log is, and what to do.
"""

from __future__ import annotations

import ctypes
import io
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
from typing import Annotated, cast

import typer

from speechbase.commands import command_line, words
from speechbase.files import parse_json, write_json
from workflow.record import provenance

PR_SET_PDEATHSIG = 1


def run(
    log: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option(help="where the record goes, *.provenance.json")],
    command: Annotated[list[str], typer.Argument(help="after --")],
    inputs: Annotated[list[str] | None, words("files", "FILE")] = None,
    outputs: Annotated[list[str] | None, words("files", "FILE")] = None,
    settings: Annotated[str, typer.Option(help="JSON")] = "{}",
) -> None:
    """Run a rule's command; the exit status is the command's (128 + n where signal n ended it)."""
    told = parse_json(settings, "--settings")
    given = provenance.hashes(inputs or ())
    started, clock = datetime.now(UTC), time.perf_counter()
    status = _run(command, log)
    if status:
        print(_sentence(status, log), file=sys.stderr)
        raise typer.Exit(status)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = {
        "command": shlex.join(command),
        "settings": told,
        "inputs": given,
        "outputs": provenance.hashes(outputs or ()),
        "code": provenance.code(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "started": started.isoformat(timespec="seconds"),
        "wall_s": round(time.perf_counter() - clock, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mb": round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1),
    }
    write_json(record, facts)


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
        said = cast(io.BufferedReader, child.stdout)
        with _passed_on_to(child):
            while chunk := said.read1(8192):
                stream.write(chunk)
                stream.flush()
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()
            status = child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _passed_on_to(child: subprocess.Popen) -> Iterator[None]:
    """Leave the end to the command: training that is told to stop first saves its state, and must not be left alone
    then."""

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


main = command_line(run)


if __name__ == "__main__":
    raise SystemExit(main())
