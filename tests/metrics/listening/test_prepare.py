"""The trees of a prepared study: blind, equal, loud alike, reproducible, and ready for Prolific."""

import csv
import hashlib
import json
import re
import shutil
from collections import Counter

import pytest
import soundfile

from metrics.listening import loudness, prolific, stimuli
from metrics.listening.prepare import frozen, harmless, prepare
from metrics.listening.study import heard_systems, load, merge
from speechbase.files import UserError, read_json, write_text
from tests.metrics.listening.conftest import SECRET
from tests.metrics.listening.make_study import make_study


def tree(folder) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def key_of(out) -> list[dict]:
    with open(out / "private" / "key.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_same_seed_and_secret_give_the_same_bytes(tmp_path):
    settings, testsets, audio, out = make_study(tmp_path)
    other = tmp_path / "other"
    for folder in (out, other):
        write_text(folder / "private" / "secret", SECRET + "\n")
        prepare(settings, testsets, audio, folder)
    assert tree(out) == tree(other)
    times = {path.stat().st_mtime for path in (out / "public").rglob("*") if path.is_file()}
    assert times == {loudness.FIXED_TIME}


def test_the_public_tree_tells_nothing(prepared_tts):
    forbidden = [
        "clean",
        "valid",
        "speechop",
        "baseline",
        "ditto",
        "mismatch",
        "identical",
        "noisy",
        "speaker0",
        "utt0",
        "truth",
    ]
    forbidden += [SECRET, *(row["utterance"] for row in key_of(prepared_tts))]
    for path in (prepared_tts / "public").rglob("*"):
        text = (
            str(path.relative_to(prepared_tts)) + "\n" + (path.read_text() if path.suffix not in ("", ".flac") else "")
        ).lower()
        assert not [word for word in forbidden if word.lower() in text], path
    codes = read_json(prepared_tts / "private" / "codes.json")
    study = (prepared_tts / "public" / "study.json").read_text()
    assert codes["completed"] not in study and "completion" not in study


def test_clips_cannot_be_told_apart_by_their_headers(prepared_tts):
    heads = set()
    for path in (prepared_tts / "public" / "audio").iterdir():
        info = soundfile.info(path)
        content = path.read_bytes()
        blocks, at, last = [], 4, False
        while not last:
            last, kind, size = (
                bool(content[at] & 0x80),
                content[at] & 0x7F,
                int.from_bytes(content[at + 1 : at + 4], "big"),
            )
            blocks.append((kind, b"" if kind == 0 else content[at + 4 : at + 4 + size]))
            at += 4 + size
        heads.add((info.samplerate, info.channels, info.format, info.subtype, tuple(blocks)))
    assert len(heads) == 1
    assert next(iter(heads))[:4] == (48000, 1, "FLAC", "PCM_16")


def test_names_are_keyed_and_unlinkable(prepared_tts, tmp_path):
    settings, testsets, audio, _ = make_study(tmp_path)
    shutil.move(audio / "tts" / "speechop", audio / "tts" / "renamed")
    changed = merge(settings, {"systems": [{"name": "renamed", "label": "R"}]})
    changed["systems"] = [system for system in changed["systems"] if system["name"] != "speechop"]
    out = tmp_path / "renamed"
    write_text(out / "private" / "secret", SECRET + "\n")
    prepare(changed, testsets, audio, out)

    def names(folder, system):
        return {row["sample"] for row in key_of(folder) if row["system"] == system}

    assert names(out, "clean") == names(prepared_tts, "clean")
    assert not names(out, "renamed") & names(prepared_tts, "speechop")
    files = {path.name for path in (prepared_tts / "public" / "audio").iterdir()}
    texts = [
        "|".join((r["kind"], r["system"], r["set"], r["utterance"])) + f"|{role}"
        for r in key_of(prepared_tts)
        for role in ("sample", "")
    ]
    plain = {
        hash_(text.encode()).hexdigest()[:20] for text in texts for hash_ in (hashlib.sha256, hashlib.md5, hashlib.sha1)
    }
    assert not plain & {name.removesuffix(".flac") for name in files}
    write_text(out / "private" / "secret", "0" * 64 + "\n")
    prepare(changed, testsets, audio, out)
    assert not files & {path.name for path in (out / "public" / "audio").iterdir()}


def test_the_hidden_tests_are_what_they_claim(prepared_tts):
    with open(prepared_tts / "private" / "loudness.csv", newline="") as stream:
        loud = {row["file"]: row["source"] for row in csv.DictReader(stream)}
    sources = [
        (row["kind"], *(loud[row[role].removeprefix("audio/")] for role in ("sample", "reference")))
        for row in key_of(prepared_tts)
    ]
    speaker = lambda path: int(re.search(r"utt(\d+)", path)[1]) % 4  # noqa: E731
    for kind, sample, reference in sources:
        if kind == "identical":
            assert sample == reference and sample.endswith("_reference.wav")
        elif kind == "mismatched":
            assert speaker(sample) != speaker(reference)
            assert sample.endswith("_reference.wav") and reference.endswith("_prompt.wav")
        else:
            assert speaker(sample) == speaker(reference)
    assert Counter(kind for kind, *_ in sources)["identical"] == Counter(kind for kind, *_ in sources)["mismatched"] > 0
    identical = next(row for row in key_of(prepared_tts) if row["kind"] == "identical")
    clips = [(prepared_tts / "public" / identical[role]).read_bytes() for role in ("sample", "reference")]
    assert clips[0] != clips[1]


def test_missing_audio_is_an_error_with_a_remedy(tmp_path):
    settings, testsets, audio, out = make_study(tmp_path)
    (audio / "tts" / "speechop" / "index.csv").unlink()
    with pytest.raises(UserError, match=r"speechop/index\.csv does not exist.*only"):
        prepare(settings, testsets, audio, out)
    assert not (out / "public").exists() and not list(out.glob(".public-*"))


def test_a_system_that_cannot_run_here_is_left_out_where_that_is_allowed(tmp_path):
    settings, testsets, audio, _ = make_study(tmp_path, allow_absent=True)
    index = audio / "tts" / "speechop" / "index.csv"
    index.write_text("id,path,status,detail\nutt000,,skipped,no weights\n")
    left, notes = stimuli.present(settings, audio)
    assert notes == ["speechop is left out: skipped (no weights)."]
    assert [system["name"] for system in heard_systems(left)] == ["clean", "tts_baseline"]
    rated, _, _ = stimuli.choose(left, testsets, audio)
    assert {stimulus.system for stimulus in rated} == {"clean", "tts_baseline"}
    assert stimuli.present(settings | {"allow_absent": False}, audio) == (settings | {"allow_absent": False}, [])


def test_failed_utterances_are_left_out_of_all_systems_and_counted(tmp_path):
    settings, testsets, audio, _out = make_study(tmp_path)
    index = audio / "tts" / "speechop" / "index.csv"
    lines = index.read_text().splitlines()
    lines[1:7] = [line.replace(",ok", ",failed") for line in lines[1:7]]
    index.write_text("\n".join(lines) + "\n")
    rated, _, notes = stimuli.choose(settings, testsets, audio)
    failed = {f"utt{i:03d}" for i in range(6)}
    assert not failed & {stimulus.utterance for stimulus in rated}
    assert notes == ["tts: 6 of 20 utterances lack audio of some system."]
    counts = Counter(stimulus.system for stimulus in rated)
    assert len(set(counts.values())) == 1
    with pytest.raises(UserError, match="has 14 utterances that all systems rendered"):
        stimuli.choose(settings | {"utterances": 15}, testsets, audio)
    fewer, _, notes = stimuli.choose(settings | {"utterances": 15, "allow_fewer": True}, testsets, audio)
    assert len(fewer) == 3 * 4 and "tts: 4 utterances instead of 15." in notes  # ten are held back for the hidden tests


def test_speakers_are_represented_equally(tmp_path):
    settings, testsets, audio, _ = make_study(tmp_path)
    rated, _, _ = stimuli.choose(settings, testsets, audio)
    speakers = Counter(int(s.utterance[3:]) % 4 for s in rated if s.system == "clean")
    assert speakers == {0: 3, 1: 3, 2: 3, 3: 3}


def test_a_study_with_answers_cannot_change(tts, tmp_path):
    settings, testsets, audio, _ = make_study(tmp_path / "again")
    write_text(tts / "private" / "answers.jsonl", "{}\n")
    before = tree(tts)
    with pytest.raises(UserError, match="cannot change"):
        prepare(settings, testsets, audio, tts)
    (tts / "prepared.json").unlink()  # what a workflow does before it runs a rule again
    prepare(settings, testsets, audio, tts, keep=True)
    assert tree(tts) == before


def test_changed_rules_are_noticed(tts):
    path = tts / "private" / "settings.json"
    settings = json.loads(path.read_text())
    settings["rules"]["incomplete"]["apply"] = False
    path.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="changed after the export"):
        frozen(tts)


