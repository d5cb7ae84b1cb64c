"""SpeechOp as a library: `SpeechOp.from_pretrained("nano").enhance(wave, rate_hz, transcript="...")`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speechbase import audio, editing
from speechbase.codec.loading import load_codec
from speechbase.files import UserError, seed_of
from speechop.compose import Conditions, Settings, expression
from speechop.model.evaluator import NetworkEvaluator
from speechop.model.loading import load_network
from speechop.sampler import Noise, sample

PRETRAINED = files("speechbase") / "pretrained"
MIN_SECONDS, WINDOW_SECONDS, OVERLAP_SECONDS = 0.2, 10.0, 1.0


@dataclass
class Request:
    """One utterance to make: audio at the model's rate, texts, and for TTS and editing the free part's duration.

    `source` [s]; `prompt` [p] the clean prompt that the task needs (TTS, separation, acoustic matching); `voice` [p] a prompt
    for personalisation; `left`, `right` given audio around an edit; `seconds` length of the free part where no source sets it.
    """

    id: str
    task: str
    source: np.ndarray | None = None
    transcript: str | None = None
    prompt: np.ndarray | None = None
    voice: np.ndarray | None = None
    voice_text: str | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    seconds: float | None = None


class SpeechOp:
    """A codec and a network, ready to process speech.

    Args:
        folder: holds one folder a model, `codec/` and the network's.
        model: which network: `multitask` (SpeechOp) or another folder's name (`tts`: the stage-1 baseline).
    """

    def __init__(self, folder: str | Path, model: str = "multitask", device: str | None = None):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        folder = Path(folder)
        self.network, self.config = load_network(folder / model)
        self.codec = load_codec(folder / self.config.get("codec", "codec")).to(self.device)
        self.network.to(self.device)
        self.rate_hz = self.codec.rate_hz

    @classmethod
    def from_pretrained(cls, name: str = "nano", model: str = "multitask", device: str | None = None) -> SpeechOp:
        """Load weights that ship with the package (by scale) or from a folder of models.

        Raises:
            UserError: no such weights; the message lists those there are.
        """
        shipped = Path(str(PRETRAINED / name))
        folder = shipped if shipped.is_dir() else Path(name)
        if not (folder / model).is_dir():
            have = sorted(p.name for p in Path(str(PRETRAINED)).glob("*")) if Path(str(PRETRAINED)).is_dir() else []
            raise UserError(
                f"There is no model {model!r} in {folder}; weights that ship: {', '.join(have) or 'none'}. "
                "Name one of them, or a folder that holds codec/ and the model."
            )
        return cls(folder, model, device)

    # -- batches of requests ---------------------------------------------------------------------------------------

    @torch.inference_mode()
    def process(self, requests: Sequence[Request], settings: Settings, progress: str | None = None) -> list[np.ndarray]:
        """Answer requests of one kind (same task, same parts given) as one batch: float32 audio at `rate_hz` each.

        A request's result does not depend on the others: noise is seeded by (settings.seed, id).
        """
        requests = [self._paused(request, settings.prompt_pause_s) for request in requests]
        first = requests[0]
        frames = [self._frames(request) for request in requests]
        model = NetworkEvaluator(self.network, frames, precision=settings.precision)
        noise = Noise([seed_of(settings.seed, r.id) for r in requests], frames, self.codec.latent_dim, self.device)
        composed = expression(model, self._conditions(requests, first.task), settings)
        latents = sample(composed, noise, settings.sampling, progress=progress)
        return [self._decode(request, latents[i, : frames[i]]) for i, request in enumerate(requests)]

    def process_chunked(self, requests: Sequence[Request], settings: Settings, seconds: float) -> list[np.ndarray]:
        """As `process`, with each source cut into padded chunks that are processed on their own (Appendix F)."""
        size = int(seconds * self.rate_hz)
        outputs = []
        for request in requests:
            padded = np.pad(request.source, (0, -len(request.source) % size))
            chunks = [
                replace(request, id=f"{request.id}#{number}", source=part)
                for number, part in enumerate(padded.reshape(-1, size))
            ]
            outputs.append(np.concatenate(self.process(chunks, settings))[: len(request.source)])
        return outputs

    def _paused(self, request: Request, seconds: float) -> Request:
        """The request with its TTS or voice prompt followed by a pause, as between training's sentences."""
        pause = np.zeros(int(seconds * self.rate_hz), np.float32)
        if request.task == "tts":
            return replace(request, prompt=np.concatenate([request.prompt, pause]))
        return request if request.voice is None else replace(request, voice=np.concatenate([request.voice, pause]))

    def _frames(self, request: Request) -> int:
        if request.source is not None and request.task != "edit":
            return self.codec.frames(len(request.source))
        return max(1, round(request.seconds * self.rate_hz / self.codec.hop))

    def _encode(self, wave: np.ndarray) -> Tensor:
        return self.codec.encode(torch.from_numpy(wave)[None].to(self.device), chunk_frames=400)[0]

    @torch.inference_mode()
    def round_trip(self, wave: np.ndarray) -> np.ndarray:
        """Audio [s] at `rate_hz` through the codec and back: the ceiling of everything that this codec decodes."""
        decoded = self.codec.decode(self._encode(wave)[None], chunk_frames=400)[0]
        return decoded[: len(wave)].float().cpu().numpy()

    def _conditions(self, requests: Sequence[Request], task: str) -> Conditions:
        def each(take: Callable[[Request], object]):
            values = [take(request) for request in requests]
            if all(value is None for value in values):
                return None
            if any(value is None for value in values):
                raise ValueError("the requests of a batch must have the same parts")
            return [self._encode(v) if isinstance(v, np.ndarray) else v for v in values]

        voiced = all(request.voice_text for request in requests)
        return Conditions(
            task=task,
            source=each(lambda r: r.source if task != "edit" else None),
            transcript=each(lambda r: r.transcript),
            left=each(lambda r: r.left if task == "edit" else r.prompt),
            right=each(lambda r: r.right),
            voice=each(lambda r: r.voice),
            voice_transcript=each(lambda r: f"{r.voice_text} {r.transcript}" if voiced and r.transcript else None),
        )

    def _decode(self, request: Request, latents: Tensor) -> np.ndarray:
        """Audio of the free frames; given context is decoded along, so that the joint is smooth, and cut off again."""
        pieces, skip = [latents], 0
        for side, place in ((request.left if request.task == "edit" else request.prompt, 0), (request.right, 1)):
            if side is not None and request.task in ("tts", "edit"):
                given = self._encode(side)
                pieces.insert(0 if place == 0 else len(pieces), given)
                skip = len(given) * self.codec.hop if place == 0 else skip
        wave = self.codec.decode(torch.cat(pieces)[None], chunk_frames=400)[0].float().cpu().numpy()
        fade = int(editing.FADE_SECONDS * self.rate_hz) if request.task == "edit" else 0
        length = len(latents) * self.codec.hop
        if request.source is not None and request.task != "edit":
            length = len(request.source)
        wave = np.pad(wave, fade)[skip : skip + length + 2 * fade]
        return np.ascontiguousarray(wave, np.float32)

    # -- one file at a time ----------------------------------------------------------------------------------------

    def enhance(
        self, wave: np.ndarray, rate_hz: int, *, transcript: str | None = None, voice: np.ndarray | None = None,
        voice_text: str | None = None, transcribe: Callable[[np.ndarray, int], str] | None = None, **settings,
    ) -> np.ndarray:  # fmt: skip
        """Enhance speech [s] at any rate: same rate and length out.

        Args:
            transcript: what is said, to guide by (TC-CFG, Eq. 4).
            transcribe: a recogniser (samples, rate) -> text: implicit task composition; each window is transcribed.
            voice: clean speech of the speaker [p] at the same rate (personalisation); voice_text: its words.
            settings: fields of `speechop.compose.Settings`, over those that come with the weights.
        """
        return self._windows(
            "enhancement", wave, rate_hz, transcript, transcribe, settings, voice=voice, voice_text=voice_text
        )

    def separate(
        self, wave, rate_hz: int, prompt: np.ndarray, *, transcript=None, transcribe=None, **settings
    ) -> np.ndarray:
        """The speech of the speaker heard in `prompt` [p] out of a mixture [s]; see `enhance`."""
        return self._windows("separation", wave, rate_hz, transcript, transcribe, settings, prompt=prompt)

    def isolate(self, wave: np.ndarray, rate_hz: int, what: str = "speech", **settings) -> np.ndarray:
        """Foreground (`speech`: with its room and bandwidth) or background (`noise`) of a recording [s]."""
        if what not in ("speech", "noise"):
            raise UserError(f"cannot isolate {what!r}: speech or noise.")
        return self._windows(f"{what}_isolation", wave, rate_hz, None, None, settings)

    def match_acoustics(self, wave: np.ndarray, rate_hz: int, prompt: np.ndarray, **settings) -> np.ndarray:
        """The speech [s] as if recorded where `prompt` [p] was."""
        return self._windows("acoustic_matching", wave, rate_hz, None, None, settings, prompt=prompt)

    def tts(
        self, text: str, prompt: np.ndarray, prompt_text: str, rate_hz: int, *, seconds: float | None = None, **settings
    ):
        """Speak `text` in the voice of `prompt` [p]: audio at `rate_hz`, as long as the prompt's speaking rate says."""
        from speechbase.corpus.voices import phone_count

        prompt = self._listen(prompt, rate_hz)
        if seconds is None:
            seconds = phone_count(text) / editing.rate_of(phone_count(prompt_text), len(prompt) / self.rate_hz)
        request = Request("tts", "tts", transcript=f"{prompt_text} {text}", prompt=prompt, seconds=seconds)
        return audio.resample(self.process([request], self._settings(settings, False))[0], self.rate_hz, rate_hz)

    def edit(self, wave: np.ndarray, rate_hz: int, row: dict, words: list[dict], **settings) -> np.ndarray:
        """Change words of a recording [s]; `row` and `words` as `speechbase.editing.plan_edit` takes them."""
        from speechbase.corpus.voices import phone_count

        plan = editing.plan_edit(row, words, len(wave) / rate_hz, phone_count)
        request = edit_request("edit", self._listen(wave, rate_hz), self.rate_hz, plan, row["text"])
        middle = self.process([request], self._settings(settings, False))[0]
        return editing.splice(wave, audio.resample(middle, self.rate_hz, rate_hz), plan, rate_hz)

    def _settings(self, values: dict, guided: bool) -> Settings:
        settings = Settings.of(self.config["sampling"] | values)
        return replace(settings, composition="tc_cfg") if guided and settings.composition == "none" else settings

    def _listen(self, wave: np.ndarray, rate_hz: int) -> np.ndarray:
        wave = np.asarray(wave, np.float32)
        if wave.ndim != 1 or not np.isfinite(wave).all():
            raise UserError(f"audio of shape {wave.shape} must be mono and finite.")
        if len(wave) < MIN_SECONDS * rate_hz:
            raise UserError(f"{len(wave) / rate_hz:.2f} s of audio are too short: at least {MIN_SECONDS} s are needed.")
        return audio.resample(wave, rate_hz, self.rate_hz)

    def _windows(self, task, wave, rate_hz: int, transcript, transcribe, settings: dict, **given) -> np.ndarray:
        """Process audio of any length by overlapping windows with cross-fades, and undo resampling."""
        heard = self._listen(wave, rate_hz)
        if float(np.abs(heard).max()) < 1e-5:
            return np.zeros(len(wave), np.float32)  # nothing is said: a generative model would make something up
        given = {k: self._listen(v, rate_hz) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        how = self._settings(settings, transcript is not None or transcribe is not None)
        starts, size, overlap = window_starts(len(heard), self.rate_hz)
        if transcript is not None and len(starts) > 1:
            raise UserError(
                f"A transcript guides at most {WINDOW_SECONDS:.0f} s of audio at once; "
                "cut the recording, or let each window be transcribed (--itc)."
            )
        requests = []
        for number, start in enumerate(starts):
            part = heard[start : start + size]
            text = transcript if transcribe is None else (transcribe(part, self.rate_hz) or None)
            requests.append(Request(f"{task}-{number}", task, source=part, transcript=text, **given))
        outputs = []
        for request in requests:
            outputs += self.process([request], how, progress=f"{task} {len(outputs) + 1}/{len(requests)}")
        whole = cross_fade(outputs, starts, len(heard), overlap)
        result = audio.resample(whole, self.rate_hz, rate_hz)
        return np.pad(result, (0, max(0, len(wave) - len(result))))[: len(wave)]


def edit_request(identity: str, heard: np.ndarray, rate_hz: int, plan: editing.Edit, text: str) -> Request:
    """The inpainting request of an edit: clean context on both sides of the new part."""
    left, right = heard[: round(plan.start * rate_hz)], heard[round(plan.stop * rate_hz) :]
    shortest = 0.05 * rate_hz
    return Request(
        identity, "edit", transcript=text, seconds=plan.seconds,
        left=left if len(left) > shortest else np.zeros(int(shortest), np.float32),
        right=right if len(right) > shortest else np.zeros(int(shortest), np.float32),
    )  # fmt: skip


def window_starts(samples: int, rate_hz: int) -> tuple[list[int], int, int]:
    """Starts of windows, their size and overlap, in samples; one window where the audio fits in it."""
    size, overlap = int(WINDOW_SECONDS * rate_hz), int(OVERLAP_SECONDS * rate_hz)
    if samples <= size:
        return [0], samples, 0
    starts = list(range(0, samples - size, size - overlap))
    return [*starts, samples - size], size, overlap


def cross_fade(parts: list[np.ndarray], starts: list[int], samples: int, overlap: int) -> np.ndarray:
    """Add windows with linear fades that sum to one wherever neighbours overlap."""
    total, weight = np.zeros(samples, np.float32), np.zeros(samples, np.float32)
    for number, (part, start) in enumerate(zip(parts, starts)):
        fade = np.ones(len(part), np.float32)
        ramp = (np.arange(overlap, dtype=np.float32) + 0.5) / max(1, overlap)
        if number:
            fade[:overlap] = ramp
        if number + 1 < len(parts):
            fade[len(fade) - overlap :] *= ramp[::-1]
        total[start : start + len(part)] += part * fade
        weight[start : start + len(part)] += fade
    return total / np.maximum(weight, 1e-6)
