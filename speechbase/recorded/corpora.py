"""The table of corpora: what exists, where it comes from, what a licence binds, and where it lies on this machine."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

from speechbase.files import UserError, read_json

TABLE = Path(__file__).parent / "corpora.tsv"
COLUMNS = [
    "name",
    "part",
    "version",
    "url",
    "bytes",
    "bytes_exact",
    "checksum",
    "licence",
    "needs_licence",
    "rate_hz",
    "used_for",
]
CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}|)$")
REMEDIES = {
    "wsj0_2mix": (
        "WSJ0-2mix is made from CSR-I (WSJ0), which the Linguistic Data Consortium sells as LDC93S6A. Buy it, convert "
        "it with sph2pipe, make the mixtures with MERL's create-speaker-mixtures scripts (16 kHz, min), and name the "
        "folder that holds 2speakers/ under corpus.recorded.have.wsj0_2mix."
    ),
    "whamr": (
        "WHAMR! needs WSJ0 (LDC93S6A, sold by the Linguistic Data Consortium) and the WHAM! noise. Make it with the "
        "WHAMR! scripts (16 kHz, min), and name the folder that holds wav16k/ under corpus.recorded.have.whamr."
    ),
}


@dataclass(frozen=True)
class Archive:
    """One file to fetch: a row of corpora.tsv. `checksum` is "sha256:...", "md5:..." or empty where nobody gives
    one."""

    name: str
    part: str
    version: str
    url: str
    bytes: int
    bytes_exact: bool
    checksum: str
    licence: str
    needs_licence: bool
    rate_hz: int
    used_for: str

    @property
    def file(self) -> str:
        """The archive's file name: the end of its address without a query."""
        return self.url.rsplit("/", 1)[-1].split("?")[0] or f"{self.part}.zip"


def read_corpora(table: Path = TABLE) -> dict[str, list[Archive]]:
    """Corpus name -> its archives, checked: columns, types, checksums' form, sorted rows, one row a part.

    Raises:
        UserError: names the row and what is wrong with it.
    """
    with open(table, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if not rows or list(rows[0]) != COLUMNS:
        raise UserError(f"{table} must have the columns {', '.join(COLUMNS)}, separated by tabs.")
    keys = [(row["name"], row["part"]) for row in rows]
    if keys != sorted(set(keys)):
        raise UserError(f"{table} must be sorted by name and part, and name no part twice.")
    corpora: dict[str, list[Archive]] = {}
    for row in rows:
        corpora.setdefault(row["name"], []).append(_archive(row, table))
    return corpora


def _archive(row: dict, table: Path) -> Archive:
    where = f"{table}, {row['name']} {row['part']}"
    for column in ("bytes_exact", "needs_licence"):
        if row[column] not in ("yes", "no"):
            raise UserError(f"{where}: {column} is {row[column]!r}; it must be yes or no.")
    for column in ("bytes", "rate_hz"):
        if not row[column].isdigit():
            raise UserError(f"{where}: {column} is {row[column]!r}, not a whole number.")
    if not CHECKSUM.match(row["checksum"]):
        raise UserError(f"{where}: the checksum must be sha256: or md5: and its digits, or empty.")
    if not row["url"].startswith(("https://", "http://")) and row["needs_licence"] == "no":
        raise UserError(f"{where}: a corpus that no licence binds needs an address.")
    if not row["licence"] or not row["used_for"]:
        raise UserError(f"{where}: licence and used_for must not be empty.")
    yes = {column: row[column] == "yes" for column in ("bytes_exact", "needs_licence")}
    return Archive(**{**row, **yes, "bytes": int(row["bytes"]), "rate_hz": int(row["rate_hz"])})


def with_base(archives: list[Archive], base: str) -> list[Archive]:
    """The same archives from a mirror: `base` followed by <name>/<file>."""
    return [replace(archive, url=f"{base.rstrip('/')}/{archive.name}/{archive.file}") for archive in archives]


@dataclass(frozen=True)
class Location:
    """Where a corpus lies: a folder of the user's, or one folder for each unpacked archive."""

    name: str
    folders: tuple[Path, ...]

    def find(self, relative: str) -> Path:
        """The file or folder `relative` (as in the published layout), its leading folders left out where they are
        missing.

        Raises:
            UserError: it is nowhere; the message says where was looked and what to do.
        """
        parts = Path(relative).parts
        for folder in self.folders:
            for skipped in range(len(parts)):
                path = folder.joinpath(*parts[skipped:])
                if path.exists():
                    return path
        raise UserError(
            f"The corpus {self.name} lacks {relative} (looked in {', '.join(map(str, self.folders))}): unpack it again "
            f"(delete that folder first), or name the right folder under corpus.recorded.have.{self.name}."
        )


def own_folder(name: str, recorded: dict) -> Path | None:
    """The folder under `corpus.recorded.have`, if the user has the corpus. Raises: UserError: it does not exist."""
    given = recorded.get("have", {}).get(name)
    if given is None:
        return None
    if not Path(given).is_dir():
        raise UserError(f"corpus.recorded.have.{name} is {given}, which is not a folder; correct it or leave it out.")
    return Path(given)


def check_licence(archives: list[Archive], recorded: dict) -> None:
    """Raises: UserError: a licence-bound corpus that the user has not said to hold; it explains what to buy."""
    name = archives[0].name
    if archives[0].needs_licence and own_folder(name, recorded) is None:
        raise UserError(f"The corpus {name} is bound by a licence ({archives[0].licence}). {REMEDIES[name]}")


def locate(name: str, folder: Path, recorded: dict) -> Location:
    """Where a corpus lies: the user's folder, or what `unpack` recorded in `<folder>/<name>.json`.

    Raises:
        UserError: an unknown corpus, one that is licence-bound and not held, or not unpacked yet.
    """
    corpora = read_corpora()
    if name not in corpora:
        raise UserError(f"There is no corpus {name!r} in {TABLE.name}; it has {', '.join(corpora)}.")
    if own := own_folder(name, recorded):
        return Location(name, (own,))
    check_licence(corpora[name], recorded)
    record = folder / f"{name}.json"
    if not record.is_file():
        raise UserError(f"The corpus {name} is not there: run the rule that makes {record}.")
    return Location(name, tuple(folder / part for part in read_json(record)["folders"]))