def test_prolific_gets_one_url_a_worker(prepared_tts):
    rows = [line.split(",") for line in (prepared_tts / "private" / "taskflow.csv").read_text().splitlines()]
    lists = {re.search(r"list=([a-z0-9]{20})&PROLIFIC_PID=\{\{%PROLIFIC_PID%\}\}", url)[1] for url, _ in rows}
    assert len(lists) == len(rows) == 6 and {places for _, places in rows} == {"1"}
    draft = read_json(prepared_tts / "private" / "prolific_study.json")
    assert draft["total_available_places"] == len(draft["access_details"]) == 6
    assert {item["total_allocation"] for item in draft["access_details"]} == {1}
    assert draft["completion_codes"][0]["code"] == read_json(prepared_tts / "private" / "codes.json")["completed"]
    assert all((prepared_tts / "public" / "lists" / f"{name}.json").exists() for name in lists)
    spare = (prepared_tts / "private" / "taskflow_spare.csv").read_text().splitlines()
    assert len(spare) == 1 and not any(name in spare[0] for name in lists)


def test_the_budget_is_the_papers():
    cost = prolific.budget(load("tts"), 15)
    assert cost["reward_cents"] == 375 and cost["rewards"] == 1080.0
    assert cost["total"] == pytest.approx(1080 * 1.333, abs=0.01)
    assert prolific.budget(load("tts"), 13)["reward_cents"] == 325


