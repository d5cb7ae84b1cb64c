"""The participants' page in a real Chromium: listening cannot be dodged, answers cannot be lost, the keyboard is enough."""

from __future__ import annotations

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fileio.files import read_json, read_jsonl, write_text
from listening.prepare import prepare
from tests.listening.conftest import SECRET, Worker, free_port
from tests.listening.make_study import make_study

pytestmark = pytest.mark.browser
WAIT_S = 60  # at most: a busy machine plays late
PRESS = "[...document.querySelectorAll('button')].find(b => b.textContent === arguments[0]).click()"


class Page:
    """A participant at the page: finds things by what they say, presses keys."""

    def __init__(self, browser, port: int, participant: str = "p1", **changes):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser, self.port, self.by = browser, port, By
        self.wait = WebDriverWait(browser, WAIT_S, poll_frequency=0.05)
        ids = {"PROLIFIC_PID": participant, "SESSION_ID": f"session-{participant}", "STUDY_ID": "study"} | changes
        self.address = f"http://127.0.0.1:{port}/?" + "&".join(f"{name}={value}" for name, value in ids.items())

    def open(self) -> Page:
        self.browser.get(self.address)
        return self

    def keys(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def until(self, condition):
        return self.wait.until(lambda _: condition())

    def all(self, selector: str) -> list:
        return self.browser.find_elements(self.by.CSS_SELECTOR, selector)

    def script(self, text: str, *arguments):
        return self.browser.execute_script(text, *arguments)

    def heading(self) -> str:
        return self.script("return document.querySelector('h1')?.textContent ?? ''")

    def until_heading(self, text: str) -> None:
        self.until(lambda: text in self.heading())

    def tab_to(self, test: str) -> None:
        """Press Tab until the focused element passes a JavaScript test of `e`."""
        for _ in range(60):
            if self.script(f"const e = document.activeElement; return Boolean({test})"):
                return
            self.keys("\ue004")
        raise AssertionError(f"Tab does not reach {test}")

    def begin(self) -> None:
        """Consent, setup and practice, by keyboard alone."""
        self.until(lambda: self.all("#agree"))
        self.tab_to("e.id === 'agree'")
        self.keys(" ")
        self.tab_to("e.textContent === 'Start'")
        self.keys("\ue007")
        self.until_heading("How do you listen")
        self.tab_to("e.name === 'headphones'")
        self.keys(" ")
        self.tab_to("e.textContent === 'Go on'")
        self.keys("\ue007")
        self.until_heading("Instructions")
        self.tab_to("e.className === 'play'")
        self.keys("\ue007")
        self.until(
            lambda: self.script(
                "return [...document.querySelectorAll('button')].some(b => b.textContent === 'Begin' && !b.disabled)"
            )
        )
        self.tab_to("e.textContent === 'Begin'")
        self.keys("\ue007")
        self.until_heading("Sample 1 of")

    def unlocked(self) -> bool:
        return self.script("return [...document.querySelectorAll('fieldset')].every(f => !f.disabled)")

    def heard(self) -> int:
        return self.script("return document.querySelectorAll('.player.heard').length")

    def listen(self) -> None:
        """Play every player once, by its key, one after the other."""
        for done, key in enumerate(["r", "s"][-len(self.all(".player")) :], 1):
            self.keys(key)
            self.until(lambda done=done: self.heard() == done)

    def rate(self, number: int) -> None:
        """Rate the sample that is shown, with digits, and go on with Enter."""
        scales = len(self.all("fieldset"))
        self.until(self.unlocked)
        self.keys(*[str(1 + (number + i) % 5) for i in range(scales)])
        self.until(lambda: not self.script("return document.getElementById('next').disabled"))
        self.keys("\ue007")
        self.until(lambda: not self.heading().startswith(f"Sample {number + 1} of"))

    def requests(self) -> list[str]:
        """Addresses that were asked for, from the browser's own log."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def stored(out) -> dict[int, dict]:
    path = out / "private" / "answers.jsonl"
    return {row["trial"]: row for row in (read_jsonl(path) if path.exists() else []) if row["kind"] == "answer"}


@pytest.fixture(scope="module")
def thirty(tmp_path_factory):
    """A study of 30 samples with one player and one scale: the paper's length."""
    settings, testsets, audio, out = make_study(
        tmp_path_factory.mktemp("thirty"), "enhancement", samples=30, rows=40, utterances=32, workers=2
    )
    write_text(out / "private" / "secret", SECRET + "\n")
    prepare(settings, testsets, audio, out)
    return out


@pytest.mark.slow
def test_thirty_samples_by_keyboard_with_a_reload_on_the_way(thirty, serve, browser):
    page = Page(browser, serve(thirty)).open()
    page.begin()
    consent = [row["kind"] for row in read_jsonl(thirty / "private" / "answers.jsonl")]
    assert "consent" in consent
    order = []
    for number in range(30):
        if number == 16:
            before = page.script("return document.querySelector('audio').getAttribute('src')")
            browser.refresh()
            page.until_heading("Sample 17 of 30")
            assert page.script("return document.querySelector('audio').getAttribute('src')") == before
        order.append(page.script("return document.querySelector('audio').getAttribute('src')"))
        assert not page.all("#code")
        page.listen()
        page.rate(number)
    page.until_heading("One last thing")
    assert not page.script("return document.body.innerHTML.includes('cc=')")
    page.tab_to("e.id === 'comment'")
    page.keys("=cmd() <b>fine</b>")
    page.tab_to("e.textContent === 'Finish'")
    page.keys("\ue007")
    page.until(lambda: page.all("#code"))
    code = read_json(thirty / "private" / "codes.json")
    assert page.all("#code")[0].text == code["completed"]
    assert page.all("#return")[0].get_attribute("href") == code["url"]
    rows = stored(thirty)
    assert sorted(rows) == list(range(30)) and [rows[i]["sample"] for i in range(30)] == order
    assert [rows[i]["ratings"]["quality"] for i in range(30)] == [1 + i % 5 for i in range(30)]
    assert all(row["plays"] == {"sample": 1} and row["milliseconds"] > 0 for row in rows.values())
    remark = [row for row in read_jsonl(thirty / "private" / "answers.jsonl") if row.get("comment")]
    assert remark[0]["comment"].split() == ["cmd()", "b", "fine", "/b"]
    origins = {re.match(r"\w+:(//[^/]+)?", url)[0] for url in page.requests()} - {"data:"}
    assert origins == {f"http://127.0.0.1:{page.port}"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_listening_cannot_be_dodged(tts, serve, browser):
    """Seeking, speeding up, muting, stopping and one player alone leave the scales locked."""
    page = Page(browser, serve(tts)).open()
    page.begin()
    assert not page.unlocked()
    page.keys("2", "\ue007")  # neither rates nor goes on
    assert page.heading().startswith("Sample 1")
    tricks = [
        "a.addEventListener('playing', () => { a.currentTime = 0.4 * a.duration; }, { once: true })",
        "a.addEventListener('playing', () => { a.playbackRate = 16; }, { once: true })",
        "a.addEventListener('playing', () => { a.muted = true; }, { once: true })",
        "a.addEventListener('playing', () => { a.playbackRate = 8; a.dispatchEvent(new Event('ended')); }, { once: true })",
    ]
    for trick in tricks:
        for player in (0, 1):
            page.script(f"const a = document.querySelectorAll('audio')[{player}]; {trick}")
            page.all(".play")[player].click()
            page.until(lambda player=player: "without skipping" in page.all(".player")[player].text)
            page.until(lambda player=player: page.script(f"return document.querySelectorAll('audio')[{player}].paused"))
        assert page.heard() == 0 and not page.unlocked(), trick
    page.keys("s")
    page.until(lambda: page.heard() == 1)
    assert not page.unlocked()
    page.keys("r")
    page.until(page.unlocked)
    assert page.script("return document.getElementById('next').disabled")


def test_answers_wait_for_a_collector_that_is_gone(enhancement, serve, browser):
    """Down from the second sample on: the participant goes on, nothing is lost, no code comes before it is back."""
    port = serve(enhancement)
    page = Page(browser, port).open()
    page.begin()
    browser.execute_cdp_cmd("Network.enable", {})
    for number in range(8):
        page.listen()
        if number == 1:
            browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/*"]})
        page.rate(number)
    assert sorted(stored(enhancement)) == [0]
    assert "7 answers wait" in page.until(lambda: page.all("#saving")[0].text)
    page.until_heading("One last thing")
    page.script(PRESS, "Finish")
    page.until_heading("Saving your answers")
    assert not page.all("#code")
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.script("dispatchEvent(new Event('online'))")
    page.until(lambda: page.all("#code"))
    assert sorted(stored(enhancement)) == list(range(8))


def test_a_second_tab_is_refused_and_a_finished_study_shows_its_code(enhancement, serve, browser):
    port = serve(enhancement)
    page = Page(browser, port).open()
    page.until(lambda: page.all("#agree"))
    browser.switch_to.new_window("tab")
    Page(browser, port).open()
    page.until_heading("already open")
    browser.close()
    browser.switch_to.window(browser.window_handles[0])
    assert Worker(port, enhancement, "p1").finish()[1]["code"]
    browser.refresh()
    page.until(lambda: page.all("#code"))
    assert len([row for row in read_jsonl(enhancement / "private" / "answers.jsonl") if row["kind"] == "complete"]) == 1


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
    page.begin()
    for number in range(5):
        page.listen()
        page.rate(number)
    page.script(PRESS, "Finish")
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
    page.begin()
    for number in range(6):
        page.listen()
        page.rate(number)
    page.script(PRESS, "Finish")
    page.until_heading("download your answers")
    assert not page.all("#code")
    page.script(PRESS, "Download my answers")
    page.until(lambda: page.all("#code"))
    page.until(lambda: list((tmp_path / "down").glob("*.jsonl")))
    rows = read_jsonl(next((tmp_path / "down").glob("*.jsonl")))
    assert sum(row["kind"] == "answer" for row in rows) == 6
    assert {row["list"] for row in rows} == {token}
    assert not (out / "private" / "answers.jsonl").exists()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_is_accessible(tts, serve, browser, width):
    axe = pytest.importorskip("axe_core_python.base", reason="axe-core-python is not installed (pip install '.[dev]')")
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page = Page(browser, serve(tts)).open()
    page.until(lambda: page.all("#agree"))
    checks = [axe_problems(page, axe)]
    page.begin()
    checks.append(axe_problems(page, axe))
    page.listen()
    page.until(page.unlocked)
    checks.append(axe_problems(page, axe))
    assert checks == [[], [], []]
    assert page.script("return document.documentElement.scrollWidth") <= width
    small = "return [...document.querySelectorAll('button, .choice')].filter(e => e.getBoundingClientRect().height < 40).length"
    assert page.script(small) == 0


def axe_problems(page: Page, axe) -> list[str]:
    """Serious and critical findings of axe-core on what is shown."""
    # The policy of the page forbids inline scripts; the driver may still run its own.
    page.script(axe.AXE_SCRIPT)
    found = page.browser.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"] if v["impact"] in ("serious", "critical")
    ]
