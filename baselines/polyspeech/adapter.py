"""PolySpeech as a system: items of a test set to text, labels or audio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.polyspeech.layout import NAMING
from baselines.polyspeech.pipeline import MARK, PolySpeech, Sampling, Written
from speechbase import audio
from speechbase.files import UserError, seed_of
from speechbase.items import UNKNOWN, Item
from speechbase.settings import checked
from speechbase.systems.contract import Answer, Baseline, fit_length
from speechbase.tokens.sampling import Drawing

NOTHING = "nothing was heard"  # of silence, or of less than a frame
PARTS = ("lm", "semantic", "tokens", "decoder", "codec")


class Adapter(Baseline):
    """Batches of items of one task; an item's draws depend on its own seed alone."""

    mark = MARK

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        how = self.settings
        drawn = {name: checked(Drawing, how[name], f"{self.name}, {name}") for name in ("speech", "further")}
        own = {name: how[name] for name in ("phone_seconds", "sure")}
        self.sampling = checked(Sampling, drawn | own, self.name)
        self.batch = int(how["batch"])

    def load(self, device: str) -> None:
        """All models; errors as `PolySpeech`."""
        names = {part: self.settings[part] for part in PARTS}
        self.polyspeech = PolySpeech(Path(self.models_dir), **names, device=device, sampling=self.sampling)

    def likeness(self, item: Item) -> tuple:
        """The task, and the length of what is heard and said."""
        return (item.task,), float(item.row.get("seconds") or 0), len(item.text)

    def answer(self, items: Sequence[Item]) -> list[Answer]:
        """Text, a label, or audio; speech that came to no end is a row that says so."""
        task = items[0].task
        if task == "tts":
            return self._resynthesised(items) if self.settings["resynthesis"] else self._spoken(items)
        waves = [self._heard(item, "source") for item in items]
        if task in NAMING:
            return [self._named(task, item, found) for item, found in zip(items, self.polyspeech.name(task, waves))]
        return [Answer(text=one.text, detail=_told(one)) for one in self.polyspeech.recognise(waves)]

    def _named(self, task: str, item: Item, found) -> Answer:
        known = self.polyspeech.labels[task]
        if item.row["label"] not in (*known, UNKNOWN):
            raise UserError(
                f"{item.id} is labelled {item.row['label']!r}, and the model was trained on {', '.join(known)}: take a "
                "test set of those labels, or train on the others."
            )
        shares = ", ".join(f"{label} {share:.3f}" for label, share in found.probabilities.items())
        why = "" if found.label != UNKNOWN else ("no label is sure: " if shares else NOTHING)
        return Answer(label=found.label, detail=why + shares)

    def _spoken(self, items: Sequence[Item]) -> list[Answer]:
        seeds = [seed_of(self.seed, "polyspeech", item.id) for item in items]
        voices = [self._heard(item, "prompt") for item in items]
        answers = []
        for said in self.polyspeech.speak_all([item.text for item in items], voices, seeds):
            detail = f"{said.frames} tokens drawn, ended by: {said.reason}"
            answers.append(
                Answer(said.wave, said.rate_hz, detail=detail)
                if said.reason == "end"
                else Answer(status="no_end", detail=detail)
            )
        return answers

    def _resynthesised(self, items: Sequence[Item]) -> list[Answer]:
        """The reference through the tokens and back, in the voice of the prompt."""
        answers = []
        for item in items:
            wave = self._heard(item, "reference")
            made = self.polyspeech.resynthesised(wave, self._heard(item, "prompt"))
            answers.append(Answer(fit_length(made, len(wave), self.polyspeech.rate_hz), self.polyspeech.rate_hz))
        return answers

    def _heard(self, item: Item, column: str) -> np.ndarray:
        return audio.resample(item.wave(column), item.rate_hz, self.polyspeech.rate_hz)


def _told(written: Written) -> str:
    if not written.ended:
        return "the text came to no end and was cut"
    if written.text:
        return ""
    return "no words were made out" if written.audible else NOTHING
