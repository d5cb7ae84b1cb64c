"""Run one system over a test set: `python -m speechop.system --manifest M.csv --models DIR --system JSON --out DIR`.

Finished utterances are kept: a run that was interrupted goes on, and an utterance is made again only when the system, the
weights or its inputs changed. An utterance that cannot be made is a row with its reason; the others go on.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from tqdm import tqdm

from speechbase import audio, editing
from speechbase.files import UserError, append_jsonl, plain_errors, read_json, read_jsonl, seed_of, sha256, write_text
from speechbase.items import Item, read_items
from speechop.compose import Settings
from speechop.model.text import tokenize
from speechop.pipeline import Request, SpeechOp, edit_request

MARK = "Synthetic speech: made or processed by SpeechOp (replication)"
COLUMNS = ["id", "path", "rate_hz", "seconds", "wall_s", "status", "detail", "sha256"]
SYSTEM_KEYS = ("model", "transcript", "voice", "chunk_seconds", "codec_only")


class Inputs:
    """Turns manifest items into requests for one system."""

    def __init__(self, system: dict, pipeline: SpeechOp, transcripts: dict[str, dict]):
        self.system, self.rate_hz, self.transcripts = system, pipeline.rate_hz, transcripts

    def request(self, item: Item) -> tuple[Request, editing.Edit | None]:
        """The request of an item, and for an edit its plan.

        Raises:
            UserError: a missing transcript, prompt or file.
        """
        if item.rate_hz != self.rate_hz:
            raise UserError(f"the manifest's rate is {item.rate_hz} Hz, the model's {self.rate_hz} Hz")
        if self.system.get("codec_only"):
            return Request(item.id, item.task, source=self._reference(item)), None
        if item.task == "edit":
            return self._edit(item)
        if item.task == "tts":
            return self._tts(item), None
        prompt = item.wave("prompt") if item.task in ("separation", "acoustic_matching") else None
        voice = item.wave("prompt") if self.system.get("voice") else None
        if self.system.get("voice") and voice is None:
            raise UserError("no prompt in the manifest for speaker personalisation")
        return Request(
            item.id, item.task, source=item.wave("source"), transcript=self._transcript(item), prompt=prompt, voice=voice,
            voice_text=(item.row.get("prompt_text") or None) if self.system.get("voice") else None,
        ), None  # fmt: skip

    @staticmethod
    def _reference(item: Item) -> np.ndarray:
        if (wave := item.wave("reference")) is None:
            raise UserError("no reference recording to send through the codec")
        return wave

    def _transcript(self, item: Item) -> str | None:
        kind = self.system.get("transcript", "none")
        if kind == "none":
            return None
        if kind == "gold":
            text = item.text
        else:
            row = self.transcripts.get(item.id)
            if row is None or row["status"] != "ok":
                raise UserError(f"no transcript of the input: {'not transcribed' if row is None else row['status']}")
            text = row["text"]
        plain = " ".join("".join(c for c in text.lower() if c.isalnum() or c in "' ").split())
        if plain:
            tokenize([plain])  # too long is a row's failure, not its batch's
        return plain or None  # the recogniser heard nothing: there is nothing to guide by

    @staticmethod
    def _tts(item: Item) -> Request:
        from speechbase.corpus.voices import phone_count

        prompt, said = item.wave("prompt"), item.row["prompt_text"]
        if not said:
            raise UserError("the prompt has no transcript (column prompt_text)")
        seconds = phone_count(item.text) / editing.rate_of(phone_count(said), len(prompt) / item.rate_hz)
        return Request(item.id, "tts", transcript=f"{said} {item.text}", prompt=prompt, seconds=seconds)

    def _edit(self, item: Item) -> tuple[Request, editing.Edit]:
        from speechbase.corpus.voices import phone_count

        row = self.transcripts.get(item.id)
        if row is None or row["status"] != "ok":
            raise UserError("no word timings of the original (transcripts of the source are needed)")
        source = item.wave("source")
        plan = editing.plan_edit(item.row, row["words"], len(source) / item.rate_hz, phone_count)
        return edit_request(item.id, source, item.rate_hz, plan, item.text), plan


def run(manifest: Path, system: dict, models: Path, out: Path, transcripts: Path | None) -> Path:
    """Answer every item of the manifest; returns the index's path."""
    settings = Settings.of({k: v for k, v in system.items() if k not in SYSTEM_KEYS})
    items = read_items(manifest)
    heard = {row["id"]: row for row in read_jsonl(transcripts)} if transcripts else {}
    if system.get("transcript") == "asr" and not heard:
        raise UserError("a system that is guided by ASR transcripts needs --transcripts")
    pipeline = SpeechOp(models, system["model"])
    inputs = Inputs(system, pipeline, heard)
    weights = [
        read_json(models / name / "config.json")["sha256"]
        for name in (system["model"], pipeline.config.get("codec", "codec"))
    ]
    done = _finished(out)
    entries, failed = [], {}
    for item in items:
        text = json.dumps([asdict(settings), system, weights, item.row, heard.get(item.id)], sort_keys=True)
        try:
            entries.append((item, f"{seed_of(text):016x}", *inputs.request(item)))
        except UserError as error:
            failed[item.id] = str(error)
    bar = tqdm(total=len(items), desc=out.name, unit="utt", mininterval=2)
    for group in _groups(entries, settings.batch):
        missing = [item.id for item, key, _, _ in group if done.get(item.id, {}).get("key") != key]
        bar.update(len(group) - len(missing))
        if not missing:
            continue
        # The whole group again: a batch's make-up changes the last bits, and a resumed run must give the same bytes.
        started = time.perf_counter()
        waves = _answer(pipeline, [request for _, _, request, _ in group], system, settings)
        wall = (time.perf_counter() - started) / len(group)
        for (item, key, _, plan), wave in zip(group, waves):
            if item.id not in missing:
                continue
            if plan is not None:
                wave = editing.splice(item.wave("source"), wave, plan, pipeline.rate_hz)
            done[item.id] = _keep(out, item.id, wave, pipeline.rate_hz, wall, key)
            bar.update()
    bar.close()
    return _write_index(out, items, done, failed)


