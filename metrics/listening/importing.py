"""Join what the page sent with what Prolific knows: only submissions that Prolific lists, with consent, count."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from pathlib import Path

import jsonschema

from metrics.listening import prolific
from metrics.listening.collector import SCHEMAS, writable
from metrics.listening.prepare import frozen, table
from metrics.listening.store import hashed
from speechbase.files import UserError, read_jsonl, sha256, write_json, write_text


def import_study(
    out: Path, export: Path | None = None, answers: list[Path] | tuple = (), *, simulated: bool = False
) -> dict:
    """Write imported/ratings.csv, raters.csv and import.json, which it returns.

    Args:
        export: Prolific's export (default `private/prolific_export.csv`).
        answers: files of the page's download or of another endpoint, besides `private/answers.jsonl` and
            `private/incoming/*.jsonl`.
        simulated: read and write under `simulated/` instead; the result is marked and fills no table.

    Raises:
        UserError: not prepared, no export, no answers, or simulated answers where real ones are meant.
    """
    settings, prepared = frozen(out)
    folder = out / "simulated" if simulated else out
    own = (folder if simulated else out / "private") / "answers.jsonl"
    export = export or (folder if simulated else out / "private") / "prolific_export.csv"
    key = bytes.fromhex((out / "private" / "secret").read_text(encoding="ascii").strip())
    listed = {hashed(key, "session", row["session"]): row for row in prolific.read_export(export)}
    incoming = [] if simulated else sorted((out / "private" / "incoming").glob("*.jsonl"))
    rows, left_out = _rows(own, [*answers, *incoming], key, prepared["preregistration"][:16])
    if not rows:
        raise UserError(f"{own} holds no answers; give the files that the page sent with --answers.")
    if any(row.get("simulated") for row in rows) != simulated:
        raise UserError(f"{own} holds simulated answers; they can only be imported by `simulate`, into simulated/.")
    submissions = _submissions(rows)
    used, reasons = _reconciled(submissions, listed, key)
    left_out.update(reasons)
    places = _key(out / "private" / "key.csv")
    ratings = [
        rating for session in used for rating in _ratings(session, submissions[session], places, settings["scales"])
    ]
    raters = [_rater(session, submissions[session], listed[session]) for session in used]
    target = folder / "imported"
    if not ratings:
        raise UserError(f"No answer belongs to a submission of {export} ({dict(left_out)}); is it this study's export?")
    write_text(target / "ratings.csv", table(ratings))
    write_text(target / "raters.csv", table(raters))
    summary = {
        "source": "simulated" if simulated else "prolific",
        "study": settings["study"],
        "preregistration": prepared["preregistration"],
        "submissions": len(submissions),
        "listed": len(listed),
        "used": len(used),
        "ratings": len(ratings),
        "left_out": dict(left_out),
        "without_answers": len(set(listed) - set(submissions)),
        "ratings_sha256": sha256(target / "ratings.csv"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    write_json(target / "import.json", summary)
    return summary


def _rows(own: Path, files, key: bytes, version: str) -> tuple[list[dict], Counter]:
    """Rows of the collector and of other files; the latter are checked here and lose their raw ids."""
    rows = read_jsonl(own) if own.exists() else []
    left_out: Counter[str] = Counter()
    check = jsonschema.Draft202012Validator({"type": "object", "additionalProperties": False} | SCHEMAS["answer"])
    for path in files:
        for row in read_jsonl(path):
            if not check.is_valid(row) or not writable(row) or "participant" not in row or "list" not in row:
                left_out["malformed rows in answer files"] += 1
                continue
            ids = {name: hashed(key, what, row[source]) for name, what, source in _IDS}
            rows.append(
                {"trial": -1}
                | {name: value for name, value in row.items() if name not in ("participant", "study")}
                | ids
            )
    current = [row for row in rows if row["version"] == version]
    if len(current) < len(rows):
        left_out["rows of another version of the study"] += len(rows) - len(current)
    return current, left_out


_IDS = (("session", "session", "session"), ("rater", "rater", "participant"))


def _submissions(rows: list[dict]) -> dict[str, dict]:
    found: dict[str, dict] = defaultdict(lambda: {"answers": {}, "consent": False, "headphones": "", "comment": ""})
    for row in rows:
        one = found[row["session"]]
        for name in ("rater", "list"):
            if name in row:
                one.setdefault(name, row[name])
        if row["kind"] == "answer":
            one["answers"].setdefault(row["trial"], row)
        elif row["kind"] == "consent":
            one["consent"] = True
        for name in ("headphones", "comment"):
            one[name] = row.get(name) or one[name]
    return dict(found)


def _reconciled(submissions: dict, listed: dict, key: bytes) -> tuple[list[str], Counter]:
    used: list[str] = []
    reasons: Counter[str] = Counter()
    for session, one in submissions.items():
        entry = listed.get(session)
        if entry is None:
            reasons["submissions that Prolific does not list (previews, strangers)"] += 1
        elif entry["status"] not in prolific.COUNTED:
            known = entry["status"] in (*prolific.GONE, *prolific.AT_WORK)
            reasons[f"submissions with the {'' if known else 'unknown '}status {entry['status']}"] += 1
        elif not one["consent"] or "REVOKED" in entry["participant"].upper():
            reasons["submissions without consent"] += 1
        elif hashed(key, "rater", entry["participant"]) != one["rater"]:
            reasons["submissions under another participant's id"] += 1
        else:
            used.append(session)
    return sorted(used), reasons


def _key(path: Path) -> dict[tuple[str, int], dict]:
    with open(path, newline="", encoding="utf-8") as stream:
        return {(row["list"], int(row["trial"])): row for row in csv.DictReader(stream)}


def _ratings(session: str, one: dict, places: dict, scales: list[str]) -> list[dict]:
    made = []
    for trial, answer in sorted(one["answers"].items()):
        place = places.get((one["list"], trial))
        if place is None or place["sample"] != answer["sample"]:
            continue  # not what this list plays at this place: a forged or damaged row
        common = {"rater": one["rater"], "session": session, "list": one["list"], "position": trial}
        common |= {name: place[name] for name in ("kind", "system", "set", "utterance")}
        plays = answer.get("plays", {})
        extra = {"unintelligible": int(answer["unintelligible"])} | {
            f"plays_{role}": plays.get(role, "") for role in ("sample", "reference")
        }
        extra |= {name: answer.get(name, "") for name in ("milliseconds", "hidden_milliseconds")}
        made += [
            common | {"scale": scale, "rating": int(answer["ratings"][scale])} | extra
            for scale in scales
            if scale in answer["ratings"]
        ]
    return made


def _rater(session: str, one: dict, entry: dict) -> dict:
    own = sum(answer.get("milliseconds", 0) for answer in one["answers"].values()) / 1000
    return {
        "rater": one["rater"],
        "session": session,
        "list": one["list"],
        "status": entry["status"],
        "trials": len(one["answers"]),
        "seconds": entry["seconds"],
        "rating_seconds": round(own, 1),
        "headphones": one["headphones"],
        "comment": one["comment"],
    }
