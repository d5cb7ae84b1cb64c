"""Forget who took part: delete every file of a study that holds Prolific ids, and prove that none is left."""

from __future__ import annotations

from pathlib import Path

from metrics.listening import prolific
from speechbase.files import UserError, read_jsonl, write_json


def purge_study(out: Path, *, sure: bool = False, extra: list[Path] | tuple = ()) -> dict:
    """Delete private/pids.jsonl, the export, pay/, incoming answers and the secret that the ids were hashed with.

    Ratings under keyed hashes stay; without the secret nobody can recompute a hash. Without `sure`, nothing is deleted.

    Raises:
        UserError: ids were found in files that this command does not own.
    """
    private = out / "private"
    if not private.is_dir():
        raise UserError(f"{private} does not exist; is {out} a study's folder?")
    known = _ids(private)
    doomed = [private / name for name in ("pids.jsonl", "prolific_export.csv", "secret")]
    doomed += [
        path for folder in ("pay", "incoming") for path in sorted((private / folder).rglob("*")) if path.is_file()
    ]
    doomed = [path for path in [*doomed, *extra] if path.exists()]
    summary = {"ids": len(known), "files": [str(path.relative_to(out)) for path in doomed], "deleted": sure}
    if not sure:
        return summary | {"next": "add --yes to delete them"}
    left = [path for path in sorted(out.rglob("*")) if path.is_file() and path not in doomed and _holds(path, known)]
    if left:
        raise UserError(
            f"Prolific ids also stand in {', '.join(map(str, left))}; remove them from there, then purge again."
        )
    for path in doomed:
        path.unlink()
    write_json(out / "purged.json", {"ids_deleted": len(known), "files_deleted": len(doomed)})
    return summary


def _ids(private: Path) -> set[bytes]:
    pids = private / "pids.jsonl"
    found = {row[name] for row in (read_jsonl(pids) if pids.exists() else []) for name in ("participant", "session")}
    if (private / "prolific_export.csv").exists():
        found |= {
            row[name]
            for row in prolific.read_export(private / "prolific_export.csv")
            for name in ("participant", "session")
        }
    # Short strings such as "preview" would be found everywhere and name nobody.
    return {value.encode() for value in found if len(value) >= 8 and not value.startswith("preview")}


def _holds(path: Path, known: set[bytes]) -> bool:
    content = path.read_bytes()
    return any(value in content for value in known)
