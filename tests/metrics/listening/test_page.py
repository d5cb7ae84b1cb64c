"""The participants' page in a real Chromium: listening cannot be dodged, answers cannot be lost, the keyboard is
enough."""

from __future__ import annotations

import re

import pytest

from metrics.listening.prepare import prepare
from speechbase.files import read_json, read_jsonl, write_text
from tests.metrics.listening.conftest import SECRET, Worker
from tests.metrics.listening.make_study import make_study
from tests.metrics.listening.page_driver import PRESS, Page, stored

pytestmark = pytest.mark.browser


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
        "a.addEventListener('playing', () => { a.playbackRate = 8; a.dispatchEvent(new Event('ended')); }, { once: "
        "true })",
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
    small = (
        "return [...document.querySelectorAll('button, .choice')].filter(e => e.getBoundingClientRect().height < "
        "40).length"
    )
    assert page.script(small) == 0


def axe_problems(page: Page, axe) -> list[str]:
    """Serious and critical findings of axe-core on what is shown."""
    # The policy of the page forbids inline scripts; the driver may still run its own.
    page.script(axe.AXE_SCRIPT)
    found = page.browser.execute_async_script("axe.run().then(arguments[0])")
    return [
        f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"] if v["impact"] in ("serious", "critical")
    ]
