"""Recorded speech that Debian packages carry, for test sets alone (`split: debian_...`): never trained, tuned or chosen
on.

    python -m speechbase.corpus.debian FOLDER       fetches the packages with apt-get and unpacks them there

A list (`lists/debian.csv`) names the clips that are used and their checksums; words come from the packages. Nothing of
them is kept in this repository.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas
import soundfile
import typer

from speechbase import audio
from speechbase.commands import command_line
from speechbase.corpus import build_speech, jobs, recorded, speech, text
from speechbase.files import UserError, did_you_mean, install, sha256

G722 = "g722"  # a stream without a header, 16 kHz
G722_HZ = 16_000


@dataclass(frozen=True)
class Clip:
    """A recording of a package; `read` gives its bytes, in a `form` that libsndfile knows or in G.722."""

    id: str
    language: str
    speaker: str
    sex: str
    text: str
    form: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Source:
    """One table's packages, and the clips under a folder that they are unpacked in."""

    packages: tuple[str, ...]
    licence: str
    clips: Callable[[Path], Iterator[Clip]]


def prompts(root: Path) -> Iterator[Clip]:
    """Asterisk's telephone prompts: one speaker a language (of English and Spanish the same one)."""
    for folder in sorted((root / "usr/share/asterisk/sounds").glob("*_*_[fm]_*")):
        language, sex = folder.name.split("_")[0], folder.name.split("_")[2]
        listed = root / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        if not listed.is_file():
            continue
        for line in gzip.decompress(listed.read_bytes()).decode(errors="replace").splitlines():
            name, _, said = line.partition(":")
            path = folder / f"{name}.{G722}"
            if said.strip() and path.is_file():
                identity = f"{language}-{name.replace('/', '-')}"
                yield Clip(identity, language, folder.name, sex, said.strip(), G722, path.read_bytes)


def words(root: Path) -> Iterator[Clip]:
    """Tux Paint's stamps: what is to be seen in each, in a few words; of a language one unknown speaker or several."""
    stamps = root / "usr/share/tuxpaint/stamps"
    for path in sorted(stamps.rglob("*_desc*.ogg")):
        name, _, language = path.stem.partition("_desc")
        said = _stamp(path.with_name(f"{name}.txt")).get(language.strip("_"), "")
        if said:
            language = language.strip("_") or "en"
            inside = str(path.relative_to(stamps).with_name(name)).replace("/", "-")
            yield Clip(f"{language}-{inside}", language, f"tuxpaint-{language}", "", said, "OGG", path.read_bytes)


def _stamp(path: Path) -> dict[str, str]:
    """A stamp's descriptions by language; English's key is empty."""
    if not path.is_file():
        return {}
    first, *others = path.read_text(encoding="utf-8").splitlines() or [""]
    marked = (line.partition(".utf8=") for line in others)
    return {"": first} | {language: said for language, _, said in marked if said}


def games(root: Path) -> Iterator[Clip]:
    """Flight of the Amazon Queen: actors' lines, MP3 at 11,025 Hz, with their subtitles.

    Of each dialogue (`.DOG`) the hero's lines (J) and the other person's (P); a line's parts are between stage
    directions, and a clip is named by dialogue, line, role and part.
    """
    path = root / "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c"
    if not path.is_file():
        return
    members = queen_members(path.read_bytes())
    for name, content in members.items():
        if not name.endswith(".DOG"):
            continue
        for clip, role, said in queen_lines(content):
            if clip in members:
                speaker = "queen-joe" if role == "J" else f"queen-{re.sub('[0-9]*[.]DOG$', '', name).lower()}"
                read = partial(bytes, members[clip])
                yield Clip(f"queen-{clip.partition('.')[0]}", "en", speaker, "", said, "MP3", read)


def queen_members(data: bytes) -> dict[str, bytes]:
    """The files of the game's archive: after a head of 13 bytes a count, then name, bundle, offset and size of each."""
    if data[:4] != b"QTBL":
        raise UserError("queen.1c is no archive of Flight of the Amazon Queen (its mark QTBL is missing).")
    found, count = {}, int.from_bytes(data[13:15], "big")
    for place in range(15, 15 + 21 * count, 21):
        name = data[place : place + 12].partition(b"\0")[0].decode("ascii", "replace")
        start, size = (int.from_bytes(data[at : at + 4], "big") for at in (place + 13, place + 17))
        found[name] = data[start : start + size]
    return found


def queen_lines(dialogue: bytes) -> Iterator[tuple[str, str, str]]:
    """(clip, role, words) of a dialogue file's lines; numbers are big-endian, counted from after 20 bytes of head."""
    content = dialogue[20:]

    def number(at: int) -> int:
        return int.from_bytes(content[at : at + 2], "big")

    levels = int.from_bytes(content[:2], "big", signed=True)
    key = number(4)
    for role, at, count in (("J", 32 + 96 * abs(levels), number(6)), ("P", number(22), number(8))):
        for _ in range(count):
            line, size = number(at + 2), content[at + 4]
            said = content[at + 5 : at + 5 + size].decode("latin-1")
            at = at + 5 if not size else (at + 5 + size + 3) // 4 * 4
            for number_of_part, part in enumerate(re.split(r"\*(?:XY\d\d\(\d+,\d+\)|..)", said), 1):
                if part.strip():
                    yield f"{key:02d}{line:04X}{role}{number_of_part:X}.SB", role, part.strip()


