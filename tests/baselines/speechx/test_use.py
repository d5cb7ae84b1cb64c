"""SpeechX: its answers to test sets, files and calls."""

import contextlib
import io
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from baselines import registry
from baselines.speechx import generate
from baselines.speechx.__main__ import app, main
from baselines.speechx.pipeline import SpeechX
from speechbase import audio, editing
from speechbase.files import UserError
from speechbase.items import read_items
from speechbase.systems.runner import run_manifest
from speechbase.training import checkpoint


@pytest.fixture(scope="module")
def spoken_test_set(tmp_path_factory):
    """A row of each task, on tones."""
    root = tmp_path_factory.mktemp("set")
    wave = (0.1 * np.sin(np.arange(12_345) / 20) * np.sin(np.arange(12_345) / 3000) ** 2).astype(np.float32)
    for name in ("source", "reference", "prompt"):
        audio.write(root / f"{name}.wav", wave, 16_000)
    audio.write(root / "silent.wav", 0 * wave, 16_000)
    both = {
        "rate_hz": 16_000,
        "source": "source.wav",
        "reference": "reference.wav",
        "prompt": "prompt.wav",
        "seconds": 0.77,
    }
    edit = {"orig_text": "one two three", "orig_span": "1", "new_span": "1", "edit_type": "substitution"}
    rows = [
        {"id": task, "task": task, "text": "one two", **both}
        for task in ("enhancement", "noise_isolation", "separation")
    ]
    rows += [{"id": "tts", "task": "tts", "text": "one two", **both}]
    rows += [{"id": "edit", "task": "edit", "text": "one four three", **both, **edit}]
    rows += [{"id": "noisy", "task": "edit", "text": "one four three", **both, **edit, "snr_db": 10}]
    rows += [{"id": "silent", "task": "enhancement", "text": "one", **both, "source": "silent.wav"}]
    rows += [{"id": "wordless", "task": "enhancement", "text": "...", **both}]
    pd.DataFrame(rows).to_csv(root / "set.csv", index=False)
    return root / "set.csv"


def system(made, **settings):
    speechx = registry.create("speechx", {"models_dir": str(made), "transcript": "gold", **settings})
    words = [{"word": word, "start": 0.2 * n, "end": 0.2 * n + 0.15} for n, word in enumerate(["one", "two", "three"])]
    speechx.transcripts = {
        name: {"id": name, "status": "ok", "words": words, "text": "one"} for name in ("edit", "noisy")
    }
    return speechx


def test_every_task_is_answered_or_its_row_says_why_not(made, spoken_test_set, tmp_path):
    index = run_manifest(system(made), spoken_test_set, tmp_path / "out").set_index("id")
    assert index.loc["silent", "status"] == "failed" and "silent" in index.loc["silent", "detail"]
    assert index.loc["wordless", "status"] == "failed" and "no letters" in index.loc["wordless", "detail"]
    assert set(index["status"].drop(["silent", "wordless", "tts"])) == {"ok"}, list(index["detail"])
    assert index.loc["tts", "status"] in ("ok", "no_end") and "ended by" in index.loc["tts", "detail"]
    for name in ("enhancement", "noise_isolation", "separation"):
        assert len(audio.read(tmp_path / "out" / f"{name}.wav")[0]) == 12_345
    original, edited = (
        audio.read(path)[0] for path in (spoken_test_set.parent / "source.wav", tmp_path / "out/edit.wav")
    )
    assert np.allclose(original[:400], edited[:400], atol=1e-4) and np.allclose(
        original[-800:], edited[-800:], atol=1e-4
    )


def test_other_batches_give_the_same_audio_and_other_ways_of_editing_other(made, spoken_test_set, tmp_path):
    first = run_manifest(system(made), spoken_test_set, tmp_path / "a").set_index("id")
    again = run_manifest(system(made, batch=1), spoken_test_set, tmp_path / "b").set_index("id")
    assert list(first["sha256"]) == list(again["sha256"])
    for how in ("paste", "denoised"):
        other = run_manifest(system(made, editing=how), spoken_test_set, tmp_path / how).set_index("id")
        assert (
            other.loc["edit", "status"] in ("ok", "no_end")
            and other.loc["edit", "sha256"] != first.loc["edit", "sha256"]
        )


