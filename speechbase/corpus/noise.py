"""Noises made from nothing but a seed (coloured, speech-shaped, modulated, babble, hum, clicks, music-like), and
recordings that a package ships."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import jobs, speech, text
from speechbase.files import UserError, seed_of, sha256

VERSION = 1
LEVEL_DBFS = -26
COLUMNS = ["id", "split", "kind", "path", "rate_hz", "seconds", "sha256"]

# A kind's main parameter (spectral slope, modulation rate, number of talkers, tempo, ...) is read off a dial of ten
# bins. Splits own different bins, so that test noises differ in more than the seed, without lying outside.
DIAL_BINS = {"train": (0, 1, 2, 4, 5, 7, 9), "valid": (3,), "test": (6, 8)}

AMBIENCES = (
    "sounds/nature/amazon-rainforest.ogg", "sounds/town/train.ogg", "sounds/machine-planet/serenity.ogg",
    "sounds/drone/binaural-low-complex.ogg",
)  # fmt: skip
AMBIENCE_SHARES = {"train": (0.0, 0.6), "valid": (0.6, 0.8), "test": (0.8, 1.0)}


def build(config: dict, folder: Path, workers: int = 1, split: str | None = None) -> Path:
    """Make `folder/noise.csv` and its clips; clips that are there already, and unchanged, are kept.

    Args:
        config: the `corpus` sub-tree; `noise` has clip_seconds, clips {split: count} and kinds {kind: share}.
        split: make this split's alone, and `folder/noise_<split>.csv`.

    Raises:
        UserError: an unknown kind or split.
    """
    items = jobs.of_split(plan(config), split, "corpus.noise.clips")
    folder = Path(folder)
    work = [(item, folder / item["path"], config) for item in items]
    missing = [job for job in work if not jobs.is_made(job[1], job[0]["key"])]
    done = jobs.mapped(_make, missing, workers)
    for _ in tqdm(done, total=len(work), initial=len(work) - len(missing), desc="noise", unit="clip"):
        pass
    jobs.drop_strays(folder / "noise" / (split or ""), {path for _, path, _ in work})
    table = folder / jobs.table_name("noise", split)
    speech.write_table(table, [_row(item, folder, config["rate_hz"]) for item in items], COLUMNS)
    return table


def plan(config: dict) -> list[dict]:
    """Every clip: id, split, kind, seed, path and key (a digest of what decides its audio)."""
    settings = config["noise"]
    kinds = settings["kinds"]
    unknown = (set(kinds) - set(KINDS)) | (set(settings["clips"]) - set(DIAL_BINS))
    if unknown:
        raise UserError(
            f"corpus.noise names {', '.join(sorted(unknown))}; "
            f"kinds are {', '.join(KINDS)}, splits {', '.join(DIAL_BINS)}."
        )
    items = []
    for split, count in settings["clips"].items():
        total = sum(kinds.values())
        counts = jobs.apportion(count, [share / total for share in kinds.values()])
        for kind, times in zip(kinds, counts, strict=True):
            for number in range(times):
                identity = f"{split}-{kind}-{number:03d}"
                seed = seed_of(config["seed"], "noise", identity)
                key = f"{seed_of(VERSION, seed, config['rate_hz'], settings['clip_seconds'], config['text']):016x}"
                path = f"noise/{split}/{identity}.flac"
                items.append({"id": identity, "split": split, "kind": kind, "seed": seed, "path": path, "key": key})
    return items


def make(kind: str, split: str, seed: int, seconds: float, rate_hz: int, text_config: dict) -> np.ndarray:
    """One clip of noise, float32 [n], at -26 dBFS RMS (lower where its peak would clip)."""
    rng = np.random.default_rng(seed)
    bins = DIAL_BINS[split]
    dial = (bins[rng.integers(len(bins))] + rng.random()) / 10
    n = int(seconds * rate_hz)
    if maker := KINDS[kind]:
        wave = maker(rng, n, rate_hz, dial)
    elif kind == "babble":
        wave = _babble(rng, n, rate_hz, dial, split, text_config)
    else:
        wave = _ambience(rng, n, rate_hz, split)
    wave = wave[:n] - wave[:n].mean()
    wave = wave * 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(wave**2))
    return (wave * min(1.0, 0.98 / np.abs(wave).max())).astype(np.float32)


def _coloured(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """Power falls as f to the minus 0 (white), 1 (pink) .. 2 (brown)."""
    return _shaped(rng, n, rate_hz, lambda hz: np.maximum(hz, 20.0) ** -dial)


def _speech_shaped(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """The long-term spectrum of speech (coarsely): flat to about 500 Hz, then 3 to 6 dB less an octave."""
    knee = rng.uniform(350, 700)
    return _shaped(rng, n, rate_hz, lambda hz: (hz > 60) / (1 + (hz / knee) ** (1 + dial)))


def _modulated(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """Pink noise whose level swings irregularly at 0.5 to 8 Hz by up to 25 dB, as machines and traffic do."""
    rate = 0.5 * 16**dial
    steps = rng.standard_normal(int(n / rate_hz * rate) + 4)
    level_db = 12 * np.interp(np.arange(n) / rate_hz * rate, np.arange(len(steps)), steps)
    return _coloured(rng, n, rate_hz, rng.uniform(0.3, 0.8)) * 10 ** (np.clip(level_db, -25, 12) / 20)


def _hum(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """A motor or mains hum of 45 to 180 Hz with harmonics, over faint pink noise."""
    time = np.arange(n) / rate_hz
    base = 45 * 4**dial
    phase = 2 * np.pi * np.cumsum(base * (1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.1, 1) * time))) / rate_hz
    strengths = rng.uniform(0.2, 1, 40) / np.arange(1, 41) ** rng.uniform(0.3, 1.2)
    count = min(40, int(rate_hz / 2 / base) - 1)
    tones = sum(strengths[h] * np.sin((h + 1) * phase + rng.uniform(0, 6.28)) for h in range(count))
    floor = _coloured(rng, n, rate_hz, 0.5)
    return tones / tones.std() + floor / floor.std() * 10 ** (rng.uniform(-20, -5) / 20)


def _clicks(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """Typing, dishes, footsteps: short resonant strokes, 3 to 15 a second, over faint noise."""
    wave = np.zeros(n + rate_hz)
    for place in rng.integers(0, n, max(1, int(n / rate_hz * 3 * 5**dial))):
        length = int(rng.uniform(0.01, 0.08) * rate_hz)
        decay = np.exp(-np.arange(length) / (length / 6))
        ring = np.sin(2 * np.pi * rng.uniform(600, 6000) * np.arange(length) / rate_hz)
        stroke = decay * (ring + rng.standard_normal(length)) * rng.lognormal(0, 0.5)
        wave[place : place + length] += stroke
    floor = _coloured(rng, n, rate_hz, 0.4)
    return wave[:n] + floor / floor.std() * wave.std() * 0.1


def _music(rng, n: int, rate_hz: int, dial: float) -> np.ndarray:
    """Plucked chords over a bass line in a random key, 60 to 180 beats a minute."""
    beat = 60 / (60 * 3**dial)
    scale = np.array([0, 2, 3, 5, 7, 8, 10] if rng.random() < 0.5 else [0, 2, 4, 5, 7, 9, 11])
    tonic = rng.uniform(90, 180)
    brightness = rng.uniform(0.6, 1.6)
    wave = np.zeros(n + 4 * rate_hz)
    for step in range(int(n / rate_hz / beat) + 1):
        root = rng.integers(7)
        for degree in (root - 7, root, root + 2, root + 4, root + 2 * rng.integers(8)):
            start = int((step + rng.choice([0, 0, 0.5])) * beat * rate_hz)
            hz = tonic * 2 ** ((scale[degree % 7] + 12 * (degree // 7)) / 12)
            note = _pluck(rng, hz, rng.uniform(0.4, 2.5), rate_hz, brightness)
            wave[start : start + len(note)] += note[: len(wave) - start] * rng.uniform(0.3, 1)
    return wave


def _pluck(rng, hz: float, seconds: float, rate_hz: int, brightness: float) -> np.ndarray:
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    tone = np.zeros(len(time))
    for partial in range(1, max(2, min(12, int(rate_hz / 2 / hz)))):
        phase = 2 * np.pi * hz * partial * time + rng.uniform(0, 6.28)
        tone += np.sin(phase) * partial**-brightness * np.exp(-time * partial)
    return tone * np.exp(-3 * time / seconds) * np.minimum(1, time / 0.005)


def _ambience(rng, n: int, rate_hz: int, split: str) -> np.ndarray:
    """A window of one of the recorded soundscapes of the package ambience (rain forest, train, drones); splits share no
    second of them: training has the first 60 %, validation the next 20, tests the rest."""
    try:
        package = importlib.metadata.distribution("ambience")
    except importlib.metadata.PackageNotFoundError:
        raise UserError("The noises of the kind ambience lie in the package ambience 1.1.0: install it.") from None
    path = str(package.locate_file(AMBIENCES[rng.integers(len(AMBIENCES))]))
    wave, _ = audio.read(path, rate_hz, channel=0, resampled=True)
    begin, end = (int(share * len(wave)) for share in AMBIENCE_SHARES[split])
    part = np.resize(wave[begin:end], max(n, end - begin))
    return np.roll(part, -int(rng.integers(len(part))))[:n].astype(np.float64)


def _shaped(rng, n: int, rate_hz: int, power_at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(n))
    return np.fft.irfft(spectrum * np.sqrt(power_at(np.fft.rfftfreq(n, 1 / rate_hz))), n)


def _babble(rng, n: int, rate_hz: int, dial: float, split: str, text_config: dict) -> np.ndarray:
    """Three to nine talkers at once, each a new voice (no speaker of the corpus) saying the split's sentences."""
    from speechbase.corpus import voices

    # Nonsense comes from a process of its own that takes seconds to start, and nobody understands babble anyway.
    shares = {name: share for name, share in text_config.get("shares", {}).items() if name != "nonsense"}
    text_config = text_config | ({"shares": shares} if shares else {})
    wave = np.zeros(n)
    for talker in range(3 + int(dial * 7)):
        voice = {"id": f"babble-{talker}", "model": "joe" if rng.random() < 0.25 else "heart"}
        voice |= {"formant_ratio": rng.uniform(0.8, 1.2), "median_f0_hz": rng.uniform(90, 280)}
        said = text.sentences(text_config, split, 1 + n // rate_hz, int(rng.integers(2**31)))
        parts: list[np.ndarray] = [np.zeros(int(rng.uniform(0, 0.5) * rate_hz))]
        while sum(map(len, parts)) < n:
            parts.append(voices.speak(voice, said.pop(), int(rng.integers(2**31)), rate_hz, rng.uniform(0.85, 1.15)))
        line = np.concatenate(parts)[:n]
        wave += line / line.std() * 10 ** (rng.uniform(-6, 0) / 20)
    return wave


KINDS: dict[str, Callable | None] = {
    "coloured": _coloured,
    "speech_shaped": _speech_shaped,
    "modulated": _modulated,
    "babble": None,  # needs the text source as well: see `make`
    "ambience": None,  # needs the split
    "hum": _hum,
    "clicks": _clicks,
    "music": _music,
}


def _make(job: tuple[dict, Path, dict]) -> None:
    item, path, config = job
    seconds = config["noise"]["clip_seconds"]
    wave = make(item["kind"], item["split"], item["seed"], seconds, config["rate_hz"], config["text"])
    audio.write(path, wave, config["rate_hz"], comment=f"synthetic noise; key={item['key']}")


def _row(item: dict, folder: Path, rate_hz: int) -> dict:
    seconds = soundfile.info(folder / item["path"]).frames / rate_hz
    row = {name: item[name] for name in ("id", "split", "kind", "path")}
    return row | {"rate_hz": rate_hz, "seconds": seconds, "sha256": sha256(folder / item["path"])}
