"""From answers to ratings: the discard rules at their boundaries, who is left out, and what the tables may read."""

import json
import shutil

import pandas as pd
import pytest

from metrics.listening import importing, prolific
from metrics.listening.analyse import analyse_study
from metrics.listening.importing import import_study
from metrics.listening.pay import pay_study
from metrics.listening.purge import purge_study
from metrics.listening.results import read_mos
from metrics.listening.store import hashed
from speechbase.files import UserError, append_jsonl, read_json, write_json, write_jsonl, write_text
from tests.metrics.listening.conftest import Worker, write_export


@pytest.fixture
def collected(tts, serve):
    """Four whole submissions, one that broke off, a preview, a return and a stranger; with Prolific's export."""
    port = serve(tts)
    rating = {"p1": 5, "p2": 4, "p3": 4, "p4": 5, "returned": 4, "preview": 5}
    for name, value in rating.items():
        assert Worker(port, tts, f"participant-{name}").finish(value)[1]["code"]
    broken = Worker(port, tts, "participant-broken")
    broken.start(), broken.consent(), broken.answer(0)
    listed = [
        (f"session-participant-{n}", f"participant-{n}", "AWAITING REVIEW", 600)
        for n in ("p1", "p2", "p3", "p4", "broken")
    ]
    listed += [
        ("session-participant-returned", "participant-returned", "RETURNED", 300),
        ("session-empty", "participant-empty", "APPROVED", 9),
    ]
    write_export(tts / "private" / "prolific_export.csv", listed)
    return tts


def test_only_listed_submissions_with_consent_are_imported(collected):
    made = import_study(collected)
    assert (made["used"], made["submissions"], made["without_answers"]) == (5, 7, 1)
    assert made["left_out"] == {
        "submissions that Prolific does not list (previews, strangers)": 1,
        "submissions with the status RETURNED": 1,
    }
    assert made["ratings"] == 4 * 8 * 4 + 4
    text = "".join(path.read_text() for path in (collected / "imported").iterdir())
    assert "participant-" not in text


def test_mos_comes_from_an_import_only(collected):
    assert read_mos(collected).reason == "no listening study was imported"
    import_study(collected)
    # Everybody gave one number to everything, which no mismatched pair deserves.
    with pytest.raises(UserError, match="the rules discard all 5 submissions"):
        analyse_study(collected)
    assert read_mos(collected).status == "not run"


def honest(worker: Worker, key: dict, value: dict) -> None:
    """A submission that passes the hidden tests and rates systems as told."""
    worker.start(), worker.consent()
    for i, trial in enumerate(worker.trials):
        kind, system = key[trial["sample"]]
        rating = value[system] if kind == "rated" else 5
        scales = dict.fromkeys(worker.scales, rating) | ({"voice_similarity": 1} if kind == "mismatched" else {})
        assert worker.answer(i, ratings=scales, unintelligible=system == "tts_baseline")[0] == 200


@pytest.fixture
def analysed(tts, serve):
    """Four honest submissions (SpeechOp 4, baseline 3 or 2, recordings 5), imported and analysed."""
    port, rows = serve(tts), []
    key = {row.sample: (row.kind, row.system) for row in pd.read_csv(tts / "private" / "key.csv").itertuples()}
    for i in range(4):
        honest(Worker(port, tts, f"participant-{i}"), key, {"speechop": 4, "tts_baseline": 3 - i % 2, "clean": 5})
        rows.append((f"session-participant-{i}", f"participant-{i}", "AWAITING REVIEW", 1200))
    write_export(tts / "private" / "prolific_export.csv", rows)
    import_study(tts)
    analyse_study(tts)
    return tts


