"""Rows of everything, in order, resumable, the same for any number of processes; and the command line around it."""

from __future__ import annotations

import csv
import inspect
import json
from concurrent.futures import Future
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from metrics import dnsmos, features, inputs, mcd, registry, scorer, sim
from metrics.__main__ import main
from metrics.utterance import Files
from speechbase import audio
from speechbase.files import UserError, read_jsonl
from tests.metrics.signals import noisy, speech_like

NAMES = ["pesq", "si_sdri", "mcd", "log_mel"]


@pytest.fixture
def test_set(tmp_path, write):
    """A manifest of four utterances by two speakers in two mixtures, and an index where one utterance failed."""
    manifest, index = [], []
    for k in range(4):
        clean = speech_like(1.0, seed=k)
        other = speech_like(1.0, seed=k ^ 1)
        mixture = write(f"set/mix{k // 2}.wav", clean + other)
        write(f"set/ref{k}.wav", clean)
        write(f"out/est{k}.wav", noisy(clean, 10, seed=k))
        manifest.append(
            {
                "id": f"u{k}",
                "speaker": f"s{k % 2}",
                "text": "two words",
                "source": mixture.name,
                "reference": f"ref{k}.wav",
                "prompt": "",
            }
        )
        status = ("failed", "out of memory") if k == 3 else ("ok", "")
        index.append({"id": f"u{k}", "path": "" if k == 3 else f"est{k}.wav", "status": status[0], "detail": status[1]})
    for name, rows in (("set/manifest.csv", manifest), ("out/index.csv", index)):
        with open(tmp_path / name, "w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return tmp_path


def utterances(folder):
    return inputs.from_manifest(folder / "set/manifest.csv", folder / "out/index.csv")


def test_every_utterance_has_a_row_in_order(test_set):
    rows = scorer.score(utterances(test_set), registry.find_all(NAMES), out=test_set / "scores")
    for name in NAMES:
        assert [row["id"] for row in rows[name]] == ["u0", "u1", "u2", "u3"]
        assert [row["status"] for row in rows[name]] == ["ok", "ok", "ok", "no_estimate"]
        assert "out of memory" in rows[name][3]["detail"]["reason"]
        assert read_jsonl(test_set / "scores" / f"{name}.jsonl") == rows[name]
    assert not list((test_set / "scores").glob(".unfinished*"))


def test_processes_do_not_change_a_row(test_set):
    metrics = registry.find_all(NAMES)
    several, one = (scorer.score(utterances(test_set), metrics, jobs=jobs) for jobs in (2, 1))
    for name in NAMES:
        for a, b in zip(several[name], one[name], strict=True):
            # 1e-12: the order of a long sum depends on how its array lies in memory
            assert (a.pop("value") or 0) == pytest.approx(b.pop("value") or 0, rel=1e-12)
            a.pop("detail"), b.pop("detail")
            assert a == b


def count_computed(monkeypatch):
    computed = []
    original = scorer.score_one

    def counting(files, rules, jobs, features):
        computed.extend((files.id, job[0]) for job in jobs)
        return original(files, rules, jobs, features)

    monkeypatch.setattr(scorer, "score_one", counting)
    return computed


def test_finished_rows_are_used_again_until_their_audio_changes(test_set, write, monkeypatch):
    metrics = registry.find_all(["log_mel", "si_sdr"])
    first = scorer.score(utterances(test_set), metrics, out=test_set / "scores")
    computed = count_computed(monkeypatch)
    assert scorer.score(utterances(test_set), metrics, out=test_set / "scores") == first
    assert computed == [("u3", "log_mel"), ("u3", "si_sdr")]  # a failure is tried again
    computed.clear()
    write("out/est1.wav", speech_like(1.0, seed=9))
    again = scorer.score(utterances(test_set), metrics, out=test_set / "scores")
    assert ("u1", "log_mel") in computed and ("u0", "log_mel") not in computed
    assert again["log_mel"][1]["value"] != first["log_mel"][1]["value"]
    computed.clear()
    scorer.score(utterances(test_set), registry.find_all(["mcd"]), {"mcd": {"rate_hz": 8000}}, out=test_set / "scores")
    at_8k = {row["id"]: row["value"] for row in read_jsonl(test_set / "scores/mcd.jsonl")}
    scorer.score(utterances(test_set), registry.find_all(["mcd"]), out=test_set / "scores")
    assert at_8k["u0"] != read_jsonl(test_set / "scores/mcd.jsonl")[0]["value"]


def test_another_column_can_hold_what_was_to_be_said(test_set):
    manifest = test_set / "set/manifest.csv"
    found = inputs.from_manifest(manifest, test_set / "out/index.csv", text_column="speaker")
    assert [files.text for files in found] == ["s0", "s1", "s0", "s1"]
    with pytest.raises(UserError, match="no column 'orig_text'"):
        inputs.from_manifest(manifest, test_set / "out/index.csv", text_column="orig_text")


def test_features_of_references_are_kept_for_the_next_system(test_set, write, monkeypatch):
    made = []
    original = mcd.mel_cepstrum
    monkeypatch.setattr(mcd, "mel_cepstrum", lambda *arguments: made.append(1) or original(*arguments))
    metrics, folder = registry.find_all(["mcd"]), test_set / "features"
    alone = scorer.score(utterances(test_set), metrics)
    made.clear()
    first = scorer.score(utterances(test_set), metrics, features=folder)
    assert first == alone and len(made) == 6  # three estimates and their references
    made.clear()
    assert scorer.score(utterances(test_set), metrics, features=folder) == alone and len(made) == 3
    for file in folder.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:100])  # torn
    made.clear()
    assert scorer.score(utterances(test_set), metrics, features=folder) == alone and len(made) == 6
    write("set/ref0.wav", speech_like(1.0, seed=7))
    assert scorer.score(utterances(test_set), metrics, features=folder)["mcd"][0] != alone["mcd"][0]


