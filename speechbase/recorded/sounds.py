"""Noises and impulse responses of the paper's scale: found in their corpora, listed in the contract's tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from speechbase import audio
from speechbase.corpus import speech
from speechbase.files import UserError, seed_of, sha256
from speechbase.recorded import fingerprint
from speechbase.recorded.corpora import Location

NOISE_COLUMNS = ["id", "split", "kind", "path", "rate_hz", "seconds", "sha256"]
RIR_COLUMNS = ["id", "split", "rt60_s", "path", "rate_hz", "sha256"]
# Where the wanted audio lies in each corpus, as published; OpenSLR28's recorded responses, not its simulated ones or
# noises.
FOLDERS = {
    "dns5_noise": "datasets_fullband/noise_fullband",
    "sfs_static": "SFS-Static-Dataset",
    "mit_ir": "Audio",
    "echothief": "EchoThiefImpulseResponseLibrary",
    "openslr28": "RIRS_NOISES/real_rirs_isotropic_noises",
}
VALID_SHARE = 0.02
RIR_SECONDS = 2.0


def files_of(location: Location) -> Iterator[Path]:
    """The corpus's audio files, in sorted order, over all its archives."""
    found = set()
    for folder in location.folders:
        one = Location(location.name, (folder,))
        try:
            root = one.find(FOLDERS[location.name])
        except UserError:
            continue
        found |= {path for path in root.rglob("*") if path.suffix.lower() in (".wav", ".flac")}
    if location.name == "openslr28":
        found = {path for path in found if "noise" not in path.name.lower()}
    if not found:
        location.find(FOLDERS[location.name])  # raises: says where was looked
        raise UserError(f"The corpus {location.name} has no audio under {FOLDERS[location.name]}: unpack it again.")
    yield from sorted(path for path in found if not path.name.startswith("._"))


def split_of(identity: str) -> str:
    """train, or valid for a fixed 2 %, by the name alone."""
    return "valid" if seed_of("sounds", identity) % 10000 < VALID_SHARE * 10000 else "train"


def noise_table(locations: list[Location], out: Path) -> int:
    """Write `noise.csv`: every noise where it lies, at its own rate. Returns how many."""
    rows = []
    for location in locations:
        lengths = []
        for path in files_of(location):
            identity = f"{location.name}-{path.stem}"
            info = soundfile.info(path)
            lengths.append((identity, info.frames))
            row = {
                "id": identity,
                "split": split_of(identity),
                "kind": location.name,
                "rate_hz": info.samplerate,
                "sha256": "",
            }
            rows.append(row | {"path": os.path.relpath(path, out.parent), "seconds": round(info.duration, 3)})
        _compare(location, lengths, out)
    speech.write_table(out, rows, NOISE_COLUMNS)
    return len(rows)


def rir_table(locations: list[Location], out: Path, rate_hz: int) -> int:
    """Write `rir.csv` and, beside it in `rir/`, every impulse response cut so that its direct path is sample 0.

    Multi-channel responses give their first channel. The reverberation time is estimated from the decay between -5 and
    -25 dB.

    Returns:
        How many responses there are.

    Raises:
        UserError: a corpus with another number of files than is published.
    """
    rows = []
    for location in locations:
        paths = list(files_of(location))
        _compare(location, [(path.stem, soundfile.info(path).frames) for path in paths], out)
        for path in paths:
            identity = f"{location.name}-{path.stem}"
            wave, _ = audio.read(path, rate_hz, channel=0, resampled=True)
            response = from_direct_path(wave)[: round(RIR_SECONDS * rate_hz)]
            kept = out.parent / "rir" / f"{identity}.wav"
            audio.write(kept, response, rate_hz)
            row = {"id": identity, "split": split_of(identity), "rt60_s": rt60_s(response, rate_hz), "rate_hz": rate_hz}
            rows.append(row | {"path": os.path.relpath(kept, out.parent), "sha256": sha256(kept)})
    speech.write_table(out, rows, RIR_COLUMNS)
    return len(rows)


def _compare(location: Location, lengths: list[tuple[str, int]], out: Path) -> None:
    """Fingerprint a corpus's files, by their names, and compare with what is published."""
    record = out.parent / "recorded" / f"{location.name}.fingerprint.json"
    fingerprint.check(location.name, fingerprint.fingerprint(lengths), record)


def from_direct_path(response: np.ndarray) -> np.ndarray:
    """The response [n] from its direct path on, which has the value 1: the first sample of half the largest
    magnitude."""
    magnitude = np.abs(response)
    first = int(np.argmax(magnitude >= 0.5 * magnitude.max()))
    direct = first + int(np.argmax(magnitude[first : first + 8]))
    return (response[direct:] / response[direct]).astype(np.float32)


def rt60_s(response: np.ndarray, rate_hz: int) -> float | str:
    """Reverberation time in seconds from Schroeder's backward integral, -5 to -25 dB; "" where it does not decay so
    far."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level_db = 10 * np.log10(energy / energy[0] + 1e-12)
    part = np.flatnonzero((level_db <= -5) & (level_db >= -25))
    if len(part) < 2 or level_db.min() > -25:
        return ""
    slope = np.polyfit(part / rate_hz, level_db[part], 1)[0]
    return round(float(-60 / slope), 3)
