"""Simulation and report: known means come back, marked as invented; the report opens from a file and plays."""

import json
import re
import shutil

import pandas as pd
import pytest

from metrics.listening.importing import import_study
from metrics.listening.prepare import prepare
from metrics.listening.report import write_report
from metrics.listening.results import read_mos
from metrics.listening.simulate import latent, simulate_study, true_means
from speechbase.files import UserError, read_jsonl, write_text
from tests.metrics.listening.conftest import SECRET
from tests.metrics.listening.make_study import make_study


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """An enhancement study of 60 workers, simulated without careless ones."""
    label = {"name": "speechop", "label": "SpeechOp <b>&</b>"}
    root = tmp_path_factory.mktemp("simulated")
    settings, testsets, audio, out = make_study(root, "enhancement", workers=60, samples=12, systems=[label])
    write_text(out / "private" / "secret", SECRET + "\n")
    prepare(settings, testsets, audio, out)
    simulate_study(out, seed=3, careless=0)
    return out, settings


def scores(out, settings) -> list[tuple[str, float]]:
    """Deviation of every system's unfiltered mean from what was put in, in clustered standard errors."""
    mos = pd.read_csv(out / "simulated" / "mos_SIMULATED.csv")
    truth = {system: mean for (system, _, _), mean in true_means(settings).items()}
    every = mos[~mos["filtered"]]
    assert set(every["system"]) == {"noisy", "clean", "speechop", "speechop_itc"}
    assert every["se"].mean() < every["se_clustered"].mean() and (every["n_ratings"] == 60 * 8 / 4).all()
    return [(row["mos"] - truth[row["system"]]) / row["se_clustered"] for _, row in every.iterrows()]


def test_the_whole_road_recovers_the_means_that_were_put_in(simulated, tmp_path, monkeypatch):
    """Over several seeds: nine in ten means lie within two standard errors, without bias."""
    out = shutil.copytree(simulated[0], tmp_path / "study")
    monkeypatch.setattr("metrics.listening.simulate.write_report", lambda out, simulated: out)
    found = []
    for seed in range(6):
        simulate_study(out, seed=seed, careless=0)
        found += scores(out, simulated[1])
    assert sum(abs(score) <= 2 for score in found) >= 0.85 * len(found)
    assert abs(sum(found) / len(found)) < 0.5


@pytest.mark.parametrize("mean", [1.33, 2.5, 4.95])
def test_rounding_and_cutting_do_not_shift_the_mean(mean):
    assert 1 < mean < 5 and (latent(mean) - 3) * (mean - 3) > 0
    assert latent(3) == pytest.approx(3, abs=1e-6)


def test_simulated_ratings_are_marked_everywhere_and_fill_no_table(simulated, tmp_path):
    out = shutil.copytree(simulated[0], tmp_path / "study")
    folder = out / "simulated"
    assert "SIMULATED" in (folder / "SIMULATED.txt").read_text()
    assert all(row["simulated"] is True for row in read_jsonl(folder / "answers.jsonl"))
    html = (folder / "report" / "index.html").read_text()
    assert html.count("SIMULATED") >= 3 and '<th scope="col">Ours</th>' not in html and "Simulated</th>" in html
    assert not (out / "mos.csv").exists()
    for path in (out, folder):
        assert read_mos(path).status == "not run" and read_mos(path).cells == {}
    shutil.copy(folder / "mos_SIMULATED.csv", out / "mos.csv")
    assert read_mos(out).status == "not run"
    shutil.copy(folder / "mos.json", out / "mos.json")
    assert read_mos(out).status == "not run"
    for name in ("answers.jsonl", "prolific_export.csv"):
        shutil.copy(folder / name, out / "private" / name)
    with pytest.raises(UserError, match="simulated answers"):
        import_study(out)


def test_careless_listeners_are_found_by_the_hidden_tests(simulated, tmp_path):
    out = shutil.copytree(simulated[0], tmp_path / "study")
    simulate_study(out, seed=3, careless=0.3)
    few = pd.read_csv(simulated[0] / "simulated" / "discards.csv").set_index("rule")["caught"]
    many = pd.read_csv(out / "simulated" / "discards.csv").set_index("rule")["caught"]
    assert few["any applied rule"] < 10 and many["any applied rule"] > few["any applied rule"] + 10
    leniency = json.loads((out / "simulated" / "leniency.json").read_text())
    assert leniency["kept"] + leniency["discarded"] == 60 and leniency["low"] < leniency["high"]


def test_a_share_that_is_none_is_refused(simulated):
    with pytest.raises(UserError, match="share"):
        simulate_study(simulated[0], careless=1.5)


def test_without_an_import_the_report_says_not_run(enhancement):
    html = write_report(enhancement).read_text()
    assert "<strong>Not run:</strong> no listening study was imported" in html
    assert html.count('class="not">not run') == 5 and "1.78 ± 0.07" in html
    assert "SIMULATED" not in html


def test_a_report_beyond_its_budget_is_an_error(enhancement):
    for name in ("settings.json", "preregistration.json"):
        assert (enhancement / "private" / name).exists()
    settings = json.loads((enhancement / "private" / "settings.json").read_text())
    settings["report"]["budget_mib"] = 0.001
    write_text(enhancement / "private" / "settings.json", json.dumps(settings))
    with pytest.raises(UserError, match=r"report\.samples_per_system"):
        write_report(enhancement)


def test_the_report_is_text_where_names_hold_markup(simulated):
    html = (simulated[0] / "simulated" / "report" / "index.html").read_text()
    assert "SpeechOp &lt;b&gt;" in html and "SpeechOp <b>" not in html
    assert not re.search(r"\b(nan|NaN|None)\b", re.sub(r"<script.*?</script>", "", html, flags=re.S))


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_opens_from_a_file_and_every_sound_plays(simulated, browser, width):
    axe = pytest.importorskip("axe_core_python.base", reason="axe-core-python is not installed (pip install '.[dev]')")
    path = simulated[0] / "simulated" / "report" / "index.html"
    assert path.stat().st_size < 25 * 2**20
    from selenium.webdriver.support.ui import WebDriverWait

    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    browser.get_log("performance")
    count = browser.execute_script("return document.querySelectorAll('[data-sound]').length")
    assert count == 2 * 4
    browser.execute_script(WATCH)
    for done in range(1, count + 1):
        button = browser.find_element("css selector", "[data-sound]")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        WebDriverWait(browser, 60).until(lambda _, done=done: len(browser.execute_script("return ends")) == done)
    assert browser.execute_script("return ends") == ["ended"] * count
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert "NaN" not in browser.execute_script("return document.body.innerText")
    browser.execute_script(axe.AXE_SCRIPT)
    found = browser.execute_async_script("axe.run().then(arguments[0])")
    assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"].split(":")[0] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert asked <= {"data"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


WATCH = """
window.ends = [];
for (const name of ["ended", "error"]) document.addEventListener(name, () => ends.push(name), true);
"""
