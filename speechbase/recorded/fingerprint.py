"""Fingerprints of prepared sets: how many items, how many samples, a hash of all lengths; compared before scoring."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from speechbase.files import UserError, write_json

TABLE = Path(__file__).parent / "fingerprints.tsv"


def fingerprint(lengths: Iterable[tuple[str, int]]) -> dict:
    """Of (id, samples) pairs: `items`, `samples` and the SHA-256 of the sorted lines "id samples"."""
    lines = sorted(f"{identity} {samples}\n" for identity, samples in lengths)
    total = sum(int(line.rsplit(" ", 1)[1]) for line in lines)
    return {"items": len(lines), "samples": total, "lengths": hashlib.sha256("".join(lines).encode()).hexdigest()}


def published(name: str, table: Path = TABLE) -> dict | None:
    """What is known of a set: `items`, `samples`, `lengths` (None where unknown) and `known_from`; None: nothing."""
    with open(table, encoding="utf-8", newline="") as stream:
        rows = {row["set"]: row for row in csv.DictReader(stream, delimiter="\t")}
    if name not in rows:
        return None
    row = rows[name]
    numbers = {key: int(row[key]) if row[key] else None for key in ("items", "samples")}
    return {**numbers, "lengths": row["lengths"] or None, "known_from": row["known_from"]}


def check(name: str, found: dict, out: Path | None = None) -> str:
    """Compare a fingerprint with the published one and, with `out`, write both down.

    Returns:
        One line: what agreed, or that nothing is published.

    Raises:
        UserError: they differ: files are missing or doubled, or another version was prepared.
    """
    known = published(name)
    if out is not None:
        write_json(out, {"set": name, "found": found, "published": known})
    if known is None:
        return f"{name}: {found['items']} items, {found['samples']} samples; no published fingerprint to compare with"
    wrong = [key for key in ("items", "samples", "lengths") if known[key] is not None and known[key] != found[key]]
    if wrong:
        differences = "; ".join(f"{key} {found[key]} where {known[key]} is published" for key in wrong)
        raise UserError(
            f"{name} is not the published set: {differences} (known from {known['known_from']}). Files are missing or "
            "doubled, or it is another version: check the corpus folder, and prepare it again."
        )
    agreed = [key for key in ("items", "samples", "lengths") if known[key] is not None]
    return f"{name}: {found['items']} items agree with the published {', '.join(agreed)} ({known['known_from']})"
