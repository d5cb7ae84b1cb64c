"""PolySpeech on audio: `PolySpeech(models).listen(wave)` and `.speak(text, voice)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines.polyspeech import weights
from baselines.polyspeech.decoder import load_decoder
from baselines.polyspeech.drawing import embeddings
from baselines.polyspeech.generate import named, spoken, transcribed
from baselines.polyspeech.hubert import Semantic
from baselines.polyspeech.layout import NAMING, Request
from baselines.polyspeech.network import PolySpeechLM
from baselines.polyspeech.sset import load_sset
from speechbase.codec.loading import load_codec
from speechbase.files import UserError
from speechbase.items import UNKNOWN
from speechbase.settings import Settings, Share, checked
from speechbase.shipped import TOKEN_MODELS, find
from speechbase.texts import check_text
from speechbase.tokens.coded import CodedAudio, Result, silent
from speechbase.tokens.generation import Run, speech_length
from speechbase.tokens.sampling import Drawing
from speechbase.tokens.settings import LMConfig
from speechbase.training import checkpoint
from speechbase.voice_activity import has_speech

MARK = "Synthetic speech: made by PolySpeech (replication)"  # in every result's metadata
VOICE = "The voice's recording"


class Sampling(Settings):
    """How answers are made.

    Attributes:
        speech: how tokens of speech are drawn. further: those of a frame after its first.
        phone_seconds: longest that a phoneme of TTS may be (VALL-E's public code: 16 frames at 75 Hz).
        sure: the `certainty` below which a label is `unknown`; 0 always names the likeliest.
    """

    speech: Drawing = Drawing(top_p=0.8, repeats=0.3)
    further: Drawing = Drawing(temperature=0.0)
    phone_seconds: float = 0.225
    sure: Share = 0.5


@dataclass(frozen=True)
class Named:
    """A label, or `unknown`, with the probability of each that the model knows ({} where nothing was heard)."""

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Written:
    """A recording's text, whether it came to an end (else it was cut, and is wrong), and whether there is any sound."""

    text: str
    ended: bool = True
    audible: bool = True


@dataclass(frozen=True)
class Heard:
    """What a recording says (see `Written`), in which language, and the speaker's sex.

    Without `speech` in it there is no text and nothing is named.
    """

    text: str
    ended: bool
    language: Named
    sex: Named
    speech: bool = True


class PolySpeech:
    """The language model with its encoder, tokens, decoder and codec.

    Args:
        models: a scale whose weights ship, or the folder with the models' folders.
        lm, semantic, tokens, decoder, codec: their names.

    Raises:
        UserError: missing or broken weights, or weights that do not belong together.
    """

    def __init__(
        self,
        models: str | Path = TOKEN_MODELS,
        lm: str = "polyspeech",
        semantic: str = "hubert_2",
        tokens: str = "sset",
        decoder: str = "polyspeech_decoder",
        codec: str = "codec",
        device: str = "cpu",
        sampling: Sampling | None = None,
    ):
        models = find(models)
        self.device, self.sampling = device, sampling or Sampling()
        self.codec = load_codec(models / codec).to(device)
        self.rate_hz = self.codec.rate_hz
        self.semantic = Semantic(models / semantic, device)
        self.sset, record = load_sset(models / tokens, self.semantic.record, device)
        self.decoder = load_decoder(models / decoder, record, self.codec.latent_dim, device)
        self.network, self.config = self._language_model(checkpoint.folder_of(models, lm), record)
        self.audio = CodedAudio(self.codec, self.network.lm.config.window, device)
        self.labels: dict[str, list[str]] = self.config["labels"]
        self.tasks = tuple(self.config["batches"]["tasks"])

    def _language_model(self, folder: Path, tokens: dict) -> tuple[PolySpeechLM, dict]:
        tensors, config = weights.read(folder, "polyspeech")
        weights.check(config, "semantic", self.semantic.record, folder)
        weights.check(config, "tokens", tokens, folder)
        with checkpoint.building(folder):
            network = dict(config["network"])
            heard, sizes = network.pop("heard"), checked(LMConfig, network, "network")
            counts = {task: len(names) for task, names in config["labels"].items()}
            model = PolySpeechLM(self.sset.codewords.cpu(), sizes, heard, counts)
        checkpoint.load_into(model, tensors, folder)
        return model.to(self.device).eval().requires_grad_(False), config

    # -- one recording ---------------------------------------------------------------------------------------------

    def listen(self, wave: np.ndarray) -> Heard:
        """Text, language and speaker's sex of audio float32 [s] at `rate_hz`, of any level; nothing of no speech.

        Raises:
            UserError: a recording shorter than a frame, or longer than half of the model's window.
        """
        self.audio.check(wave, "The recording")
        wave, _ = self.audio.levelled(wave, "The recording")
        if not has_speech(wave, self.rate_hz):
            return Heard("", True, Named(UNKNOWN, {}), Named(UNKNOWN, {}), speech=False)
        written = self.recognise([wave])[0]
        return Heard(written.text, written.ended, self.name("lid", [wave])[0], self.name("gid", [wave])[0])

    def speak(self, text: str, voice: np.ndarray, seed: int = 0) -> Result:
        """A text in the voice of a prompt float32 [s], of any level.

        Raises:
            UserError: a text without letters, or a prompt that is silent, shorter than a frame, or too long.
        """
        return self.speak_all([text], [self.audio.levelled(voice, VOICE)[0]], [seed])[0]

    # -- batches, of audio as it stands: its level is that of the corpora, and that there is speech in it is known ----

    def recognise(self, waves: Sequence[np.ndarray]) -> list[Written]:
        """Texts of recordings; nothing where there is silence. Errors as `listen`."""
        self._trained_for("asr")
        self._check_forms(waves)
        audible = [place for place, wave in enumerate(waves) if not silent(wave)]
        texts = [Written("", audible=False)] * len(waves)
        if audible:
            rate = self.rate_hz / self.codec.hop
            said = transcribed(self.network, self._embedded([waves[p] for p in audible]), rate, self.config["stretch"])
            for place, (text, reason) in zip(audible, said):
                texts[place] = Written(text, reason == "end")
        return texts

    def name(self, task: str, waves: Sequence[np.ndarray]) -> list[Named]:
        """Labels of recordings by a naming task; `unknown` where nothing is heard, or no label is sure."""
        self._trained_for(task)
        self._check_forms(waves)
        audible = [p for p, wave in enumerate(waves) if not silent(wave) and len(wave) >= self.codec.hop]
        found = [Named(UNKNOWN, {})] * len(waves)
        if audible:
            heard = self._embedded([waves[place] for place in audible])
            for place, row in zip(audible, named(self.network, task, heard, self.config["stretch"])):
                shares = dict(zip(self.labels[task], row.tolist()))
                best = max(shares, key=lambda label: shares[label])
                found[place] = Named(best if certainty(shares) >= self.sampling.sure else UNKNOWN, shares)
        return found

    def speak_all(self, texts: Sequence[str], voices: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Result]:
        """Texts in the voices of prompts, each by its own seed; errors as `speak`."""
        self._trained_for("tts")
        for text in texts:  # says what is wrong before any work
            check_text(text, "The text")
        prompts = [self.audio.prompt(voice, VOICE) for voice in voices]
        how, rate = self.sampling, self.rate_hz / self.codec.hop
        lengths = [speech_length(text, rate, how.phone_seconds) for text in texts]
        runs = [Run(length, how.speech, seed, how.further) for length, seed in zip(lengths, seeds)]
        requests = [Request("tts", text=text) for text in texts]
        drawn = spoken(self.network, requests, runs, self.config["stretch"])
        return [
            Result(self.audible(tokens, prompt), self.rate_hz, reason, len(tokens))
            for (tokens, reason), prompt in zip(drawn, prompts)
        ]

    @torch.inference_mode()
    def audible(self, tokens: Tensor, prompt: Tensor) -> np.ndarray:
        """Audio float32 [s] of tokens [n, q] in the voice of a prompt's latents [p, c]."""
        if not len(tokens):
            return self.audio.wave(tokens)
        said = self.sset.decode(tokens[None].to(self.device))
        return self.audio.wave(self.decoder(said, prompt[None])[0])

    @torch.inference_mode()
    def resynthesised(self, wave: np.ndarray, voice: np.ndarray) -> np.ndarray:
        """A recording float32 [s] as tokens, and those in a voice: what no speech of this system can surpass."""
        latents = self.audio.frames(wave, "The recording")
        tokens = self.sset.encode(self.semantic(latents[None]))[0]
        return self.audible(tokens, self.audio.prompt(voice, VOICE))

    def _check_forms(self, waves: Sequence[np.ndarray]) -> None:
        for wave in waves:
            self.audio.check_form(wave, "The recording")

    def _embedded(self, waves: Sequence[np.ndarray]) -> list[Tensor]:
        for wave in waves:
            self.audio.check(wave, "The recording")
        tensors = [torch.from_numpy(np.ascontiguousarray(wave, np.float32)) for wave in waves]
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(self.device)
        hearing = self.semantic if self.config["hears"] == "semantic" else None
        return embeddings(self.codec, hearing, padded, [len(wave) for wave in waves])

    def _trained_for(self, task: str) -> None:
        if task not in self.tasks:
            what = "labels" if task in NAMING else "answers"
            raise UserError(
                f"This model gives no {what} of the task {task}: it was trained for {', '.join(self.tasks)}."
            )


def certainty(shares: dict[str, float]) -> float:
    """How far the likeliest label is from chance (0) towards certainty (1): comparable among tasks of few and of many.

    Of two labels the likeliest always has half of the probability, of five a fifth.
    """
    chance = 1 / len(shares)
    return max(0.0, max(shares.values()) - chance) / (1 - chance) if chance < 1 else 0.0