def test_the_table_has_the_means_that_were_given(analysed):
    mos = read_mos(analysed)
    assert mos.status == "ok"
    assert mos.cells["speechop", "quality", "tts"]["mos"] == 4 and mos.cells["clean", "naturalness", "tts"]["mos"] == 5
    cell = mos.cells["tts_baseline", "style_similarity", "tts"]
    assert 2 < cell["mos"] < 3 and cell["low"] < cell["mos"] < cell["high"] and cell["n_raters"] == 4
    columns = list(pd.read_csv(analysed / "mos.csv"))
    assert set(columns) >= {"system", "scale", "mos", "se", "low", "high", "n_ratings", "n_raters", "filtered"}
    claims = pd.read_csv(analysed / "contrasts.csv")
    ours = claims[(claims["id"] == "C07") & claims["filtered"]]
    assert (ours["difference"] > 1).all() and set(ours["paper_verdict"]) == {"supported", "inconclusive"}
    missing = claims[claims["id"] == "T1-clone-above-truth"].iloc[0]
    assert missing["verdict"] == "not run" and missing["reason"] == "no ratings of ditto_tts"
    flags = pd.read_csv(analysed / "intelligibility.csv").set_index("system")
    assert flags.loc["tts_baseline", "flagged_by_majority"] == flags.loc["tts_baseline", "samples"]
    assert flags.loc["speechop", "flagged_share"] == 0


def test_the_imported_study_fills_its_columns_of_the_table_and_the_rest_says_not_run(analysed, tmp_path):
    from workflow.plan import places, preset_files
    from workflow.tables import build as tables

    preset = preset_files.read_preset(places.ROOT / "workflow" / "presets" / "speechop" / "table1.yaml")
    preset["metrics"] = [column for column in preset["metrics"] if column["role"] in ("mos_q", "mos_ss")]
    settings = {"metrics": {"mos_q": None, "mos_ss": None}, "absent": {}}

    def cells() -> pd.DataFrame:
        table = tables.build(preset, tmp_path / "results", tmp_path / "data", settings)
        rated = table["system"].isin(["clean", "speechop", "tts_baseline"])
        return table[rated & (table["provenance"] == "ours")].set_index(["system", "role"])

    before = cells()
    assert before["value"].isna().all() and set(before["status"]) == {"not run: no listening study was imported"}
    assert before.loc[("speechop", "mos_q"), "paper"] == 3.86  # the printed value stays beside it
    study = shutil.copytree(analysed, tmp_path / "results" / "listening" / "tts")
    filled = cells()
    assert (filled["status"] == "ok").all() and filled.loc[("speechop", "mos_q"), "value"] == 4
    baseline = filled.loc[("tts_baseline", "mos_ss")]
    assert baseline["low"] < baseline["value"] < baseline["high"] and baseline["n_scored"] > 4
    text = tables.markdown(preset, filled.reset_index(), "")
    assert "4.00 [" in text and "of an imported listening study" in text and "utterances a cell" not in text
    write_json(study / "mos.json", read_json(study / "mos.json") | {"source": "simulated"})
    assert cells()["value"].isna().all() and cells()["status"].str.startswith("not run: ").all()
    assert "| not run † |" in tables.markdown(preset, cells().reset_index(), "")


def test_a_file_that_no_import_made_fills_no_cell(analysed):
    path = analysed / "mos.csv"
    path.write_text(path.read_text().replace("4.0", "4.9"))
    assert read_mos(analysed).status == "not run" and "not the result of an import" in read_mos(analysed).reason
    assert read_mos(analysed).cells == {}


