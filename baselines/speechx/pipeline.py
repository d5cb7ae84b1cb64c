"""SpeechX on audio: `SpeechX(models).enhance(wave, text)` and its other tasks, one call each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from baselines.speechx.generate import Job, Output, generate
from baselines.speechx.layout import Request
from baselines.speechx.network import build_network
from baselines.speechx.settings import NetworkConfig
from baselines.speechx.trainee import check_codes, token_record
from speechbase import editing
from speechbase.codec.loading import load_token_codec
from speechbase.files import UserError
from speechbase.settings import Settings, checked
from speechbase.shipped import TOKEN_MODELS, find
from speechbase.texts import check_text
from speechbase.tokens.coded import CodedAudio, Result
from speechbase.tokens.generation import Length, speech_length
from speechbase.tokens.sampling import Drawing
from speechbase.training import checkpoint

TINY = 1e-6  # frames: decimal seconds are no exact multiples of a frame
NEW_SECONDS = 30.0  # the longest new part of an edit
MARK = "Synthetic speech: made or processed by SpeechX (replication)"  # in every result's metadata


class Sampling(Settings):
    """How outputs are drawn; for the tasks that follow a source, narrower.

    Attributes:
        speech: of TTS and edits. aligned: of noise suppression, speech removal and target extraction.
        further: of a frame's codes after its first, in all tasks.
        phone_seconds: longest that a phoneme of TTS may be (VALL-E's public code: 16 frames at 75 Hz).
        free_length: outputs of the aligned tasks end where the model says so, at most at the source's end.
    """

    speech: Drawing = Drawing(top_p=0.8, repeats=0.1)
    aligned: Drawing = Drawing(temperature=0.5, top_k=5)
    further: Drawing = Drawing(temperature=0.0)
    phone_seconds: float = 0.225
    free_length: bool = False


class SpeechX:
    """Both transformers and the token codec.

    Args:
        models: a scale whose weights ship, or the folder with the models' folders.
        codec, speaking, refining: their names.

    Raises:
        UserError: missing or broken weights, or weights that do not belong together.
    """

    def __init__(
        self,
        models: str | Path = TOKEN_MODELS,
        codec: str = "codec_tokens",
        speaking: str = "speechx_ar",
        refining: str = "speechx_nar",
        device: str = "cpu",
        sampling: Sampling | None = None,
    ):
        models = find(models)
        self.device, self.sampling = device, sampling or Sampling()
        self.codec = load_token_codec(models / codec).to(device)
        self.rate_hz, self.levels = self.codec.rate_hz, self.codec.quantiser.levels
        record = token_record(models / codec)
        self.speaking = self._network(checkpoint.folder_of(models, speaking), record, "speechx_ar")
        self.refining = self._network(checkpoint.folder_of(models, refining), record, "speechx_nar")
        if self.speaking.said < self.refining.said:
            raise UserError(
                f"{refining} makes the levels above {self.refining.said}, but {speaking} says only "
                f"{self.speaking.said}: put models together that were trained for each other."
            )
        self.audio = CodedAudio(self.codec, self.speaking.lm.config.window, device)

    def _network(self, folder: Path, record: dict, kind: str):
        tensors, config = checkpoint.read_model(folder)
        if config.get("kind") != kind:
            raise UserError(f"{folder} holds a model of the kind {config.get('kind')!r}, where {kind} is needed.")
        check_codes(config, record, folder)
        with checkpoint.building(folder):
            sizes = checked(NetworkConfig, config["network"], "network")
            network = build_network(config["kind"], self.codec.quantiser.codewords, sizes)
        checkpoint.load_into(network, tensors, folder)
        return network.to(self.device).eval().requires_grad_(False)

    # -- one recording, of any level -------------------------------------------------------------------------------

    def enhance(self, wave: np.ndarray, text: str | None = None, seed: int = 0) -> Result:
        """Speech without its noise: float32 [s] at `rate_hz`, as long as it was; with its transcript, better so."""
        return self._aligned("ns", wave, text, None, seed)

    def remove_speech(self, wave: np.ndarray, text: str | None = None, seed: int = 0) -> Result:
        """The background without the speech."""
        return self._aligned("sr", wave, text, None, seed)

    def extract(self, wave: np.ndarray, prompt: np.ndarray, text: str | None = None, seed: int = 0) -> Result:
        """One speaker of a mixture, by a prompt of the same voice."""
        return self._aligned("tse", wave, text, prompt, seed)

    def _aligned(self, task: str, wave: np.ndarray, text: str | None, prompt: np.ndarray | None, seed: int) -> Result:
        said = None if text is None else check_text(text, "The text")
        heard, gain = self.audio.levelled(wave, "The source")
        voice = None if prompt is None else self.audio.levelled(prompt, "The prompt")[0]
        result = self.process([self.aligned(task, heard, said, voice, seed=seed)])[0]
        return replace(result, wave=_quieter(result.wave[: len(wave)], gain))

    def speak(self, text: str, prompt: np.ndarray, seed: int = 0) -> Result:
        """A text in the prompt's voice."""
        said, (voice, _) = check_text(text, "The text"), self.audio.levelled(prompt, "The prompt")
        return self.process([self.tts(said, voice, seed=seed)])[0]

    def edit(self, wave: np.ndarray, edit: editing.Edit, text: str, *, noisy: bool = False, seed: int = 0) -> Result:
        """The recording with new speech in the place of some.

        Args:
            edit: where (seconds), and how long the new part is.
            text: of the whole recording after the edit.
            noisy: its background goes on through the edit.
        """
        said, (heard, gain) = check_text(text, "The text"), self.audio.levelled(wave, "The recording")
        job, plan = self.edited(heard, edit, said, noisy=noisy, seed=seed)
        result = self.process([job])[0]
        return replace(result, wave=self.spliced(wave, _quieter(result.wave, gain), plan))

    # -- jobs, of audio at the corpora's level ---------------------------------------------------------------------

    def aligned(
        self,
        task: str,
        wave: np.ndarray,
        text: str | None,
        prompt: np.ndarray | None = None,
        *,
        seed: int,
        sign: str | None = None,
    ) -> Job:
        """A job of noise suppression, speech removal or target extraction; errors as `CodedAudio`."""
        source = self.audio.frames(wave, "The source").cpu()
        heard = None if prompt is None else self.audio.prompt(prompt, "The prompt").cpu()
        length = Length(len(source)) if not self.sampling.free_length else Length(most=len(source), cut="source")
        return Job(
            Request(task, text, heard, source, sign=sign), length, self.sampling.aligned, seed, self.sampling.further
        )

    def tts(self, text: str, prompt: np.ndarray, *, seed: int) -> Job:
        """A job of zero-shot TTS; at least a frame a phoneme, at most `phone_seconds`."""
        length = speech_length(text, self.rate_hz / self.codec.hop, self.sampling.phone_seconds)
        heard = self.audio.prompt(prompt, "The prompt").cpu()
        return Job(Request("tts", text, heard), length, self.sampling.speech, seed, self.sampling.further)

    def edited(
        self, wave: np.ndarray, edit: editing.Edit, text: str, *, noisy: bool, seed: int
    ) -> tuple[Job, editing.Edit]:
        """A job of editing, and its plan in whole frames.

        Raises:
            UserError: as `CodedAudio`, an edit outside of the recording, or of nothing.
        """
        self.audio.check(wave, "The recording")
        seconds, hop_s = len(wave) / self.rate_hz, self.codec.hop / self.rate_hz
        if edit.start > edit.stop:
            raise UserError(f"The edit from {edit.start:g} to {edit.stop:g} s ends before it begins.")
        if not 0 <= edit.start <= edit.stop <= seconds + hop_s:
            raise UserError(
                f"The edit from {edit.start:g} to {edit.stop:g} s lies outside of the recording of {seconds:.2f} s."
            )
        if not 0 <= edit.seconds <= NEW_SECONDS:
            raise UserError(f"{edit.seconds:g} s of new speech: 0 to {NEW_SECONDS:.0f} s are made at once.")
        if edit.stop == edit.start and not edit.seconds:
            raise UserError("The edit takes nothing out and puts nothing in: give another end, or seconds to add.")
        source = self.audio.frames(wave, "The recording").cpu()
        first = math.floor(edit.start / hop_s + TINY)
        last = min(len(source), math.ceil(edit.stop / hop_s - TINY))
        start, stop = first * hop_s, min(seconds, last * hop_s)  # whole frames; nothing behind them moves by that
        made = max(0.0, edit.seconds + (stop - start) - (edit.stop - edit.start))
        new = max(1, math.ceil(made / hop_s - TINY))
        request = Request("edit_noisy" if noisy else "edit", text, source=source, span=(first, last, new))
        plan = editing.Edit(start, stop, made)
        return Job(request, Length(new, "edit"), self.sampling.speech, seed, self.sampling.further), plan

    # -- batches ---------------------------------------------------------------------------------------------------

    def process(self, jobs: Sequence[Job]) -> list[Result]:
        """Audio of a batch of jobs. Raises: UserError: an item is longer than the models' window."""
        outputs = generate(self.speaking, self.refining, jobs, self.levels)
        return [self._result(output) for output in outputs]

    def _result(self, output: Output) -> Result:
        return Result(self.audio.wave(output.codes), self.rate_hz, output.reason, output.drawn)

    def spliced(self, wave: np.ndarray, made: np.ndarray, plan: editing.Edit) -> np.ndarray:
        """The recording with its new part out of the output `made`, cross-faded at both ends."""
        fade = int(editing.FADE_SECONDS * self.rate_hz)
        start = round(plan.start * self.rate_hz)
        stop = start + round(plan.seconds * self.rate_hz)
        padded = np.pad(made, fade)
        return editing.splice(wave, padded[start : stop + 2 * fade], plan, self.rate_hz)


def _quieter(wave: np.ndarray, gain: float) -> np.ndarray:
    """Audio [s] without a gain, within full scale."""
    return (wave / np.float32(gain)).clip(-1, 1)
