"""Simulated rooms: impulse responses by the image-source method, direct path at sample 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyroomacoustics
import soundfile
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import jobs, speech
from speechbase.files import seed_of, sha256

VERSION = 1
COLUMNS = ["id", "split", "rt60_s", "path", "rate_hz", "sha256"]
MAX_ORDER = 40
TAIL_DB = 50


def build(config: dict, folder: Path, workers: int = 1, split: str | None = None) -> Path:
    """Make `folder/rir.csv` and its impulse responses (float32 WAV); those that are there and unchanged are kept.

    Args:
        config: the `corpus` sub-tree; `rir` has count {split: number} and rt60_s [low, high].
        split: make this split's alone, and `folder/rir_<split>.csv`.

    Raises:
        UserError: an unknown split.
    """
    folder = Path(folder)
    settings = config["rir"]
    items = []
    for name, count in settings["count"].items():
        for number in range(count):
            identity = f"{name}-room-{number:03d}"
            seed = seed_of(config["seed"], "rir", identity)
            key = f"{seed_of(VERSION, seed, settings['rt60_s'], config['rate_hz']):016x}"
            items.append(
                {"id": identity, "split": name, "seed": seed, "path": f"rir/{name}/{identity}.wav", "key": key}
            )
    items = jobs.of_split(items, split, "corpus.rir.count")
    work = [(item, folder / item["path"], settings["rt60_s"], config["rate_hz"]) for item in items]
    missing = [job for job in work if not jobs.is_made(job[1], job[0]["key"])]
    done = jobs.mapped(_make, missing, workers)
    for _ in tqdm(done, total=len(work), initial=len(work) - len(missing), desc="rooms", unit="room"):
        pass
    jobs.drop_strays(folder / "rir" / (split or ""), {job[1] for job in work})
    table = folder / jobs.table_name("rir", split)
    speech.write_table(table, [_row(item, folder, config["rate_hz"]) for item in items], COLUMNS)
    return table


def simulate(seed: int, rt60_s: tuple[float, float], rate_hz: int) -> tuple[np.ndarray, float]:
    """One shoebox room with a talker and a microphone drawn at random.

    Args:
        rt60_s: range of the reverberation time that the walls are chosen for.

    Returns:
        (impulse response float32 [r], its direct path is sample 0 and has amplitude 1; measured RT60 in seconds).
    """
    rng = np.random.default_rng(seed)
    while True:
        size = rng.uniform([3, 3, 2.4], [9, 7, 4])
        wanted = rng.uniform(*rt60_s)
        try:
            absorption, order = pyroomacoustics.inverse_sabine(wanted, size)
        except ValueError:  # no wall absorbs enough for so short a decay in so large a room
            continue
        places = _places(rng, size, rate_hz)
        if places is not None:
            break
    room = pyroomacoustics.ShoeBox(
        size, fs=rate_hz, materials=pyroomacoustics.Material(absorption), max_order=min(order, MAX_ORDER)
    )
    room.add_source(places[0])
    room.add_microphone(places[1])
    room.compute_rir()
    response = room.rir[0][0]
    direct = int(np.argmax(np.abs(response[: rate_hz // 20])))
    response = response[direct:] / response[direct]
    measured = pyroomacoustics.experimental.measure_rt60(response, fs=rate_hz, decay_db=20)
    return _without_tail(response).astype(np.float32), float(measured)


def _places(rng: np.random.Generator, size: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Talker and microphone 0.3 to 3 m apart, half a metre from the walls; the path takes whole samples."""
    samples = round(rng.uniform(0.3, 3.0) / pyroomacoustics.constants.get("c") * rate_hz)
    distance = samples * pyroomacoustics.constants.get("c") / rate_hz
    talker = rng.uniform(0.5, size - 0.5)
    direction = rng.standard_normal(3) * [1, 1, 0.2]
    microphone = talker + distance * direction / np.linalg.norm(direction)
    inside = (microphone > 0.3).all() and (microphone < size - 0.3).all()
    return (talker, microphone) if inside else None


def _without_tail(response: np.ndarray) -> np.ndarray:
    """Cut where the energy still to come has fallen by 50 dB."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    return response[: int(np.sum(left > left[0] * 10 ** (-TAIL_DB / 10)))]


def _make(job: tuple[dict, Path, list[float], int]) -> None:
    item, path, rt60_s, rate_hz = job
    response, measured = simulate(item["seed"], (rt60_s[0], rt60_s[1]), rate_hz)
    audio.write(path, response, rate_hz, comment=f"simulated room; key={item['key']}; rt60={measured:.3f}")


def _row(item: dict, folder: Path, rate_hz: int) -> dict:
    with soundfile.SoundFile(folder / item["path"]) as stream:
        rt60 = float(stream.comment.rsplit("rt60=", 1)[1])
    row = {name: item[name] for name in ("id", "split", "path")}
    return row | {"rt60_s": rt60, "rate_hz": rate_hz, "sha256": sha256(folder / item["path"])}
