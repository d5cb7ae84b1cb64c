"""Speech as coarsely rounded latents beside its phonemes: 4 MB an hour, for a training that holds all of it on a GPU.

A folder `latents/<split>` of packed data has parts `<number>.npz`, each readable by itself: what one transfer can
carry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechbase.codec.base import Codec
from speechbase.corpus import phones
from speechbase.corpus.speech import SpeechTable
from speechbase.files import UserError, atomic

STEP = 0.4  # of rounding; the error's deviation (.12) is that of the codec's posterior (.1)
JOINED = (0.45, 0.25, 0.2, 0.1)  # how often one, two, three and four sentences of a voice make an utterance
PAUSE_SECONDS = (0.12, 0.4)
LONGEST_SECONDS = 12.0
MIB_AN_HOUR = 4.6
SAMPLE = 400  # utterances by which a part's size is estimated


@dataclass(frozen=True)
class Latents:
    """Utterances one after the other.

    `values` int8 [sum of frames, c] in units of `step`; `frames` [n]; `tokens` uint16 [sum of counts] of `alphabet`
    (`phones.encode`); `counts` [n]; `recorded` [n], true for real voices.
    """

    values: np.ndarray
    frames: np.ndarray
    tokens: np.ndarray
    counts: np.ndarray
    recorded: np.ndarray
    step: float
    alphabet: str

    def __len__(self) -> int:
        return len(self.frames)


def folder_of(data: Path, split: str) -> Path:
    """Where packed data has the latents of a split."""
    return Path(data) / "latents" / split


def groups(speech: SpeechTable, recorded: float, rng: np.random.Generator) -> Iterator[list[int]]:
    """Utterances to be spoken without a break, as places of sentences of one voice; every sentence comes up once.

    `recorded` is the share of utterances of real voices for as long as there are some; they are taken as they are.
    """
    seconds, waiting = speech.rows["seconds"].to_numpy(), {}
    real = [int(place) for place in rng.permutation(len(speech)) if speech.is_recorded(int(place))]
    for name, places in speech.by_speaker.items():
        own = [int(place) for place in rng.permutation(places) if not speech.is_recorded(int(place))]
        if own:
            waiting[name] = own
    while waiting or real:
        if real and (not waiting or rng.random() < recorded):
            yield [real.pop()]
            continue
        names = list(waiting)
        left = np.array([len(waiting[name]) for name in names], float)
        own = waiting[names[int(rng.choice(len(names), p=left / left.sum()))]]
        group = [own.pop()]
        for _ in range(int(rng.choice(len(JOINED), p=JOINED))):
            if not own or seconds[[*group, own[-1]]].sum() + len(group) * PAUSE_SECONDS[1] > LONGEST_SECONDS:
                break
            group.append(own.pop())
        yield group
        waiting = {name: rest for name, rest in waiting.items() if rest}


def pack(
    speech: SpeechTable, codec: Codec, out: Path, alphabet: str, recorded: float, seed: int, mib: float, parts: int
) -> float:
    """Write up to `parts` parts of at most `mib` MiB each to `out`; returns the hours in them."""
    table = speech.with_text()
    rng = np.random.default_rng(seed)
    order = groups(table, recorded, rng)
    Path(out).mkdir(parents=True, exist_ok=True)
    hours, first = 0.0, [_encoded(table, codec, group, alphabet, rng) for group, _ in zip(order, range(SAMPLE))]
    for number in range(parts):
        path = Path(out) / f"{number}.npz"
        chosen, budget = first, _write(path, first, alphabet)
        frames = sum(len(item[0]) for item in chosen)
        most = 0.98 * mib * 2**20 * frames / budget
        bar = tqdm(total=round(most), initial=frames, desc=f"latents {number}", unit="frame")
        for group in order:
            item = _encoded(table, codec, group, alphabet, rng)
            if frames + len(item[0]) > most:
                first = [item]
                break
            chosen.append(item)
            frames += len(item[0])
            bar.update(len(item[0]))
        bar.close()
        _write(path, chosen, alphabet)
        hours += frames * codec.hop / codec.rate_hz / 3600
        if frames < most - LONGEST_SECONDS * codec.rate_hz / codec.hop:
            break  # nothing is left
        first = first + [_encoded(table, codec, group, alphabet, rng) for group, _ in zip(order, range(SAMPLE))]
    return hours


def _encoded(table: SpeechTable, codec: Codec, group: list[int], alphabet: str, rng) -> tuple[np.ndarray, list, bool]:
    """(int8 latents [n, c], tokens, whether a real voice) of the sentences of a group with pauses between them."""
    waves: list[np.ndarray] = []
    for place in group:
        if waves:
            waves.append(np.zeros(int(rng.uniform(*PAUSE_SECONDS) * table.rate_hz), np.float32))
        waves.append(table.wave(place))
    wave = np.concatenate(waves)
    whole = torch.from_numpy(wave[: len(wave) // codec.hop * codec.hop])
    latents = codec.encode(whole[None])[0].numpy()
    tokens = [token for place in group for token in phones.encode(table.rows["text"].iat[place], alphabet)]
    return np.clip(np.round(latents / STEP), -127, 127).astype(np.int8), tokens, table.is_recorded(group[0])


def _write(path: Path, items: list[tuple[np.ndarray, list, bool]], alphabet: str) -> int:
    """Write a part, channel after channel, which compresses better; returns its bytes."""
    values, tokens, recorded = zip(*items)
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream,
            values=np.concatenate(values).T,
            frames=np.array([len(rows) for rows in values], np.int32),
            tokens=np.array([token for row in tokens for token in row], np.uint16),
            counts=np.array([len(row) for row in tokens], np.int32),
            recorded=np.array(recorded, bool),
            step=np.float32(STEP),
            alphabet=np.frombuffer(alphabet.encode(), np.uint8),
        )
    return path.stat().st_size


def read(folder: Path) -> Latents:
    """All parts of a folder as one. Raises: UserError: no part, or parts that were made differently."""
    paths = sorted(Path(folder).glob("*.npz"), key=lambda path: int(path.stem))
    if not paths:
        raise UserError(f"{folder} holds no parts of latents; make them with `python -m workflow.cluster.gpu`.")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as stream:
            parts.append({name: stream[name] for name in stream.files})
    if len({(float(part["step"]), part["alphabet"].tobytes()) for part in parts}) > 1:
        raise UserError(f"The parts in {folder} were made with other alphabets or roundings: pack them again.")
    joined = {name: np.concatenate([p[name] for p in parts]) for name in ("frames", "tokens", "counts", "recorded")}
    values = np.concatenate([np.ascontiguousarray(part["values"].T) for part in parts])
    return Latents(values, **joined, step=float(parts[0]["step"]), alphabet=parts[0]["alphabet"].tobytes().decode())
