"""Downloads against a local server: cuts, resumption, checksums, dead addresses, full disks, and no second fetch."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from speechbase.files import UserError, read_json
from speechbase.recorded import download
from speechbase.recorded.corpora import Archive

CONTENT = bytes(range(256)) * 4000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `behaviour` says how: fine, cut (after `cut_after` bytes), norange, html, or a status number."""

    behaviour, cut_after, content = "fine", 300_000, CONTENT

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if isinstance(server.behaviour, int):
            return self.send_error(server.behaviour)
        start = int(self.headers["Range"][6:-1]) if self.headers.get("Range") and server.behaviour != "norange" else 0
        if start >= len(server.content):
            return self.send_error(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/html" if server.behaviour == "html" else "application/gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after] if server.behaviour == "cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def make_archive(server, checksum=SHA256, size=1_024_000, exact=True):
    url = f"http://127.0.0.1:{server.server_port}/set.tar.gz?download=1"
    return Archive("tiny", "all", "1", url, size, exact, checksum, "CC0", False, 16000, "tests")


def test_fetched_verified_and_never_asked_for_again(server, tmp_path):
    path = download.fetch(make_archive(server), tmp_path)
    assert path.read_bytes() == CONTENT and path.name == "set.tar.gz"
    assert read_json(path.with_name("set.tar.gz.verified.json"))["checksum"] == SHA256
    assert download.fetch(make_archive(server), tmp_path) == path and server.ranges == [None]


def test_cut_connections_are_continued_where_they_broke(server, tmp_path):
    server.behaviour = "cut"
    path = download.fetch(make_archive(server), tmp_path, attempts=2, pause_s=0)
    assert path.read_bytes() == CONTENT
    kept = [chunks * download.CHUNK for chunks in (4, 8, 12)]  # whole chunks of what arrived
    assert server.ranges == [None, *(f"bytes={start}-" for start in kept)]


def test_a_killed_download_resumes_in_another_run(server, tmp_path):
    part = tmp_path / "tiny" / "set.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    assert download.fetch(make_archive(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.behaviour = "norange"
    part = tmp_path / "tiny" / "set.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    assert download.fetch(make_archive(server), tmp_path).read_bytes() == CONTENT


def test_the_users_own_whole_copy_is_verified_not_fetched(server, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "set.tar.gz").write_bytes(CONTENT)
    download.fetch(make_archive(server), tmp_path)
    assert server.ranges == []


def test_a_wrong_checksum_is_fetched_once_more_then_reported(server, tmp_path):
    with pytest.raises(UserError, match=r"twice.*corpora\.tsv"):
        download.fetch(make_archive(server, "sha256:" + "0" * 64), tmp_path)
    assert len(server.ranges) == 2 and list((tmp_path / "tiny").iterdir()) == []
    server.content = CONTENT[:-1]
    with pytest.raises(UserError, match=f"{len(CONTENT) - 1} bytes where {len(CONTENT)}"):
        download.fetch(make_archive(server), tmp_path)


def test_without_a_published_checksum_the_found_one_is_recorded(server, tmp_path):
    path = download.fetch(make_archive(server, "", 5, False), tmp_path)
    assert read_json(path.with_name("set.tar.gz.verified.json"))["checksum"] == SHA256


def test_dead_addresses_pages_and_stalls_end_with_a_remedy(server, tmp_path):
    for behaviour, message in (
        (404, "expired or wants a login"),
        (403, "corpus.recorded.have.tiny"),
        ("html", "web page"),
    ):
        server.behaviour = behaviour
        with pytest.raises(UserError, match=message):
            download.fetch(make_archive(server), tmp_path)
    server.behaviour = 503
    with pytest.raises(UserError, match=r"3 times without progress.*bytes that arrived are kept"):
        download.fetch(make_archive(server), tmp_path, attempts=3, pause_s=0)
    server.behaviour, server.cut_after, server.ranges = "cut", 0, []
    with pytest.raises(UserError, match="connection ended early"):
        download.fetch(make_archive(server), tmp_path, attempts=2, pause_s=0)


def test_too_little_disk_is_said_before_the_transfer(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"free some space.*corpus\.recorded\.folder"):
        download.fetch(make_archive(server), tmp_path)


def test_the_command_fetches_a_row_from_a_mirror_and_explains_licences(server, tmp_path, capsys):
    server.content = b"list"
    mirror = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(SystemExit):
        download.main(["realedit", "list", "--folder", str(tmp_path), "--mirror", mirror])
    assert "bytes where 97775 were expected" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        download.main(["wsj0_2mix", "all", "--folder", str(tmp_path)])
    assert "LDC93S6A" in capsys.readouterr().err
