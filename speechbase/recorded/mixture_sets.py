"""Separation (Tables 4 and 5): Libri2Mix made here from its published metadata; WSJ0-2mix and WHAMR! read as users have
them.

All are the 16 kHz, min versions. A mixture gives two items, one a target speaker; the prompt is another recording of
that speaker, drawn from (seed, id): the paper says no more than that it is disjoint.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import soundfile

from speechbase import audio
from speechbase.files import UserError, seed_of
from speechbase.recorded import fingerprint
from speechbase.recorded.corpora import Location
from speechbase.recorded.manifests import limited, write_set
from speechbase.recorded.sources import librispeech

RATE_HZ, PROMPT_SECONDS = 16000, 3.0
PUBLISHED = {"libri2mix": "libri2mix_test_min_16k", "wsj0_2mix": "wsj0_2mix_test", "whamr": "whamr_test"}


@dataclass(frozen=True)
class Mixture:
    """One mixture before its audio is read: who speaks, and what reads mixture and sources ([n], [2, n]) and a
    prompt."""

    id: str
    speakers: tuple[str, str]
    texts: tuple[str, str]
    sexes: tuple[str, str]
    samples: int
    read: Callable[[], tuple[np.ndarray, np.ndarray]]
    prompt: Callable[[int], np.ndarray]


def libri2mix(metadata: Location, speech: Location, noise: Location | None) -> list[Mixture]:
    """Libri2Mix's test set from its metadata (gains and names), LibriSpeech test-clean and, for the noisy one, WHAM!'s
    noise.

    Raises:
        UserError: a source that LibriSpeech lacks.
    """
    table = pandas.read_csv(metadata.find("libri2mix_test-clean.csv"))
    spoken = {utterance.id: utterance for utterance in librispeech(speech, "test-clean")}
    prompts = _prompts_by_speaker(
        {identity: u.speaker for identity, u in spoken.items() if u.seconds >= PROMPT_SECONDS}
    )
    root = speech.find("LibriSpeech/test-clean").parent
    noises = noise.find("wham_noise") if noise else None

    def mixture(row: dict) -> Mixture:
        pair = [Path(row[f"source_{k}_path"]).stem for k in (1, 2)]
        if missing := [identity for identity in pair if identity not in spoken]:
            raise UserError(
                f"{root}/test-clean has no {missing[0]}, of which Libri2Mix mixes: unpack LibriSpeech again."
            )
        utterances = [spoken[identity] for identity in pair]

        def read() -> tuple[np.ndarray, np.ndarray]:
            length = min(utterance.samples for utterance in utterances)
            gains = (row["source_1_gain"], row["source_2_gain"])
            waves = [g * audio.read(u.path, RATE_HZ)[0][:length] for u, g in zip(utterances, gains)]
            sources = np.stack(waves).astype(np.float32)
            mixed = sources.sum(0)
            if noises:
                mixed = mixed + row["noise_gain"] * _noise(noises / row["noise_path"], length)
            return mixed.astype(np.float32), sources

        def prompt(side: int) -> np.ndarray:
            other = _other(prompts, utterances[side].speaker, pair[side], row["mixture_ID"])
            return audio.read(spoken[other].path, RATE_HZ)[0][: round(PROMPT_SECONDS * RATE_HZ)]

        one, two = utterances
        samples, pairs = (
            min(one.samples, two.samples),
            ((one.speaker, two.speaker), (one.text, two.text), (one.sex, two.sex)),
        )
        return Mixture(row["mixture_ID"], *pairs, samples, read, prompt)

    return [mixture(row) for row in table.to_dict("records")]


def _noise(path: Path, length: int) -> np.ndarray:
    """The first channel of a WHAM! noise, faded into itself over a second where it is shorter than the mixture."""
    wave = audio.read(path, RATE_HZ, channel=0)[0]
    fade = np.hanning(RATE_HZ + 1)
    rise, fall = fade[: RATE_HZ // 2 + 1], fade[RATE_HZ // 2 :]
    whole = wave
    while len(whole) < length:
        overlap = whole[-len(fall) :] * fall + wave[: len(rise)] * rise
        whole = np.concatenate([whole[: -len(fall)], overlap, wave[len(rise) :]])
    return whole[:length]


def wsj0_2mix(location: Location) -> list[Mixture]:
    """2speakers/wav16k/min/tt/{mix,s1,s2}/<name>.wav, named "<utterance>_<snr>_<utterance>_<snr>"."""
    root = location.find("2speakers/wav16k/min/tt/mix").parent
    return _from_folders(root, "mix", ("s1", "s2"))


def whamr(location: Location, dereverberate: bool = True) -> list[Mixture]:
    """wav16k/min/tt/: noisy reverberant mixtures; targets are anechoic (speechbrain's reading), or reverberant."""
    root = location.find("wav16k/min/tt/mix_both_reverb").parent
    kind = "anechoic" if dereverberate else "reverb"
    return _from_folders(root, "mix_both_reverb", (f"s1_{kind}", f"s2_{kind}"))


def _from_folders(root: Path, mixed: str, sources: tuple[str, str]) -> list[Mixture]:
    names = sorted(path.name for path in (root / mixed).glob("*.wav"))
    said = {f"{name}|{side}": _wsj_utterances(name)[side] for name in names for side in (0, 1)}
    by_speaker = _prompts_by_speaker({key: utterance[:3] for key, utterance in said.items()})

    def mixture(name: str) -> Mixture:
        missing = [folder for folder in (mixed, *sources) if not (root / folder / name).is_file()]
        if missing:
            raise UserError(f"{root / missing[0] / name} is missing, though another folder has it: make the set again.")
        utterances = _wsj_utterances(name)

        def read() -> tuple[np.ndarray, np.ndarray]:
            waves = [audio.read(root / folder / name, RATE_HZ)[0] for folder in (mixed, *sources)]
            if len({len(wave) for wave in waves}) > 1:
                raise UserError(f"{root}: the parts of {name} differ in length: this is not the min version.")
            return waves[0], np.stack(waves[1:])

        def prompt(side: int) -> np.ndarray:
            speaker, own = utterances[side][:3], utterances[side]
            free = [key for key in by_speaker[speaker] if said[key] != own]
            if not free:
                raise UserError(f"{root} has no other recording of the speaker {speaker} to prompt with.")
            other, place = free[seed_of("prompt", name, side) % len(free)].split("|")
            return audio.read(root / sources[int(place)] / other, RATE_HZ)[0][: round(PROMPT_SECONDS * RATE_HZ)]

        samples = soundfile.info(root / mixed / name).frames
        speakers = (utterances[0][:3], utterances[1][:3])
        return Mixture(name.removesuffix(".wav"), speakers, ("", ""), ("", ""), samples, read, prompt)

    return [mixture(name) for name in names]


@functools.cache
def _wsj_utterances(name: str) -> tuple[str, str]:
    """The two utterances of "440c020a_0.5_22ho010b_-0.5.wav"; their first three characters are the speaker."""
    fields = name.removesuffix(".wav").split("_")
    if len(fields) != 4:
        raise UserError(f"{name} is not named as the mixtures of WSJ0 are (utterance_snr_utterance_snr.wav).")
    return fields[0], fields[2]


def _prompts_by_speaker(speakers: dict[str, str]) -> dict[str, list[str]]:
    by_speaker: dict[str, list[str]] = {}
    for identity in sorted(speakers):
        by_speaker.setdefault(speakers[identity], []).append(identity)
    return by_speaker


def _other(prompts: dict[str, list[str]], speaker: str, own: str, mixture: str) -> str:
    others = [identity for identity in prompts.get(speaker, []) if identity != own]
    if not others:
        raise UserError(f"The speaker {speaker} has no other recording of 3 s to prompt {mixture} with.")
    return others[seed_of("prompt", mixture, own) % len(others)]


def build(mixtures: list[Mixture], corpus: str, folder: Path, name: str, size: int | None = None) -> str:
    """Make the test set: two items a mixture, in the mixtures' order; the fingerprint is over mixtures, as
    published."""

    def items() -> Iterator[tuple[dict, dict]]:
        for mixture in limited(mixtures, size, seed_of(name)):
            mixed, sources = mixture.read()
            for side in (0, 1):
                row = {"id": f"{mixture.id}-s{side + 1}", "task": "separation", "rate_hz": RATE_HZ}
                row |= {
                    "speaker": mixture.speakers[side],
                    "sex": mixture.sexes[side],
                    "text": mixture.texts[side].lower(),
                }
                waves = {"source": mixed, "reference": sources[side], "interferer": sources[1 - side]}
                yield row, waves | {"prompt": mixture.prompt(side)}

    if not size:
        fingerprint.check(PUBLISHED[corpus], fingerprint.fingerprint((m.id, m.samples) for m in mixtures))
    return write_set(name, items(), folder, None)
