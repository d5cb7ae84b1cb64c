"""The collector: acknowledged is stored, stored once, whatever happens; what is hostile is refused and logged."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.client import HTTPException

import pytest

from metrics.listening.collector import make_server
from metrics.listening.store import MOST_REFUSALS, Refused, Store
from speechbase.files import UserError, append_jsonl, read_jsonl
from tests.metrics.listening.conftest import Worker, free_port, request


def answers(out) -> list[dict]:
    return read_jsonl(out / "private" / "answers.jsonl")


def refusals(out) -> list[dict]:
    path = out / "private" / "refused.jsonl"
    return read_jsonl(path) if path.exists() else []


def test_the_code_comes_after_the_last_answer_and_never_before(tts, serve):
    worker = Worker(serve(tts), tts, "p1")
    worker.start()
    assert worker.post("complete")[1] == {"missing": list(range(8)), "consent": False}
    for trial in range(8):
        worker.answer(trial)
    assert worker.post("complete")[1] == {"missing": [], "consent": False}
    worker.consent()
    code = worker.post("complete")[1]
    assert code["url"].endswith("?cc=" + code["code"]) and len(code["code"]) == 8


def test_the_same_answer_again_is_stored_once_and_another_is_refused(tts, serve):
    worker = Worker(serve(tts), tts, "p1")
    worker.start()
    for _ in range(3):
        assert worker.answer(2, 4) == (200, {"stored": ["answer", 2]})
    assert worker.answer(2, 5)[0] == 409
    stored = [row for row in answers(tts) if row["kind"] == "answer"]
    assert len(stored) == 1 and set(stored[0]["ratings"].values()) == {4}


def test_a_submission_resumes_where_it_was(tts, serve):
    port = serve(tts)
    worker = Worker(port, tts, "p1")
    worker.start(), worker.consent(), worker.answer(0), worker.answer(1)
    again = Worker(port, tts, "p1")
    assert again.start()[1] == {"list": worker.ids["list"], "stored": [0, 1], "consent": True, "complete": False}
    restarted = Worker(serve(tts), tts, "p1")  # another process reads the file
    assert restarted.start()[1]["stored"] == [0, 1]


def test_raw_ids_are_in_one_file_only(tts, serve):
    Worker(serve(tts), tts, "5f0000000000000000000001").finish()
    holding = [
        path.name for path in tts.rglob("*") if path.is_file() and b"5f0000000000000000000001" in path.read_bytes()
    ]
    assert holding == ["pids.jsonl"]
    assert (tts / "private" / "pids.jsonl").stat().st_mode & 0o077 == 0


def test_lists_are_handed_out_evenly_without_a_link(tts, serve):
    port = serve(tts)
    lists = Counter(Worker(port, tts, f"p{i}").start()[1]["list"] for i in range(12))
    assert set(lists.values()) == {2} and len(lists) == 6


def test_who_has_finished_cannot_take_part_again(tts, serve):
    port = serve(tts)
    Worker(port, tts, "p1").finish()
    status, reply = Worker(port, tts, "p1", session="second").start()
    assert (status, reply["error"]) == (409, "You have already completed this study.")
    assert Worker(port, tts, "p1").start()[1]["complete"] is True
    assert Worker(port, tts, "p2", session="session-p1").start()[0] == 403


BAD_BODIES = {
    "not JSON": ("{", 400),
    "a list": ("[1]", 400),
    "deep": ("[" * 20000, 400),
    "half a character": ('{"comment": "\\ud800"}', 400),
    "a number of 5,000 digits": ('{"trial": ' + "9" * 5000 + "}", 400),
    "10 MB": ("a" * 10_000_000, 413),
    "plays beyond counting": ({"plays": {"sample": 1e300}}, 422),
    "NaN": ('{"kind": NaN}', 400),
    "nothing": ("{}", 422),
    "a broken id": ({"session": "a b"}, 422),
    "a path as id": ({"list": "../private/key"}, 422),
    "an unknown field": ({"simulated": True}, 422),
    "rating 6": (
        {"ratings": dict.fromkeys(["quality", "naturalness", "voice_similarity", "style_similarity"], 6)},
        422,
    ),
    "rating true": ({"ratings": {"quality": True}}, 422),
    "rating as text": ({"ratings": {"quality": "5"}}, 422),
    "a missing scale": ({"ratings": {"quality": 5}}, 422),
    "no such trial": ({"trial": 99}, 422),
    "another sample": ({"sample": "audio/aaaa.flac"}, 422),
    "a formula": ({"kind": "remark", "comment": "=cmd()|'/C calc'!A0"}, 422),
    "a script": ({"kind": "remark", "comment": "<script>alert(1)</script>"}, 422),
    "a long comment": ({"kind": "remark", "comment": "a" * 2001}, 422),
    "another version": ({"version": "0" * 16}, 409),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_hostile_bodies_are_refused_and_logged(tts, serve, name):
    change, expected = BAD_BODIES[name]
    worker = Worker(serve(tts), tts, "p1")
    worker.start()
    before = len(answers(tts))
    if isinstance(change, str):
        status, _ = request(worker.port, "POST", "/api/answer", change)
    else:
        status, _ = worker.answer(0, **change)
    assert status == expected
    assert len(answers(tts)) == before
    logged = refusals(tts)
    assert [row["status"] for row in logged] == [expected]
    assert not re.search(r"<script|=cmd|127\.0\.0\.1", json.dumps(logged))
    assert worker.answer(0)[0] == 200  # and the server goes on


PATHS = [
    "/../private/key.csv",
    "/%2e%2e/private/key.csv",
    "/..%2fprivate%2fsecret",
    "//etc/passwd",
    "/lists/",
    "/audio/../../private/secret",
]
PATHS += ["/lists", "/private/secret", "/study.json%00.html", "/api/answer", "\\..\\private\\secret", "/audio"]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_public_files(tts, serve, path):
    assert request(serve(tts), "GET", path)[0] == 404
    assert refusals(tts)[0]["status"] == 404


def test_a_huge_body_is_refused_before_it_is_read(tts, serve):
    port = serve(tts)
    body = b'{"comment": "' + b"a" * (10 * 2**20) + b'"}'
    status, reply = request(port, "POST", "/api/answer", body)
    assert (status, reply["error"]) == (413, f"a body of {len(body)} bytes")
    assert request(port, "POST", "/api/answer", None, {"Content-Length": "999999999999"})[0] == 413
    assert request(port, "POST", "/api/answer", None, {"Content-Length": "-5"})[0] == 411
    assert [row["status"] for row in refusals(tts)] == [413, 413, 411]


def test_foreign_origins_are_refused_and_named_ones_are_not(tts, serve):
    port = serve(tts, origins=("https://study.example.org",))
    body = json.dumps(Worker(port, tts, "p1").ids | {"version": Worker(port, tts, "p1").version})
    assert request(port, "POST", "/api/start", body, {"Origin": "https://evil.example"})[0] == 403
    assert request(port, "POST", "/api/start", body, {"Origin": "null"})[0] == 403
    assert request(port, "OPTIONS", "/api/start", None, {"Origin": "https://evil.example"})[0] == 403
    assert request(port, "POST", "/api/start", body, {"Origin": f"http://127.0.0.1:{port}"})[0] == 200
    assert request(port, "POST", "/api/start", body, {"Origin": "https://study.example.org"})[0] == 200
    assert request(port, "OPTIONS", "/api/start", None, {"Origin": "https://study.example.org"})[0] == 204
    assert [row["reason"] for row in refusals(tts)] == ["foreign origin"] * 3


def test_audio_is_served_in_ranges_as_phones_ask_for_it(tts, serve):
    port = serve(tts)
    clip = next((tts / "public" / "audio").iterdir())
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            f"GET /audio/{clip.name} HTTP/1.1\r\nHost: x\r\nRange: bytes=2-5\r\nConnection: close\r\n\r\n".encode()
        )
        reply = b"".join(iter(lambda: client.recv(65536), b""))
    head, body = reply.split(b"\r\n\r\n", 1)
    assert b"206 Partial" in head and f"Content-Range: bytes 2-5/{clip.stat().st_size}".encode() in head
    assert body == clip.read_bytes()[2:6]


def test_the_log_of_refusals_cannot_fill_the_disk(tts, monkeypatch):
    monkeypatch.setattr("metrics.listening.store.MOST_REFUSALS", 5)
    store = Store(tts)
    for _ in range(9):
        store.refused("GET /x", 404, "no such file")
    assert len(refusals(tts)) == 5 < MOST_REFUSALS


def test_a_full_disk_acknowledges_nothing(tts, monkeypatch):
    store = Store(tts)
    worker = Worker(0, tts, "p1")
    body = worker.ids | {"version": worker.version}
    store.start(body)
    monkeypatch.setattr(
        "metrics.listening.store.append_jsonl", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(Refused) as caught:
        store.answer(body | {"kind": "consent"})
    assert caught.value.status == 507
    monkeypatch.undo()
    store.answer(body | {"kind": "consent"})
    assert [row["kind"] for row in answers(tts)] == ["start", "consent"]


def test_answers_of_another_study_are_not_mixed(tts):
    append_jsonl(tts / "private" / "answers.jsonl", {"version": "other", "session": "s", "kind": "start", "trial": -1})
    with pytest.raises(UserError, match="another version"):
        make_server(tts, port=0)


def test_a_taken_port_is_an_error_with_a_remedy(tts, serve):
    with pytest.raises(UserError, match="choose another with --port"):
        make_server(tts, port=serve(tts))


def start_process(out, port: int) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "metrics.listening", "serve", str(out), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout.readline().startswith(b"http://127.0.0.1")
    return process


def insist(action, deadline: float):
    """Do it until it is acknowledged, as the page does."""
    while True:
        try:
            status, reply = action()
            if status == 200:
                return reply
            assert status >= 500, reply
        except (OSError, ValueError, HTTPException):  # no connection, half an answer, a torn one
            assert time.monotonic() < deadline, "the collector did not come back"
            time.sleep(0.2)


KILLS = 4


def test_fifty_workers_at_once_and_a_collector_that_is_killed(tts):
    """Nothing acknowledged is lost, nothing is doubled, and the file stays valid, through SIGKILLs at random
    moments."""
    port, deadline, chance = free_port(), time.monotonic() + 240 + 10 * KILLS, random.Random(0)
    process = start_process(tts, port)
    workers = [Worker(port, tts, f"participant-{i:02d}") for i in range(50)]
    codes, acknowledged, failures = [], [], []

    def work(worker: Worker) -> None:
        try:
            insist(worker.start, deadline)
            insist(worker.consent, deadline)
            for trial in range(8):
                insist(lambda trial=trial: worker.answer(trial, 1 + trial % 5), deadline)
                acknowledged.append((worker.ids["session"], trial))
            codes.append(insist(lambda: worker.post("complete"), deadline)["code"])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for moment in sorted(chance.sample(range(20, 380), KILLS)):
        while len(acknowledged) < moment and not failures and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with open(tts / "private" / "answers.jsonl", "ab") as stream:  # the worst a killed writer can leave
            stream.write(b'{"session": "torn')
        process = start_process(tts, port)
    for thread in threads:
        thread.join()
    process.terminate()
    process.wait()
    assert not failures
    rows = answers(tts)
    kept = Counter((row["session"], row["trial"]) for row in rows if row["kind"] == "answer")
    assert len(kept) == 400 == len(acknowledged) and set(kept.values()) == {1}
    assert Counter(row["kind"] for row in rows) == {"start": 50, "consent": 50, "answer": 400, "complete": 50}
    assert len(codes) == 50 and len(set(codes)) == 1
    assert all(set(row["ratings"].values()) == {1 + row["trial"] % 5} for row in rows if row["kind"] == "answer")
