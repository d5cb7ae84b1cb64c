"""SpeechX as a system: items of a test set to requests, answers with how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.speechx.generate import Job
from baselines.speechx.layout import ALIGNED
from baselines.speechx.pipeline import MARK, Sampling, SpeechX
from speechbase import audio, editing
from speechbase.files import UserError, did_you_mean, seed_of
from speechbase.items import Item
from speechbase.settings import checked
from speechbase.systems.contract import Answer, Baseline, fit_length
from speechbase.tokens.coded import Result
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.sequences import text_bytes

TASKS = {"enhancement": "ns", "noise_isolation": "sr", "separation": "tse"}
CHOICES = {"transcript": ("none", "gold", "asr"), "editing": ("context", "paste", "denoised"), "sign": ("", *ALIGNED)}


class Adapter(Baseline):
    """Batches of items of one task; an item's draws depend on its own seed alone."""

    mark = MARK

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        how = self.settings
        for key, known in CHOICES.items():
            if how[key] not in known:
                hint = did_you_mean(str(how[key]), known)
                raise UserError(
                    f"{self.name}: {key} is {how[key]!r}{hint}; it may be {', '.join(filter(None, known))}."
                )
        drawn = {name: checked(Drawing, how[name], f"{self.name}, {name}") for name in ("speech", "aligned", "further")}
        own = {name: how[name] for name in ("phone_seconds", "free_length")}
        self.sampling = checked(Sampling, drawn | own, self.name)
        self.batch = int(how["batch"])

    def load(self, device: str) -> None:
        """Both transformers and the token codec; errors as `SpeechX`."""
        names = {"codec": self.settings["codec"], "speaking": self.settings["ar"], "refining": self.settings["nar"]}
        self.speechx = SpeechX(Path(self.models_dir), **names, device=device, sampling=self.sampling)

    def likeness(self, item: Item) -> tuple:
        """The task, and the length of what is heard and said."""
        seconds = float(item.row.get("seconds") or 0)
        return (item.task,), seconds, len(item.text)

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """Audio at the codec's rate; speech that came to no end is a row that says so."""
        if items[0].task == "edit":
            return self._edits(items)
        results = self._drawn(items, 0)
        for again in range(1, int(self.settings["samples"]) if items[0].task == "tts" else 1):
            results = [_shorter(*pair) for pair in zip(results, self._drawn(items, again))]
        return [self._answer(item, result) for item, result in zip(items, results)]

    def _drawn(self, items: Sequence[Item], again: int) -> list[Result]:
        return self.speechx.process([self._job(item, again) for item in items])

    def _answer(self, item: Item, result: Result) -> Answer:
        detail = f"{result.frames} frames drawn, ended by: {result.reason}"
        if result.reason == "limit":
            return Answer(status="no_end", detail=detail)
        wave = result.wave
        if item.task in TASKS:
            wave = self._as_long(wave, len(self._heard(item, "source")), result.rate_hz)
        return Answer(wave, result.rate_hz, detail=detail)

    def _as_long(self, wave: np.ndarray, samples: int, rate_hz: int) -> np.ndarray:
        """Output at its source's length; what came to its own end before goes on in silence."""
        if self.sampling.free_length:
            wave = np.pad(wave, (0, max(0, samples - len(wave))))
        return fit_length(wave, samples, rate_hz)

    def _job(self, item: Item, again: int = 0) -> Job:
        """An item's job. Raises: UserError: a transcript or a recording is missing."""
        if item.task == "tts":
            return self.speechx.tts(item.text, self._heard(item, "prompt"), seed=self._seed(item, again))
        prompt = self._heard(item, "prompt") if item.task == "separation" else None
        wave, sign = self._heard(item, "source"), self.settings["sign"] or None
        return self.speechx.aligned(
            TASKS[item.task], wave, self._text(item), prompt, seed=self._seed(item, again), sign=sign
        )

    def _seed(self, item: Item, again: int = 0) -> int:
        return seed_of(self.seed, "speechx", item.id, *([again] if again else []))

    def _edits(self, items: Sequence[Item]) -> list[Answer]:
        """Edited recordings: by the model in context, in a recording denoised first, or by pasted speech."""
        waves, how = [self._heard(item, "source") for item in items], self.settings["editing"]
        margin = 0.0 if how == "paste" else editing.MARGIN_SECONDS
        plans = [self._plan(item, len(wave), margin) for item, wave in zip(items, waves)]
        if how == "denoised":
            jobs = [self.speechx.aligned("ns", wave, None, seed=self._seed(item)) for item, wave in zip(items, waves)]
            waves = [made.wave[: len(wave)] for made, wave in zip(self.speechx.process(jobs), waves)]
        if how == "paste":
            return [self._pasted(*parts) for parts in zip(items, waves, plans)]
        edits = [
            self.speechx.edited(
                wave,
                plan,
                item.text,
                noisy=how == "context" and bool(item.row.get("snr_db")),
                seed=self._seed(item),
            )
            for item, wave, plan in zip(items, waves, plans)
        ]
        results = self.speechx.process([job for job, _ in edits])
        return [
            Answer(
                self.speechx.spliced(wave, result.wave, plan), result.rate_hz, detail=f"{result.frames} frames drawn"
            )
            for wave, (_, plan), result in zip(waves, edits, results)
        ]

    def _pasted(self, item: Item, wave: np.ndarray, plan: editing.Edit) -> Answer:
        """New words spoken by TTS, without their context, in the old ones' place."""
        words = item.text.split()
        first, last = editing.parse_span(item.row["new_span"])
        kind, rate_hz = item.row["edit_type"], self.speechx.rate_hz
        made = Result(np.zeros(0, np.float32), rate_hz, "nothing to say", 0)
        if kind != "deletion":
            job = self.speechx.tts(
                " ".join(words[first : last + 1]), self._heard(item, "prompt"), seed=self._seed(item)
            )
            made = self.speechx.process([job])[0]
        if made.reason == "limit":
            return self._answer(item, made)
        middle = np.pad(made.wave, int(editing.FADE_SECONDS * rate_hz))
        return Answer(editing.splice(wave, middle, plan, rate_hz), rate_hz, detail=f"{made.frames} frames drawn")

    def _heard(self, item: Item, column: str) -> np.ndarray:
        wave = item.wave(column)
        if wave is None:
            raise UserError(f"{item.id} has no {column} recording.")
        return audio.resample(wave, item.rate_hz, self.speechx.rate_hz)

    def _text(self, item: Item) -> str | None:
        """The words that the task is told; nothing where a recogniser heard none."""
        if self.settings["transcript"] == "none":
            return None
        text = item.text if self.settings["transcript"] == "gold" else self._row(item)["text"]
        if self.settings["transcript"] == "asr" and not any(map(str.isalnum, text)):
            return None
        text_bytes(text)  # too long or without letters is a row's failure, not its batch's
        return text

    def _plan(self, item: Item, samples: int, margin: float) -> editing.Edit:
        from speechbase.corpus.phones import phone_count

        words, seconds = self._row(item)["words"], samples / self.speechx.rate_hz
        return editing.plan_edit(item.row, words, seconds, phone_count, margin)

    def _row(self, item: Item) -> dict:
        row = self.transcripts.get(item.id)
        if row is None or row["status"] != "ok":
            raise UserError(f"no transcript of the input: {'not transcribed' if row is None else row['status']}")
        return row

    def evidence(self, item: Item) -> object:
        """The item's transcript."""
        return self.transcripts.get(item.id)


def _shorter(one: Result, other: Result) -> Result:
    """The shorter of two outputs that came to an end; the first where neither did."""
    ended = [result for result in (one, other) if result.reason != "limit"]
    return min(ended, key=lambda result: result.frames) if ended else one
