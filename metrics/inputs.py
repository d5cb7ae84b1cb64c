"""What is scored: a test set with an audio index, a table of files, or files and folders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metrics.transcripts import read_index, read_transcripts
from metrics.utterance import Files
from speechbase import audio
from speechbase.files import UserError
from speechbase.texts import read_table, read_text

ROLES = {"reference": "reference", "source": "mixture", "prompt": "prompt"}  # manifest column -> role


def from_manifest(
    manifest: Path, index: Path | None, transcripts: Sequence[Path] = (), text_column: str = "text"
) -> list[Files]:
    """Utterances of a test set, in its order.

    Args:
        manifest: table with `id`; `reference`, `source` or `mixture`, `prompt`, `text`, `speaker` where there are such,
            and, without an index, `estimate`. Paths are relative to the table's folder.
        index: audio index of the estimates; a row of the manifest that it lacks has no estimate.
        transcripts: transcript files of the estimates, one a recogniser.
        text_column: what the estimates should say; `orig_text` for recordings before an edit.

    Raises:
        UserError: missing files or columns, ids that occur twice, ids of the index that the manifest lacks.
    """
    required = ("id", *(() if index else ("estimate",)), *(() if text_column == "text" else (text_column,)))
    rows = _read_table(manifest, required)
    estimates = {row["id"]: row for row in read_index(index)} if index else None
    if estimates and (extra := set(estimates) - {row["id"] for row in rows}):
        raise UserError(
            f"{index} holds {sorted(extra)[0]!r}, which {manifest} does not: they belong to different test sets."
        )
    heard = read_transcripts(transcripts)
    utterances = []
    for row in rows:
        paths: dict[str, Any] = {role: _path(manifest, row.get(column)) for column, role in ROLES.items()}
        paths["mixture"] = paths["mixture"] or _path(manifest, row.get("mixture"))
        files = Files(row["id"], text=row.get(text_column) or None, speaker=row.get("speaker") or "", **paths)
        files = replace(files, label=row.get("label") or None)
        files = replace(files, transcripts={asr: rows[row["id"]] for asr, rows in heard.items() if row["id"] in rows})
        utterances.append(_with_estimate(files, manifest, row, estimates))
    return _with_others(utterances)


def _read_table(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    rows = read_table(path, required)
    ids = [row["id"] for row in rows]
    if not rows:
        raise UserError(f"{path} has no rows.")
    if doubled := next((one for one in ids if ids.count(one) > 1), None):
        raise UserError(f"{path} holds the id {doubled!r} twice; ids must differ.")
    return rows


def _path(table: Path, value: str | None) -> Path | None:
    return table.parent / value if value else None


def _with_estimate(files: Files, manifest: Path, row: Mapping[str, str], estimates: Mapping[str, dict] | None) -> Files:
    if estimates is None:
        return replace(
            files, estimate=_path(manifest, row["estimate"]), status="ok" if row["estimate"] else "no path given"
        )
    if (entry := estimates.get(files.id)) is None:
        return replace(files, status="missing from the audio index")
    if entry["status"] != "ok":
        return replace(files, status=": ".join(filter(None, (entry["status"], entry.get("detail", "")))))
    if entry["path"]:
        return replace(files, estimate=Path(entry["path"]))
    return replace(files, answer=entry.get("label") or entry.get("text") or "")


def _with_others(utterances: list[Files]) -> list[Files]:
    """Rows with the same mixture are its talkers; each learns of the others."""
    groups: dict[Path, list[Files]] = {}
    for files in utterances:
        if files.mixture and files.reference and files.estimate:
            groups.setdefault(files.mixture, []).append(files)
    others = {
        files.id: tuple((o.estimate, o.reference) for o in group if o.id != files.id and o.estimate and o.reference)
        for group in groups.values()
        for files in group
        if len({o.reference for o in group}) == len(group) > 1
    }
    return [replace(files, others=others.get(files.id, ())) for files in utterances]


def from_files(
    reference: Path | None,
    estimate: Path,
    mixture: Path | None = None,
    prompt: Path | None = None,
    text: str | None = None,
) -> list[Files]:
    """Utterances of single files, or of folders and their sub-folders whose files have the same paths without suffixes.

    What this project's commands make of x.wav, such as x.enhanced.wav, is matched to x.wav. `text` is the text itself
    or a .txt file for single files, a folder of <stem>.txt for folders.

    Raises:
        UserError: a file beside a folder, two files with one name, or estimates that no reference has the name of.
    """
    roles = {"reference": reference, "estimate": estimate, "mixture": mixture, "prompt": prompt}
    given: dict[str, Any] = {role: path for role, path in roles.items() if path is not None}
    for path in given.values():
        if not path.exists():
            raise UserError(f"{path} does not exist.")
    kinds = {role: path.is_dir() for role, path in given.items()}
    if len(set(kinds.values())) > 1:
        raise UserError(f"Give files or folders, not both: {', '.join(str(path) for path in given.values())}.")
    if not estimate.is_dir():
        return [Files(estimate.stem, text=_text(text), **given)]
    folders = {role: _by_stem(path, audio.SUFFIXES, "audio") for role, path in given.items()}
    stems = sorted(folders["reference"] if reference else folders["estimate"])
    if reference:
        folders["estimate"] = _own_outputs(folders["estimate"], set(stems))
    if extra := sorted(set(folders["estimate"]) - set(stems)):
        raise UserError(
            f"{folders['estimate'][extra[0]]} has no counterpart in {reference}; remove it or add its reference."
        )
    texts = _texts(text)
    return [_from_folders(stem, folders, texts.get(stem)) for stem in stems]


def _from_folders(stem: str, folders: Mapping[str, Mapping[str, Path]], text: str | None) -> Files:
    paths: dict[str, Any] = {role: files.get(stem) for role, files in folders.items()}
    return Files(stem, text=text, status="ok" if paths["estimate"] else "no file of that name", **paths)


def _by_stem(folder: Path, suffixes: Collection[str], what: str) -> dict[str, Path]:
    """Files below `folder` by their path without suffix; hidden files and folders (`._a.wav`) are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in suffixes or any(part.startswith(".") for part in inside.parts) or path.is_dir():
            continue
        stem = inside.with_suffix("").as_posix()
        if stem in found:
            raise UserError(f"{found[stem]} and {path} have the same name; keep one of them.")
        found[stem] = path
    if not found:
        raise UserError(f"{folder} holds no {what} files.")
    return found


def _own_outputs(estimates: Mapping[str, Path], stems: Collection[str]) -> dict[str, Path]:
    """Estimates by the reference that each belongs to: x.enhanced.wav belongs to x where no reference has its full
    name."""
    found: dict[str, Path] = {}
    for stem, path in estimates.items():
        plain = stem.rpartition(".")[0]
        name = plain if stem not in stems and plain in stems else stem
        if name in found:
            raise UserError(f"{found[name]} and {path} both belong to {name}; keep one of them in the folder.")
        found[name] = path
    return found


def _text(text: str | None) -> str | None:
    return read_text(text) if text is not None and text.lower().endswith(".txt") else text


def _texts(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    if not Path(text).is_dir():
        raise UserError("--text must be a folder of .txt files when the audio is given as folders.")
    return {stem: read_text(path) for stem, path in _by_stem(Path(text), (".txt",), ".txt").items()}
