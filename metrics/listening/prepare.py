"""Prepare a study: a public tree that can be hosted anywhere, and a private tree that never leaves the researcher."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metrics.listening import design, loudness, prolific, stimuli
from metrics.listening.stimuli import Stimulus
from metrics.listening.study import ROOM, digest, heard_systems, rated_samples
from speechbase.files import UserError, read_json, seed_of, write_json, write_text

PAGE = ("index.html", "app.js", "dom.js", "trial.js", "player.js", "saver.js", "app.css")


def prepare(settings: dict, testsets: Path, audio: Path, out: Path, *, keep: bool = False) -> dict:
    """Write the study's public and private trees and `prepared.json`, which it returns.

    The same settings, audio and secret give the same bytes. The secret is drawn once and kept in `private/secret`.

    Args:
        keep: leave a study that has received answers as it is, instead of an error.

    Raises:
        UserError: bad audio or designs, or a study that has already received answers.
    """
    if (out / "private" / "answers.jsonl").exists() or (out / "imported").exists():
        if keep:
            return _restored(out)
        raise UserError(f"{out} has received answers; a study that runs cannot change. Prepare into another folder.")
    key = _secret(out / "private" / "secret")
    settings, absent = stimuli.present(settings, audio)
    rated, hidden, notes = stimuli.choose(settings, testsets, audio)
    lists, report = _lists(settings, rated, hidden)
    out.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".public-", dir=out))
    try:
        rows, practice = _audio(settings, rated + hidden, key, building / "audio")
        names = [_token(key, "list", number) for number in range(len(lists))]
        registered = _preregistration(settings, rated, hidden, lists, rows)
        version = digest(registered)
        if _perhaps_running(settings, out, version):
            if keep:
                return _restored(out)
            raise UserError(
                f"{out} was prepared before with another design and may be running on its static host; answers to it "
                "could no longer be read. Prepare into another folder, or delete this one."
            )
        cost = prolific.budget(settings, prolific.minutes_needed(settings, _mean(row["seconds"] for row in rows)))
        codes = {name: _token(key, "code", name).upper()[:8] for name in ("completed", "no_consent")}
        _public(settings, building, lists, names, key, version, cost, codes, practice)
        _swap(building, out / "public")
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _private(settings, out / "private", lists, names, key, registered, rows, report, cost, codes)
    summary = {
        "study": settings["study"],
        "preregistration": version,
        "seed": settings["seed"],
        "systems": [system["name"] for system in heard_systems(settings)],
        "paper_only": [s["name"] for s in settings["systems"] if s not in heard_systems(settings)],
        "stimuli": len(rated),
        "clips": len(rows),
        "lists": settings["workers"],
        "study_offset_db": rows[0]["study_offset_db"],
        "notes": absent + notes + _balance_note(report) + _offset_note(rows),
    }
    for folder in (out / "private", out):
        write_json(folder / "prepared.json", summary)
    return summary


def _restored(out: Path) -> dict:
    """Put back `prepared.json`, which a workflow deletes before it runs a rule again."""
    kept = frozen(out)[1]
    write_json(out / "prepared.json", kept)
    return kept


def _perhaps_running(settings: dict, out: Path, version: str) -> bool:
    """Without a collector nobody here sees the answers arrive, so an earlier design has to be taken for one in use."""
    earlier = out / "private" / "prepared.json"
    outside = settings["hosting"]["endpoint"]["kind"] != "collector"
    return outside and earlier.exists() and read_json(earlier)["preregistration"] != version


def blind_name(key: bytes, stimulus: Stimulus, role: str) -> str:
    """File name of a clip: a keyed hash, so that nobody without the secret can link it to a system."""
    # Rated samples of an utterance share their reference: nobody hears two of them.
    name = f"{stimulus.set}|{stimulus.utterance}" if role == "reference" and stimulus.kind == "rated" else stimulus.name
    return _token(key, "clip", f"{name}|{role}") + ".flac"


def _token(key: bytes, *parts) -> str:
    mac = hmac.new(key, "\x1f".join(map(str, parts)).encode(), hashlib.sha256).digest()
    return base64.b32encode(mac).decode().lower()[:20]


def _secret(path: Path) -> bytes:
    if not path.exists():
        write_text(path, secrets.token_hex(32) + "\n")
        path.chmod(0o600)
    return bytes.fromhex(path.read_text(encoding="ascii").strip())


def _lists(settings: dict, rated: list[Stimulus], hidden: list[Stimulus]) -> tuple[list[list[Stimulus]], dict]:
    spares = round(settings["workers"] * settings["spare_percent"] / 100)
    dealt = design.assign(rated, settings["workers"] + spares, rated_samples(settings), settings["seed"])
    lists = design.hide(dealt, rated, hidden, settings["hidden_tests"], settings["seed"])
    report = design.audit(lists[: settings["workers"]], rated)
    return lists, report


def _audio(settings: dict, heard: list[Stimulus], key: bytes, folder: Path) -> tuple[list[dict], str]:
    clips = {}
    for stimulus in heard:
        roles = [("sample", stimulus.sample)] + ([("reference", stimulus.reference)] if stimulus.reference else [])
        for role, path in roles:
            level_from = stimulus.level_from if role == "sample" and stimulus.level_from else path
            target = folder / blind_name(key, stimulus, role)
            clips[target.name] = loudness.Clip(path, level_from, target)
    good = [stimulus.sample for stimulus in heard if stimulus.kind in ("identical", "clean")]
    source = (good or [stimulus.sample for stimulus in heard])[-1]
    practice = _token(key, "clip", "practice") + ".flac"
    clips[practice] = loudness.Clip(source, source, folder / practice)
    # Written in the order of their names: not even the order on the disk follows the systems.
    ordered = [clips[name] for name in sorted(clips)]
    return loudness.render(ordered, settings["audio"], seed_of(settings["seed"])), practice


def _trials(key: bytes, chosen: list[Stimulus]) -> list[dict]:
    return [
        {
            role: f"audio/{blind_name(key, s, role)}"
            for role, path in (("sample", s.sample), ("reference", s.reference))
            if path
        }
        for s in chosen
    ]


def _public(
    settings, folder: Path, lists, names, key: bytes, version: str, cost: dict, codes: dict, practice: str
) -> None:
    hosting = settings["hosting"]
    endpoint = hosting["endpoint"]
    page = {
        "title": settings["title"],
        "version": version[:16],
        "samples": settings["samples"],
        "consent": prolific.consent_text(settings, cost).strip().split("\n\n"),
        "instructions": settings["wording"]["instructions"],
        "unintelligible": settings["wording"]["unintelligible"],
        "scales": [{"id": scale} | settings["wording"]["scales"][scale] for scale in settings["scales"]],
        "practice": f"audio/{practice}",
        "parameters": {"participant": "PROLIFIC_PID", "session": "SESSION_ID", "study": "STUDY_ID", "list": "list"}
        | hosting.get("parameters", {}),
        "endpoint": endpoint,
    }
    if endpoint["kind"] != "collector":
        # A page without a server cannot keep a secret; the collector alone can hold the code back.
        page["completion"] = {"code": codes["completed"], "url": completion_url(settings, codes)}
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(endpoint["url"])) if endpoint.get("url") else ""
    for name in PAGE:
        text = (ROOM / "page" / name).read_text(encoding="utf-8")
        write_text(folder / name, text.replace("ENDPOINT_ORIGIN", origin) if name == "index.html" else text)
    write_json(folder / "study.json", page)
    for name, chosen in zip(names, lists, strict=True):
        write_json(folder / "lists" / f"{name}.json", {"list": name, "trials": _trials(key, chosen)})
    for path in [*folder.iterdir(), *(folder / "lists").iterdir()]:
        os.utime(path, (loudness.FIXED_TIME, loudness.FIXED_TIME))


def completion_url(settings: dict, codes: dict) -> str:
    """Where a participant goes at the end; the code is its only secret."""
    base = settings["hosting"].get("completion_url", "https://app.prolific.com/submissions/complete")
    return f"{base}?cc={codes['completed']}"


def _preregistration(settings: dict, rated, hidden, lists, rows: list[dict]) -> dict:
    """Everything that decides the result, fixed before the first rating."""
    kept = {name: value for name, value in settings.items() if name not in ("hosting", "report", "pay", "consent")}
    return {
        "settings": kept,
        "stimuli": digest(
            [[s.name, str(s.sample.name), s.reference.name if s.reference else None] for s in rated + hidden]
        ),
        "lists": digest([[stimulus.name for stimulus in chosen] for chosen in lists]),
        "clips": len(rows),
        "analysis": "MOS with two-way (rater and utterance) clustered intervals, filtered and unfiltered; Holm "
        "within a table",
    }


def _private(settings, folder: Path, lists, names, key, registered, rows, report, cost, codes) -> None:
    spares = names[settings["workers"] :]
    tokens = names[: settings["workers"]]
    key_rows = []
    for name, chosen in zip(names, lists, strict=True):
        for place, stimulus in enumerate(chosen):
            trial = _trials(key, [stimulus])[0]
            key_rows.append(
                {"list": name, "trial": place, "kind": stimulus.kind, "system": stimulus.system, "set": stimulus.set}
                | {"utterance": stimulus.utterance, "sample": trial["sample"], "reference": trial.get("reference", "")}
            )
    write_text(folder / "key.csv", table(key_rows))
    write_text(folder / "loudness.csv", table(rows))
    write_json(folder / "preregistration.json", registered)
    write_json(folder / "settings.json", settings)
    write_json(folder / "rules.json", {"hidden_tests": settings["hidden_tests"], "rules": settings["rules"]})
    write_json(folder / "design_audit.json", report)
    write_json(folder / "budget.json", cost)
    write_json(folder / "codes.json", codes | {"url": completion_url(settings, codes)})
    write_json(folder / "prolific_study.json", prolific.draft(settings, cost, tokens, codes))
    write_text(folder / "taskflow.csv", prolific.taskflow_csv(settings, tokens))
    write_text(folder / "taskflow_spare.csv", prolific.taskflow_csv(settings, spares))
    write_text(folder / "consent.md", prolific.consent_text(settings, cost))
    write_text(folder / "checklist.md", prolific.checklist(settings, cost, len(spares), digest(registered)))


def table(rows: list[dict]) -> str:
    """Rows as CSV text; a cell that a spreadsheet would run as a formula gets a leading apostrophe."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def harmless(value: Any) -> Any:
    """A cell's text that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def frozen(out: Path) -> tuple[dict, dict]:
    """The settings that a prepared study was frozen with, and what `prepare` returned.

    Raises:
        UserError: not prepared, or settings that no longer match the pre-registration.
    """
    prepared = read_json(out / "private" / "prepared.json")
    registered = read_json(out / "private" / "preregistration.json")
    settings = read_json(out / "private" / "settings.json")
    kept = {name: settings[name] for name in registered["settings"]}
    if digest(registered) != prepared["preregistration"] or kept != registered["settings"]:
        raise UserError(
            f"{out}/private/settings.json or preregistration.json changed after the export; restore them, "
            "or prepare a new study with the new rules."
        )
    return settings, prepared


def _swap(new: Path, target: Path) -> None:
    new.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent))
        target.rename(old / "public")
        new.rename(target)
        shutil.rmtree(old)
    else:
        new.rename(target)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def _balance_note(report: dict) -> list[str]:
    fewest, most = min(report["exposures"]), max(report["exposures"])
    return (
        [f"Stimuli are rated {fewest} to {most} times: few utterances for so many samples."]
        if most - fewest > 1
        else []
    )


def _offset_note(rows: list[dict]) -> list[str]:
    if rows[0]["study_offset_db"] > -6:
        return []
    loudest = max(rows, key=lambda row: row["peak_dbtp"])
    return [
        f"All clips were lowered by {-rows[0]['study_offset_db']:.1f} dB because of the peaks of {loudest['source']}."
    ]
