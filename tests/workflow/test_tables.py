"""Tables from scores: values against hand calculation, what is missing is said, the paper's numbers stay apart."""

import json
import shutil

import pandas as pd
import pytest

from speechbase.files import UserError, write_json, write_jsonl
from workflow.plan import preset_files
from workflow.plan.places import ROOT
from workflow.record import explain
from workflow.report import collect
from workflow.tables import build as tables
from workflow.tables import figures

PRESET = {
    "title": "Trial",
    "source": "Table 0",
    "set": "se",
    "notes": "A note.",
    "metrics": [
        {"role": "pesq", "label": "PESQ", "better": "higher", "digits": 2, "paper_metric": "pesq"},
        {
            "role": "wer",
            "label": "WER %",
            "better": "lower",
            "digits": 1,
            "paper_metric": "wer_whispernorm_whisper_large_v2",
        },
        {"role": "mos", "label": "MOS", "better": "higher", "digits": 2, "paper_metric": "mos"},
    ],
    "rows": [
        {"system": "noisy", "label": "Noisy", "paper": {"pesq": 1.12, "wer": 3.3, "mos": [1.78, 0.07]}},
        {"system": "far", "label": "Far"},
        {"label": "StoRM", "paper": {"pesq": 1.61}},
    ],
}
SETTINGS = {
    "metrics": {"pesq": "pesq", "wer": "wer_whispernorm_whisper_base", "mos": None},
    "bootstrap_draws": 200,
    "min_scored": 0.99,
    "seed": 0,
    "absent": {"far": "not run at this scale"},
    "about": "Of toy speech.",
}
ITEMS = pd.DataFrame({"id": list("abcd"), "speaker": list("xxyy"), "snr_db": ["0", "5", "10", ""]})


def score(name, metric, value, status="ok", **detail):
    return {"id": name, "metric": metric, "value": value, "status": status, "detail": detail, "version": "1"}


def edits(name, errors, words):
    counts = {
        "hits": words - errors,
        "substitutions": errors,
        "deletions": 0,
        "insertions": 0,
        "reference_words": words,
    }
    return score(name, "wer_whispernorm_whisper_base", 100 * errors / words, **counts)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "data" / "testsets").mkdir(parents=True)
    ITEMS.to_csv(tmp_path / "data" / "testsets" / "se.csv", index=False)
    scores = tmp_path / "results" / "scores" / "se" / "noisy"
    write_jsonl(
        scores / "pesq.jsonl", [score(name, "pesq", value) for name, value in zip("abcd", (1.0, 1.2, 1.4, 1.6))]
    )
    write_jsonl(
        scores / "wer_whispernorm_whisper_base.jsonl",
        [edits("a", 0, 2), edits("b", 1, 2), edits("c", 0, 6), edits("d", 2, 10)],
    )
    return tmp_path


def build(folders, preset=PRESET, settings=SETTINGS):
    return tables.build(preset, folders / "results", folders / "data", settings)


