"""The collector's memory: what arrived, appended and fsynced before it is acknowledged, each thing once."""

from __future__ import annotations

import csv
import hashlib
import hmac
import threading
import time
from collections import Counter
from pathlib import Path

from speechbase.files import UserError, append_jsonl, read_json, read_jsonl

MOST_REFUSALS = 10_000  # a flood of bad requests must not fill the disk


class Refused(Exception):
    """A request that is not accepted: an HTTP status and a reason that tells nothing secret."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Store:
    """Answers of one prepared study in `private/answers.jsonl`; raw Prolific ids in `private/pids.jsonl` only."""

    def __init__(self, out: Path):
        """Open a prepared study. Raises: UserError: not prepared, or answers of another version of the study."""
        private = out / "private"
        self.prepared = read_json(private / "prepared.json")
        self.version = self.prepared["preregistration"][:16]
        self.codes = read_json(private / "codes.json")
        self.scales = read_json(out / "private" / "settings.json")["scales"]
        self._key = bytes.fromhex((private / "secret").read_text(encoding="ascii").strip())
        self._answers, self._pids, self._refusals = (
            private / f"{name}.jsonl" for name in ("answers", "pids", "refused")
        )
        self.trials = _trials(private / "key.csv")
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str, int], dict] = {}
        self._lists: dict[str, str] = {}
        self._raters: dict[str, str] = {}
        self._refused = 0
        for row in read_jsonl(self._answers) if self._answers.exists() else []:
            if row["version"] != self.version:
                raise UserError(
                    f"{self._answers} belongs to another version of the study; restore private/ and public/."
                )
            self._remember(row)

    def start(self, body: dict) -> dict:
        """Open or reopen a submission: its list, and which trials are stored already."""
        session, rater = self._hashed("session", body["session"]), self._hashed("rater", body["participant"])
        with self._lock:
            self._same_version(body)
            if (session, "start", -1) not in self._rows:
                done = [
                    other
                    for other, who in self._raters.items()
                    if who == rater and (other, "complete", -1) in self._rows
                ]
                if done:
                    raise Refused(409, "You have already completed this study.")
                chosen = body.get("list") or self._least_used()
                if chosen not in self.trials:
                    raise Refused(422, "unknown list")
                self._append(
                    self._pids, {key: body[key] for key in ("participant", "session", "study")} | {"rater": rater}
                )
                self._store({"session": session, "kind": "start", "trial": -1, "rater": rater, "list": chosen})
            elif self._raters[session] != rater:
                raise Refused(403, "this submission belongs to another participant")
            chosen = self._lists[session]
            stored = sorted(trial for who, kind, trial in self._rows if who == session and kind == "answer")
            consent = (session, "consent", -1) in self._rows
            return {"list": chosen, "stored": stored, "consent": consent, "complete": self._complete(session)}

    def answer(self, body: dict) -> dict:
        """Store one consent, answer or remark; the same one again is acknowledged and stored once."""
        session = self._hashed("session", body["session"])
        with self._lock:
            self._same_version(body)
            if session not in self._lists:
                raise Refused(409, "this submission was not started")
            row = {key: value for key, value in body.items() if key not in ("participant", "session", "study", "list")}
            row = {"session": session, "trial": -1} | row
            row["trial"] = int(row["trial"])  # 1.0 is a whole number to the schema
            if row["kind"] == "answer":
                self._check_answer(session, row)
            known = self._rows.get((session, row["kind"], row["trial"]))
            if known is None:
                self._store(row)
            elif any(known.get(key) != row.get(key) for key in ("ratings", "unintelligible", "sample")):
                raise Refused(409, "another answer to this sample is stored already")
            return {"stored": [row["kind"], row["trial"]]}

    def complete(self, body: dict) -> dict:
        """The completion code, once consent and every trial are on the disk."""
        session = self._hashed("session", body["session"])
        with self._lock:
            self._same_version(body)
            if session not in self._lists:
                raise Refused(409, "this submission was not started")
            missing = self._missing(session)
            if missing or (session, "consent", -1) not in self._rows:
                return {"missing": missing, "consent": (session, "consent", -1) in self._rows}
            if not self._complete(session):
                self._store({"session": session, "kind": "complete", "trial": -1})
            return {"code": self.codes["completed"], "url": self.codes["url"]}

    def refused(self, route: str, status: int, reason: str) -> None:
        """Log a refusal: when, where and why; no address, no body."""
        with self._lock:
            self._refused += 1
            if self._refused <= MOST_REFUSALS:
                append_jsonl(
                    self._refusals, {"time": _now(), "route": route[:100], "status": status, "reason": reason[:200]}
                )

    def _hashed(self, what: str, value: str) -> str:
        return hashed(self._key, what, value)

    def _same_version(self, body: dict) -> None:
        if body["version"] != self.version:
            raise Refused(409, "this page belongs to another version of the study; reload it")

    def _check_answer(self, session: str, row: dict) -> None:
        trials = self.trials[self._lists[session]]
        if not 0 <= row["trial"] < len(trials):
            raise Refused(422, "no such trial")
        if row.get("sample") != trials[row["trial"]]:
            raise Refused(422, "this sample is not part of the trial")
        if sorted(row.get("ratings", {})) != sorted(self.scales):
            raise Refused(422, "ratings do not fit the scales")
        row["ratings"] = {scale: int(row["ratings"][scale]) for scale in self.scales}

    def _least_used(self) -> str:
        used = Counter(self._lists.values())
        main = list(self.trials)[: self.prepared["lists"]]
        return min(main, key=lambda name: used[name])

    def _missing(self, session: str) -> list[int]:
        trials = range(len(self.trials[self._lists[session]]))
        return [trial for trial in trials if (session, "answer", trial) not in self._rows]

    def _complete(self, session: str) -> bool:
        return (session, "complete", -1) in self._rows

    def _store(self, row: dict) -> None:
        row = row | {"version": self.version, "received": _now()}
        self._append(self._answers, row)
        self._remember(row)

    def _append(self, path: Path, row: dict) -> None:
        try:
            append_jsonl(path, row)
        except OSError as error:
            raise Refused(507, f"not stored ({error.strerror})") from None
        path.chmod(0o600)

    def _remember(self, row: dict) -> None:
        self._rows[row["session"], row["kind"], row["trial"]] = row
        if row["kind"] == "start":
            self._lists[row["session"]] = row["list"]
            self._raters[row["session"]] = row["rater"]


def hashed(key: bytes, what: str, value: str) -> str:
    """A keyed hash of a Prolific id, which stands for it in everything that is analysed."""
    return hmac.new(key, f"{what}\x1f{value}".encode(), hashlib.sha256).hexdigest()[:24]


def _trials(path: Path) -> dict[str, list[str]]:
    trials: dict[str, list[str]] = {}
    with open(path, newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            trials.setdefault(row["list"], []).append(row["sample"])
    return trials


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