def test_an_output_that_ends_by_itself_goes_on_in_silence(made, spoken_test_set, tmp_path, monkeypatch):
    asked = []

    def early(network, jobs, levels):
        asked.extend(job.length for job in jobs)
        return [(torch.zeros(4, network.said, dtype=torch.long), "end") for _ in jobs]

    monkeypatch.setattr(generate, "speak", early)
    speechx = system(made, free_length=True)
    speechx.load("cpu")
    (item,) = (item for item in read_items(spoken_test_set) if item.id == "enhancement")
    (answer,) = speechx.answer([item])
    assert (answer.status, answer.detail) == ("ok", "4 frames drawn, ended by: end")
    assert [(length.frames, length.cut) for length in asked] == [(None, "source")]
    assert len(answer.wave) == 12_345 and answer.wave.any() and not answer.wave[2 * 4 * 400 :].any()


def test_pasted_speech_takes_the_words_place_and_nothing_of_their_neighbours(made, spoken_test_set, monkeypatch):
    speechx, plans = system(made, editing="paste"), []
    monkeypatch.setattr(editing, "splice", lambda wave, middle, plan, rate_hz: plans.append(plan) or wave)
    speechx.load("cpu")
    rows = read_items(spoken_test_set)
    speechx.answer([item for item in rows if item.id == "edit"])
    (plan,) = plans
    assert (plan.start, plan.stop) == pytest.approx((0.15, 0.4)), "from the end of `one` to the start of `three`"


def test_a_setting_that_does_not_exist_is_a_sentence(made):
    for settings, message in (
        ({"transcript": "golden"}, "transcript is 'golden' .did you mean 'gold'"),
        ({"speech": {"top_q": 1}}, "no setting 'top_q' .did you mean 'top_p'"),
        ({"editing": "cut"}, "editing is 'cut'"),
    ):
        with pytest.raises(UserError, match=message):
            system(made, **settings)
    assert "holds no trained model" in system(made, ar="speechx_none").skip()


def test_the_call_and_the_command_do_the_same(made, spoken_test_set, tmp_path):
    source = spoken_test_set.parent / "source.wav"
    called = SpeechX(made).enhance(audio.read(source)[0], "one two")
    assert called.reason == "source" and len(called.wave) == 12_345
    done = CliRunner().invoke(
        app, ["enhance", str(source), "--out", str(tmp_path / "a.wav"), "--text", "one two", "--models", str(made)]
    )
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], called.wave, atol=1e-4)


def test_a_quiet_recording_is_answered_as_a_loud_one_and_stays_quiet(made, spoken_test_set):
    wave, speechx = audio.read(spoken_test_set.parent / "source.wav")[0], SpeechX(made)
    edit = editing.Edit(0.3, 0.5, 0.2)
    for task in (
        lambda heard: speechx.enhance(heard, "one two"),
        lambda heard: speechx.extract(heard, heard),
        lambda heard: speechx.edit(heard, edit, "one two"),
    ):
        loud, quiet = (task(np.float32(gain) * wave).wave for gain in (1.0, 0.01))
        assert loud.any() and np.abs(loud).max() < 1
        np.testing.assert_allclose(quiet, loud / 100, atol=1e-5)
    loud, quiet = (speechx.speak("one two", np.float32(gain) * wave).wave for gain in (1.0, 0.01))
    np.testing.assert_allclose(quiet, loud, atol=1e-4)


def test_an_edit_outside_of_the_recording_is_a_sentence(made):
    with pytest.raises(UserError, match=r"from 0\.5 to 3 s lies outside of the recording of 1\.00 s"):
        SpeechX(made).edit(np.ones(16_000, np.float32) / 2, editing.Edit(0.5, 3.0, 1.0), "one")


@pytest.mark.parametrize("start, stop", [(0.3, 0.6), (0.31, 0.61), (0.499, 0.611), (0.0, 0.77)])
def test_an_edit_as_long_as_what_it_replaces_moves_nothing_behind_it(made, spoken_test_set, start, stop):
    wave = audio.read(spoken_test_set.parent / "source.wav")[0]
    result = SpeechX(made).edit(wave, editing.Edit(start, stop, stop - start), "one two three")
    assert abs(len(result.wave) - len(wave)) <= 1 and result.reason == "edit"
    behind = round((stop + 0.05) * 16_000)
    if behind < len(wave):
        np.testing.assert_allclose(result.wave[behind - len(wave) :], wave[behind:], atol=1e-6)


def test_python_is_told_what_the_command_is(made):
    speechx, wave = SpeechX(made), np.sin(np.arange(16_000) / 20).astype(np.float32)
    for heard in ((wave * 30_000).astype(np.int16), torch.from_numpy(wave), np.stack([wave, wave])):
        with pytest.raises(UserError, match="The source must be mono audio, finite float32"):
            speechx.enhance(heard)
    with pytest.raises(UserError, match="Latin letters only"):
        speechx.speak("\u043f\u0440\u0438", wave)


