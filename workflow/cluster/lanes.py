"""Train what `workflow.cluster.gpu` packed, all at once on one machine: each model as soon as those before it are done.

python -m workflow.cluster.lanes packed/nano
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from speechbase.corpus import packed
from speechbase.files import UserError, plain_errors, read_json, read_jsonl
from speechbase.training.__main__ import UNFINISHED

POLL_SECONDS = 0.5
QUIET = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
LAST_SECONDS = 25.0  # that a training has to write its state and weights when it is told to end


class Lane:
    """One training, from when it may begin to its weights."""

    def __init__(self, folder: Path, entry: dict[str, Any]):
        self.folder, self.name, self.kind = folder, entry["name"], entry["kind"]
        self.after, self.minutes = list(entry["after"]), float(entry["minutes"])
        self.process: subprocess.Popen | None = None
        self.status: int | None = None

    @property
    def log(self) -> Path:
        """What the training prints."""
        return self.folder / "log" / f"{self.name}.txt"

    def begin(self) -> None:
        """Start the training; a resumed one goes on with the minutes that it has left."""
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "speechbase.training", self.kind, "--name", self.name, "--release",
                 "--config", self.folder / "settings" / f"{self.name}.json", "--data", self.folder / "data",
                 "--models", self.folder / "models", "--state", self.folder / "state",
                 "--within", str(self.minutes)],
                stdout=log, stderr=subprocess.STDOUT,
                env=os.environ | QUIET,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether it began and has not been seen to end."""
        return self.process is not None and self.status is None

    def poll(self) -> None:
        """Take note of the training's end."""
        if self.process is not None and self.status is None:
            self.status = self.process.poll()

    def stop(self) -> None:
        """Let the training write what it reached, and end."""
        if self.process is not None and self.status is None:
            self.process.terminate()

    def progress(self) -> str:
        """One line: how far it came, and the last thing that validation said."""
        curves = self.folder / "state" / self.name / "curves.jsonl"
        rows = read_jsonl(curves) if curves.is_file() else []
        heard = [row for row in rows if any(key.startswith("valid_") for key in row)]
        figures = {key: value for key, value in (heard or [{}])[-1].items() if key.startswith("valid_")}
        state = "waits" if self.process is None else "runs" if self.status is None else f"ended ({self.status})"
        shown = ", ".join(f"{key[6:]} {value:.3g}" for key, value in list(figures.items())[:6] if value is not None)
        return f"{self.name:26} {state:10} step {rows[-1]['step'] if rows else 0:6}  {shown}"


def run(folder: Path, minutes: float | None, every: float = 20.0) -> list[Lane]:
    """Run the plan of a folder to its end, or until so many minutes are over.

    A training that failed keeps those that come after it from beginning; all others go on.
    """
    lanes = [Lane(folder, entry) for entry in read_json(folder / "plan.json")]
    done = {lane.name: lane for lane in lanes}
    until, shown = None if minutes is None else time.monotonic() + 60 * minutes, time.monotonic()
    while True:
        for lane in lanes:
            lane.poll()
        for lane in lanes:
            if lane.process is None and all(done[name].status == 0 for name in lane.after):
                lane.begin()
        if not any(lane.running for lane in lanes):
            return lanes
        if until is not None and time.monotonic() >= until:
            break
        if time.monotonic() - shown >= every:
            shown = time.monotonic()
            typer.echo("\n".join(lane.progress() for lane in lanes if lane.process is not None) + "\n")
        time.sleep(POLL_SECONDS)
    for lane in lanes:
        lane.stop()
    for lane in lanes:
        if lane.process is not None and lane.status is None:
            try:
                lane.process.wait(LAST_SECONDS)
            except subprocess.TimeoutExpired:
                lane.process.kill()
            lane.status = UNFINISHED
    return lanes


@plain_errors
def main(
    folder: Annotated[Path, typer.Argument(help="what workflow.cluster.gpu made, its parts unpacked")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="end all of it then; the plan's by default")] = None,
) -> None:
    """Train the models of FOLDER/plan.json into FOLDER/models; run it again to go on."""
    if not (folder / "plan.json").is_file():
        raise UserError(f"{folder} has no plan.json: unpack all parts of what workflow.cluster.gpu made there.")
    packed.decoded(folder / "data", os.cpu_count() or 1)
    lanes = run(folder, minutes)
    typer.echo("\n".join(lane.progress() for lane in lanes))
    failed = [lane for lane in lanes if lane.status not in (0, UNFINISHED, None)]
    for lane in failed:
        typer.echo(f"\n{lane.name} failed; the end of {lane.log}:\n{lane.log.read_text()[-1500:]}", err=True)
    if failed:
        raise typer.Exit(1)
    if any(lane.status != 0 for lane in lanes):
        raise typer.Exit(UNFINISHED)


if __name__ == "__main__":
    typer.run(main)
