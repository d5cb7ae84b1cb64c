"""Experiments with transcripts: real confusions, the grammar, and how far a recogniser is to be trusted."""

import random

import numpy as np
import pandas as pd
import pytest

from speechbase.corpus.text import MATRIX
from speechbase.files import UserError, read_jsonl, write_jsonl
from workflow.experiments import choose_trust, corrupt, snap
from workflow.experiments import confusions as confusing
from workflow.experiments.confusions import Confusions
from workflow.report.words import align, errors, plain


def table_of(tmp_path, heard="peter round twelve"):
    pd.DataFrame(
        {"id": ["a", "b"], "speaker": "s", "text": ["peter found twelve boxes"] * 2, "snr_db": [1.0, 14.0]}
    ).to_csv(tmp_path / "m.csv", index=False)
    rows = [
        {"id": name, "text": text, "status": "ok"} for name, text in (("a", heard), ("b", "um peter found 12 boxes"))
    ]
    write_jsonl(tmp_path / "t.jsonl", rows)
    told = ["--manifest", "m.csv", "--transcripts", "t.jsonl", "--out", "c.csv"]
    return confusing.main([part if part.startswith("--") else str(tmp_path / part) for part in told])


def test_confusions_are_counted_by_noise_level_and_kind(tmp_path):
    table_of(tmp_path, "peter round twelve so")
    table = pd.read_csv(tmp_path / "c.csv", keep_default_na=False)
    found = {
        (row.snr_db, row.kind, row.said, row.heard): row.count_
        for row in table.rename(columns={"count": "count_"}).itertuples()
    }
    assert found[0, "substituted", "found", "round"] == 1 and found[15, "ok", "found", "found"] == 1
    assert found[0, "substituted", "boxes", "so"] == 1 and (15, "ok", "12", "12") in found
    assert table["count"].sum() == 8


def test_a_table_without_errors_is_refused(tmp_path, capsys):
    pd.DataFrame({"id": ["a"], "speaker": "s", "text": ["ten"], "snr_db": [1.0]}).to_csv(
        tmp_path / "m.csv", index=False
    )
    write_jsonl(tmp_path / "t.jsonl", [{"id": "a", "text": "Ten.", "status": "ok"}])
    told = ["--manifest", tmp_path / "m.csv", "--transcripts", tmp_path / "t.jsonl", "--out", tmp_path / "c.csv"]
    with pytest.raises(SystemExit, match="2"):
        confusing.main([str(part) for part in told])
    assert "no error to draw from" in capsys.readouterr().err


def test_real_confusions_come_at_the_wanted_rate_and_as_they_were_heard():
    rows = [("ok", "found", "found", 60), ("substituted", "found", "round", 30), ("deleted", "found", "", 10)]
    rows += [("ok", "boxes", "boxes", 95), ("substituted", "boxes", "foxes", 5), ("inserted", "", "so", 10)]
    table, words = Confusions.of(rows), ["found", "boxes"] * 1000
    assert table.rate("found") > 5 * (table.rate("boxes") - 0.05) and table.rate("never said") > 0
    for share in (0.1, 0.4):
        heard = table.corrupt(words, table.strength([words], share), random.Random(0))
        wrong = align(" ".join(words), " ".join(heard))
        assert errors(wrong) / len(words) == pytest.approx(share, abs=0.04)
        assert {word.text for word in wrong if word.kind != "ok"} <= {"round", "foxes", "so", "found", "boxes"}
    assert table.corrupt(words, table.strength([words], 0.0), random.Random(0)) == words


def test_corruption_draws_from_the_table_that_it_is_given(tmp_path):
    table_of(tmp_path)
    places = ["--manifest", str(tmp_path / "m.csv"), "--confusions", str(tmp_path / "c.csv")]
    corrupt.main([*places, "--percent", "100", "--out", str(tmp_path / "x.jsonl")])
    said = {word for row in read_jsonl(tmp_path / "x.jsonl") for word in row["text"].split()}
    assert said and said <= {"round", "peter", "found", "12", "boxes"} and "round" in said


def test_a_transcript_is_snapped_to_the_nearest_sentences():
    heard = "Beater found 20 small table, Nancy want it many heavy box is."
    assert snap.snapped(snap.as_spelt(heard, MATRIX), MATRIX) == (
        "peter found twenty small tables nancy wanted many heavy boxes"
    )
    right = "michael carried twelve golden blankets"
    assert snap.snapped(snap.as_spelt("Michael carried 12 golden blankets.", MATRIX), MATRIX) == right
    assert snap.snapped("", MATRIX) == ""


def test_a_source_without_grammar_cannot_be_snapped_to(tmp_path, capsys):
    write_jsonl(tmp_path / "t.jsonl", [{"id": "a", "text": "x", "words": [], "status": "ok"}])
    told = ["--transcripts", str(tmp_path / "t.jsonl"), "--source", "open", "--out", str(tmp_path / "o.jsonl")]
    with pytest.raises(SystemExit, match="2"):
        snap.main(told)
    assert "'open' has no grammar" in capsys.readouterr().err


def test_the_chosen_rule_guides_where_that_costs_no_words():
    confidence = np.array([0.2, 0.45, 0.7, 0.98] * 3)
    level = np.repeat([0, 10, 20], 4)
    # guidance at 1.5 harms below .5, helps above it, and helps most at 3 where the recogniser is surest
    errors_of = np.array([[2, 5, 9], [2, 4, 8], [4, 1, 2], [4, 2, 0]] * 3)
    rule, free = choose_trust.choose({0.0: [1.5, 3.0]}, {0.0: errors_of}, confidence, level)
    assert free and list(rule.chosen(confidence[:4])) == [0, 0, 1, 2]
    assert rule.told() == "trust: {min_word: 0.0, gamma: [[0.7, 1.5], [0.95, 3.0]]}"


def test_without_a_rule_that_costs_nothing_the_one_with_fewest_errors_is_taken():
    confidence, level = np.array([0.9, 0.9]), np.array([0, 10])
    rule, free = choose_trust.choose({0.0: [1.5]}, {0.0: np.array([[0, 1], [9, 0]])}, confidence, level)
    assert list(rule.chosen(confidence)) == [0, 0] and free  # to guide neither costs nothing
    sure = np.array([0.9, 0.9])
    assert choose_trust.choose({0.0: [1.5]}, {0.0: np.array([[1, 0], [9, 0]])}, sure, level)[0].chosen(sure).all()


def test_a_choice_without_confidences_or_scores_is_refused(tmp_path):
    write_jsonl(tmp_path / "c.jsonl", [{"id": "a", "text": "x", "words": [{"word": "x"}]}])
    with pytest.raises(UserError, match="words without confidences"):
        choose_trust.confidences(tmp_path / "c.jsonl", ["a"])
    with pytest.raises(UserError, match="se_small has 10 words at 5 dB, too few"):
        choose_trust.check_size("se_small", np.array([0, 5]), [200, 10])
    with pytest.raises(UserError, match="make the table `trust` first"):
        choose_trust.word_errors(tmp_path / "none.jsonl", ["a"])


def test_numbers_are_spelt_as_the_grammar_spells_them():
    assert plain("twelve") == ["12"] and snap.as_spelt("12 boxes", MATRIX) == "twelve boxes"