def test_a_model_in_another_one_s_place_is_named(made):
    for named, message in (
        (
            {"speaking": "speechx_nar"},
            "speechx_nar holds a model of the kind 'speechx_nar', where speechx_ar is needed",
        ),
        ({"refining": "speechx_ar"}, "of the kind 'speechx_ar', where speechx_nar is needed"),
        ({"codec": "codec"}, "no codec with a quantiser .kind 'codec'"),
    ):
        with pytest.raises(UserError, match=message):
            SpeechX(made, **named)


@pytest.mark.parametrize("name", ["speechx_ar", "speechx_nar"])
def test_weights_that_speak_another_codec_s_codes_are_refused(made, tmp_path, name):
    for folder in made.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / name).unlink()
    tensors, config = checkpoint.read_model(made / name)
    other = {key: value for key, value in config.items() if key != "sha256"} | {"tokens": {"sha256": "0" * 64}}
    checkpoint.save_model(tmp_path / name, tensors, other)
    with pytest.raises(UserError, match=f"{name} speaks the codes of another codec or quantiser than codec_tokens"):
        SpeechX(tmp_path)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    noise = np.random.default_rng(0).standard_normal((11 * 60 * 8000, 1)).astype(np.float32) * 0.1
    for name, wave in (("long", noise), ("prompt", noise[:80_800]), ("two", np.repeat(noise[:8000], 2, 1))):
        soundfile.write(root / f"{name}.wav", wave, 8000)
    soundfile.write(root / "a.wav", noise[:8000], 8000)
    return root


REFUSED = [
    ("enhance long.wav", "The source lasts 660.0 s; at most 51.0 s"),
    ("background long.wav", "The source lasts 660.0 s"),
    ("extract a.wav --prompt prompt.wav", "The prompt lasts 10.1 s; at most 10 s"),
    ("speak ten --prompt long.wav", "The prompt lasts 660.0 s; at most 10 s"),
    ("edit long.wav --text ten --start 0.1 --stop 0.5", "The recording lasts 660.0 s"),
    ("edit a.wav --text ten --start 0.1 --stop 0.5 --seconds 3600", "0 to 30 s"),
    ("edit a.wav --text ten --start 0.1 --stop 0.5 --seconds nan", "0 to 30 s"),
    ("edit a.wav --text ten --start nan --stop 0.5", "outside of the recording"),
    ("edit a.wav --text ten --start 0.5 --stop 0.1", "ends before it begins"),
    ("edit a.wav --text ten --start 0.5 --stop 0.5", "takes nothing out and puts nothing in"),
    ("edit a.wav --text ?! --start 0.1 --stop 0.5", "no letters"),
    ("speak ?! --prompt a.wav", "no letters"),
    ("speak \u4f60\u597d --prompt a.wav", "Latin"),
    ("enhance a.wav --text ?!", "no letters"),
    ("enhance none.wav", "does not exist"),
    ("enhance a.wav --seed -1", "--seed"),
    ("enhance two.wav", "--channel 0"),
    ("enhance two.wav --channel 2", "no channel 2"),
]


@pytest.mark.parametrize("words, said", REFUSED)
def test_what_cannot_be_answered_is_a_sentence(made, inputs, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(sys, "argv", ["x", *words.split(), "--out", str(tmp_path / "x.wav"), "--models", str(made)])
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and said in " ".join(printed.getvalue().split()) and not list(tmp_path.iterdir())


def test_a_result_does_not_take_the_place_of_its_input(made, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    before = (inputs / "prompt.wav").read_bytes()
    done = CliRunner().invoke(app, ["extract", "a.wav", "--prompt", "prompt.wav", "--out", "./prompt.wav"])
    assert isinstance(done.exception, UserError) and "place of an input" in str(done.exception)
    assert (inputs / "prompt.wav").read_bytes() == before


def test_a_text_is_read_as_it_was_in_training_and_a_channel_is_chosen(made, inputs, tmp_path):
    for number, text in enumerate(("seven boxes", "Seven: boxes!")):
        words = ["enhance", inputs / "two.wav", "--channel", 1, "--text", text, "--models", made]
        done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / f"{number}.wav")])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "0.wav").read_bytes() == (tmp_path / "1.wav").read_bytes()


def test_the_token_codec_s_round_trip_is_a_system(made, spoken_test_set, tmp_path):
    for levels in (1, 3):
        trip = registry.create("token_round_trip", {"models_dir": str(made), "levels": levels})
        index = run_manifest(trip, spoken_test_set, tmp_path / str(levels))
        assert set(index["status"]) == {"ok"}, list(index["detail"])
