"""Speech in shards (lhotse Shar): tens of thousands of hours behind the interface of a speech table.

A folder of shards holds, for each number k, `shar/recording.k.tar` and `shar/cuts.k.jsonl.gz` (lhotse's own files,
which `CutSet.from_shar` reads), where encoded also `latents/k.tar`, and `index/k.csv`, which says where in the archives
each utterance lies. So an utterance is one seek and one read, and a training step that draws utterances from (seed,
step) resumes exactly with no state of the reader.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas
import soundfile

from speechbase import audio
from speechbase.corpus.speech import SpeechTable
from speechbase.files import UserError

KEPT_HOURS = 24  # of tables of fewer hours what was decoded is kept
INDEX_COLUMNS = ["id", "speaker", "text", "seconds", "rate_hz", "offset", "size"]


def open_speech(
    data: Path, split: str, rate_hz: int, eager: bool = True, ahead: bool = False, languages: bool = False
) -> SpeechTable:
    """The speech of a split of `data/<scale>`: its shards where there are any (resampled as read), else its tables in
    memory.

    Without `eager` audio is decoded when it is asked for, and of shards none is kept: where it is read once. With
    `ahead` few shards are decoded now: processes that draw ahead are forks, each of which would decode for itself.

    `train` has the rows of `train.csv` and of all further tables of that kind, `train_2.csv` or `train_recorded.csv`;
    with `languages` those of `languages_train.csv` as well, whose texts are not English.

    Raises:
        UserError: neither, a torn archive, or a table at another rate than `rate_hz`.
    """
    shards = data / "shards" / split
    if (shards / "index").is_dir():
        sharded = ShardTable.open(shards, rate_hz)
        if eager and sharded.rows["seconds"].sum() < KEPT_HOURS * 3600:
            sharded.keep(ahead)
        return sharded
    further = sorted((data / "speech").glob(f"{split}_*.csv"))
    further += [data / "speech" / f"languages_{split}.csv"] if languages else []
    table = SpeechTable.load(data / "speech" / f"{split}.csv", *further, eager=eager)
    if table.rate_hz != rate_hz:
        raise UserError(f"{data} holds audio at {table.rate_hz} Hz, and the codec works at {rate_hz} Hz.")
    return table


def tts_split(data: Path, split: str) -> str:
    """The split that TTS is trained on: `tts` where a scale has one beside its clean `train` speech (section 5)."""
    return "tts" if split == "train" and (data / "speech" / "tts.csv").is_file() else split


class ShardTable(SpeechTable):
    """A speech table whose audio is read from shards when it is asked for; nothing is kept in memory but the index.

    `rows` has INDEX_COLUMNS, `shard` and, where latents were encoded, `latent_offset` and `latent_size`.
    """

    @classmethod
    def open(cls, folder: str | Path, rate_hz: int) -> ShardTable:
        """Open a folder of shards; audio is resampled to `rate_hz` as it is read.

        Raises:
            UserError: no shards, or an archive that its index does not fit (a torn copy).
        """
        folder = Path(folder)
        indices = sorted(folder.glob("index/*.csv"))
        if not indices:
            raise UserError(f"{folder} holds no shards; write them with `python -m speechbase.recorded.shards write`.")
        parts = []
        for path in indices:
            number = path.stem
            part = pandas.read_csv(path, keep_default_na=False, dtype={"id": str, "speaker": str, "text": str})
            tar = folder / "shar" / f"recording.{number}.tar"
            if not tar.is_file() or tar.stat().st_size < int((part["offset"] + part["size"]).max()):
                raise UserError(
                    f"{tar} is missing or shorter than its index says: delete {path} and write the shard again."
                )
            parts.append(part.assign(shard=number))
        rows = pandas.concat(parts, ignore_index=True)
        rows["speaker"] = rows["speaker"].astype("category")
        return cls(rows, folder, rate_hz)

    def __post_init__(self) -> None:
        self._look_up()
        self._waves = None  # no audio is kept

    def keep(self, now: bool) -> None:
        """Keep what is decoded (int16, 115 MB an hour at 16 kHz), and decode all of it now or when it is asked for."""
        self._waves = [None] * len(self)
        if now:
            with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
                list(pool.map(self.wave_int16, range(len(self))))

    def wave(self, place: int) -> np.ndarray:
        """The utterance at `place` as float32 [n] at the table's rate."""
        return self._decoded(place) if self._waves is None else super().wave(place)

    def _decoded(self, place: int) -> np.ndarray:
        data = io.BytesIO(self._bytes("shar/recording.{}.tar", place, "offset", "size"))
        wave, rate_hz = soundfile.read(data, dtype="float32")
        return audio.resample(wave, rate_hz, self.rate_hz)

    def wave_int16(self, place: int) -> np.ndarray:
        """The utterance at `place` as int16 [n]."""
        if self._waves is not None and (kept := self._waves[place]) is not None:
            return kept
        decoded = np.clip(np.round(self._decoded(place) * 32768), -32768, 32767).astype(np.int16)
        if self._waves is not None:
            self._waves[place] = decoded
        return decoded

    @property
    def has_latents(self) -> bool:
        """Whether every utterance was encoded."""
        return "latent_offset" in self.rows.columns and bool(self.rows["latent_offset"].notna().all())

    def latent(self, place: int) -> np.ndarray:
        """The encoded utterance at `place`: float16 [frames, channels]. Raises: UserError: the shards lack latents."""
        if not self.has_latents:
            raise UserError(
                f"{self.folder} holds no latents; encode them with `python -m speechbase.recorded.shards encode`."
            )
        return np.load(
            io.BytesIO(self._bytes("latents/{}.tar", place, "latent_offset", "latent_size")), allow_pickle=False
        )

    def _bytes(self, name: str, place: int, offset: str, size: str) -> bytes:
        row = self.rows
        with open(self.folder / name.format(row["shard"].iat[place]), "rb") as stream:
            stream.seek(int(row[offset].iat[place]))
            return stream.read(int(row[size].iat[place]))
