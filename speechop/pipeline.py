"""SpeechOp as a library: `SpeechOp.from_pretrained().enhance(wave, rate_hz, transcript="...")`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from speechbase import audio, editing
from speechbase.codec.loading import load_codec
from speechbase.files import UserError, seed_of
from speechbase.settings import checked, value_of
from speechop import DEFAULT_WEIGHTS, checks, voice_noise, weights
from speechop import jobs as jobs_module
from speechop.compose import Conditions, expression
from speechop.jobs import Done, Job
from speechop.model.evaluator import NetworkEvaluator
from speechop.model.loading import load_network
from speechop.observation import observed, samples_of
from speechop.recordings import Recording
from speechop.request import Request, edit_request
from speechop.sampler import Noise, sample
from speechop.settings import Composed, DiffusionModel
from speechop.transcripts import MIN_CONFIDENCE, Line, check_text

Audio = np.ndarray | Tensor
Part = TypeVar("Part")
Transcript = str | Sequence[Line]
Transcribe = Callable[[np.ndarray, int], object]


class SpeechOp:
    """A codec and a network, ready to process speech.

    Args:
        folder: holds one folder a model, `codec/` and the network's.
        model: which network: `multitask` (SpeechOp) or another folder's name (`tts`: the stage-1 baseline).
    """

    def __init__(self, folder: str | Path, model: str = "multitask", device: str | None = None):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.folder, self.model = Path(folder), model
        self.network, self.config = load_network(self.folder / model)
        self.codec_name = value_of(DiffusionModel, self.config, "codec")
        self.codec = load_codec(self.folder / self.codec_name).to(self.device)
        self.network.to(self.device)
        self.rate_hz = self.codec.rate_hz

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = DEFAULT_WEIGHTS,
        model: str = "multitask",
        device: str | None = None,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = True,
        token: str | None = None,
    ) -> SpeechOp:
        """Load weights that ship with the package (by scale), of a folder of models, or of a model repository.

        Args:
            name: a scale (`mini`: English, recorded voices; `nano`: fifty words), a folder that holds codec/ and the
                model, or a hub id (`owner/name`).
            revision, cache_dir, token: of the hub, as `huggingface_hub.snapshot_download` takes them.
            local_files_only: take a hub id from the local cache alone; false downloads what is missing, unless
                HF_HUB_OFFLINE is set.

        Raises:
            UserError: no such weights (the message lists those there are), or weights that are pickled.
        """
        folder = weights.find_weights(str(name), revision, cache_dir, local_files_only, token)
        if not (folder / model).is_dir():
            raise UserError(
                f"There is no model {model!r} in {folder}; weights that ship: {weights.names_shipped()}. "
                "Name one of them, a folder that holds codec/ and the model, or a hub id (owner/name)."
            )
        return cls(folder, model, device)

    def save_pretrained(self, save_directory: str | Path, **hub) -> str | None:
        """Write both model folders, a configuration and a card; `hub`: as `huggingface_hub.ModelHubMixin` takes it."""
        from speechop.export import Published  # the hub's client takes half a second to import

        return Published(self).save_pretrained(save_directory, **hub)

    def push_to_hub(self, repo_id: str, **hub) -> str:
        """Upload what `save_pretrained` writes; `hub`: as `huggingface_hub.ModelHubMixin` takes it."""
        from speechop.export import Published

        return Published(self).push_to_hub(repo_id, **hub)

    # -- batches of requests ---------------------------------------------------------------------------------------

    @torch.inference_mode()
    def process(self, requests: Sequence[Request], settings: Composed, progress: str | None = None) -> list[np.ndarray]:
        """Answer requests of one kind (task, gamma, parts given) as one batch: float32 audio at `rate_hz` each.

        A request's result does not depend on the others: noise is seeded by (settings.seed, id).
        """
        requests = [self._paused(request, settings.prompt_pause_s) for request in requests]
        first = requests[0]
        if first.gamma is not None:
            settings = settings.model_copy(update={"gamma": first.gamma})
        frames = [self._frames(request) for request in requests]
        model = NetworkEvaluator(self.network, frames, precision=settings.precision)
        composed = expression(model, self._conditions(requests, settings), settings)

        def drawn(*which: int) -> list[np.ndarray]:
            seeds = [seed_of(settings.seed, request.id, *which) for request in requests]
            noise = Noise(seeds, frames, self.codec.latent_dim, self.device)
            latents = sample(composed, noise, settings, progress=progress)
            return [self._decode(request, one[:count]) for request, one, count in zip(requests, latents, frames)]

        waves = drawn()
        if first.task != "enhancement" or not settings.observation:
            return waves
        guided = first.transcript is not None and settings.composition != "none" and settings.gamma > 0
        more = samples_of(guided) - 1 if settings.observation_unsure else 0
        samples = zip(waves, *(drawn(number) for number in range(1, 1 + more)))
        return [self._observed(*pair, settings) for pair in zip(samples, requests, strict=True)]

    def process_chunked(self, requests: Sequence[Request], settings: Composed, seconds: float) -> list[np.ndarray]:
        """As `process`, with each source cut into padded chunks that are processed on their own (Appendix F)."""
        size = int(seconds * self.rate_hz)
        outputs = []
        for request in requests:
            source = _needed(request.source, "source")
            padded = np.pad(source, (0, -len(source) % size))
            chunks = [
                replace(request, id=f"{request.id}#{number}", source=part)
                for number, part in enumerate(padded.reshape(-1, size))
            ]
            outputs.append(np.concatenate(self.process(chunks, settings))[: len(source)])
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
        return max(1, round(_needed(request.seconds, "seconds") * self.rate_hz / self.codec.hop))

    def _encode(self, wave: np.ndarray) -> Tensor:
        return self.codec.encode(torch.from_numpy(wave)[None].to(self.device), chunk_frames=400)[0]

    @torch.inference_mode()
    def round_trip(self, wave: np.ndarray) -> np.ndarray:
        """Audio [s] at `rate_hz` through the codec and back: the ceiling of everything that this codec decodes."""
        decoded = self.codec.decode(self._encode(wave)[None], chunk_frames=400)[0]
        return decoded[: len(wave)].float().cpu().numpy()

    def _conditions(self, requests: Sequence[Request], settings: Composed) -> Conditions:
        task, snr_db = requests[0].task, settings.voice_snr_db

        def each(take: Callable[[Request], object]):
            values = [take(request) for request in requests]
            if all(value is None for value in values):
                return None
            if any(value is None for value in values):
                raise ValueError("the requests of a batch must have the same parts")
            return [self._encode(v) if isinstance(v, np.ndarray) else v for v in values]

        def in_noise(request: Request) -> np.ndarray | None:
            if snr_db is None or request.voice is None:
                return None
            seed = seed_of(settings.seed, "voice", request.id)
            return voice_noise.in_noise(request.voice, _needed(request.source, "source"), snr_db, seed)

        voiced = all(request.voice_text for request in requests)
        return Conditions(
            task=task,
            source=each(lambda r: r.source if task != "edit" else None),
            transcript=each(lambda r: r.transcript),
            left=each(lambda r: r.left if task == "edit" else r.prompt),
            right=each(lambda r: r.right),
            voice=each(lambda r: r.voice),
            voice_heard=each(in_noise),
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

    def _observed(self, samples: Sequence[np.ndarray], request: Request, settings: Composed) -> np.ndarray:
        recording, *drawn = map(torch.from_numpy, (_needed(request.source, "source"), *samples))
        return observed(drawn, recording, settings.observation, self.rate_hz, settings.observation_unsure).numpy()

    # -- recordings ------------------------------------------------------------------------------------------------

    def answer(
        self, jobs: Iterable[Job], progress: Callable[[float], None] | None = None, bar: str | None = None, **settings
    ) -> Iterator[Done]:
        """Process many recordings, in order; their windows share batches (see `speechop.jobs`).

        A recording that cannot be processed is a `Done` with an error; the others go on.

        Args:
            progress: called with the seconds of audio that are done; bar: the label of a bar of sampling steps.
            settings: fields of `speechop.settings.Composed`.

        >>> jobs = [Job("one", "enhancement", Recording.of(noisy, 22_050)), Job("two", "noise_isolation",
        ...         Recording.of(noisy[:11_025], 22_050))]
        >>> [(done.job.name, done.error, done.wave.shape) for done in model.answer(jobs, steps=2)]
        [('one', '', (22050,)), ('two', '', (11025,))]
        """
        return jobs_module.answer(self, jobs, self.settings(settings, True), progress, bar)

    def _one(self, job: Job, settings: dict) -> np.ndarray:
        guided = job.transcript is not None or job.recogniser is not None
        (done,) = jobs_module.answer(self, [job], self.settings(settings, guided))
        if done.error:
            raise UserError(done.error)
        for note in done.notes:
            warnings.warn(f"{job.name}: {note}", stacklevel=3)
        return done.wave

    def enhance(
        self, wave: Audio, rate_hz: int, *, transcript: Transcript | None = None, transcribe: Transcribe | None = None,
        voice: Audio | None = None, voice_text: str | None = None, min_confidence: float = MIN_CONFIDENCE,
        loudness: str | float = "keep", any_sound: bool = False, **settings,
    ) -> np.ndarray:  # fmt: skip
        """Enhance speech [s], numpy or torch, of any rate and length: float32 of the same rate and length.

        What a user of the command line reads is a warning: no speech, windows without a transcript, another loudness.

        Args:
            transcript: what is said, to guide by (TC-CFG, Eq. 4): a text that fits in ten seconds, or lines with times.
            transcribe: a recogniser (samples [n], rate) -> text, or what `speechop.transcripts.judged` takes: implicit
                task composition; each window is transcribed. `listen` returns the lines, to be read, mended and given
                as transcript.
            voice: clean speech of the speaker [p] at the same rate (personalisation); voice_text: its words.
            min_confidence: a window whose words have less on average is not guided by them.
            loudness: "keep" (the input's, BS.1770-4), "model" (as the model gives it), or LUFS.
            any_sound: enhance also what has no speech in it; else it comes back as it is.
            settings: fields of `speechop.settings.Composed`; what is left out comes with the weights.

        >>> import numpy as np
        >>> model = SpeechOp.from_pretrained("nano")
        >>> noisy = np.random.default_rng(0).standard_normal(22_050).astype(np.float32) * 0.05  # one second
        >>> model.enhance(noisy, 22_050, transcript="ten boxes", steps=2).shape
        (22050,)
        """
        return self._one(
            Job("the recording", "enhancement", Recording.of(wave, rate_hz), transcript, transcribe,
                voice=None if voice is None else self.prompt(voice, rate_hz, "the voice"),
                voice_text=None if voice_text is None else check_text(voice_text, "voice_text"), loudness=loudness,
                min_confidence=min_confidence, any_sound=any_sound), settings,
        )  # fmt: skip

    def separate(
        self,
        wave: Audio,
        rate_hz: int,
        prompt: Audio,
        *,
        transcript: Transcript | None = None,
        transcribe: Transcribe | None = None,
        min_confidence: float = MIN_CONFIDENCE,
        loudness: str | float = "model",
        **settings,
    ) -> np.ndarray:
        """The speech of the speaker heard in `prompt` [p] out of a mixture [s] at the same rate; see `enhance`.

        >>> model.separate(noisy, 22_050, prompt, transcript="ten boxes", steps=2).shape
        (22050,)
        """
        return self._one(
            Job("the mixture", "separation", Recording.of(wave, rate_hz), transcript, transcribe,
                prompt=self.prompt(prompt, rate_hz), loudness=loudness, min_confidence=min_confidence), settings,
        )  # fmt: skip

    def isolate(
        self, wave: Audio, rate_hz: int, what: str = "speech", *, loudness: str | float = "model", **settings
    ) -> np.ndarray:
        """Foreground (`speech`: with its room and bandwidth) or background (`noise`) of a recording [s]; see
        `enhance`.

        >>> model.isolate(noisy, 22_050, "noise", steps=2).shape
        (22050,)
        """
        if what not in ("speech", "noise"):
            raise UserError(f"cannot isolate {what!r}: speech or noise.")
        job = Job("the recording", f"{what}_isolation", Recording.of(wave, rate_hz), loudness=loudness)
        return self._one(job, settings)

    def match_acoustics(
        self, wave: Audio, rate_hz: int, prompt: Audio, *, loudness: str | float = "keep", **settings
    ) -> np.ndarray:
        """The speech [s] as if recorded where `prompt` [p], at the same rate, was; see `enhance`.

        >>> model.match_acoustics(noisy, 22_050, prompt, steps=2).shape
        (22050,)
        """
        job = Job(
            "the recording", "acoustic_matching", Recording.of(wave, rate_hz), prompt=self.prompt(prompt, rate_hz),
            loudness=loudness,
        )  # fmt: skip
        return self._one(job, settings)

    def listen(
        self, wave: Audio, rate_hz: int, transcribe: Transcribe, min_confidence: float = MIN_CONFIDENCE
    ) -> list[Line]:
        """What a recogniser hears in a recording [s], window by window: lines that `enhance` takes as its
        transcript.

        >>> model.listen(noisy, 22_050, lambda part, rate_hz: "ten boxes")[0].text
        'ten boxes'
        """
        job = Job("the recording", "enhancement", Recording.of(wave, rate_hz), recogniser=transcribe,
                  min_confidence=min_confidence)  # fmt: skip
        return jobs_module.listen(job, self.rate_hz)

    # -- new speech ------------------------------------------------------------------------------------------------

    def tts(
        self, text: str, prompt: Audio, prompt_text: str, rate_hz: int, *, seconds: float | None = None, **settings
    ) -> np.ndarray:
        """Speak `text` in the voice of `prompt` [p]: audio at `rate_hz`, as long as the prompt's speaking rate says.

        Raises:
            UserError: texts without phonemes, a prompt of more than 10 s, or a duration outside of 0.2 to 30 s.

        >>> model.tts("ten boxes", prompt, "what the prompt says", 22_050, seconds=0.5, steps=2).shape
        (11025,)
        """
        text, prompt_text = checks.check_spoken(text, prompt_text)
        level = Recording.of(prompt, rate_hz).gain
        prompt = self.prompt(prompt, rate_hz)
        seconds = checks.new_seconds(text, prompt_text, len(prompt) / self.rate_hz, seconds)
        request = Request("tts", "tts", transcript=f"{prompt_text} {text}", prompt=prompt, seconds=seconds)
        made = self.process([request], self.settings(settings, False))[0] / np.float32(level)
        return audio.resample(made, self.rate_hz, rate_hz)

    def edit(self, wave: Audio, rate_hz: int, old: str, new: str, words: list[dict], **settings) -> np.ndarray:
        """Change words of a recording [s] of at most 28 s; what lies outside of the change stays as it was.

        Args:
            old, new: the whole text as it is said, and as it should be said.
            words: where the old text's words are, [{"word", "start", "end"}] in seconds, from a recogniser's `align`.

        Raises:
            UserError: texts that are equal or have no words, a silent recording, or one of more than 28 s.

        >>> words = [{"word": "ten", "start": 0.1, "end": 0.4}, {"word": "boxes", "start": 0.4, "end": 0.9}]
        >>> edited = model.edit(noisy, 22_050, "ten boxes", "ten foxes", words, steps=2)
        >>> bool((edited[:2_205] == noisy[:2_205]).all())
        True
        """
        row = editing.spans_of(check_text(old, "The old text"), check_text(new, "The new text"))
        source = checks.check_editable(Recording.of(wave, rate_hz))
        wave = source.tracks[0].read()
        plan = editing.plan_edit(row, words, source.seconds, lambda text: checks.phones_of(text, "The text"))
        checks.check_seconds(plan.seconds)
        heard = audio.resample(wave * np.float32(source.gain), rate_hz, self.rate_hz)
        request = edit_request("edit", heard, self.rate_hz, plan, row["text"])
        middle = self.process([request], self.settings(settings, False))[0] / np.float32(source.gain)
        return editing.splice(wave, audio.resample(middle, self.rate_hz, rate_hz), plan, rate_hz)

    def prompt(self, wave: Audio, rate_hz: int, name: str = "the prompt") -> np.ndarray:
        """A prompt or voice [p] as `Job` and `Request` take it: at the model's rate and level.

        Raises:
            UserError: shorter than 0.2 s, longer than 10 s, or silent.
        """
        source = Recording.of(wave, rate_hz)
        checks.check_prompt(source, name)
        return audio.resample(source.tracks[0].read() * np.float32(source.gain), rate_hz, self.rate_hz)

    def settings(self, values: dict, guided: bool) -> Composed:
        """The weights' own settings, changed by `values`; what has words to be guided by is guided (TC-CFG by
        default), and an `observation` that is given alone holds however unsure the model is."""
        own = dict(self.config["sampling"])
        if "observation" in values:
            own.pop("observation_unsure", None)
        settings = checked(Composed, own | values, "sampling")
        words_guide = guided and settings.composition == "none"
        return settings.model_copy(update={"composition": "tc_cfg"}) if words_guide else settings


def _needed(part: Part | None, name: str) -> Part:
    """A part that a request of this task has."""
    if part is None:
        raise ValueError(f"this request has no {name}")
    return part