def _answer(pipeline: SpeechOp, requests: list[Request], system: dict, settings: Settings) -> list[np.ndarray]:
    if system.get("codec_only"):
        return [pipeline.round_trip(request.source) for request in requests]
    if chunk_s := system.get("chunk_seconds"):
        return pipeline.process_chunked(requests, settings, chunk_s)
    return pipeline.process(requests, settings)


def _groups(entries: list, size: int):
    """Batches of like requests (same parts given), of similar length so that little is padded."""

    def kind(entry):
        request = entry[2]
        return tuple(getattr(request, name) is None for name in ("transcript", "prompt", "voice", "voice_text"))

    def length(entry):
        request = entry[2]
        parts = (request.source, request.prompt, request.voice, request.left, request.right)
        return sum(len(part) for part in parts if part is not None) + (request.seconds or 0) * 16_000

    for like in sorted({kind(entry) for entry in entries}):
        alike = sorted((entry for entry in entries if kind(entry) == like), key=lambda e: (length(e), e[0].id))
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _finished(out: Path) -> dict[str, dict]:
    """What an earlier run finished, where the audio is still whole."""
    journal = out / "done.jsonl"
    if not journal.is_file():
        return {}
    rows = {row["id"]: row for row in read_jsonl(journal)}
    return {
        i: row
        for i, row in rows.items()
        if (out / row["path"]).is_file() and sha256(out / row["path"]) == row["sha256"]
    }


def _keep(out: Path, identity: str, wave: np.ndarray, rate_hz: int, wall_s: float, key: str) -> dict:
    path = out / f"{identity}.wav"
    if not np.isfinite(wave).all():
        raise UserError(
            f"the model made audio that is not finite for {identity!r}: its weights are broken; train or copy them again."
        )
    audio.write(path, wave, rate_hz, comment=MARK)
    row = {"id": identity, "path": path.name, "rate_hz": rate_hz, "seconds": round(len(wave) / rate_hz, 4),
           "wall_s": round(wall_s, 3), "sha256": sha256(path), "key": key}  # fmt: skip
    append_jsonl(out / "done.jsonl", row)
    return row


def _write_index(out: Path, items: list[Item], done: dict[str, dict], failed: dict[str, str]) -> Path:
    rows = []
    for item in items:
        if item.id in failed:
            rows.append({"id": item.id, "status": "failed", "detail": failed[item.id]})
        else:
            rows.append({**done[item.id], "status": "ok", "detail": ""})
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_text(out / "index.csv", table.to_csv(index=False))
    return out / "index.csv"


@plain_errors
def main(
    manifest: Annotated[Path, typer.Option(help="the test set's table")],
    system: Annotated[
        str, typer.Option(help="JSON: model, transcript (none, asr, gold), composition, voice, gamma, steps, ...")
    ],
    models: Annotated[Path, typer.Option(help="folder that holds codec/ and the model")],
    out: Annotated[Path, typer.Option(help="folder for the audio and index.csv")],
    transcripts: Annotated[
        Path | None, typer.Option(help="JSON lines with the input's transcripts (ITC, editing)")
    ] = None,
) -> None:
    """Run one composition of SpeechOp over a test set; interrupted runs go on."""
    try:
        values = json.loads(system)
    except json.JSONDecodeError as error:
        raise UserError(f"--system is not valid JSON ({error})") from None
    index = run(manifest, values, models, out, transcripts)
    typer.echo(f"wrote {index}")


if __name__ == "__main__":
    typer.run(main)
