"""Both reports in a real Chromium from file://: no errors, no requests, every player to its end, readable at two
widths."""

import json

import pytest

from speechbase.files import read_yaml
from tests import chromium
from workflow.claims import judge

pytestmark = pytest.mark.browser
PLAY_ALL = """
const done = arguments[arguments.length - 1];
(async () => {
  const found = [];
  for (const player of document.querySelectorAll('audio')) {
    player.muted = true;
    const ended = new Promise(resolve => player.addEventListener('ended', () => resolve('ended'), {once: true}));
    const failed = new Promise(resolve => player.addEventListener('error', () => resolve('error'), {once: true}));
    const late = new Promise(resolve => setTimeout(() => resolve('late'), 15000));
    const refused = player.play().then(() => new Promise(() => {}), error => String(error));
    const outcome = await Promise.race([ended, failed, late, refused]);
    found.push([outcome, player.duration, player.played.length ? player.played.end(0) : 0]);
  }
  done(found);
})();
"""


@pytest.fixture(scope="module")
def browser():
    driver = chromium.start("--autoplay-policy=no-user-gesture-required")
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


def requested(driver):
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("name", ["report/index.html", "report.html"])
def test_it_opens_from_a_file_and_every_player_plays_to_its_end(browser, finished, name):
    browser.get((finished.results / name).as_uri())
    played = browser.execute_async_script(PLAY_ALL)
    assert len(played) == 8
    for outcome, duration, end in played:
        assert outcome == "ended"
        assert 0.4 < duration < 0.7
        assert end > 0.9 * duration
    broken = browser.execute_script("return [...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    assert broken == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requested(browser))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_no_wider_than_the_screen(browser, finished, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get((finished.results / "report.html").as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width
    small = (
        "return [...document.querySelectorAll('p, li, td')].filter(e => parseFloat(getComputedStyle(e).fontSize) < "
        "11).length"
    )
    assert browser.execute_script(small) == 0


def test_the_buttons_show_the_claims_of_one_verdict(browser, finished):
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get((finished.results / "report.html").as_uri())
    count = "return [...document.querySelectorAll('.claim')].filter(c => c.offsetParent).length"
    assert browser.execute_script(count) == len(read_yaml(judge.CLAIMS)["claims"])
    button = browser.find_element("css selector", "button[data-show='not-run']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    assert browser.execute_script(count) == int(button.text.split()[-1])
    assert button.get_attribute("aria-pressed") == "true"