def test_downloaded_answers_count_once(tts, serve):
    """The same submission from the collector and from the participant's own download is one submission."""
    worker = Worker(serve(tts), tts, "participant-1")
    worker.finish(4)
    rows = [
        worker.ids
        | {"version": worker.version, "kind": "answer", "trial": i, "sample": trial["sample"], "unintelligible": False}
        | {"ratings": dict.fromkeys(worker.scales, 1)}
        for i, trial in enumerate(worker.trials)
    ]
    other = Worker(worker.port, tts, "participant-2").ids | {"list": worker.ids["list"], "version": worker.version}
    rows += [other | {"kind": "consent", "trial": -1}] + [row | other for row in rows]
    rows += [rows[0] | {"ratings": {"quality": 6}}, {"participant": "x"}, rows[0] | {"list": "../../private/key"}]
    rows += [rows[0] | {"comment": "a" * 10_000_000}]
    write_jsonl(tts / "private" / "incoming" / "answers-2.jsonl", rows)
    with open(tts / "private" / "incoming" / "answers-2.jsonl", "a") as stream:
        stream.write(json.dumps(rows[0] | {"comment": "\ud800"}) + "\n")
    listed = [(f"session-participant-{i}", f"participant-{i}", "APPROVED", 600) for i in (1, 2)]
    write_export(tts / "private" / "prolific_export.csv", listed)
    made = import_study(tts)
    assert made["used"] == 2 and made["ratings"] == 2 * 8 * 4
    assert made["left_out"] == {"malformed rows in answer files": 5}
    ratings = pd.read_csv(tts / "imported" / "ratings.csv").groupby("session")["rating"].unique()
    assert sorted(list(values) for values in ratings) == [[1], [4]]


def test_answers_of_another_study_version_and_forged_places_do_not_count(collected):
    path = collected / "private" / "answers.jsonl"
    row = json.loads(path.read_text().splitlines()[3])
    append_jsonl(path, row | {"version": "0" * 16, "trial": 0})
    append_jsonl(
        path,
        row
        | {"kind": "answer", "trial": 99, "ratings": {"quality": 1}, "sample": "audio/x.flac", "unintelligible": False},
    )
    made = import_study(collected)
    assert made["left_out"]["rows of another version of the study"] == 1
    assert made["ratings"] == 4 * 8 * 4 + 4


@pytest.mark.parametrize(
    ("content", "message"),
    [("a,b\n1,2\n", "is it Prolific's export"), ("", "Is it Prolific's export"), (None, "download the study's export")],
)
def test_a_wrong_export_is_named(collected, content, message):
    path = collected / "private" / "prolific_export.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        import_study(collected)


def test_an_export_of_another_study_is_noticed(collected):
    write_export(collected / "private" / "prolific_export.csv", [("other-session", "other", "APPROVED", 5)])
    with pytest.raises(UserError, match="is it this study's export"):
        import_study(collected)
    assert not (collected / "imported" / "ratings.csv").exists()


def test_ratings_that_changed_after_the_import_are_refused(analysed):
    path = analysed / "imported" / "ratings.csv"
    path.write_text(path.read_text().replace(",5,", ",1,"))
    with pytest.raises(UserError, match="changed after the import"):
        analyse_study(analysed)


def test_everyone_who_finished_is_paid_whatever_the_rules_say(collected):
    import_study(collected)
    made = pay_study(collected)
    assert (made["complete"], made["to_review"]) == (4, 2)
    approved = (collected / "private" / "pay" / "approve.csv").read_text().split()
    assert approved == [f"session-participant-p{i}" for i in (1, 2, 3, 4)]
    review = pd.read_csv(collected / "private" / "pay" / "review.csv").set_index("submission")["why"]
    assert review["session-empty"] == "no answers arrived" and review["session-participant-broken"].startswith(
        "1 answers only"
    )


STATES = {
    "APPROVED": True, "Awaiting review": True, "AWAITING_REVIEW": True, "Partially approved": True, "Timed out": False,
    "TIMED-OUT": False, "TIMED_OUT": False, "SCREENED_OUT": False, "Screened out": False, "returned": False,
    "ACTIVE": False, "Abducted": False, "": False,
}  # fmt: skip


