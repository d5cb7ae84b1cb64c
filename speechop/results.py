"""What the command line leaves behind: audio, records, transcripts, a line for one result and a table for many."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import typer
from tqdm import tqdm

from speechbase import audio
from speechbase.files import UserError, read_json, write_json
from speechop import MARK, transcripts
from speechop.jobs import Done, Job
from speechop.options import Files, Guide, Run
from speechop.places import Place
from speechop.recordings import Recording, Spool, level
from speechop.transcripts import Line

LONG_S = 30.0  # of audio, from which on a bar is shown


class Bar(tqdm):
    """A bar whose end moves on where there is more than was promised: headers of MP3 and seconds are estimates."""

    total: float | None

    def update(self, n: float | None = 1) -> bool | None:
        """Go on by so many units."""
        if self.total is not None:
            self.total = max(self.total, self.n + (n or 0))
        return super().update(n)


class Results:
    """Keeps the results of one command."""

    def __init__(
        self,
        task: str,
        plan: Sequence[Place],
        left: Sequence[Place],
        files: Files,
        run: Run,
        guide: Guide | None = None,
        saved: dict[Path, Path] | None = None,
    ):
        self.task, self.plan, self.left, self.files, self.run, self.guide = task, plan, left, files, run, guide
        self.saved = saved or {}
        self.rows: list[tuple[str, ...]] = []
        self.failed: list[tuple[Place, str]] = []

    @property
    def several(self) -> bool:
        """Whether there is more than one input."""
        return len(self.plan) > 1

    @property
    def steps(self) -> str | None:
        """The label of a bar of sampling steps: for one short input in a terminal."""
        return None if self._long or not sys.stderr.isatty() else self.task

    @property
    def _long(self) -> bool:
        return self.several or sum(place.seconds for place in self.left) > LONG_S

    def progress(self) -> Bar:
        """A bar over all inputs' seconds (for TTS, over its texts); none for one short input."""
        unit, total = (
            ("text", len(self.plan)) if self.task == "tts" else ("s", sum(p.seconds for p in self.left) or None)
        )
        form = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}]" if total else None
        return Bar(total=total, unit=unit, desc=self.task, disable=not self._long, mininterval=1, bar_format=form)

    def keep(self, place: Place, done: Done, model, settings: dict) -> None:
        """Write one answer and what goes with it, or note why there is none."""
        if self.guide is not None and self.guide.itc:
            for line in done.lines:
                tqdm.write(
                    f"{place.source}: heard {transcripts.told(line, self.guide.min_confidence)}", file=sys.stderr
                )
        if not done.error:
            try:
                mark = None if done.left else MARK
                audio.write_blocks(place.out, done.blocks(), done.source.rate_hz, done.source.channels, comment=mark)
                if place.source in self.saved:
                    transcripts.write(self.saved[place.source], done.lines)
                if self.files.json:
                    write_json(place.record, self._record(place, done, model, settings))
            except UserError as error:
                done.error = str(error)
        if done.error:
            self.failed.append((place, done.error))
            self.rows.append((str(place.source), "failed", "", "", "", done.error))
            return
        speed = done.wall_s / done.source.seconds
        loudness = "" if done.level.loudness is None else f"{done.level.loudness:.1f}"
        self.rows.append(
            (
                str(place.source),
                str(place.out),
                f"{done.source.seconds:.1f}",
                f"{speed:.2f}",
                loudness,
                "; ".join(done.notes),
            )
        )

    def made(
        self, place: Place, model, settings: dict, source: Recording, make: Callable[[], np.ndarray], lines: list[Line]
    ) -> None:
        """Make new speech (TTS, editing) and keep it."""
        started = time.perf_counter()
        done = Done(Job(str(place.source), self.task, source), source, lines=lines)
        try:
            wave = make()
            result = Recording.of(wave, source.rate_hz)
            result.channels = source.channels if self.task == "edit" else 1
            done.recording, done.tracks = result, [Spool(wave)]
            wanted = self.files.target("model")
            done.level = level(done.tracks, result, None if isinstance(wanted, str) else wanted)
        except UserError as error:
            done.error = str(error)
        done.wall_s = time.perf_counter() - started
        self.keep(place, done, model, settings)

    def _record(self, place: Place, done: Done, model, settings: dict) -> dict:
        how = model.settings(settings, bool(self.guide and any(line.guide for line in done.lines)))
        return {
            "input": str(place.source),
            "output": str(place.out),
            "task": self.task,
            "settings": how.model_dump(mode="json", exclude_none=True),
            "seed": how.seed,
            "weights": {
                name: read_json(model.folder / name / "config.json")["sha256"]
                for name in (model.model, model.codec_name)
            },
            "models": self.run.models,
            "recogniser": self.guide.asr if self.guide and self.guide.itc else None,
            "rate_hz": done.source.rate_hz,
            "channels": done.source.channels,
            "seconds": round(done.source.seconds, 4),
            "wall_s": round(done.wall_s, 3),
            "real_time_factor": round(done.wall_s / done.source.seconds, 4),
            "loudness_lufs": {"input": done.source.loudness, "output": done.level.loudness},
            "gain_db": round(20 * float(np.log10(done.level.gain)), 2),
            "transcript": [asdict(line) for line in done.lines] or None,
            "notes": done.notes,
        }

    def close(self) -> None:
        """Say what came of it; exit status 1 (for one input 2) if anything failed."""
        skipped = [place for place in self.plan if place not in self.left]
        if self.several:
            self._table(skipped)
        elif self.failed:
            raise UserError(self.failed[0][1])
        elif skipped:
            typer.echo(f"{skipped[0].out} is there already")
        else:
            _, out, seconds, speed, loudness, notes = self.rows[0]
            sound = f", {loudness} LUFS" if loudness else ""
            typer.echo(f"wrote {out} ({seconds} s{sound}, {speed} times real time{'; ' + notes if notes else ''})")
        if self.failed:
            raise typer.Exit(1)

    def _table(self, skipped: Sequence[Place]) -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table("input", "result", "s", "x real time", "LUFS", "notes")
        for row in self.rows:
            table.add_row(*row)
        if self.rows:
            Console(width=None if sys.stdout.isatty() else 160).print(table)
        there = f", {len(skipped)} there already" if skipped else ""
        typer.echo(f"{len(self.rows) - len(self.failed)} of {len(self.plan)} written, {len(self.failed)} failed{there}")
