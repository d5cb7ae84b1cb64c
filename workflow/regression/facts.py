"""What a run of the frozen evaluation was: its cells, the test sets' draws, weights, versions, commit and machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd

from speechbase.files import UserError
from workflow.plan import places, preset_files
from workflow.record.provenance import read_record
from workflow.tables.build import read_manifest


def observe(table: Path) -> dict:
    """Cells and facts of a finished table, read from its CSV and from the provenance records that it leads to.

    Returns:
        `cells`: name (set/system/metric) -> value, low, high, n_scored, status, better, digits;
        `facts`: commit, versions, machine, `drawn` and `audio` (a digest a test set), `weights` (a digest a model).

    Raises:
        UserError: the table or its record is missing, or it is no table.
    """
    record = read_record(table.with_name(f"{table.stem}.provenance.json"))
    preset = preset_files.read_preset(places.ROOT / preset_files.preset_file(table.stem))
    manifests = {Path(name).stem: Path(name) for name in record["inputs"] if name.endswith(".csv")}
    systems = sorted(
        {(Path(name).parent.parent.name, Path(name).parent.name) for name in record["inputs"] if "/scores/" in name}
    )
    weights: dict[str, str] = {}
    for name, system in systems:
        weights |= _weights(table.parent / "audio" / name / system / "provenance.json")
    facts = {
        "commit": record["code"]["commit"],
        "modified": record["code"]["modified"],
        "machine": record["machine"],
        "drawn": {name: digest(path, audio=False) for name, path in sorted(manifests.items())},
        "audio": {name: digest(path, audio=True) for name, path in sorted(manifests.items())},
        "weights": dict(sorted(weights.items())),
        "versions": record["versions"],
    }
    return {"cells": _cells(table, preset), "facts": facts}


def _cells(table: Path, preset: dict) -> dict[str, dict]:
    try:
        rows = pd.read_csv(table)
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{table} cannot be read as a table ({error}); make it again.") from None
    columns = {column["role"]: column for column in preset["metrics"]}
    measured = rows[(rows["provenance"] != "paper") & rows["n_expected"].notna()]
    return {
        f"{row['set']}/{row['system']}/{row['metric']}": {
            **{key: None if pd.isna(row[key]) else float(row[key]) for key in ("value", "low", "high")},
            "n_scored": int(row["n_scored"]),
            "status": row["status"],
            "better": columns[row["role"]]["better"],
            "digits": columns[row["role"]]["digits"],
        }
        for row in measured.to_dict("records")
    }


def digest(manifest: Path, *, audio: bool) -> str:
    """A test set's fingerprint: of its audio's checksums, or of all else in it (drawn alike on every machine)."""
    table = read_manifest(manifest)
    columns = sorted(name for name in table if name.startswith("sha256") == audio)
    return hashlib.sha256(table[columns].to_csv(index=False).encode()).hexdigest()


def _weights(record: Path) -> dict[str, str]:
    """Digests of the models that a system's audio was made with; a compared system's are in its index, so none here."""
    inputs = read_record(record)["inputs"]
    return {Path(name).parent.name: used for name, used in inputs.items() if name.endswith(".safetensors")}


def differences(before: dict, after: dict) -> list[str]:
    """What differs between two runs' facts, a sentence each: commit, machine, weights, test sets, package versions."""
    found = []
    if before["commit"] != after["commit"] or after["modified"]:
        changed = " with local changes" if after["modified"] else ""
        found.append(f"commit {before['commit']} before, {after['commit']}{changed} now")
    if before["machine"] != after["machine"]:
        found.append(f"machine {json.dumps(before['machine'])} before, {json.dumps(after['machine'])} now")
    for kind, name in (
        ("weights", "weights of"),
        ("drawn", "draws of the test set"),
        ("audio", "audio of the test set"),
    ):
        keys = sorted(set(before[kind]) | set(after[kind]))
        found += [f"the {name} {key} differ" for key in keys if before[kind].get(key) != after[kind].get(key)]
    keys = sorted(set(before["versions"]) | set(after["versions"]))
    for key in keys:
        old, new = before["versions"].get(key, "none"), after["versions"].get(key, "none")
        if old != new:
            found.append(f"package {key}: {old} before, {new} now")
    return found