def test_the_checklist_names_what_is_not_filled_in(prepared_tts):
    text = (prepared_tts / "private" / "checklist.md").read_text()
    assert "`consent.researcher`, `consent.institution`, `consent.contact`" in text
    assert read_json(prepared_tts / "prepared.json")["preregistration"] in text


def test_static_hosting_carries_its_own_code(tmp_path):
    endpoint = {"kind": "post", "url": "https://collect.example.org/answers"}
    settings, testsets, audio, out = make_study(tmp_path, hosting={"endpoint": endpoint})
    prepare(settings, testsets, audio, out)
    page = read_json(out / "public" / "study.json")
    assert page["completion"]["url"].endswith(f"?cc={page['completion']['code']}")
    assert "connect-src 'self' https://collect.example.org;" in (out / "public" / "index.html").read_text()
    before = tree(out)
    prepare(settings, testsets, audio, out)  # the same design again is the same study
    assert tree(out) == before
    other = settings | {"seed": 7}
    with pytest.raises(UserError, match="may be running on its static host"):
        prepare(other, testsets, audio, out)
    assert prepare(other, testsets, audio, out, keep=True)["seed"] == settings["seed"]
    assert tree(out) == before


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_is_a_formula(text):
    assert harmless(text) == "'" + text
    assert harmless(-1.5) == -1.5