def test_what_older_sources_kept_is_cleared_away(tmp_path):
    for name in ("0123abcd-old.npy", "old.npy"):
        np.save(tmp_path / name, np.zeros(1))
    kept = features.keep(tmp_path, ("a",), lambda: np.ones(2))
    assert len(list(tmp_path.iterdir())) == 1 and (features.keep(tmp_path, ("a",), lambda: 1 / 0) == kept).all()


def test_rows_of_other_processes_are_kept_as_soon_as_they_are_finished(tmp_path):
    store = scorer._Store(tmp_path, registry.find_all(["log_mel"]))
    finished, working = Future(), Future()
    finished.set_result([{"id": "u0", "metric": "log_mel", "status": "ok", "inputs": "a"}])
    assert store.add_finished([finished, working]) == [working]
    assert [row["id"] for row in read_jsonl(tmp_path / ".unfinished-log_mel.jsonl")] == ["u0"]


def test_an_interrupted_run_continues_after_a_torn_line(test_set, monkeypatch):
    metrics = registry.find_all(["log_mel"])
    original = scorer.score_one

    def dies(files, rules, jobs, features):
        if files.id == "u2":
            raise KeyboardInterrupt
        return original(files, rules, jobs, features)

    monkeypatch.setattr(scorer, "score_one", dies)
    with pytest.raises(KeyboardInterrupt):
        scorer.score(utterances(test_set), metrics, out=test_set / "scores")
    unfinished = test_set / "scores/.unfinished-log_mel.jsonl"
    assert len(read_jsonl(unfinished)) == 2 and not (test_set / "scores/log_mel.jsonl").exists()
    with open(unfinished, "a") as stream:
        stream.write('{"id": "u2", "val')
    monkeypatch.undo()
    computed = count_computed(monkeypatch)
    rows = scorer.score(utterances(test_set), metrics, out=test_set / "scores")["log_mel"]
    assert [identifier for identifier, _ in computed] == ["u2", "u3"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "no_estimate"] and not unfinished.exists()


def test_an_unforeseen_error_is_a_row_with_its_reason(test_set, monkeypatch):
    from metrics import log_mel

    monkeypatch.setattr(log_mel, "log_mel_distance", lambda **_: 1 / 0)
    rows = scorer.score(utterances(test_set), registry.find_all(["log_mel"]))["log_mel"]
    assert (
        rows[0]["status"] == "failed"
        and "ZeroDivisionError" in rows[0]["detail"]["reason"]
        and rows[0]["value"] is None
    )


