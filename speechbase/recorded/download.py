"""Fetch one archive: resumed after a cut, tried again, checked, and never fetched twice.

python -m speechbase.recorded.download NAME PART --folder corpora [--mirror URL]
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, cast

import pooch
import requests
import typer
from tqdm import tqdm

from speechbase.commands import command_line
from speechbase.files import UserError, read_json, write_json
from speechbase.recorded.corpora import Archive, check_licence, read_corpora, with_base

CHUNK = 1 << 16  # bytes; what arrived of a chunk when the connection broke is lost
BAR: dict[str, Any] = {"unit": "B", "unit_scale": True, "mininterval": 10}
GONE = (401, 403, 404, 410)


def fetch(archive: Archive, folder: Path, attempts: int = 6, pause_s: float = 5.0) -> Path:
    """Download `archive` to `folder/<name>/<file>` and write `<file>.verified.json` beside it.

    A file that was verified before is kept without a request. A partial file is continued by a range request. A wrong
    checksum is fetched once more from the start, then reported.

    Returns:
        The archive's path.

    Raises:
        UserError: a dead address, a page in the place of the archive, too little disk, a connection that breaks
            `attempts` times without progress, or a wrong checksum.
    """
    path = folder / archive.name / archive.file
    record = path.with_name(path.name + ".verified.json")
    if path.is_file() and record.is_file() and read_json(record).get("bytes") == path.stat().st_size:
        return path
    part = path.with_name(path.name + ".part")

    def resume(url: str, output: str, _: object) -> None:
        _take(path, part)  # a torn copy
        _fill(archive, part, attempts, pause_s)
        if archive.bytes_exact and (size := part.stat().st_size) != archive.bytes:
            part.unlink()
            raise ValueError(f"has {size} bytes where {archive.bytes} were expected")
        os.replace(part, output)

    pooch.get_logger().setLevel("WARNING")
    if not archive.checksum:
        _take(path, part)  # whether the user's own copy is whole, the server alone knows
    for last in (False, True):
        try:
            pooch.retrieve(archive.url, archive.checksum or None, archive.file, path.parent, downloader=resume)
            break
        except ValueError as error:
            if last:
                raise UserError(
                    f"{archive.url} is not what it should be, twice: {error} Either the publisher changed the file "
                    "(then correct the row in corpora.tsv) or something between changes it; nothing of it was kept."
                ) from None
    algorithm = archive.checksum.partition(":")[0] or "sha256"
    digest = pooch.file_hash(str(path), alg=algorithm)
    write_json(record, {"bytes": path.stat().st_size, "checksum": f"{algorithm}:{digest}", "url": archive.url})
    return path


def _take(path: Path, part: Path) -> None:
    if path.is_file():
        os.replace(path, part)


def _fill(archive: Archive, part: Path, attempts: int, pause_s: float) -> None:
    """Bring `part` to its full length; an attempt that made progress does not count."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _transfer(archive, part, before)
        except requests.HTTPError as error:
            answer = cast(requests.Response, error.response)
            code = answer.status_code
            if code in GONE:
                raise UserError(
                    f"{archive.url} answers {code} ({answer.reason}): the address has expired or wants a login. Put a "
                    f"new one into corpora.tsv, fetch the file by hand to {part.with_suffix('')}, or name a folder "
                    f"that holds the corpus under corpus.recorded.have.{archive.name}."
                ) from None
            reason = f"the server answers {code}"
        except requests.exceptions.ChunkedEncodingError:
            reason = "the connection ended early"
        except requests.RequestException as error:
            reason = f"{type(error).__name__}: {error}"
        after = part.stat().st_size
        failures = 0 if after > before else failures + 1
        if failures >= attempts:
            raise UserError(
                f"{archive.url} could not be fetched: {reason}, {attempts} times without progress. The {after} bytes "
                "that arrived are kept: run the same command again."
            )
        time.sleep(pause_s)


def _transfer(archive: Archive, part: Path, start: int) -> None:
    """One request for what is missing after `start` bytes. Raises: requests.RequestException: it ended before the
    file."""

    def look(response: requests.Response, **_: object) -> None:
        """Before the body is read."""
        if not response.ok or response.is_redirect:
            return
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise UserError(
                f"{archive.url} gives a web page instead of a file (a login, a quota or a changed address): fetch the "
                f"file by hand to {part.with_suffix('')} and run again."
            )
        _check_space(archive, part, int(response.headers.get("Content-Length") or archive.bytes - start))
        if response.status_code != 206:
            stream.truncate(0)

    part.parent.mkdir(parents=True, exist_ok=True)
    wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with open(part, "ab") as stream, tqdm(total=archive.bytes, **BAR, desc=archive.file) as bar:
        download = pooch.HTTPDownloader(bar, CHUNK, headers=wanted, hooks={"response": look}, timeout=60)
        try:
            download(archive.url, stream, None)
        except requests.HTTPError as error:
            beyond = cast(requests.Response, error.response).status_code == 416
            if not (beyond and start):  # nothing after `start`: complete already, or not this file
                raise


def _check_space(archive: Archive, part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{archive.file} needs {needed / 1e9:.1f} GB more and the disk that holds {part.parent} has "
            f"{free / 1e9:.1f} GB free: free some space, or set corpus.recorded.folder to another disk."
        )


def write(
    name: str,
    part: str,
    folder: Annotated[Path, typer.Option(help="folder of the corpora; archives go to archives/ in it")],
    mirror: Annotated[
        str | None, typer.Option(help="fetch <mirror>/<name>/<file> instead of the published address")
    ] = None,
) -> None:
    """Fetch one row of corpora.tsv."""
    archives = read_corpora().get(name, [])
    if mirror:
        archives = with_base(archives, mirror)
    chosen = [archive for archive in archives if archive.part == part]
    if not chosen:
        raise UserError(f"corpora.tsv has no {name} {part}.")
    check_licence(chosen, {})
    print(fetch(chosen[0], folder / "archives"))


main = command_line(write)

if __name__ == "__main__":
    raise SystemExit(main())
