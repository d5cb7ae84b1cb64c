"""Fetch one archive: resumed after a cut, tried again, checked, and never fetched twice.

python -m speechbase.recorded.download NAME PART --folder corpora [--mirror URL]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from speechbase.files import UserError, plain_errors, read_json, write_json
from speechbase.recorded.corpora import Archive, check_licence, read_corpora, with_base

CHUNK = 1 << 20
GONE = (401, 403, 404, 410)


def fetch(archive: Archive, folder: Path, attempts: int = 6, pause_s: float = 5.0) -> Path:
    """Download `archive` to `folder/<name>/<file>` and write `<file>.verified.json` beside it.

    A file that was verified before is kept without a request. A partial file is continued by a range request. A wrong
    checksum is fetched once more from the start, then reported.

    Returns:
        The archive's path.

    Raises:
        UserError: a dead address, a page in the place of the archive, too little disk, a connection that breaks `attempts`
            times without progress, or a wrong checksum.
    """
    path = folder / archive.name / archive.file
    record = path.with_name(path.name + ".verified.json")
    if path.is_file() and record.is_file() and read_json(record).get("bytes") == path.stat().st_size:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if path.is_file():
        os.replace(path, part)  # never verified: a torn copy, or the user's own, which the checksum decides
    for last in (False, True):
        if not (
            part.is_file() and archive.checksum and _check(archive, part)[1] is None
        ):  # the user's own copy may be whole
            _fill(archive, part, attempts, pause_s)
        digest, problem = _check(archive, part)
        if problem is None:
            break
        part.unlink()
        if last:
            raise UserError(
                f"{archive.url} {problem}, twice. Either the publisher changed the file (then correct the row in "
                f"corpora.tsv) or something between changes it; nothing of it was kept."
            )
    os.replace(part, path)
    write_json(record, {"bytes": path.stat().st_size, "checksum": digest, "url": archive.url})
    return path


def _fill(archive: Archive, part: Path, attempts: int, pause_s: float) -> None:
    """Bring `part` to its full length; an attempt that made progress does not count."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            if _transfer(archive, part, before):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code in GONE:
                raise UserError(
                    f"{archive.url} answers {error.code} ({error.reason}): the address has expired or wants a login. Put a "
                    f"new one into corpora.tsv, fetch the file by hand to {part.with_suffix('')}, or name a folder that "
                    f"holds the corpus under corpus.recorded.have.{archive.name}."
                ) from None
            reason = f"the server answers {error.code}"
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = f"{type(error).__name__}: {error}"
        after = part.stat().st_size if part.is_file() else 0
        failures = 0 if after > before else failures + 1
        if failures >= attempts:
            raise UserError(
                f"{archive.url} could not be fetched: {reason}, {attempts} times without progress. The {after} bytes "
                "that arrived are kept: run the same command again."
            )
        time.sleep(pause_s)


def _transfer(archive: Archive, part: Path, start: int) -> bool:
    """One request; returns whether the file is complete."""
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing after `start`: complete already, or not this file
            return True
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise UserError(
                f"{archive.url} gives a web page instead of a file (a login, a quota or a changed address): fetch the file "
                f"by hand to {part.with_suffix('')} and run again."
            )
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length) + (start if resumed else 0)
        _check_space(archive, part, start if resumed else 0, total)
        with open(part, "ab" if resumed else "wb") as stream:
            written = stream.tell()
            bar = tqdm(total=total, initial=written, unit="B", unit_scale=True, desc=archive.file, mininterval=10)
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                written += len(chunk)
                bar.update(len(chunk))
            bar.close()
    return total is None or written >= total


def _check_space(archive: Archive, part: Path, have: int, total: int | None) -> None:
    needed = (total or archive.bytes) - have
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{archive.file} needs {needed / 1e9:.1f} GB more and the disk that holds {part.parent} has {free / 1e9:.1f} GB "
            "free: free some space, or set corpus.recorded.folder to another disk."
        )


def _check(archive: Archive, part: Path) -> tuple[str, str | None]:
    """The file's checksum, and what is wrong with the file (None: nothing). Without a published one, sha256 is recorded."""
    algorithm, _, expected = (archive.checksum or "sha256:").partition(":")
    size = part.stat().st_size
    if archive.bytes_exact and size != archive.bytes:
        return "", f"has {size} bytes where {archive.bytes} were expected"
    with open(part, "rb") as stream:
        digest = hashlib.file_digest(stream, algorithm).hexdigest()
    if expected and digest != expected:
        return "", f"has the {algorithm} {digest} where {expected} was expected"
    return f"{algorithm}:{digest}", None


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line: fetch one row of corpora.tsv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("part")
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder of the corpora; archives go to archives/ in it"
    )
    parser.add_argument("--mirror", help="fetch <mirror>/<name>/<file> instead of the published address")
    options = parser.parse_args(arguments)
    archives = read_corpora().get(options.name, [])
    if options.mirror:
        archives = with_base(archives, options.mirror)
    chosen = [archive for archive in archives if archive.part == options.part]
    if not chosen:
        raise UserError(f"corpora.tsv has no {options.name} {options.part}.")
    check_licence(chosen, {})
    print(fetch(chosen[0], options.folder / "archives"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
