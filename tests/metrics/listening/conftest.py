"""Prepared studies, answers and a browser for the listening tests."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from metrics.listening.collector import make_server
from metrics.listening.prepare import prepare, table
from speechbase.files import read_json, write_text
from tests import chromium
from tests.metrics.listening.make_study import make_study

SECRET = "5ec7e7" * 10 + "abcd"


@pytest.fixture(scope="session")
def prepared_tts(tmp_path_factory):
    """A small TTS study (6 workers, 8 samples, 4 scales, reference), prepared once."""
    return _prepare(tmp_path_factory.mktemp("tts"), "tts")


@pytest.fixture(scope="session")
def prepared_enhancement(tmp_path_factory):
    """A small enhancement study (one player, one scale), prepared once."""
    return _prepare(tmp_path_factory.mktemp("enhancement"), "enhancement")


@pytest.fixture
def tts(prepared_tts, tmp_path) -> Path:
    """A copy of the TTS study that a test may change."""
    return Path(shutil.copytree(prepared_tts, tmp_path / "study"))


@pytest.fixture
def enhancement(prepared_enhancement, tmp_path) -> Path:
    """A copy of the enhancement study that a test may change."""
    return Path(shutil.copytree(prepared_enhancement, tmp_path / "study"))


def _prepare(root: Path, study: str) -> Path:
    settings, testsets, audio, out = make_study(root, study)
    write_text(out / "private" / "secret", SECRET + "\n")
    prepare(settings, testsets, audio, out)
    return out


class Worker:
    """A participant without a browser, who talks to the collector as the page does."""

    def __init__(self, port: int, out: Path, participant: str, session: str | None = None):
        self.port = port
        self.ids = {"participant": participant, "session": session or f"session-{participant}", "study": "study"}
        self.version = read_json(out / "prepared.json")["preregistration"][:16]
        self.scales = read_json(out / "private" / "settings.json")["scales"]
        self.out = out

    def post(self, route: str, body: dict | None = None, **changes) -> tuple[int, dict]:
        body = self.ids | {"version": self.version} | (body or {}) | changes
        return request(self.port, "POST", f"/api/{route}", json.dumps(body))

    def start(self, **changes) -> tuple[int, dict]:
        status, reply = self.post("start", **changes)
        if status == 200:
            self.ids["list"] = reply["list"]
            self.trials = read_json(self.out / "public" / "lists" / f"{reply['list']}.json")["trials"]
        return status, reply

    def consent(self):
        return self.post("answer", {"kind": "consent", "time": "2026-01-01T00:00:00Z"})

    def answer(self, trial: int, /, rating: int = 4, **changes) -> tuple[int, dict]:
        body = {"kind": "answer", "trial": trial, "sample": self.trials[trial]["sample"], "unintelligible": False}
        body |= {"ratings": dict.fromkeys(self.scales, rating), "plays": {"sample": 1}, "milliseconds": 9000}
        return self.post("answer", body, **changes)

    def finish(self, rating: int = 4) -> tuple[int, dict]:
        self.start()
        self.consent()
        for trial in range(len(self.trials)):
            assert self.answer(trial, rating)[0] == 200
        return self.post("complete")


def request(port: int, method: str, path: str, body=None, headers: dict | None = None) -> tuple[int, dict]:
    """One HTTP request as (status, parsed reply)."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        given = {"Host": f"127.0.0.1:{port}"} | (headers or {})
        data = body.encode() if isinstance(body, str) else body
        if data is not None and "Content-Length" not in given:
            given["Content-Length"] = str(len(data))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders()
        if data is not None:
            connection.send(data)
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if response.headers["Content-Type"] == "application/json" else {}
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def serve():
    """Start a collector of a study in this process; returns its port."""
    servers = []

    def start(out: Path, port: int = 0, origins: tuple[str, ...] = ()) -> int:
        server = make_server(out, port=port, origins=origins)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def write_export(path: Path, rows: list[tuple[str, str, str, int]]) -> Path:
    """Prolific's export with (submission, participant, status, seconds)."""
    names = ("Submission id", "Participant id", "Status", "Time taken")
    write_text(path, table([dict(zip(names, row, strict=True)) | {"Completion code": "X", "Age": 30} for row in rows]))
    return path


@pytest.fixture
def browser():
    """A headless Chromium of a desktop's size."""
    running = chromium.start("--window-size=1280,900")
    running.implicitly_wait(0)
    yield running
    running.quit()
