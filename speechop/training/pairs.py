"""Pairs for the speech-to-speech tasks, simulated on the fly (section 5, Appendix D; protocol in docs/readings.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fileio import audio
from fileio.files import UserError
from speechop import degrade
from speechop.data.speech import SpeechTable, read_table


@dataclass
class Pair:
    """Audio of one micro-batch: source and target [b, s], prompt [b, p] (None where p = 0)."""

    source: Tensor
    target: Tensor
    prompt: Tensor | None


class Pairs:
    """Draws source, target and prompt of any mix of speech-to-speech tasks."""

    def __init__(self, speech: SpeechTable, noises: list[Tensor], rirs: list[Tensor], config: dict, device="cpu"):
        self.speech, self.noises, self.rirs, self.config, self.device = speech, noises, rirs, config, device

    @classmethod
    def load(cls, data: Path, split: str, config: dict, rate_hz: int, device="cpu") -> Pairs:
        """Read the speech, noise and impulse responses of a split from `data/<scale>`."""
        speech = SpeechTable.load(data / "speech" / f"{split}.csv")
        if speech.rate_hz != rate_hz:
            raise UserError(f"{data} holds audio at {speech.rate_hz} Hz, and the codec works at {rate_hz} Hz.")
        sounds = []
        for name in ("noise", "rir"):
            rows = read_table(data / f"{name}.csv", ["id", "split", "path"])
            paths = rows.loc[rows["split"] == split, "path"]
            sounds.append([torch.from_numpy(audio.read(data / path, rate_hz)[0]) for path in paths])
        return cls(speech, *sounds, config, device)

    def pairs(self, tasks: list[str], rngs: list[np.random.Generator], samples: int, prompt: int) -> Pair:
        """Simulate one micro-batch: task names and generators [b], `samples` a crop, `prompt` samples of prompt or 0."""
        places = [int(rng.integers(len(self.speech))) for rng in rngs]
        clean = torch.stack([self._crop(place, rng, samples) for place, rng in zip(places, rngs)])
        params = [degrade.draw(rng, self.config, range(len(self.noises)), range(len(self.rirs))) for rng in rngs]
        others = [self.speech.other_speaker(place, rng) for place, rng in zip(places, rngs)]
        separating = torch.tensor([task == "separation" for task in tasks])
        target, source = clean.clone(), clean.clone()
        if separating.any():
            params = [
                self._mixture_params(p, rng) if t == "separation" else p for p, t, rng in zip(params, tasks, rngs)
            ]
            interferer = torch.stack([self._crop(other, rng, samples) for other, rng in zip(others, rngs)])
            level_db = torch.tensor([rng.uniform(-5, 5) for rng in rngs], dtype=torch.float32)
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
        given = self._prompts(tasks, places, params, rngs, prompt) if prompt else None
        return Pair(*(None if wave is None else wave.to(self.device) for wave in (source, target, given)))

    def _crop(self, place: int, rng: np.random.Generator, samples: int) -> Tensor:
        """A random window of a speaker's sentences, joined until they are long enough."""
        waves = [self.speech.wave(place)]
        while sum(map(len, waves)) < samples + 800:
            place = self.speech.other_of_speaker(place, rng)
            waves += [np.zeros(int(rng.uniform(0.1, 0.35) * self.speech.rate_hz), np.float32), self.speech.wave(place)]
        whole = np.concatenate(waves)
        start = int(rng.integers(len(whole) - samples + 1))
        return torch.from_numpy(whole[start : start + samples].copy())

    def _mixture_params(self, params: dict, rng: np.random.Generator) -> dict:
        """Mixtures are dry and full band; half of them are noisy, as Libri2Mix's noisy set, at 5 to 25 dB."""
        noisy = rng.random() < 0.5 and params["noise"] is not None
        nothing = {"eq_db": None, "compression": None, "rir": None, "cutoff_hz": None}
        return params | nothing | {"snr_db": float(rng.uniform(5, 25)) if noisy else None}

    def _degrade(self, clean: Tensor, params: list[dict], rngs: list[np.random.Generator]) -> degrade.Degraded:
        samples = clean.shape[1]
        noise = torch.zeros_like(clean)
        for row, param in zip(noise, params):
            if param["snr_db"] is not None:
                row.copy_(window(self.noises[param["noise"]], param["noise_start"], samples))
        rirs = [None if p["rir"] is None else self.rirs[p["rir"]] for p in params]
        return degrade.apply(clean, noise, rirs, params, self.speech.rate_hz)

    def _prompts(self, tasks, places, params, rngs, samples: int) -> Tensor:
        """Other speech of the same speaker; for acoustic matching, in the target's acoustics (without its noise)."""
        waves = [self._crop(self.speech.other_of_speaker(p, rng), rng, samples) for p, rng in zip(places, rngs)]
        prompts = torch.stack(waves)
        acoustic = self._degrade(prompts, [p | {"snr_db": None} for p in params], rngs).speech
        matching = torch.tensor([task == "acoustic_matching" for task in tasks])
        return torch.where(matching[:, None], acoustic, prompts)


def window(noise: Tensor, start: float, samples: int) -> Tensor:
    """`samples` of a noise from a relative start (0..1), repeating it where it is too short."""
    repeated = noise.repeat(-(-samples // len(noise)) + 1)
    begin = int(start * len(noise))
    return repeated[begin : begin + samples]
