"""Unpack the archives of a corpus: whole or not at all, and never twice.

python -m speechbase.recorded.unpack NAME --folder corpora ARCHIVE...
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line
from speechbase.files import UserError, read_json, write_json

RECORD = ".unpacked.json"
MAX_GROWTH = 300  # audio shrinks three times at most, tables ten times; a bomb a thousand times


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack into `folder`, by way of `<folder>.part`; a folder that carries the record of this archive is kept.

    A file that is no archive (a table) is copied.

    Raises:
        UserError: a broken archive, members that point outside the folder, or a bomb.
    """
    record = folder / RECORD
    size = archive.stat().st_size
    if record.is_file() and read_json(record) == _record(archive, folder, size):
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        if tarfile.is_tarfile(archive):
            _untar(archive, part)
        elif zipfile.is_zipfile(archive):
            _unzip(archive, part)
        elif archive.suffix in (".csv", ".txt", ".tsv"):
            shutil.copy2(archive, part / archive.name)
        else:
            raise tarfile.ReadError("not a tar or zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        shutil.rmtree(part)
        raise UserError(
            f"{archive} is broken ({error}): delete it and its .verified.json, and run again to fetch it anew."
        ) from None
    os.replace(part, folder)
    write_json(record, _record(archive, folder, size))
    return folder


def _untar(archive: Path, part: Path) -> None:
    with tarfile.open(archive) as stream:
        size = 0
        for member in stream:
            size += member.size
            _check_growth(archive, size)
            stream.extract(member, part, filter="data")


def _check_growth(archive: Path, size: int) -> None:
    if size > MAX_GROWTH * archive.stat().st_size:
        raise zipfile.BadZipFile(f"it grows more than {MAX_GROWTH} times, as no corpus does")


def _unzip(archive: Path, part: Path) -> None:
    with zipfile.ZipFile(archive) as stream:
        _check_growth(archive, sum(member.file_size for member in stream.infolist()))
        for member in stream.namelist():
            if not (part / member).resolve().is_relative_to(part.resolve()):
                raise zipfile.BadZipFile(f"{member} points outside the archive")
        stream.extractall(part)


def _record(archive: Path, folder: Path, size: int) -> dict:
    """What identifies a complete unpacking: the archive and how many files came out."""
    files = sum(path.is_file() for path in folder.rglob("*") if path.name != RECORD)
    return {"archive": archive.name, "archive_bytes": size, "files": files}


def write(
    name: str, archives: Annotated[list[Path], typer.Argument()], folder: Annotated[Path, typer.Option()]
) -> None:
    """Unpack all archives of a corpus and write FOLDER/NAME.json, which says where they are."""
    made = [unpack(archive, folder / name / archive.name.split(".")[0]) for archive in archives]
    write_json(folder / f"{name}.json", {"folders": [str(path.relative_to(folder)) for path in made]})


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
