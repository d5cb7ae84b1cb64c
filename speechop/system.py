"""SpeechOp under one composition as a system: `python -m speechop.system --help`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from speechbase import editing
from speechbase.codec import build_codec
from speechbase.commands import command_line, json_object
from speechbase.files import UserError, read_json, read_jsonl
from speechbase.items import Item
from speechbase.settings import checked, value_of
from speechbase.systems.contract import Answer
from speechbase.systems.contract import System as Contract
from speechbase.systems.runner import run_manifest
from speechbase.texts import spoken
from speechop import MARK
from speechop.model.loading import check_current
from speechop.model.text import tokenize
from speechop.pipeline import SpeechOp
from speechop.request import Request, edit_request
from speechop.settings import Composed, DiffusionModel, System
from speechop.tasks import TABLE9
from speechop.transcripts import Line, Trust, judged


class ComposedSpeechOp(Contract):
    """SpeechOp's answers under one composition.

    Args:
        settings: an entry of `workflow/systems.yaml` (`speechop.settings.System`), over what comes with the weights.
        models: the folder that holds the codec and the model.
        transcripts: by item, what a recogniser heard in the source (ITC), or the words' times (editing).
    """

    tasks = (*TABLE9, "edit")
    mark = MARK

    def __init__(self, name: str, settings: dict, models: Path, transcripts: dict[str, dict] | None = None):
        self.name, self.given, self.models, self.transcripts = name, settings, models, transcripts or {}
        model = checked(System, settings, name).model
        network = read_json(models / model / "config.json")
        check_current(network, models / model)
        self.how = checked(System, network["sampling"] | settings, name)
        if self.how.transcript == "asr" and not self.transcripts:
            raise UserError("a system that is guided by ASR transcripts needs --transcripts")
        codec = value_of(DiffusionModel, network, "codec")
        self.weights = {model: network, codec: read_json(models / codec / "config.json")}
        with torch.device("meta"):  # its rate, without its weights
            self.rate_hz = build_codec(self.weights[codec]["network"]).rate_hz
        self.batch = self.how.batch
        self._check_confidences()
        self._prepared: dict[str, tuple[Request, editing.Edit | None]] = {}

    def _check_confidences(self) -> None:
        """Refuse (UserError) transcripts without confidences where these decide how far a transcript guides."""
        if self.how.trust and self.how.transcript == "asr":
            for row in self.transcripts.values():
                if row["status"] == "ok":
                    _weighed(row, self.how.trust)

    def load(self, device: str) -> None:
        """Load codec and network."""
        self.pipeline = SpeechOp(self.models, self.how.model, device)

    def identity(self) -> object:
        """Composition, sampling settings and the checksums of the weights."""
        how = {name: value for name in Composed.model_fields if (value := getattr(self.how, name)) is not None}
        if self.how.trust:
            how["trust"] = self.how.trust.model_dump()
        return [self.given, how, [config["sha256"] for config in self.weights.values()]]

    def evidence(self, item: Item) -> object:
        """The item's transcript."""
        return self.transcripts.get(item.id)

    def likeness(self, item: Item) -> tuple:
        """Which parts a request has, and how long it is."""
        request, _ = self._prepared[item.id] = self.request(item)
        parts = (request.source, request.prompt, request.voice, request.left, request.right)
        length = sum(len(part) for part in parts if part is not None) + (request.seconds or 0) * 16_000
        kind = (getattr(request, name) is None for name in ("transcript", "prompt", "voice", "voice_text"))
        return (*kind, request.gamma or 0.0), length

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """Audio at the codec's rate; an edit's new part is pasted into its recording."""
        requests, plans = zip(*(self._prepared[item.id] for item in items))
        waves = self._process(requests) if plans[0] is None else self._edited(items, requests, plans)
        return [Answer(wave, self.rate_hz) for wave in waves]

    def _edited(
        self, items: Sequence[Item], requests: Sequence[Request], plans: Sequence[editing.Edit]
    ) -> list[np.ndarray]:
        """Recordings with their new parts, enhanced first where the system is `denoised`."""
        heard = [item.wave("source") for item in items]
        if self.how.denoised:
            heard = self._process([Request(item.id, "enhancement", source=wave) for item, wave in zip(items, heard)])
            parts = zip(items, heard, plans)
            requests = [edit_request(item.id, wave, self.rate_hz, plan, item.text) for item, wave, plan in parts]
        return [
            editing.splice(wave, made, plan, self.rate_hz)
            for wave, made, plan in zip(heard, self._process(requests), plans)
        ]

    def _process(self, requests: Sequence[Request]) -> list[np.ndarray]:
        if self.how.codec_only:
            return [self.pipeline.round_trip(request.source) for request in requests if request.source is not None]
        if isinstance(chunk_s := self.how.chunk_seconds, float | int):
            return self.pipeline.process_chunked(requests, self.how, chunk_s)
        return self.pipeline.process(requests, self.how)

    # -- items to requests -----------------------------------------------------------------------------------------

    def request(self, item: Item) -> tuple[Request, editing.Edit | None]:
        """The request of an item, and for an edit its plan.

        Raises:
            UserError: a missing transcript, prompt or file.
        """
        if item.rate_hz != self.rate_hz:
            raise UserError(f"the manifest's rate is {item.rate_hz} Hz, the model's {self.rate_hz} Hz")
        if self.how.codec_only:
            return Request(item.id, item.task, source=item.wave("reference")), None
        if item.task == "edit":
            return self._edit(item)
        if item.task == "tts":
            return self._tts(item), None
        prompt = item.wave("prompt") if item.task in ("separation", "acoustic_matching") else None
        voice = item.wave("prompt") if self.how.voice else None
        transcript, gamma = self._transcript(item)
        return Request(
            item.id,
            item.task,
            source=item.wave("source"),
            transcript=transcript,
            gamma=gamma,
            prompt=prompt,
            voice=voice,
            voice_text=(item.row.get("prompt_text") or None) if self.how.voice else None,
        ), None

    def _transcript(self, item: Item) -> tuple[str | None, float | None]:
        """What guides an item, and how strongly where the recogniser's confidence decides that."""
        kind, gamma = self.how.transcript, None
        if kind == "none":
            return None, None
        if kind == "gold":
            text = item.text
        else:
            row = self.transcripts.get(item.id)
            if row is None or row["status"] != "ok":
                raise UserError(f"no transcript of the input: {'not transcribed' if row is None else row['status']}")
            text = row["text"]
            if self.how.trust:
                line = _weighed(row, self.how.trust)
                text, gamma = line.guide or "", line.gamma
        plain = spoken(text)
        if plain:
            tokenize([plain])  # too long is a row's failure, not its batch's
        return plain or None, gamma  # the recogniser heard nothing: there is nothing to guide by

    @staticmethod
    def _tts(item: Item) -> Request:
        from speechbase.corpus.phones import phone_count

        prompt, said = item.wave("prompt"), item.row["prompt_text"]
        if not said:
            raise UserError("the prompt has no transcript (column prompt_text)")
        seconds = phone_count(item.text) / editing.rate_of(phone_count(said), len(prompt) / item.rate_hz)
        return Request(item.id, "tts", transcript=f"{said} {item.text}", prompt=prompt, seconds=seconds)

    def _edit(self, item: Item) -> tuple[Request, editing.Edit]:
        from speechbase.corpus.phones import phone_count

        row = self.transcripts.get(item.id)
        if row is None or row["status"] != "ok":
            raise UserError("no word timings of the original (transcripts of the source are needed)")
        source = item.wave("source")
        plan = editing.plan_edit(item.row, row["words"], len(source) / item.rate_hz, phone_count)
        return edit_request(item.id, source, item.rate_hz, plan, item.text), plan


def _weighed(row: dict, trust: Trust) -> Line:
    """A transcript as far as its confidences let it guide; errors as `Trust.weigh`."""
    return trust.weigh(judged(row, Line(0.0, 1.0, ""), 0.0, min_confidence=0.0))


def run(
    manifest: Annotated[Path, typer.Option(help="the test set's table")],
    system: Annotated[
        dict,
        json_object("--system", "model, transcript (none, asr, gold), composition, voice, gamma, steps, ..."),
    ],
    models: Annotated[Path, typer.Option(help="folder that holds codec/ and the model")],
    out: Annotated[Path, typer.Option(help="folder for the audio and index.csv")],
    transcripts: Annotated[
        Path | None, typer.Option(help="JSON lines with the input's transcripts (ITC, editing)")
    ] = None,
) -> None:
    """Run one composition of SpeechOp over a test set; interrupted runs go on."""
    heard = {row["id"]: row for row in read_jsonl(transcripts)} if transcripts else {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run_manifest(ComposedSpeechOp(out.name, system, models, heard), manifest, out, device)
    typer.echo(f"wrote {out / 'index.csv'}")


main = command_line(run)

if __name__ == "__main__":
    raise SystemExit(main())