_ASTERISK = tuple(f"asterisk-core-sounds-{language}" for language in ("en", "es", "fr", "it", "ru"))
SOURCES = {
    "prompts": Source(
        (*_ASTERISK, *(f"{name}-{G722}" for name in _ASTERISK)), "CC-BY-SA-3.0, Russian CC-BY-3.0", prompts
    ),
    "words": Source(("tuxpaint-stamps-default",), "GPL-2", words),
    "games": Source(("flight-of-the-amazon-queen",), "freeware licence of the game (in Debian main)", games),
}


def build(config: dict, table: str, out: Path) -> Path | None:
    """Make OUT/speech/debian_<table>.csv and its audio from the user's folder; None where there is none.

    Args:
        config: the `corpus` sub-tree; `debian` names the `list` (table, id, sha256), and by `have` or `variable` the
            folder that the packages are unpacked in (`/`, where they are installed).

    Raises:
        UserError: an unknown table, or a clip that is missing or is not the listed one.
    """
    if table not in SOURCES:
        raise UserError(f"Debian's recordings have no table {table!r}{did_you_mean(table, SOURCES)}.")
    settings, out = config["debian"], Path(out)
    folder = recorded.folder_of(settings)
    if folder is None:
        return None
    listed = pandas.read_csv(files("speechbase.corpus") / "lists" / settings["list"], dtype=str)
    rows = [
        _row(clip, data, table, out / "speech", config)
        for clip, data in _checked(listed[listed["table"] == table], table, folder)
    ]
    jobs.drop_strays(out / "speech" / _folder(table), {out / "speech" / row["path"] for row in rows})
    made = out / "speech" / f"{speech.DEBIAN}_{table}.csv"
    speech.write_table(made, rows, [*speech.COLUMNS, "language"])
    return made


def _checked(listed: pandas.DataFrame, table: str, folder: Path) -> Iterator[tuple[Clip, bytes]]:
    found = {clip.id: clip for clip in SOURCES[table].clips(folder)}
    missing = [identity for identity in listed["id"] if identity not in found]
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} of the {len(listed)} listed clips, such as {missing[0]}: unpack "
            f"{', '.join(SOURCES[table].packages)} there (python -m speechbase.corpus.debian {folder}), or leave the "
            "recordings out."
        )
    for row in listed.itertuples():
        data = found[row.id].read()
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise UserError(
                f"{folder}: {row.id} is not the clip that the list names (SHA-256 differs): another version of the "
                "package is there; take Debian 12's or 13's."
            )
        yield found[row.id], data


def _folder(table: str) -> str:
    return f"audio/{speech.DEBIAN}_{table}"


def _row(clip: Clip, data: bytes, table: str, out: Path, config: dict) -> dict:
    rate_hz = config["rate_hz"]
    wave = build_speech.levelled(audio.resample(*decoded(data, clip.form), rate_hz), rate_hz, config["level_dbfs"])
    inside = f"{_folder(table)}/{clip.id}.flac"
    audio.write(out / inside, wave, rate_hz, comment=f"recorded speech; {SOURCES[table].licence}")
    return {
        "id": clip.id, "speaker": clip.speaker, "base": speech.RECORDED, "sex": clip.sex,
        "split": f"{speech.DEBIAN}_{table}", "text": text.plain(clip.text) if clip.language == "en" else clip.text,
        "path": inside, "rate_hz": rate_hz, "seconds": round(len(wave) / rate_hz, 4), "phones": 0,
        "sha256": sha256(out / inside), "language": clip.language,
    }  # fmt: skip


def decoded(data: bytes, form: str) -> tuple[np.ndarray, int]:
    """Samples float32 [n] (of several channels their mean) and their rate.

    Raises:
        UserError: what reads G.722 is not installed.
    """
    if form != G722:
        wave, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        return wave.mean(1), rate_hz
    try:
        import av
    except ImportError:
        raise UserError(f"G.722 is read by the package av: {install('itc')}.") from None
    with av.open(io.BytesIO(data), "r", format=G722) as stream:
        frames = [frame.to_ndarray().reshape(-1) for frame in stream.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768, G722_HZ


def fetch(folder: Path) -> None:
    """Fetch the packages of all tables with apt-get into FOLDER, where they are not there yet, and unpack them."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.values():
        for package in source.packages:
            for path in [*folder.glob(f"{package}_*.deb")] or [_fetched(package, folder)]:
                _run(["dpkg-deb", "-x", str(path.resolve()), str(folder)], folder)
    print(f"{folder} is whole: name it under corpus.debian.have, or by the environment variable that stands there.")


def _fetched(package: str, folder: Path) -> Path:
    _run(["apt-get", "download", package], folder)
    return next(folder.glob(f"{package}_*.deb"))


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise UserError(
            f"{command[0]} is not on this machine: run this on a Debian and copy {folder}, or unpack the .deb files of "
            "Debian's archive there by other means."
        )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")


def write(folder: Annotated[Path, typer.Argument(help="where the packages are fetched to and unpacked")]) -> None:
    """Fetch the recordings that are tested on, about 340 MB, with apt-get."""
    fetch(folder)


main = command_line(write)

if __name__ == "__main__":
    raise SystemExit(main())