def one(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_cells_are_means_and_corpus_rates_with_intervals(folders):
    table = build(folders)
    pesq = one(table, system="noisy", metric="pesq")
    assert pesq["value"] == pytest.approx(1.3) and pesq["low"] < 1.3 < pesq["high"]
    assert (pesq["n_expected"], pesq["n_scored"], pesq["status"], pesq["provenance"]) == (4, 4, "ok", "ours")
    wer = one(table, system="noisy", metric="wer_whispernorm_whisper_base")
    assert wer["value"] == pytest.approx(100 * 3 / 20)  # not the mean of the utterances' rates, 20.0


def test_the_paper_s_value_stands_beside_ours_only_where_the_metric_is_the_same(folders):
    table = build(folders)
    assert one(table, system="noisy", metric="pesq")["paper"] == 1.12
    assert pd.isna(one(table, system="noisy", metric="wer_whispernorm_whisper_base")["paper"])
    printed = one(table, system="noisy", metric="wer_whispernorm_whisper_large_v2")
    assert printed["paper"] == 3.3 and printed["provenance"] == "paper" and pd.isna(printed["value"])
    mos = one(table, system="noisy", metric="mos")
    assert (mos["paper"], mos["paper_se"]) == (1.78, 0.07)
    alone = one(table, label="StoRM", metric="pesq")
    assert alone["provenance"] == "paper" and pd.isna(alone["value"]) and pd.isna(alone["n_scored"])


def test_a_system_that_the_scale_cannot_run_says_so(folders):
    cell = one(build(folders), system="far", metric="pesq")
    assert cell["status"] == "not run at this scale" and pd.isna(cell["value"])


@pytest.mark.parametrize("least, value", [(0.99, None), (0.5, 1.2)])
def test_what_is_not_scored_is_counted_and_can_cost_the_value(folders, least, value):
    path = folders / "results" / "scores" / "se" / "noisy" / "pesq.jsonl"
    rows = [score("a", "pesq", 1.0), score("b", "pesq", None, "silent_reference"), score("c", "pesq", 1.4)]
    write_jsonl(path, rows)  # and nothing of d
    cell = one(build(folders, settings=SETTINGS | {"min_scored": least}), system="noisy", metric="pesq")
    assert cell["status"] == "2 of 4 scored (1 missing, 1 silent_reference)"
    assert pd.isna(cell["value"]) if value is None else cell["value"] == pytest.approx(value)


@pytest.mark.parametrize(
    "rows, message",
    [
        ([score("a", "pesq", 1.0), score("a", "pesq", 2.0)], "two rows"),
        ([score("a", "pesq", None)], "lacks its"),
        ([score("a", "mcd", 1.0)], "mcd"),
    ],
)
def test_impossible_scores_are_refused(folders, rows, message):
    write_jsonl(folders / "results" / "scores" / "se" / "noisy" / "pesq.jsonl", rows)
    with pytest.raises(UserError, match=message):
        build(folders)


@pytest.mark.parametrize("where, ids", [({"snr_db": [0, 5]}, "ab"), ({"snr_db": 10}, "c"), ({"speaker": "y"}, "cd")])
def test_a_row_can_ask_for_a_part_of_the_set(where, ids):
    assert "".join(tables.select(ITEMS, where)["id"]) == ids


@pytest.mark.parametrize("where", [{"snr_db": 99}, {"colour": "red"}])
def test_a_part_that_is_not_there_is_an_error(where):
    with pytest.raises(UserError):
        tables.select(ITEMS, where)


def test_the_command_writes_both_files_the_same_each_time(folders, capsys):
    preset = ROOT / "workflow" / "presets" / "speechop" / "table3.yaml"
    settings = json.dumps(SETTINGS | {"metrics": dict.fromkeys(["pesq", "mcd", "spbs", "wer", "sim", "dnsmos", "mos"])})
    out = folders / "results" / "table3.csv"
    arguments = [
        "--preset",
        preset,
        "--results",
        folders / "results",
        "--data",
        folders / "data",
        "--settings",
        settings,
    ]
    made = []
    for _ in range(2):
        assert tables.main([str(part) for part in [*arguments, "--out", out]]) == 0
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert list(pd.read_csv(out))[:10] == [
        "system", "metric", "value", "low", "high", "n_expected", "n_scored", "status", "provenance", "paper",
    ]  # fmt: skip
    text = out.with_suffix(".md").read_text()
    assert "*HiFi-GAN-2 (paper)*" in text and "*2.23*" in text and "*3.90 ± 0.04*" in text


def test_the_readable_table_marks_the_paper_s_numbers(folders):
    text = tables.markdown(PRESET, build(folders), "Of toy speech.")
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "PESQ ↑ `pesq`" in lines["System"] and "paper: WER % `wer_whispernorm_whisper_large_v2`" in lines["System"]
    assert "1.30 [" in lines["Noisy"] and "*1.12*" in lines["Noisy"] and "*1.78 ± 0.07*" in lines["Noisy"]
    assert "*1.61*" in lines["*StoRM (paper)*"]
    assert (
        "A note." in text
        and "\nOf toy speech.\n" in text
        and "4 utterances a cell" in text
        and "not run at this scale" in text
    )


@pytest.mark.parametrize(("better", "arrow"), [("higher", " ↑"), ("lower", " ↓"), ("none", "")])
def test_a_column_in_which_neither_is_better_has_no_arrow(folders, better, arrow):
    preset = PRESET | {"metrics": [PRESET["metrics"][0] | {"better": better}], "rows": PRESET["rows"][:1]}
    table = build(folders, preset)
    assert tables.markdown(preset, table, "").splitlines()[2].split(" | ")[1] == f"PESQ{arrow} `pesq`"
    table.to_csv(folders / "trial.csv", index=False)
    assert collect.table(preset, folders / "trial.csv")["groups"][0]["label"] == f"PESQ{arrow}"
    swept = preset | {"sweep": {"label": "x", "scale": "linear"}, "rows": [{"label": "Noisy", "series": "s", "x": 0.0}]}
    title = figures.sweep(swept, table).axes[0].get_title()
    assert title == "PESQ" + (f" ({better} is better)" if arrow else "")


DIVIDED = PRESET | {
    "metrics": [
        PRESET["metrics"][0],
        {"role": "kept", "label": "Kept", "better": "higher", "digits": 2, "of_ceiling": "pesq"},
        {"role": "real_time", "label": "RTF", "better": "lower", "digits": 2},
        {"role": "core_hours", "label": "Hours", "better": "none", "digits": 1},
    ],
    "rows": [
        {"system": "token_round_trip", "label": "Ceiling", "roles": ["pesq"]},
        {"system": "speechx", "label": "SpeechX", "ceiling": "token_round_trip"},
        {"system": "deepfilternet3", "label": "DeepFilterNet3", "roles": ["pesq", "core_hours"]},
    ],
}
UNSCORED = dict.fromkeys(["kept", "real_time", "core_hours"])


@pytest.fixture
def divided(folders):
    """Scores of a system and its ceiling, how long its answers took, and how long its models were trained."""
    scores = folders / "results" / "scores" / "se"
    for system, values in (("speechx", (1.0, 1.2, 1.4, 1.6)), ("token_round_trip", (2.0, 2.0, 2.0, 4.0))):
        write_jsonl(scores / system / "pesq.jsonl", [score(name, "pesq", x) for name, x in zip("abcd", values)])
    write_jsonl(scores / "deepfilternet3" / "pesq.jsonl", [score(name, "pesq", 1.5) for name in "abcd"])
    index = folders / "results" / "audio" / "se" / "speechx" / "index.csv"
    index.parent.mkdir(parents=True)
    rows = [("a", 1.0, 4.0), ("b", 1.0, 2.0), ("c", 2.0, 2.0), ("d", 2.0, 4.0)]
    frame = pd.DataFrame(rows, columns=["id", "wall_s", "seconds"]).assign(status="ok", path="x.wav")
    frame.to_csv(index, index=False)
    for model in ("codec_tokens", "speechx_ar", "speechx_nar"):
        run = {"steps": 1, "wall_minutes": 30.0, "hardware": "x86_64 CPU", "threads": 2}
        write_json(folders / "models" / model / "config.json", {"sha256": model, "training": {}, "record": run})
    return folders


def build_divided(folders, **settings):
    models = {"metrics": SETTINGS["metrics"] | UNSCORED, "models": str(folders / "models"), "earlier": {}}
    return build(folders, DIVIDED, SETTINGS | models | settings)


def test_a_quotient_is_the_mean_over_utterances_of_a_value_by_its_ceiling_s(divided):
    table = build_divided(divided)
    kept = one(table, system="speechx", role="kept")
    assert kept["value"] == pytest.approx((0.5 + 0.6 + 0.7 + 0.4) / 4) and kept["low"] < kept["value"] < kept["high"]
    assert (kept["n_expected"], kept["n_scored"], kept["status"], kept["provenance"]) == (4, 4, "ok", "ours")
    assert table[(table["role"] == "kept") & (table["system"] != "speechx")].empty, "a row that does not ask has none"
    assert one(table, system="speechx", metric="pesq")["value"] == pytest.approx(1.3)


@pytest.mark.parametrize(
    "ceiling, status",
    [
        ([score(name, "pesq", 0.0) for name in "abcd"], "0 of 4 scored (4 ceiling_not_positive)"),
        ([score(name, "pesq", 2.0) for name in "abc"], "3 of 4 scored (1 no_ceiling)"),
        ([score(name, "pesq", None, "silent_reference") for name in "abcd"], "0 of 4 scored (4 no_ceiling)"),
    ],
)
def test_without_its_ceiling_s_value_a_quotient_is_empty_and_says_why(divided, ceiling, status):
    write_jsonl(divided / "results" / "scores" / "se" / "token_round_trip" / "pesq.jsonl", ceiling)
    table = build_divided(divided)
    cell = one(table, system="speechx", role="kept")
    assert cell["status"] == status and pd.isna(cell["value"])
    assert f"† kept: {status} (SpeechX)." in tables.markdown(DIVIDED, table, "")


def test_an_impossible_score_of_a_ceiling_is_refused(divided):
    rows = [score(name, "pesq", None) for name in "abcd"]
    write_jsonl(divided / "results" / "scores" / "se" / "token_round_trip" / "pesq.jsonl", rows)
    preset = DIVIDED | {"rows": DIVIDED["rows"][::-1]}
    with pytest.raises(UserError, match="a row of pesq lacks its"):
        build(divided, preset, SETTINGS | {"metrics": SETTINGS["metrics"] | UNSCORED})


def test_a_ceiling_that_this_scale_cannot_run_leaves_its_quotients_empty(divided):
    cell = one(build_divided(divided, absent={"token_round_trip": "not run: no model"}), system="speechx", role="kept")
    assert cell["status"] == "its ceiling token_round_trip: not run: no model" and pd.isna(cell["value"])


def test_the_real_time_factor_is_all_seconds_by_all_seconds_of_audio(divided):
    cell = one(build_divided(divided), system="speechx", role="real_time")
    assert cell["value"] == pytest.approx(6 / 12) and cell["low"] < 0.5 < cell["high"]
    assert cell["status"] == "ok" and cell["n_scored"] == 4
    index = divided / "results" / "audio" / "se" / "speechx" / "index.csv"
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    rows.loc[0, ["seconds", "status"]], rows.loc[1, "seconds"] = ("", "no_end"), ""
    rows.to_csv(index, index=False)
    cell = one(build_divided(divided), system="speechx", role="real_time")
    assert cell["status"] == "2 of 4 scored (1 no_audio, 1 no_end)" and pd.isna(cell["value"])
    index.write_text("id,path,status\na,a.wav,ok\n")
    with pytest.raises(UserError, match="seconds"):
        build_divided(divided)


def test_core_hours_are_of_the_models_that_are_trained_here_and_recorded(divided):
    table = build_divided(divided)
    cell = one(table, system="speechx", role="core_hours")
    assert cell["value"] == pytest.approx(3.0) and cell["status"] == "ok" and pd.isna(cell["low"])
    cell = one(table, system="deepfilternet3", role="core_hours")
    assert cell["status"] == "not recorded: its weights were not trained here" and pd.isna(cell["value"])
    (divided / "models" / "speechx_nar" / "config.json").unlink()
    cell = one(build_divided(divided), system="speechx", role="core_hours")
    assert cell["status"] == "not recorded: no record of the training of speechx_nar is here"
    assert pd.isna(cell["value"])


def test_minutes_of_a_gpu_are_named_beside_core_hours(divided):
    run = {"steps": 1, "wall_minutes": 2.6, "hardware": "NVIDIA H200"}
    write_json(divided / "models/speechx_ar/config.json", {"sha256": "x", "training": {}, "record": run})
    table = build_divided(divided)
    cell = one(table, system="speechx", role="core_hours")
    assert cell["value"] == pytest.approx(2.0) and cell["status"] == "and 2.6 min of NVIDIA H200 besides"
    assert "† core_hours: and 2.6 min of NVIDIA H200 besides (SpeechX)." in tables.markdown(DIVIDED, table, "")
    for model in ("codec_tokens", "speechx_nar"):
        write_json(divided / "models" / model / "config.json", {"sha256": "x", "training": {}, "record": run})
    cell = one(build_divided(divided), system="speechx", role="core_hours")
    assert cell["status"] == "trained on no processor, but for 7.8 min of NVIDIA H200" and pd.isna(cell["value"])


def test_what_one_row_of_the_task_token_s_table_wants_and_another_does_not_has_no_better():
    preset = preset_files.read_presets()["speechx_tokens"]
    assert {row.get("set", preset["set"]) for row in preset["rows"]} == {"ns", "sr"}
    better = {column["role"]: column["better"] for column in preset["metrics"]}
    assert better == {"mcd": "lower", "words_left": "none", "dnsmos": "none"}


def record(command="python", inputs=None):
    return {
        "command": command, "settings": {}, "inputs": inputs or {}, "outputs": {}, "wall_s": 1.0, "cpu_s": 1.0,
        "code": {"commit": "c" * 40, "modified": False}, "versions": {"torch": "2.8.0"},
        "machine": {}, "peak_memory_mb": 9.0,
    }  # fmt: skip


def test_a_cell_can_be_explained_back_to_its_inputs(folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    shutil.copytree(ROOT / "workflow", folders / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    table = build(folders)
    table.to_csv("results/table3.csv", index=False)
    write_json(
        "results/table3.provenance.json", record("make the table") | {"outputs": {"results/table3.csv": "3" * 64}}
    )
    (folders / "results" / "audio" / "se" / "noisy").mkdir(parents=True)
    (folders / "results/audio/se/noisy/index.csv").write_text("id\n")
    inputs = {"data/testsets/se.csv": "0" * 64, "results/audio/se/noisy/index.csv": "1" * 64}
    made = {"results/scores/se/noisy/wer_whispernorm_whisper_base.jsonl": "2" * 64}
    write_json("results/scores/se/noisy/whisper_base.provenance.json", record("score it", inputs) | {"outputs": made})
    assert explain.main(["results/table3.csv", "noisy", "WER"]) == 0
    text = capsys.readouterr().out
    assert "value 15 [" in text and "4 scored of 4" in text and "score it" in text and "make the table" in text
    assert "data/testsets/se.csv" in text and "CHANGED" in text and "c" * 12 in text
    assert text.index("    b  50") < text.index("    d  20"), "the worst utterance comes first"
    assert "snakemake --cores all --forcerun results/audio/se/noisy/index.csv -- results/table3.csv" in text
    assert explain.main(["results/table3.csv", "storm", "pesq"]) == 0
    assert "1.61, as the paper prints it" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        explain.main(["results/table3.csv", "nobody", "pesq"])
    assert stopped.value.code == 2 and "noisy (Noisy)" in capsys.readouterr().err


def test_where_no_direction_is_better_a_cell_shows_both_ends(tmp_path, monkeypatch):
    column = {"metrics": [{"role": "words_left", "better": "none"}]}
    monkeypatch.setattr("workflow.record.explain._preset", lambda table: column)
    rows = [{"id": name, "status": "ok", "value": value} for name, value in zip("abcdefg", (3, 1, 7, 2, 6, 5, 4))]
    write_jsonl(tmp_path / "scores.jsonl", rows)
    cell = pd.Series({"role": "words_left", "set": "sr", "system": "noisy"})
    shown = [line.split()[0] for line in explain._utterances(tmp_path / "scores.jsonl", tmp_path / "t.csv", cell)]
    assert shown == ["lowest:", *"bdagf", "highest:", *"cefga"]


def test_what_no_score_file_holds_is_explained_without_utterances(divided, monkeypatch):
    monkeypatch.setattr(explain.preset_files, "read_preset", lambda path: DIVIDED)
    path = divided / "results" / "neighbours.csv"
    build_divided(divided).to_csv(path, index=False)
    for role, value in (("kept", "value 0.55 ["), ("real_time", "value 0.5 ["), ("core_hours", "value 3 [")):
        lines = explain.explain(path, "speechx", role)
        assert len(lines) == 2 and value in lines[1], lines


def test_confusions_are_drawn_of_every_row_that_has_labels(tmp_path):
    preset = {"title": "Trial", "set": "lid", "rows": [{"system": "one", "label": "One"}, {"label": "printed"}]}
    told = [("es", "es"), ("es", "pt"), ("pt", "pt"), ("it", "unknown")]
    rows = [score(f"u{n}", "accuracy", 0.0, label=label, answer=answer) for n, (label, answer) in enumerate(told)]
    write_jsonl(tmp_path / "scores/lid/one/accuracy.jsonl", [*rows, score("bad", "accuracy", None, "no_answer")])
    (panel,) = [axis for axis in figures.confusion(preset, tmp_path, "accuracy").axes if axis.has_data()]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["es", "it", "pt", "unknown"]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["es (2)", "it (1)", "pt (1)"]
    assert " ".join(text.get_text() for text in panel.texts) == "50 0 50 0 0 0 0 100 0 0 100 0"
    with pytest.raises(UserError, match="has scores of accuracy"):
        figures.confusion(preset | {"set": "gid"}, tmp_path, "accuracy")