def test_every_spelling_of_a_state_is_known_and_an_unknown_state_is_reported_and_not_used(tmp_path):
    listed = {f"s{k}": state for k, state in enumerate(STATES)}
    path = write_export(tmp_path / "export.csv", [(s, f"p{s}", state, 60) for s, state in listed.items()])
    entries = {row["session"]: row for row in prolific.read_export(path)}
    submissions = {s: {"consent": True, "rater": hashed(b"k", "rater", f"p{s}")} for s in listed}
    used, reasons = importing._reconciled(submissions, entries, b"k")
    assert used == sorted(s for s, state in listed.items() if STATES[state])
    assert reasons["submissions with the status TIMED OUT"] == 3
    assert reasons["submissions with the unknown status ABDUCTED"] == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("602", 602), ("602.5", 602.5), ("602,5", 602.5), ("00:10:02", 602), ("10:02", 602), ("1:00:02.5", 3602.5),
     ("1,002", None), ("", None), ("ten minutes", None), ("-5", None),
     ("nan", None), ("1e400", None), ("9" * 5000, None)],
)  # fmt: skip
def test_times_in_every_form_and_unreadable_ones_are_unknown(text, seconds):
    assert prolific.seconds_of(text) == seconds


def test_exports_put_together_pay_nobody_twice(collected):
    export = collected / "private" / "prolific_export.csv"
    import_study(collected)
    before = pay_study(collected)
    header, *rows = export.read_text().splitlines(keepends=True)
    export.write_text("".join([header, *rows, *rows]))
    assert pay_study(collected) == before
    assert len((collected / "private" / "pay" / "approve.csv").read_text().split()) == 4
    export.write_text("".join([header, *rows, rows[0].replace("AWAITING REVIEW", "RETURNED")]))
    with pytest.raises(UserError, match="twice"):
        pay_study(collected)


def test_pay_takes_an_export_with_clock_times_and_semicolons(collected):
    export = collected / "private" / "prolific_export.csv"
    import_study(collected)
    before = pay_study(collected)
    export.write_bytes(export.read_text().replace(",600,", ",00:10:00,").replace(",", ";").encode("utf-16"))
    import_study(collected)
    assert pay_study(collected) == before and before["median_minutes"] == 10
    export.write_text(export.read_text(encoding="utf-16").replace("00:10:00", "unknown"), encoding="utf-8")
    assert pay_study(collected)["alerts"] == ["no times known"]


def test_who_is_at_work_or_in_an_unknown_state_is_reviewed_and_not_approved(collected):
    import_study(collected)
    export = collected / "private" / "prolific_export.csv"
    export.write_text(
        export.read_text().replace("AWAITING REVIEW", "ACTIVE", 1).replace("AWAITING REVIEW", "ABDUCTED", 1)
    )
    assert pay_study(collected)["complete"] == 2
    review = pd.read_csv(collected / "private" / "pay" / "review.csv")["why"]
    assert review.str.contains("its status is A").sum() == 2


def test_purge_leaves_no_id(analysed):
    pay_study(analysed)
    plan = purge_study(analysed)
    assert plan["deleted"] is False and (analysed / "private" / "pids.jsonl").exists()
    purge_study(analysed, sure=True)
    for path in analysed.rglob("*"):
        if path.is_file():
            assert b"participant-" not in path.read_bytes(), path
    assert read_mos(analysed).status == "ok"
    assert not (analysed / "private" / "secret").exists()
    assert read_json(analysed / "purged.json")["ids_deleted"] == 8


def test_purge_stops_where_ids_stand_in_other_files(analysed):
    write_text(analysed / "private" / "notes.txt", "call session-participant-1 back")
    with pytest.raises(UserError, match=r"notes\.txt"):
        purge_study(analysed, sure=True)
    assert (analysed / "private" / "pids.jsonl").exists()


def test_comments_are_harmless_in_spreadsheets(tts, serve):
    worker = Worker(serve(tts), tts, "participant-1")
    worker.finish()
    path = tts / "private" / "answers.jsonl"
    session = json.loads(path.read_text().splitlines()[0])["session"]
    append_jsonl(
        path, {"session": session, "kind": "remark", "trial": 1, "version": worker.version, "comment": "=HYPERLINK(1)"}
    )
    write_export(tts / "private" / "prolific_export.csv", [("session-participant-1", "participant-1", "APPROVED", 1)])
    import_study(tts)
    assert ",'=HYPERLINK(1)" in (tts / "imported" / "raters.csv").read_text()
