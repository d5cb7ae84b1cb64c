"""Where answers go when the page's own host cannot store them: another address, another origin, a file."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from metrics.listening.prepare import prepare
from speechbase.files import read_json, read_jsonl, write_text
from tests.metrics.listening.conftest import free_port
from tests.metrics.listening.make_study import make_study
from tests.metrics.listening.page_driver import PRESS, Page, stored

pytestmark = pytest.mark.browser


class Mailbox(BaseHTTPRequestHandler):
    """Another origin that takes any POST, as a form service or DataPipe does; its first reply is an error."""

    bodies: list[dict]

    def do_OPTIONS(self):
        self.reply(204)

    def do_POST(self):
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.reply(503 if len(self.bodies) == 1 else 200)

    def reply(self, status):
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def mailbox():
    bodies: list[dict] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneMailbox", (Mailbox,), {"bodies": bodies}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", bodies
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["post", "datapipe"])
def test_answers_go_to_another_address_where_the_host_is_static(tmp_path, serve, browser, mailbox, kind):
    url, bodies = mailbox
    endpoint = {"kind": kind, "url": url, "experiment": "abc"}
    settings, testsets, audio, out = make_study(tmp_path, "enhancement", samples=5, hosting={"endpoint": endpoint})
    prepare(settings, testsets, audio, out)
    token = next((out / "public" / "lists").iterdir()).stem
    page = Page(browser, serve(out), list=token).open()
    page.rate_all(5)
    if kind == "datapipe":  # the first try fails: no code, nothing lost, and a button
        page.until_heading("not all saved yet")
        page.script(PRESS, "Try again")
    page.until(lambda: page.all("#code"))
    sent = [json.loads(line) for body in bodies for line in body["data"].splitlines()] if kind == "datapipe" else bodies
    answers = {row["trial"]: row["ratings"]["quality"] for row in sent[1:] if row["kind"] == "answer"}
    assert answers == {i: 1 + i % 5 for i in range(5)}
    assert {row["list"] for row in sent} == {token} and {row["session"] for row in sent} == {"session-p1"}
    assert not (out / "private" / "answers.jsonl").exists()


def test_the_collector_may_live_at_another_origin(tmp_path, serve, browser, prepared_enhancement):
    collector, static = (shutil.copytree(prepared_enhancement, tmp_path / name) for name in ("collector", "static"))
    host = free_port()
    port = serve(collector, origins=(f"http://127.0.0.1:{host}",))
    study = read_json(static / "public" / "study.json")
    study["endpoint"]["url"] = f"http://127.0.0.1:{port}/"
    write_text(static / "public" / "study.json", json.dumps(study))
    index = (static / "public" / "index.html").read_text()
    assert "connect-src 'self' ;" in index
    write_text(static / "public" / "index.html", index.replace("'self' ;", f"'self' http://127.0.0.1:{port};"))
    serve(static, port=host)
    page = Page(browser, host).open()
    page.begin()
    page.listen()
    page.rate(0)
    page.until(lambda: sorted(stored(collector)) == [0])
    assert not stored(static)
    Page(browser, serve(static)).open()  # a third origin, which nobody named
    page.until_heading("could not be opened")
    assert {row["reason"] for row in read_jsonl(collector / "private" / "refused.jsonl")} == {"foreign origin"}


def test_static_hosting_offers_the_answers_as_a_file(tmp_path, serve, browser):
    settings, testsets, audio, out = make_study(
        tmp_path, "enhancement", samples=6, hosting={"endpoint": {"kind": "download"}}
    )
    prepare(settings, testsets, audio, out)
    token = next((out / "public" / "lists").iterdir()).stem
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "down")}
    )
    page = Page(browser, serve(out), list=token).open()
    page.rate_all(6)
    page.until_heading("download your answers")
    assert not page.all("#code")
    page.script(PRESS, "Download my answers")
    page.until(lambda: page.all("#code"))
    page.until(lambda: list((tmp_path / "down").glob("*.jsonl")))
    rows = read_jsonl(next((tmp_path / "down").glob("*.jsonl")))
    assert sum(row["kind"] == "answer" for row in rows) == 6
    assert {row["list"] for row in rows} == {token}
    assert not (out / "private" / "answers.jsonl").exists()