def test_permutation_undoes_swapped_estimates(test_set, write):
    right = scorer.score(utterances(test_set), registry.find_all(["si_sdri", "si_sdri_pit"]))
    a, b = (test_set / f"out/est{k}.wav" for k in (0, 1))
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second), b.write_bytes(first)
    swapped = scorer.score(utterances(test_set), registry.find_all(["si_sdri", "si_sdri_pit"]))
    assert swapped["si_sdri"][0]["value"] < 0 < right["si_sdri"][0]["value"]
    assert swapped["si_sdri_pit"][0]["value"] == pytest.approx(right["si_sdri"][0]["value"], abs=1e-6)
    assert swapped["si_sdri_pit"][0]["detail"] == {"permuted": True}
    assert right["si_sdri_pit"][2]["status"] == "no_others"  # its mixture's other estimate is missing


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"mcd": {"rate": 8000}}, "did you mean 'rate_hz'"),
        ({"mdc": {}}, "did you mean mcd"),
        ({"pesq": {"mode": "nb"}}, "no setting 'mode'"),
        ({"mcd": 16000}, "must be an object"),
        ({"mcd": {"rate_hz": "16000"}}, "rate_hz is '16000'"),
        ({"mcd": {"rate_hz": 12345}}, "16000"),
        ({"channel": "left"}, "channel is 'left'"),
        ({"channel": -1}, "greater than or equal to 0"),
        ({"resample": "yes"}, "resample is 'yes'"),
        ({"device": "gpu"}, "'cpu' or 'cuda'"),
        ({"device": "cuda"}, "no CUDA device"),
        ({"weights": {"wavlm": "x"}}, "'wavlm_large'"),
        ({"weights": {"wavlm_large": 3}}, "wavlm_large is 3"),
    ],
)
def test_settings_are_checked_before_any_file_is_read(config, said, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=said):
        scorer.score([Files("u")], registry.find_all(["mcd"]), config)


def test_names_are_resolved_with_hints():
    assert registry.find("wer_refpunct_whisper_base").asr == "whisper_base"
    assert registry.find("wer_whispernorm_whisper_base").asr == "whisper_base" and registry.find("pesq").asr is None
    with pytest.raises(UserError, match="si_sdri"):
        registry.find("si_sdrii")
    for name, meant in (
        ("PESQ", "pesq"),
        ("wer", "wer_whispernorm_whisper_base"),
        ("SI-SDR", "si_sdr"),
        ("dnsmos", "dnsmos"),
    ):
        with pytest.raises(UserError, match=f"did you mean {meant}"):
            registry.find(name)
    with pytest.raises(UserError):
        registry.find("wer_whispernorm_{asr}")
    with pytest.raises(UserError, match="No metric is named"):
        registry.find_all([])


def test_command_scores_a_test_set(test_set, capsys):
    transcripts = test_set / "t.jsonl"
    said = ["two words", "two words now", "two words", ""]
    rows = [{"id": f"u{k}", "text": said[k], "words": [], "status": "ok", "asr": "judge x"} for k in range(4)]
    transcripts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = "si_sdri,wer_whispernorm_judge"
    arguments = [
        "score",
        "--manifest",
        test_set / "set/manifest.csv",
        "--index",
        test_set / "out/index.csv",
        "--transcripts",
        transcripts,
        "--metrics",
        asked,
        "--out",
        test_set / "scores",
        "--jobs",
        "1",
    ]
    assert main([str(a) for a in arguments]) == 0
    shown = capsys.readouterr().out
    assert "UNDER 99% SCORED (no_estimate: 1)" in shown
    summary = json.loads((test_set / "scores/summary.json").read_text())
    summary = summary["wer_whispernorm_judge"]
    assert summary["value"] == pytest.approx(100 / 6) and summary["n_scored"] == 3
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments[:-5]] + ["wer_whispernorm_other"])
    assert stop.value.code == 2 and "judge" in capsys.readouterr().err


