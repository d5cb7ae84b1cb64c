"""Pairs for the speech-to-speech tasks, simulated on the fly (section 5, Appendix D; protocol in docs/readings.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from speechbase import audio
from speechbase.corpus import degrade
from speechbase.corpus.shards import open_speech
from speechbase.corpus.speech import SpeechTable, read_table

UNENDED = {"clip_db": None, "coding": None}  # neither clipped nor coded
IN_MEMORY = 2000  # sounds; a longer table (DNS-5 has 60,000 noises) is read as it is used


@dataclass
class Pair:
    """Audio of one micro-batch: source and target [b, s], prompt [b, p] (None where p = 0)."""

    source: Tensor
    target: Tensor
    prompt: Tensor | None


class Sounds:
    """Noises or impulse responses, float32 [n] each at `rate_hz`: a short table is read at once, a long one when used.

    Files at another rate are resampled; one of several channels gives its first.
    """

    def __init__(self, paths: list[Path], rate_hz: int):
        self.paths, self.rate_hz = paths, rate_hz
        self._waves = [self._read(path) for path in paths] if len(paths) <= IN_MEMORY else None

    def _read(self, path: Path) -> Tensor:
        return torch.from_numpy(audio.read(path, self.rate_hz, channel=0, resampled=True)[0])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Tensor:
        return self._read(self.paths[place]) if self._waves is None else self._waves[place]


class Pairs:
    """Draws source, target and prompt of any mix of speech-to-speech tasks; all is simulated on `device`, as one
    batch."""

    def __init__(
        self,
        speech: SpeechTable,
        noises: Sequence[Tensor] | Sounds,
        rirs: Sequence[Tensor] | Sounds,
        config: dict,
        device="cpu",
        recorded: float | None = None,
    ):
        self.speech, self.noises, self.rirs, self.config, self.device = speech, noises, rirs, config, device
        self.recorded = recorded  # share of real voices; None: every utterance is as likely as any other

    @classmethod
    def load(
        cls,
        data: Path,
        split: str,
        config: dict,
        rate_hz: int,
        device="cpu",
        recorded: float | None = None,
        speech: SpeechTable | None = None,
    ) -> Self:
        """Read the speech, noise and impulse responses of a split from `data/<scale>`; errors as `open_speech`.

        `speech`: the split's speech where it is open already, so that it lies in memory once.
        """
        speech = open_speech(data, split, rate_hz) if speech is None else speech
        sounds = {}
        for name in ("noise", "rir"):
            rows = read_table(data / f"{name}.csv", ["id", "split", "path"])
            paths = rows.loc[rows["split"] == split, "path"]
            sounds[name] = Sounds([data / path for path in paths], rate_hz)
        return cls(speech, sounds["noise"], sounds["rir"], config, device, recorded)

    def pairs(
        self,
        tasks: list[str],
        rngs: list[np.random.Generator],
        samples: int,
        prompt: int,
        speeds: list[float] | None = None,
    ) -> Pair:
        """Simulate one micro-batch.

        Args:
            tasks, rngs, speeds: names, generators and speed perturbation of the items [b]; without `speeds` there is
                none.
            samples, prompt: of a crop, and of its prompt (0: none).
        """
        speeds = speeds or [1.0] * len(tasks)
        places = [self.speech.draw(rng, self.recorded) for rng in rngs]
        clean = self._crops(places, rngs, samples, speeds)
        params = [degrade.draw(rng, self.config, range(len(self.noises)), range(len(self.rirs))) for rng in rngs]
        if "babble" in self.config:
            params = [self._with_babble(param, place, rng) for param, place, rng in zip(params, places, rngs)]
        others = [self.speech.other_speaker(place, rng) for place, rng in zip(places, rngs)]
        separating = torch.tensor([task == "separation" for task in tasks], device=self.device)
        target, source = clean.clone(), clean.clone()
        if "separation" in tasks:
            params = [
                self._mixture_params(p, rng) if t == "separation" else p for p, t, rng in zip(params, tasks, rngs)
            ]
            interferer = self._crops(others, rngs, samples, speeds)
            level_db = torch.tensor([rng.uniform(-5, 5) for rng in rngs], dtype=torch.float32, device=self.device)
            mixture, scaled = degrade.mix(clean, interferer, level_db)
            source = torch.where(separating[:, None], mixture, source)
            target = torch.where(separating[:, None], scaled, target)
        result = self._degrade(source, params, rngs)
        source = result.source
        for row, task in enumerate(tasks):
            if task == "noise_isolation":
                target[row] = result.noise[row]
            elif task == "speech_isolation":
                target[row] = result.speech[row]
            elif task == "acoustic_matching":
                source[row], target[row] = clean[row], result.speech[row]
        return Pair(source, target, self._prompts(tasks, places, params, rngs, prompt, speeds) if prompt else None)

    def _crops(self, places: list[int], rngs: list[np.random.Generator], samples: int, speeds: list[float]) -> Tensor:
        """A random window [b, s] of each speaker, on the device."""
        crops = [self._crop(place, rng, samples, speed) for place, rng, speed in zip(places, rngs, speeds)]
        return torch.stack(crops).to(self.device)

    def _crop(self, place: int, rng: np.random.Generator, samples: int, speed: float) -> Tensor:
        """A random window of a speaker's sentences, joined until they are long enough, at another speed."""
        needed = samples if speed == 1 else int(samples * speed) + 2
        waves = [self.speech.wave(place)]
        while sum(map(len, waves)) < needed + 800:
            place = self.speech.other_of_speaker(place, rng)
            waves += [np.zeros(int(rng.uniform(0.1, 0.35) * self.speech.rate_hz), np.float32), self.speech.wave(place)]
        whole = np.concatenate(waves)
        start = int(rng.integers(len(whole) - needed + 1))
        return torch.from_numpy(audio.at_speed(whole[start : start + needed], speed)[:samples].copy())

    def _mixture_params(self, params: dict, rng: np.random.Generator) -> dict:
        """Mixtures are dry and full band; half of them are noisy, as Libri2Mix's noisy set, at 5 to 25 dB."""
        noisy = rng.random() < 0.5 and params["noise"] is not None
        nothing = {"eq_db": None, "compression": None, "rir": None, "cutoff_hz": None} | UNENDED
        return params | nothing | {"snr_db": float(rng.uniform(5, 25)) if noisy else None}

    def _with_babble(self, params: dict, place: int, rng: np.random.Generator) -> dict:
        """Now and then the noise is other people of the corpus talking at once: their utterances, the config's
        `babble`."""
        few, many = self.config["babble"]["talkers"]
        babbling = rng.random() < self.config["babble"]["probability"]
        talkers = [self.speech.other_speaker(place, rng) for _ in range(int(rng.integers(few, many + 1)))]
        return params | {"babble": talkers} if babbling and params["snr_db"] is not None else params

    def _noise(self, params: dict, rng: np.random.Generator, samples: int) -> Tensor:
        """The noise of one item [s]: a window of a clip, or its talkers at once at levels within 6 dB."""
        if "babble" not in params:
            return window(self.noises[params["noise"]], params["noise_start"], samples)
        lines = [self._crop(talker, rng, samples, 1.0) * 10 ** (rng.uniform(-6, 0) / 20) for talker in params["babble"]]
        return torch.stack(lines).sum(0)

    def _degrade(
        self,
        clean: Tensor,
        params: list[dict],
        rngs: list[np.random.Generator],
        lengths: list[int] | None = None,
    ) -> degrade.Degraded:
        samples = clean.shape[1]
        noise = torch.zeros(len(clean), samples)
        for row, param, rng in zip(noise, params, rngs):
            if param["snr_db"] is not None:
                row.copy_(self._noise(param, rng, samples))
        noise = noise.to(self.device)
        rirs = [None if p["rir"] is None else self.rirs[p["rir"]] for p in params]
        return degrade.apply(clean, noise, rirs, params, self.speech.rate_hz, lengths)

    def _prompts(self, tasks, places, params, rngs, samples: int, speeds: list[float]) -> Tensor:
        """Other speech of the same speaker; for acoustic matching, in the target's acoustics (without its noise)."""
        others = [self.speech.other_of_speaker(place, rng) for place, rng in zip(places, rngs)]
        prompts = self._crops(others, rngs, samples, speeds)
        acoustic = self._degrade(prompts, [p | {"snr_db": None} | UNENDED for p in params], rngs).speech
        matching = torch.tensor([task == "acoustic_matching" for task in tasks], device=self.device)
        return torch.where(matching[:, None], acoustic, prompts)


def window(noise: Tensor, start: float, samples: int) -> Tensor:
    """`samples` of a noise from a relative start (0..1), repeating it where it is too short."""
    repeated = noise.repeat(-(-samples // len(noise)) + 1)
    begin = int(start * len(noise))
    return repeated[begin : begin + samples]
