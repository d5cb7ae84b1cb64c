"""Real voices: utterances of a recorded corpus by id, cut at pauses, and each voice multiplied by pitch, formants and
speed."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas
import soundfile
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import build_speech, jobs, speech, text
from speechbase.files import UserError, seed_of, sha256

VERSION = 1
PAUSE_SECONDS = 0.1
BESIDE = "recorded"  # the folder beside `speech` for what recognisers need and say
TEXTS = "texts.csv"  # id, text of the pieces whose words are sure


def folder_of(config: dict) -> Path | None:
    """The folder that holds `<id>.flac` (at any depth), or None where the user has not got the corpus.

    Args:
        config: `corpus.real_voices` or `corpus.real_tests`: `have` names the folder, or else the environment variable
            that `variable` names.

    Raises:
        UserError: a folder is named that does not exist.
    """
    given = config.get("have") or os.environ.get(config["variable"])
    if not given:
        return None
    folder = Path(given)
    if not folder.is_dir():
        raise UserError(
            f"The recorded corpus should lie in {given}, which is not a folder; correct it or leave it out."
        )
    return folder


def build(config: dict, split: str, out: Path, workers: int = 1) -> Path | None:
    """Make `out/<split>_recorded.csv` and its audio from the user's copy of the corpus; None where there is none.

    Args:
        config: the `corpus` sub-tree; `real_voices` names the `list` of ids and checksums, `copies` of each voice with
            the ranges of `formant_ratio`, `f0_ratio` and `speed` that they are drawn from (the first copy is the voice
            itself), and the longest piece, `max_seconds`.
        split: `train` or `valid`: other speakers.

    Raises:
        UserError: a recording that is missing or is not the one that the list names.
    """
    settings = config["real_voices"]
    folder = folder_of(settings)
    if folder is None:
        return None
    listed = pandas.read_csv(files("speechbase.corpus") / "lists" / settings["list"], dtype=str)
    listed = listed[listed["split"] == split]
    found = checked(listed, folder)
    out, table = Path(out), Path(out) / f"{split}_recorded.csv"
    copies = settings["copies"] if split == "train" else 1
    work = [
        (row.id, row.speaker, found[row.id], number, split, out, config)
        for row in listed.itertuples() for number in range(copies)
    ]  # fmt: skip
    rows = []
    for made in tqdm(jobs.mapped(_make, work, workers), total=len(work), desc=f"recorded {split}", unit="utt"):
        rows += made
    texts = _texts(out.parent / BESIDE / TEXTS)
    for row in rows:
        row["text"] = texts.get(row["id"].partition("~")[0], "")
    jobs.drop_strays(out / "audio" / f"{split}_recorded", {out / row["path"] for row in rows})
    speech.write_table(table, rows, speech.COLUMNS)
    own = [row | {"status": "ok", "path": f"../{out.name}/{row['path']}"} for row in rows if "~" not in row["id"]]
    speech.write_table(out.parent / BESIDE / f"{split}.csv", own, ["id", "path", "status"])
    return table


def sure_words(first: list[dict], second: list[dict]) -> list[dict]:
    """The texts of which two recognisers say the same words: rows with id and text, of rows with id, text and status.

    Numbers that one of them writes in digits make a text unsure.
    """
    other = {row["id"]: text.plain(row["text"]) for row in second if row["status"] == "ok"}
    heard = [(row["id"], row["text"], text.plain(row["text"])) for row in first if row["status"] == "ok"]
    return [
        {"id": name, "text": words}
        for name, written, words in heard
        if words and words == other.get(name) and not any(sign.isdigit() for sign in written)
    ]


def pieces(wave: np.ndarray, rate_hz: int, max_seconds: float) -> list[np.ndarray]:
    """Cut at the middle of the longest pause of the middle half, until no piece is longer than `max_seconds`.

    Where there is no pause the quietest place is cut.
    """
    if len(wave) <= max_seconds * rate_hz:
        return [wave]
    frame = int(PAUSE_SECONDS * rate_hz)
    power = np.convolve(wave.astype(np.float64) ** 2, np.ones(frame) / frame, "valid")
    begin, end = len(power) // 4, 3 * len(power) // 4
    inner = power[begin:end]
    quiet = inner < max(inner.min() * 4, 1e-9)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    cut = begin + (starts[longest] + stops[longest]) // 2 + frame // 2
    return pieces(wave[:cut], rate_hz, max_seconds) + pieces(wave[cut:], rate_hz, max_seconds)


def checked(listed: pandas.DataFrame, folder: Path) -> dict[str, Path]:
    """The listed files by id, found at any depth. Raises: UserError: one is missing or is not the one that the list
    names."""
    found = {path.stem: path for path in sorted(folder.rglob("*.flac"))}
    missing = [name for name in listed["id"] if name not in found]
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} of the {len(listed)} listed recordings, such as {missing[0]}.flac; "
            "name the folder of the whole corpus, or leave it out."
        )
    for row in listed.itertuples():
        if sha256(found[row.id]) != row.sha256:
            raise UserError(
                f"{found[row.id]} is not the recording that the list names (SHA-256 differs); fetch it again."
            )
    return found


def _make(job: tuple) -> list[dict]:
    """One copy of one recording: its pieces' rows, the audio written where it is not there yet."""
    identity, speaker, path, number, split, out, config = job
    settings, rate_hz = config["real_voices"], config["rate_hz"]
    rng = np.random.default_rng(seed_of(config["seed"], "recorded", speaker, number))
    change = {
        name: float(np.exp(rng.uniform(*np.log(settings[name])))) for name in ("formant_ratio", "f0_ratio", "speed")
    }
    rows, wave = [], None
    cuts = pieces(audio.read(path, rate_hz, channel=0, resampled=True)[0], rate_hz, settings["max_seconds"])
    for place, piece in enumerate(cuts):
        name = f"{identity}.{place}" + (f"~{number}" if number else "")
        decisive = (sha256(path), change if number else None, settings["max_seconds"], config["level_dbfs"])
        key = f"{seed_of(VERSION, *decisive):016x}"
        inside = f"audio/{split}_recorded/{speaker}/{name}.flac"
        if not jobs.is_made(out / inside, key):
            wave = _changed(piece, rate_hz, change, seed_of(config["seed"], name)) if number else piece
            try:
                wave = build_speech.normalise_level(build_speech.trim(wave, rate_hz), rate_hz, config["level_dbfs"])
            except ValueError:  # a loud breath or click beside quiet speech: the peak decides
                wave = wave * (0.99 / np.abs(wave).max())
            audio.write(out / inside, wave, rate_hz, comment=f"recorded speech; key={key}")
        with soundfile.SoundFile(out / inside) as stream:
            seconds = stream.frames / rate_hz
        voice = speaker + (f"~{number}" if number else "")
        rows.append(
            {
                "id": name,
                "speaker": voice,
                "base": speech.RECORDED,
                "sex": "",
                "split": f"{split}_recorded",
                "text": "",
                "path": inside,
                "rate_hz": rate_hz,
                "seconds": round(seconds, 4),
                "phones": 0,
                "sha256": sha256(out / inside),
            }
        )
    return rows


def _changed(wave: np.ndarray, rate_hz: int, change: dict[str, float], seed: int) -> np.ndarray:
    """The voice with other formants, another median pitch and another pace (Praat's "Change gender")."""
    from speechbase.corpus import voices

    return voices.change_gender(
        wave, rate_hz, change["formant_ratio"], voices.median_f0_hz(wave, rate_hz) * change["f0_ratio"],
        seed=seed, pace=change["speed"],
    )  # fmt: skip


def _texts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = speech.read_table(path, ["id", "text"])
    return dict(zip(rows["id"], rows["text"]))
