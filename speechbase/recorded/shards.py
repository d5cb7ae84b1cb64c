"""Write speech tables as shards, and encode shards into latents; both in parts that run side by side and resume.

    python -m speechbase.recorded.shards write  --table T.csv --out DIR [--part 3/64]
    python -m speechbase.recorded.shards encode --shards DIR --codec models/paper/codec --device cuda [--part 3/64]

Utterances are dealt to shards by a hash of their ids, so that every shard is a random sample and no job needs
another's.
"""

from __future__ import annotations

import csv
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas
import typer
from lhotse import Recording, SupervisionSegment
from lhotse.cut import MonoCut
from lhotse.shar import SharWriter
from lhotse.shar.writers.tar import TarWriter
from tqdm import tqdm

from speechbase.commands import command_line
from speechbase.corpus.shards import INDEX_COLUMNS, ShardTable
from speechbase.files import UserError, atomic, seed_of, write_text

SHARD_SIZE = 1000


def shard_count(rows: int, size: int = SHARD_SIZE) -> int:
    """How many shards a table of so many rows is dealt to."""
    return max(1, -(-rows // size))


def shard_of(identity: str, shards: int) -> int:
    """The shard of an utterance, by its id alone."""
    return seed_of("shard", identity) % shards


def write(table: Path, out: Path, part: int = 0, parts: int = 1, size: int = SHARD_SIZE) -> int:
    """Write the shards whose number is `part` modulo `parts`; finished ones (those with an index) are kept.

    Returns:
        How many shards were written now.
    """
    with open(table, encoding="utf-8", newline="") as stream:
        shards = shard_count(sum(1 for _ in csv.reader(stream)) - 1, size)
    missing = [k for k in range(part, shards, parts) if not (out / "index" / f"{k:06d}.csv").is_file()]
    rows: dict[int, list[dict]] = {k: [] for k in missing}
    for row in _rows(table):
        if (k := shard_of(row["id"], shards)) in rows:
            rows[k].append(row)
    written = [k for k in missing if rows[k]]  # a small table may leave a shard empty
    for k in tqdm(written, desc=f"shards of {table.stem}", unit="shard", mininterval=5):
        _write_shard(rows[k], table.parent, out, k)
    return len(written)


def _rows(table: Path) -> Iterator[dict]:
    with open(table, encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _write_shard(rows: list[dict], folder: Path, out: Path, number: int) -> None:
    """Write one shard in a folder of its own, move it into place, and its index last: the index says that it is
    whole."""
    (out / "shar").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as temporary:
        with SharWriter(temporary, fields={"recording": "flac"}, shard_size=len(rows), shard_offset=number) as writer:
            for row in sorted(rows, key=lambda row: row["id"]):
                writer.write(_cut(row, folder))
        offsets = _members(Path(temporary) / f"recording.{number:06d}.tar")
        for name in (f"recording.{number:06d}.tar", f"cuts.{number:06d}.jsonl.gz"):
            os.replace(Path(temporary) / name, out / "shar" / name)
    index = [row | dict(zip(("offset", "size"), offsets[row["id"]])) for row in sorted(rows, key=lambda row: row["id"])]
    with atomic(out / "index" / f"{number:06d}.csv") as temporary:
        columns = INDEX_COLUMNS + (["sex", "language"] if "language" in index[0] else [])  # what is to be named
        pandas.DataFrame(index)[columns].to_csv(temporary, index=False)


def _cut(row: dict, folder: Path) -> MonoCut:
    path = folder / row["path"]
    if not path.is_file():
        raise UserError(
            f"{path} is missing, though its table names it: unpack the corpus again, or prepare its table anew."
        )
    recording = Recording.from_file(path, recording_id=row["id"])
    said = SupervisionSegment(row["id"], row["id"], 0.0, recording.duration, text=row["text"], speaker=row["speaker"])
    return MonoCut(row["id"], 0.0, recording.duration, 0, supervisions=[said], recording=recording)


def _members(tar: Path) -> dict[str, tuple[int, int]]:
    """Id -> (offset, size) of the audio or the array in an archive; lhotse puts a JSON file beside each."""
    with tarfile.open(tar) as stream:
        found = [member for member in stream if not member.name.endswith((".json", ".nodata", ".nometa"))]
        return {member.name.rsplit(".", 1)[0]: (member.offset_data, member.size) for member in found}


def encode(folder: Path, codec: Callable[[np.ndarray], np.ndarray], rate_hz: int, part: int = 0, parts: int = 1) -> int:
    """Encode the shards whose number is `part` modulo `parts` into `latents/k.tar` and complete their indices.

    Args:
        codec: audio float32 [n] at `rate_hz` -> latents [frames, channels]; they are stored as float16.

    Returns:
        How many shards were encoded now.
    """
    table = ShardTable.open(folder, rate_hz)
    done = 0
    for number, group in sorted(table.rows.groupby("shard").groups.items()):
        index = pandas.read_csv(
            folder / "index" / f"{number}.csv", keep_default_na=False, dtype={"id": str, "speaker": str}
        )
        if int(number) % parts != part or "latent_offset" in index.columns:
            continue
        target = folder / "latents" / f"{number}.tar"
        with atomic(target) as temporary, TarWriter(str(temporary), shard_size=None) as writer:
            for place in tqdm(group, desc=f"latents {number}", unit="utt", mininterval=10):
                data = io.BytesIO()
                np.save(data, codec(table.wave(int(place))).astype(np.float16))
                writer.write(f"{table.rows['id'].iat[place]}.npy", data)
            writer.close()
        offsets = _members(target)
        index["latent_offset"] = [offsets[identity][0] for identity in index["id"]]
        index["latent_size"] = [offsets[identity][1] for identity in index["id"]]
        with atomic(folder / "index" / f"{number}.csv") as temporary:
            index.to_csv(temporary, index=False)
        done += 1
    return done


def codec_encoder(folder: Path, device: str) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A released codec as (audio [n] -> latents [frames, channels], its rate)."""
    import torch

    from speechbase.codec.loading import load_codec

    codec = load_codec(folder).to(device)

    @torch.inference_mode()
    def run(wave: np.ndarray) -> np.ndarray:
        whole = wave[: len(wave) // codec.hop * codec.hop]
        return codec.encode(torch.from_numpy(whole)[None].to(device))[0].float().cpu().numpy()

    return run, codec.rate_hz


def _part(text: str) -> tuple[int, int]:
    try:
        number, of = (int(value) for value in text.split("/"))
    except ValueError:
        raise UserError(f"--part {text}: it is number/of, such as 3/64.") from None
    if not 0 <= number < of:
        raise UserError(f"--part {text}: the number runs from 0 to {of - 1}.")
    return number, of


Part = Annotated[str, typer.Option(help="number/of, such as 3/64")]
Done = Annotated[Path | None, typer.Option(help="what a finished part leaves")]


def write_shards(
    table: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()], part: Part = "0/1", done: Done = None
) -> None:
    """Write a speech table as shards."""
    _finish(write(table, out, *_part(part)), part, done)


def encode_shards(
    shards: Annotated[Path, typer.Option()],
    codec: Annotated[Path, typer.Option()],
    device: Annotated[str, typer.Option()] = "cuda",
    part: Part = "0/1",
    done: Done = None,
) -> None:
    """Encode shards into latents."""
    which = _part(part)
    _finish(encode(shards, *codec_encoder(codec, device), *which), part, done)


def _finish(written: int, part: str, done: Path | None) -> None:
    print(f"{written} shards written")
    if done:
        write_text(done, f"{part}\n")


main = command_line(
    about="Speech tables as shards, in parts that run side by side.", write=write_shards, encode=encode_shards
)


if __name__ == "__main__":
    raise SystemExit(main())
