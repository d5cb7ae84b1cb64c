"""A small copy of a scale's training data, for a machine that is lent for minutes: Opus audio in shards or in tables.

A training reads it in place of the whole (`--data`); noises and rooms come through their tables.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas
import soundfile
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus.shards import INDEX_COLUMNS, open_speech
from speechbase.corpus.speech import SpeechTable, read_table
from speechbase.files import UserError, atomic, seed_of, write_text

OPUS_LEVEL = 0.95  # libsndfile's compression level: about 20 kbit/s of speech at 16 kHz
ROOMS = 60  # impulse responses that are taken along
SHARD = "000000"
OPUS = {"format": "OGG", "subtype": "OPUS", "compression_level": OPUS_LEVEL}
KEPT = ("id", "speaker", "base", "text", "seconds", "rate_hz")


def pack(data: Path, out: Path, mib: float, recorded: float, seed: int, rate_hz: int) -> dict[str, float]:
    """Write `out` from `data/<scale>`; what is there already is replaced.

    Args:
        mib: size of the training speech, in MiB; the validation speech goes along whole.
        recorded: share of the hours of training speech that are real voices, where there are any.

    Returns:
        hours packed by split, and the size of all in MiB.

    Raises:
        UserError: no training data under `data`, or an output folder that holds something else.
    """
    _empty(out, "shards")
    hours = {}
    for split, size in (("train", mib), ("valid", None)):
        table = open_speech(data, split, rate_hz, eager=False)
        order = _order(table, recorded, np.random.default_rng(seed_of(seed, "pack", split)))
        hours[split] = _shard(table, order, out / "shards" / split, None if size is None else size * 2**20)
    _sounds(data, out, "noise", OPUS, ".ogg", None)
    _sounds(data, out, "rir", {"format": "FLAC", "subtype": "PCM_16"}, ".flac", ROOMS)
    return hours | {"mib": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 2**20}


def tables(data: Path, out: Path, splits: list[str], rate_hz: int) -> float:
    """Write the tables of these splits with their speech in Opus, whole, and the noises and rooms; returns the hours.

    Raises:
        UserError: a table that is not there, or an output folder that holds something else.
    """
    _empty(out, "speech")
    hours = 0.0
    for split in splits:
        table = SpeechTable.load(data / "speech" / f"{split}.csv", eager=False)
        paths = [Path(path).with_suffix(".ogg") for path in table.rows["path"]]
        for place, path in enumerate(tqdm(paths, desc=f"packing {split}", unit="utt")):
            (out / "speech" / path).parent.mkdir(parents=True, exist_ok=True)
            (out / "speech" / path).write_bytes(_coded(table.wave(place), rate_hz, OPUS))
        rows = table.rows.assign(path=[str(path) for path in paths])
        write_text(out / "speech" / f"{split}.csv", rows.to_csv(index=False, lineterminator="\n"))
        hours += float(rows["seconds"].sum()) / 3600
    _sounds(data, out, "noise", OPUS, ".ogg", None)
    _sounds(data, out, "rir", {"format": "FLAC", "subtype": "PCM_16"}, ".flac", ROOMS)
    return hours


def decoded(data: Path, processes: int) -> int:
    """Turn the Opus speech of packed tables into WAV, so that no training decodes it again; returns how many files."""
    files = sorted((data / "speech").rglob("*.ogg"))
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_decode, files, chunksize=50))
    for path in sorted((data / "speech").glob("*.csv")):
        text = path.read_text()
        if ".ogg" in text:
            write_text(path, text.replace(".ogg", ".wav"))
    return len(files)


def _decode(path: Path) -> None:
    wave, rate_hz = soundfile.read(path, dtype="int16")
    with atomic(path.with_suffix(".wav")) as temporary:
        soundfile.write(temporary, wave, rate_hz, format="WAV", subtype="PCM_16")
    path.unlink()


def _empty(out: Path, kind: str) -> None:
    """Remove packed data, known by its folder `kind`, and nothing else."""
    if out.exists() and not (out / kind).is_dir() and any(out.iterdir()):
        raise UserError(f"{out} holds something else than packed data; name another folder.")
    shutil.rmtree(out, ignore_errors=True)


def _order(table: SpeechTable, recorded: float, rng: np.random.Generator) -> list[int]:
    """Every utterance once, in random order, real voices as often as asked while some are left, originals first."""
    left: dict[bool, list[int]] = {True: [], False: []}
    for place in rng.permutation(len(table)):
        left[bool(table.is_recorded(int(place)))].append(int(place))
    left[True].sort(key=lambda place: "~" not in table.rows["id"].iat[place])  # taken from the end
    order = []
    while left[True] or left[False]:
        real = bool(left[True]) and (not left[False] or rng.random() < recorded)
        order.append(left[real].pop())
    return order


def _shard(table: SpeechTable, order: list[int], folder: Path, limit: float | None) -> float:
    """Write utterances in this order into one archive until it has `limit` bytes; returns the hours."""
    (folder / "shar").mkdir(parents=True)
    (folder / "index").mkdir()
    rows, written = [], 0
    with atomic(folder / "shar" / f"recording.{SHARD}.tar") as temporary, tarfile.open(temporary, "w") as archive:
        for place in tqdm(order, desc=f"packing {folder.name}", unit="utt"):
            data = _coded(table.wave(place), table.rate_hz, OPUS)
            if limit is not None and written + len(data) > limit:
                break
            row = table.rows.iloc[place]
            header = tarfile.TarInfo(f"{row['id']}.ogg")
            header.size = len(data)
            offset = archive.offset + tarfile.BLOCKSIZE
            archive.addfile(header, io.BytesIO(data))
            written += len(data)
            rows.append({name: row[name] for name in KEPT} | {"offset": offset, "size": len(data)})
    frame = pandas.DataFrame(rows, columns=[*INDEX_COLUMNS, "base"])
    write_text(folder / "index" / f"{SHARD}.csv", frame.to_csv(index=False, lineterminator="\n"))
    return float(frame["seconds"].sum()) / 3600


def _coded(wave: np.ndarray, rate_hz: int, settings: dict) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate_hz, **settings)
    return stream.getvalue()


def _sounds(data: Path, out: Path, name: str, settings: dict, suffix: str, most: int | None) -> None:
    """Copy a table of noises or rooms of training and validation, its audio coded anew."""
    rows = read_table(data / f"{name}.csv", ["id", "split", "path"])
    rows = rows[rows["split"].isin(["train", "valid"])]
    if most is not None:
        rows = rows.groupby("split").head(most)
    paths = []
    for row in rows.itertuples():
        wave, rate_hz = audio.read(data / row.path)
        path = out / Path(row.path).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_coded(wave / max(1.0, np.abs(wave).max()), rate_hz, settings))
        paths.append(str(path.relative_to(out)))
    write_text(out / f"{name}.csv", rows.assign(path=paths).to_csv(index=False, lineterminator="\n"))
