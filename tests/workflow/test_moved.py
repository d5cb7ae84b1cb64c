"""What tables say of another processor: one recorded figure, and only of the code that it was measured with."""

import pandas as pd
import pytest

from speechbase.files import read_json, write_json
from workflow.plan.places import ROOT
from workflow.plan.sources import code_of, sources
from workflow.report import collect
from workflow.tables import moved
from workflow.tables.text import markdown

NOW = code_of(*moved.CODE)
UNKNOWN = "has not been measured with this code"


def cells(*metrics, value=1.0):
    return pd.DataFrame({"metric": list(metrics), "value": value})


@pytest.fixture
def record(tmp_path):
    def written(**changes):
        write_json(tmp_path / "processors.json", {"points": 0.26, "utterances": 816, "code": NOW} | changes)
        return tmp_path / "processors.json"

    return written


def test_the_figure_that_was_measured_with_this_code_is_said_with_how_many_utterances(record):
    (told,) = moved.notes(cells("pesq", "wer_whispernorm_whisper_base"), record())
    assert "moved by up to 0.3 points between two instruction sets on 816 utterances" in told


def test_a_figure_of_other_code_is_no_figure_of_this_one(record):
    (told,) = moved.notes(cells("cer_whisper_base"), record(code="0" * 16))
    assert UNKNOWN in told and "0.3" not in told and "816" not in told


def test_the_code_is_that_which_samples_and_which_recognises():
    assert {"speechop/sampler.py", "speechbase/precision.py", "metrics/judges/whisper.py"} <= set(sources(*moved.CODE))


def test_a_table_without_word_errors_says_nothing_of_it(record):
    assert moved.notes(cells("pesq", "mos"), record()) == []
    assert moved.notes(cells("wer_lower_whisper_base", value=float("nan")), record()) == []


def test_the_line_stands_under_the_table_and_in_the_report(tmp_path):
    preset = {"title": "T", "source": "S", "metrics": [], "rows": []}
    columns = {"role": "wer", "label": "A", "n_expected": 4, "provenance": "ours", "status": "ok", "paper": None}
    for metric, told in (("wer_lower_whisper_base", 1), ("pesq", 0)):
        table = cells(metric).assign(**columns, n_scored=4)
        lines = moved.notes(table)
        assert len(lines) == told
        assert all(line in markdown(preset, table, "About.") for line in lines)
        table.to_csv(tmp_path / "t.csv", index=False)
        assert set(lines) <= set(collect.table(preset, tmp_path / "t.csv")["notes"])


def test_a_measurement_is_recorded_with_the_code_that_it_was_made_with(tmp_path, capsys):
    asked = ["--measured", str(tmp_path), "--out", str(tmp_path / "record.json")]
    with pytest.raises(SystemExit):
        moved.main(asked)
    assert "run python -m workflow.experiments.processors first" in capsys.readouterr().err
    moves = [("own", 0.5), ("own", 1.25), ("same", 3.0)]
    pd.DataFrame(moves, columns=["heard", "moves"]).to_csv(tmp_path / "processors.csv", index=False)
    pd.DataFrame({"id": ["a", "b", "c"]}).to_csv(tmp_path / "items.csv", index=False)
    assert moved.main(asked) == 0
    assert read_json(tmp_path / "record.json") == {"points": 1.25, "utterances": 3, "code": NOW}


def test_the_recorded_figure_is_an_input_of_every_table():
    assert moved.RECORD == ROOT / "config" / "processors.json"
    assert set(read_json(moved.RECORD)) == {"points", "utterances", "code"}
    assert 'moved="config/processors.json"' in (ROOT / "workflow" / "rules" / "tables.smk").read_text()