def test_command_scores_folders_and_refuses_strays(tmp_path, write, capsys):
    for k in range(3):
        write(f"ref/{k}.wav", speech_like(0.5, seed=k))
        if k:
            write(f"est/{k}.flac", noisy(speech_like(0.5, seed=k), 10), subtype="PCM_16")
    arguments = [
        "score",
        "--reference",
        str(tmp_path / "ref"),
        "--estimate",
        str(tmp_path / "est"),
        "--metrics",
        "si_sdr",
    ]
    assert main([*arguments, "--json", "--jobs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["si_sdr"]["statuses"] == {"no_estimate": 1, "ok": 2}
    write("est/stray.wav", np.ones(10) * 0.1)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "stray" in capsys.readouterr().err


def refused(capsys, *arguments) -> str:
    """What the command line says when it refuses: one sentence, status 2."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1, said
    return said


def test_what_can_be_refused_is_refused_before_a_file_is_read(tmp_path, write, capsys, monkeypatch):
    pair = ("--reference", write("r.wav", speech_like()), "--estimate", write("e.wav", speech_like()))
    monkeypatch.setattr(scorer, "score", None)
    monkeypatch.setattr(scorer, "with_transcripts", None)
    file = tmp_path / "r.wav"
    whisper = '{"model": "whisper_base", %s}'
    for arguments, said in (
        (("--out", file), "is a file where a folder is needed"),
        (("--features", file), "is a file where a folder is needed"),
        (("--out", "/proc/nothing"), "/proc/nothing"),
        (("--metrics", ""), "No metric is named"),
        (("--metrics", "PESQ"), "did you mean pesq"),
        (("--config", "[" * 100_000), "not valid JSON"),
        (("--config", "[]"), "must be a JSON object"),
        (("--channel", "-1"), "greater than or equal to 0"),
        (("--asr", whisper % '"threads": "2"'), "threads is '2'"),
        (("--asr", whisper % '"language": "xx"'), "does not know the language 'xx'"),
        (("--asr", whisper % '"beam_size": 0'), "beam_size is 0"),
        (("--asr", whisper % '"context_s": 31'), "context_s is 31"),
        (("--asr", whisper % '"device": "gpu"'), "'cpu' or 'cuda'"),
        (("--asr", whisper % '"compute_type": "float64"'), "compute_type is 'float64'"),
        (("--asr", whisper % '"compute_type": "float16"'), "cannot compute in 'float16'"),
        (("--asr", whisper % '"path": "/nowhere"'), "/nowhere is no folder"),
        (("--asr", whisper % '"name": "a b"'), "name is 'a b'"),
        (("--asr", '{"model": "whisper_tiny_en", "language": "de"}'), "English alone"),
        (("--asr", '{"model": "whisper_bass"}'), "did you mean 'whisper_base'"),
        (("--asr", '{"model": 3}'), "model is 3"),
        (("--asr", '{"model": ["whisper_base"]}'), "model is ['whisper_base']"),
    ):
        assert said in refused(capsys, "score", *pair, *arguments)
    index = tmp_path / "index.csv"
    index.write_text("id,path,status\na,r.wav,ok\n")
    assert "is a folder" in refused(
        capsys, "transcribe", "--index", index, "--asr", whisper % '"vad": false', "--out", tmp_path
    )


def test_why_there_is_no_score_is_said_once(write, capsys):
    stereo = np.stack([speech_like(), speech_like(seed=1)], axis=1)
    paths = ("--reference", write("r.wav", stereo), "--estimate", write("e.wav", stereo))
    assert main([str(a) for a in ("score", *paths, "--metrics", "si_sdr,log_mel", "--jobs", "1")]) == 0
    assert capsys.readouterr().out.count("--channel 0") == 1


def test_words_are_heard_in_the_chosen_channel(write, capsys, monkeypatch):
    from metrics.judges import recognisers

    stereo = np.stack([speech_like(seed=3), speech_like()], axis=1)
    paths = ("--reference", write("r.wav", stereo), "--estimate", write("e.wav", stereo), "--text", "two words")
    monkeypatch.setattr(recognisers, "transcribe", lambda *_: "two words")
    arguments = ["score", *paths, "--metrics", "wer_whispernorm_whisper_base", "--channel", "0", "--json"]
    assert main([str(a) for a in arguments]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["wer_whispernorm_whisper_base"]["value"] == 0


def test_a_recogniser_that_cannot_be_loaded_is_no_file_s_fault(tmp_path, write):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"no model")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    files = Files("u", estimate=write("e.wav", speech_like(0.3)))
    with pytest.raises(UserError, match="cannot be loaded"):
        scorer.with_transcripts([files], {"model": "mine", "engine": "whisper", "path": str(folder)})


def test_tables_of_spreadsheets(tmp_path, write):
    write("r.wav", speech_like()), write("e.wav", speech_like())
    table = tmp_path / "t.csv"
    for separator, encoding in ((",", "utf-8-sig"), (";", "cp1252"), ("\t", "utf-16")):
        lines = (["id", "reference", "estimate", "text"], ["a", "r.wav", "e.wav", "café"])
        table.write_bytes("".join(separator.join(line) + "\r\n" for line in lines).encode(encoding))
        (files,) = inputs.from_manifest(table, None)
        assert (files.id, files.text, files.estimate) == ("a", "café", tmp_path / "e.wav")
    text = tmp_path / "said.txt"
    text.write_bytes("\ufeffhello".encode())
    (files,) = inputs.from_files(None, tmp_path / "e.wav", text=str(text))
    assert files.text == "hello"


def test_folders_as_people_have_them(tmp_path, write):
    for name in ("a", "sub/a", "b.c"):
        write(f"ref/{name}.wav", speech_like(0.5))
    write("ref/._a.wav", speech_like(0.5)), write("ref/.hidden/z.wav", speech_like(0.5))
    (
        write("est/a.enhanced.wav", speech_like(0.5)),
        write("est/sub/a.WAV", speech_like(0.5)),
        write("est/b.c.wav", speech_like(0.5)),
    )
    found = inputs.from_files(tmp_path / "ref", tmp_path / "est")
    assert {files.id: files.estimate and files.estimate.name for files in found} == {
        "a": "a.enhanced.wav", "b.c": "b.c.wav", "sub/a": "a.WAV",
    }  # fmt: skip
    write("est/a.wav", speech_like(0.5))
    with pytest.raises(UserError, match="both belong to a"):
        inputs.from_files(tmp_path / "ref", tmp_path / "est")
    only = tmp_path / "opus"
    only.mkdir()
    audio.write(only / "x.opus", speech_like(0.5), 16000)
    assert [files.id for files in inputs.from_files(None, only)] == ["x"]


def test_arguments_cannot_be_swapped_silently():
    """No function of a metric takes what is compared by position, and the reference stands first."""
    guarded = 0
    for name in registry.MODULES:
        for _, function in inspect.getmembers(import_module(f"metrics.{name}"), inspect.isfunction):
            compared = {"reference", "estimate", "hypothesis", "references", "estimates"}
            asked = [p for p in inspect.signature(function).parameters.values() if p.name in compared]
            if len(asked) > 1:
                guarded += 1
                assert all(p.kind is p.KEYWORD_ONLY for p in asked), function
                assert asked[0].name.startswith("reference"), function
    assert guarded >= 7


def test_each_file_goes_through_a_network_once_however_many_metrics_use_it(test_set, monkeypatch):
    passes = {"sim": 0, "dnsmos": 0}

    def embed(wave):
        passes["sim"] += 1
        return wave[:8]

    def quality(*, estimate):
        passes["dnsmos"] += 1
        return {"ovrl": 3.0, "sig": 3.0, "bak": 3.0}

    monkeypatch.setattr(sim, "_ge2e", lambda: embed)
    monkeypatch.setattr(dnsmos, "p835", quality)
    files = [replace(one, prompt=one.reference) for one in utterances(test_set)]
    names = ["sim_ge2e", "sim_prompt_ge2e", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak"]
    rows = scorer.score(files, registry.find_all(names), jobs=2)
    assert all([row["status"] for row in rows[name]] == ["ok"] * 3 + ["no_estimate"] for name in names)
    assert passes == {"sim": 6, "dnsmos": 3}  # three estimates and their references; the fourth was never made


def test_ids_must_fit_the_test_set(test_set):
    with open(test_set / "out/index.csv", "a") as stream:
        stream.write("stranger,est0.wav,ok,\n")
    with pytest.raises(UserError, match="different test sets"):
        utterances(test_set)


def test_worker_needs_nothing_but_its_arguments(test_set):
    import pickle

    files = utterances(test_set)[0]
    assert pickle.loads(pickle.dumps(files)) == files and isinstance(files, Files)
