"""Regression: what moved is seen, in which direction, by how much; each kind of planted regression is caught."""

import copy
from xml.etree import ElementTree

import pandas as pd
import pytest

from speechbase.files import UserError, write_json
from workflow.regression import compare as regression
from workflow.regression import facts as regression_facts
from workflow.regression import text as regression_text

FACTS = {
    "commit": "a" * 40,
    "modified": False,
    "machine": {"processor": "x"},
    "drawn": {"se_small": "d"},
    "audio": {"se_small": "s"},
    "weights": {"multitask": "w"},
    "versions": {"soxr": "1.0", "torch": "2.8.0"},
}


def cell(value, better="higher", digits=2, scored=12):
    return {
        "value": value,
        "low": None,
        "high": None,
        "n_scored": scored,
        "status": "ok",
        "better": better,
        "digits": digits,
    }


def run_of(**cells):
    return {"cells": {f"se_small/noisy/{name}": found for name, found in cells.items()}, "facts": copy.deepcopy(FACTS)}


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "nano.json"
    run = run_of(pesq=cell(1.5), wer=cell(20.0, "lower", 1))
    regression.update(path, run, "first", [run_of(pesq=cell(1.51), wer=cell(20.0, "lower", 1))])
    return regression.read_reference(path)


def verdicts(findings):
    return {finding.name.rsplit("/", 1)[1]: finding.verdict for finding in findings}


def test_tolerances_come_from_the_spread_over_runs(reference):
    pesq, wer = reference["cells"]["se_small/noisy/pesq"], reference["cells"]["se_small/noisy/wer"]
    assert (
        pesq["tolerance"] == pytest.approx(0.03)
        and "3 times the largest difference over 1 other runs (0.01)" in pesq["why"]
    )
    assert wer["tolerance"] == pytest.approx(0.05) and "last printed digit" in wer["why"]


@pytest.mark.parametrize(
    "pesq, wer, expected",
    [
        (1.52, 20.04, {"pesq": "same", "wer": "same"}),
        (1.46, 20.0, {"pesq": "regression", "wer": "same"}),
        (1.54, 19.0, {"pesq": "improvement", "wer": "improvement"}),
        (1.50, 21.0, {"pesq": "same", "wer": "regression"}),
        (None, 20.0, {"pesq": "regression", "wer": "same"}),
    ],
)
def test_a_move_beyond_the_tolerance_has_a_direction(reference, pesq, wer, expected):
    found = verdicts(regression.compare(reference, run_of(pesq=cell(pesq), wer=cell(wer, "lower", 1))))
    assert found == expected | {"draws": "same"}


def test_cells_that_come_go_or_lose_utterances_are_seen(reference):
    seen = run_of(pesq=cell(1.5, scored=11), mcd=cell(5.0, "lower"))
    found = verdicts(regression.compare(reference, seen))
    assert found == {"pesq": "regression", "wer": "regression", "mcd": "new", "draws": "same"}


def test_other_draws_of_the_test_set_are_a_regression(reference):
    seen = run_of(pesq=cell(1.5), wer=cell(20.0, "lower", 1))
    seen["facts"]["drawn"]["se_small"] = "other"
    assert verdicts(regression.compare(reference, seen))["draws"] == "regression"


def test_the_reports_name_what_differs(reference):
    seen = run_of(pesq=cell(1.2), wer=cell(19.0, "lower", 1))
    seen["facts"] |= {"commit": "b" * 40, "weights": {"multitask": "v"}, "versions": {"soxr": "1.1", "torch": "2.8.0"}}
    findings = regression.compare(reference, seen)
    text = regression_text.markdown(findings, reference, seen)
    assert "package soxr: 1.0 before, 1.1 now" in text and "weights of multitask differ" in text and "b" * 40 in text
    assert "torch" not in text and "first" in text and "worse by 0.3" in text and "better by 1" in text
    suite = ElementTree.fromstring(regression_text.junit(findings))
    assert suite.get("tests") == "3" and suite.get("failures") == "1"
    assert suite.find("testcase/failure").get("message") == "worse by 0.3"


def test_the_verdict_is_the_exit_status(reference, tmp_path, capsys):
    for pesq, status in ((1.5, 0), (1.9, 0), (1.2, 1)):
        findings = regression.compare(reference, run_of(pesq=cell(pesq), wer=cell(20.0, "lower", 1)))
        write_json(tmp_path / "regression.json", [vars(finding) for finding in findings])
        assert regression.main(["verdict", str(tmp_path / "regression.json")]) == status
    shown = capsys.readouterr()
    assert "regression: se_small/noisy/pesq: worse by 0.3" in shown.err and "update --reason" in shown.err
    assert "improvement: se_small/noisy/pesq: better by 0.4" in shown.err


def test_an_update_keeps_every_reason(tmp_path):
    path = tmp_path / "nano.json"
    regression.update(path, run_of(pesq=cell(1.5)), "first", [])
    regression.update(path, run_of(pesq=cell(1.7)), "retrained", [])
    reference = regression.read_reference(path)
    assert [entry["reason"] for entry in reference["history"]] == ["first", "retrained"]
    assert reference["cells"]["se_small/noisy/pesq"]["value"] == 1.7
    with pytest.raises(UserError, match="--reason is empty"):
        regression.update(path, run_of(), " ", [])


def test_an_update_without_other_runs_keeps_the_tolerances(tmp_path):
    path = tmp_path / "nano.json"
    regression.update(path, run_of(pesq=cell(1.5)), "first", [run_of(pesq=cell(1.6))])
    for value in (1.7, 1.8):
        regression.update(path, run_of(pesq=cell(value)), "retrained", [])
    pesq = regression.read_reference(path)["cells"]["se_small/noisy/pesq"]
    assert pesq["value"] == 1.8 and pesq["tolerance"] == pytest.approx(0.3)
    assert pesq["why"].count("measured on an earlier reference") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_broken_reference_is_refused(tmp_path, text):
    (tmp_path / "nano.json").write_text(text)
    with pytest.raises(UserError, match=r"nano\.json"):
        regression.read_reference(tmp_path / "nano.json")


def test_a_manifest_has_one_fingerprint_for_its_draws_and_one_for_its_audio(tmp_path):
    table = pd.DataFrame({"id": ["a"], "speaker": ["x"], "snr_db": ["3.5"], "sha256_source": ["1"]})

    def prints(**changed):
        table.assign(**changed).to_csv(tmp_path / "m.csv", index=False)
        return [regression_facts.digest(tmp_path / "m.csv", audio=audio) for audio in (False, True)]

    draws, audio = prints()
    assert prints(sha256_source="2")[0] == draws and prints(sha256_source="2")[1] != audio
    assert prints(snr_db="3.6")[0] != draws and prints(snr_db="3.6")[1] == audio
