"""A participant at the page: a real browser, found by what it says and driven by keys."""

from __future__ import annotations

import json

from speechbase.files import read_jsonl

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

    def rate_all(self, samples: int) -> None:
        """From the consent to the last page: hear and rate every sample, then finish."""
        self.begin()
        for number in range(samples):
            self.listen()
            self.rate(number)
        self.script(PRESS, "Finish")

    def requests(self) -> list[str]:
        """Addresses that were asked for, from the browser's own log."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def stored(out) -> dict[int, dict]:
    path = out / "private" / "answers.jsonl"
    return {row["trial"]: row for row in (read_jsonl(path) if path.exists() else []) if row["kind"] == "answer"}
