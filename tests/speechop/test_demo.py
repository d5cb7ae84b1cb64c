"""The local page, in a real headless Chromium: drop a file, wait, listen by samples, mend the transcript, hear a
change."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from speechbase import audio
from speechbase.files import UserError
from speechop import MARK, recognisers, recordings
from tests import chromium
from tests.speechop.test_cli import Entry, Heard
from tests.speechop.test_recordings import RATE, noise

gradio = pytest.importorskip("gradio", reason="the page needs Gradio (pip install '.[demo]')")

from speechop import demo  # noqa: E402
from speechop.checks import check_prompt  # noqa: E402
from speechop.pipeline import SpeechOp  # noqa: E402

WAIT_S = 120
SAMPLES = """
const done = arguments[1];
fetch(arguments[0]).then(r => r.arrayBuffer()).then(b => new OfflineAudioContext(1, 1, 16000).decodeAudioData(b))
  .then(a => done(Array.from(a.getChannelData(0)))).catch(e => done(String(e)));
"""


@pytest.fixture(scope="module")
def heard():
    patch = pytest.MonkeyPatch()
    patch.setattr(recognisers, "entry_points", lambda group: [Entry("whisper_base", Heard)])
    yield
    patch.undo()


@pytest.fixture(scope="module")
def studio(models, heard, tmp_path_factory):
    return demo.Studio(SpeechOp(models), tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    audio.write(root / "a.wav", noise(0.6), RATE)
    audio.write(root / "long.wav", noise(61.0), RATE)
    return root


def test_the_transcript_s_box_is_read_as_it_is_written():
    lines = demo.to_lines("0.00-8.42: Ten boxes.\n8.42-9.50: \n 9.50 - 11 : three")
    assert [(line.start, line.end, line.guide) for line in lines] == [(0, 8.42, "ten boxes"), (9.5, 11, "three")]
    assert demo.to_text(lines).startswith("0.00-8.42: ten boxes\n9.50-11.00: three")
    assert demo.to_lines("Ten boxes.\nOr more") == "ten boxes or more" and demo.to_lines(" \n") is None
    for text in ("0-1: a\nno times", "5-1: a", "1.2.3-4: a", "0-1: 你好"):
        with pytest.raises(UserError):
            demo.to_lines(text)


def test_buttons_answer_with_marked_files_at_one_loudness(studio, clips):
    clip = str(clips / "a.wav")
    *files, words, said, picture = studio.enhance(clip, "", False, "whisper_base", 1.5, None, 2, 0)
    waves = [audio.read(path)[0] for path in files]
    assert {len(wave) for wave in waves} == {len(noise(0.6))} and words == "0.00-0.60: Ten boxes." and "0.90" in said
    assert len(picture.axes) == 3 and np.abs(waves[1] - waves[2]).max() > 1e-4
    import soundfile

    with soundfile.SoundFile(files[2]) as stream:
        assert stream.comment == MARK
    separated, _ = studio.separate(clip, clip, 2, 0)
    assert len(audio.read(separated)[0]) == len(waves[0])
    for arguments, said in (
        ((None, "", False), "no recording"),
        ((str(clips / "long.wav"), "", False), "at most 60 s"),
        ((clip, "?", True), "no letters"),
        ((clip, "", True), "no transcript"),
    ):
        with pytest.raises(UserError, match=said):
            studio.enhance(*arguments, "whisper_base", 1.5, None, 2, 0)
    for how, said in (
        ((1.5, None, None, 0), "steps is empty"),
        ((1.5, None, 2, -1), "seed"),
        ((None, None, 2, 0), "gamma is empty"),
        ((float("inf"), None, 2, 0), "finite"),
    ):
        with pytest.raises(UserError, match=said):
            studio.enhance(clip, "", False, "whisper_base", *how)


def test_what_lies_behind_the_longest_clip_is_not_read(clips, monkeypatch):
    read, append = [], recordings.Spool.append
    monkeypatch.setattr(recordings.Spool, "append", lambda self, wave: read.append(len(wave)) or append(self, wave))
    with pytest.raises(UserError, match="at most"):
        check_prompt(recordings.Recording.read(clips / "long.wav", longest_s=10.0), "the prompt")
    assert sum(read) < 30 * RATE


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded():
    with socket.socket() as other, pytest.raises(UserError, match="--port"):
        other.bind((demo.HOST, 0))
        other.listen()
        demo.check_port(other.getsockname()[1])


def test_the_clips_of_a_page_that_was_killed_go_when_the_next_one_starts(tmp_path, monkeypatch):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for owner in (ended.pid, os.getpid(), "other"):
        (tmp_path / f"{demo.FOLDER}{owner}-x").mkdir()
        (tmp_path / f"{demo.FOLDER}{owner}-x" / "clip.wav").write_bytes(b"somebody's voice")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    demo.clear_orphans()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{demo.FOLDER}{os.getpid()}-x", f"{demo.FOLDER}other-x"}


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(models, heard):
    """(a browser at the page, its port)"""
    browser = chromium.start("--window-size=1300,2400")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = demo.serve(SpeechOp(models), ["whisper_base"], port, wait=False)
    browser.set_script_timeout(WAIT_S)
    browser.get(f"http://127.0.0.1:{port}")
    yield browser, port
    browser.quit()
    served.close()
    served.kept.cleanup()


def until(found, what: str):
    end = time.time() + WAIT_S
    while time.time() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"the page never showed {what}")


def by_xpath(browser, path: str):
    return browser.find_elements("xpath", path)


def box(browser):
    return by_xpath(browser, "//label[.//span[contains(., 'Transcript')]]//textarea")[0]


def sound(browser, label: str) -> str | None:
    """Where the audio under a label comes from."""
    name = label.lower().replace(" ", "-")
    found = browser.find_elements("css selector", f"#{name} a[data-testid='download-link']")
    return found[0].get_attribute("href") if found else None


def press(browser, name: str, which: str = "true()"):
    path = f"//button[normalize-space() = '{name}' and {which}]"
    button = until(lambda: [found for found in by_xpath(browser, path) if found.is_displayed()], name)[0]
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys("\n")  # by the keyboard


@pytest.mark.browser
@pytest.mark.slow
def test_drop_a_file_listen_mend_the_transcript_and_hear_a_change(page, clips):
    browser, _ = page
    chosen = until(lambda: by_xpath(browser, "//input[@type='file']"), "a place for files")[0]
    chosen.send_keys(str(clips / "a.wav"))
    until(
        lambda: by_xpath(browser, "//*[contains(text(), 'a.wav')] | //*[@data-testid='waveform-Recording']"), "the clip"
    )
    press(browser, "Enhance and listen (ITC)")
    first = until(lambda: sound(browser, "Enhanced with words"), "a result")
    assert box(browser).get_attribute("value") == "0.00-0.60: Ten boxes."
    heard = {name: browser.execute_async_script(SAMPLES, sound(browser, name)) for name in ("Input", "Enhanced")}
    heard["guided"] = browser.execute_async_script(SAMPLES, first)
    waves = {name: np.array(samples, np.float32) for name, samples in heard.items()}
    assert {len(wave) for wave in waves.values()} == {round(0.6 * RATE)}
    np.testing.assert_allclose(waves["Input"], noise(0.6), atol=1e-3)
    assert np.abs(waves["Enhanced"] - waves["guided"]).max() > 1e-4 and waves["guided"].std() > 1e-3
    browser.execute_script("arguments[0].focus()", box(browser))
    box(browser).clear()
    box(browser).send_keys("nine foxes")
    press(browser, "Enhance with this transcript")
    second = until(lambda: (now := sound(browser, "Enhanced with words")) != first and now, "a changed result")
    changed = np.array(browser.execute_async_script(SAMPLES, second), np.float32)
    assert np.abs(changed - waves["guided"]).max() > 1e-4
    assert by_xpath(browser, "//img[contains(@src, 'data:image') or contains(@src, 'file=')]"), "no spectrogram"


def serious(browser) -> list:
    """What axe finds wrong with what the page shows; the button in a button of Gradio's own notices is not ours."""
    until(lambda: by_xpath(browser, "//button[@role = 'tab']"), "its tabs")
    axe = pytest.importorskip("axe_core_python.base", reason="axe-core-python is not installed (pip install '.[dev]')")
    browser.execute_script(axe.AXE_SCRIPT)
    ours, rules = "{exclude: ['.toast-header']}", "{runOnly: ['wcag2a', 'wcag2aa']}"
    found = browser.execute_async_script(f"axe.run({ours}, {rules}).then(arguments[0])")
    return [
        (v["id"], [node["html"][:200] for node in v["nodes"]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.browser
@pytest.mark.slow
def test_everything_has_a_name_and_nothing_is_asked_of_other_machines(page):
    browser, port = page
    assert not serious(browser)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    foreign = {url for url in asked if not url.startswith((f"http://127.0.0.1:{port}", "data:", "blob:"))}
    assert not foreign, foreign


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("tab, what", [("Separate", "mixture"), ("Speak", "prompt")])
def test_the_other_tabs_are_named_too_and_say_a_mistake_in_a_sentence(page, tab, what):
    browser, _ = page
    press(browser, tab, "@role = 'tab'")
    until(
        lambda: by_xpath(browser, f"//button[@role = 'tab' and @aria-selected = 'true' and contains(., '{tab}')]"), tab
    )
    assert not serious(browser)
    press(browser, tab, "not(@role)")
    until(lambda: by_xpath(browser, f"//*[contains(text(), 'There is no {what} yet')]"), "the sentence")


@pytest.mark.browser
def test_the_page_answers_on_this_machine_alone(page):
    _, port = page
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    with socket.socket() as other:
        other.settimeout(2)
        assert other.connect_ex((own, port)) != 0


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("minutes, said", [(11, "too long: at most 60 s"), (30, "exceed the maximum allowed size")])
def test_long_files_are_refused_in_a_sentence(page, tmp_path, minutes, said):
    browser, port = page
    browser.get(f"http://127.0.0.1:{port}")
    audio.write(tmp_path / "long.wav", np.tile(noise(60.0), minutes), RATE, subtype="PCM_16")
    chosen = until(lambda: by_xpath(browser, "//input[@type='file']"), "a place for files")[0]
    chosen.send_keys(str(tmp_path / "long.wav"))
    if minutes == 11:
        until(lambda: by_xpath(browser, "//*[@data-testid='waveform-Recording']"), "the clip")
        press(browser, "Enhance and listen (ITC)")
    until(lambda: by_xpath(browser, f"//*[contains(text(), '{said}')]"), "the sentence")
