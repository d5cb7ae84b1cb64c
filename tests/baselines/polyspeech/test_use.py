"""PolySpeech: its answers to test sets, files and calls."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from baselines import registry
from baselines.polyspeech import layout
from baselines.polyspeech.__main__ import app
from baselines.polyspeech.pipeline import Named, PolySpeech, certainty
from speechbase import audio
from speechbase.corpus.build_speech import SPOKEN
from speechbase.files import UserError
from speechbase.systems.runner import run_manifest
from tests.baselines.polyspeech.conftest import LABELS

RATE_HZ = 16_000
TIME = np.arange(2 * RATE_HZ) / RATE_HZ
NO_SPEECH = {
    "white noise": 1e-3 * np.random.default_rng(0).standard_normal(len(TIME)),
    "hum": 0.1 * sum(np.sin(2 * np.pi * 50 * k * TIME) / k for k in range(1, 8)),
    "clicks": np.where(np.arange(len(TIME)) % 8000 == 100, 0.5, 0.0),
    "tone": 0.1 * np.sin(2 * np.pi * 440 * TIME),
    "silence": 0 * TIME,
}


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    """Rows of each task, on tones."""
    root = tmp_path_factory.mktemp("set")
    wave = (0.1 * np.sin(np.arange(12_345) / 20) * np.sin(np.arange(12_345) / 3000) ** 2).astype(np.float32)
    audio.write(root / "source.wav", wave, 16_000)
    audio.write(root / "silent.wav", 0 * wave, 16_000)
    audio.write(root / "short.wav", wave[3000:3100], 16_000)
    row = {"rate_hz": 16_000, "source": "source.wav", "reference": "source.wav", "prompt": "source.wav"}
    row |= {"text": "one two", "label": "en", "seconds": 0.77}
    rows = [{"id": task, "task": task, **row} for task in layout.TASKS]
    rows[3]["label"] = "m"
    for name in ("silent", "short"):
        rows += [{"id": f"{task}_{name}", **row, "task": task, "source": f"{name}.wav"} for task in ("asr", "lid")]
    rows += [{"id": label, **row, "task": "lid", "label": label} for label in ("fi", "unknown")]
    pd.DataFrame(rows).to_csv(root / "set.csv", index=False)
    return root / "set.csv"


@pytest.fixture(scope="module")
def talk():
    """Speech [s] that ships with the sources."""
    return audio.read(SPOKEN / pd.read_csv(SPOKEN / "test.csv")["path"][0], RATE_HZ)[0]


def _source(test_set):
    return audio.read(test_set.parent / "source.wav")[0]


def system(made, **settings):
    return registry.create("polyspeech", {"models_dir": str(made), "sure": 0.0, **settings})


def test_every_task_is_answered_and_a_bad_item_costs_its_own_row(made, test_set, tmp_path):
    index = run_manifest(system(made), test_set, tmp_path / "out").fillna("").set_index("id")
    assert set(index.loc[["asr", "lid", "gid", "asr_silent", "lid_silent", "lid_short"], "status"]) == {"ok"}
    assert index.loc["lid", "label"] in LABELS["lid"] and index.loc["gid", "label"] in LABELS["gid"]
    assert index.loc["tts", "status"] in ("ok", "no_end") and "ended by" in index.loc["tts", "detail"]
    assert ("no end" in index.loc["asr", "detail"]) != PolySpeech(made).recognise([_source(test_set)])[0].ended
    assert index.loc["asr_silent", "text"] == "" and "nothing was heard" in index.loc["asr_silent", "detail"]
    assert set(index.loc[["lid_silent", "lid_short"], "label"]) == {"unknown"}
    assert index.loc["asr_short", "status"] == "failed" and "shorter than 25 ms" in index.loc["asr_short", "detail"]
    assert index.loc["fi", "status"] == "failed" and "trained on en, it" in index.loc["fi", "detail"]
    assert index.loc["unknown", "status"] == "ok"
    again = run_manifest(system(made, batch=1), test_set, tmp_path / "again").fillna("").set_index("id")
    assert list(again["text"]) == list(index["text"]) and list(again["sha256"]) == list(index["sha256"])


def test_words_that_were_not_made_out_are_not_called_silence(made, test_set, tmp_path, monkeypatch):
    nothing = lambda network, heard, *_: [("", "end")] * len(heard)  # noqa: E731
    monkeypatch.setattr("baselines.polyspeech.pipeline.transcribed", nothing)
    index = run_manifest(system(made), test_set, tmp_path / "out").fillna("").set_index("id")
    assert list(index.loc[["asr", "asr_silent"], "detail"]) == ["no words were made out", "nothing was heard"]


def test_certainty_is_how_far_the_likeliest_label_is_from_chance():
    assert certainty({"f": 0.5, "m": 0.5}) == certainty(dict.fromkeys("abcde", 0.2)) == 0
    assert certainty({"f": 0.75, "m": 0.25}) == pytest.approx(0.5)
    assert certainty({"a": 0.6, "b": 0.4, "c": 0.0, "d": 0.0, "e": 0.0}) == pytest.approx(0.5)
    assert certainty({"f": 0.0, "m": 1.0}) == 1 and certainty({"en": 1.0}) == 0


@pytest.mark.parametrize(("share", "label"), [(0.74, "unknown"), (0.76, "f")])
def test_of_two_labels_the_likelier_is_not_always_sure(made, monkeypatch, talk, share, label):
    """The tables take it all the same: their threshold is 0."""
    shares = lambda *_: torch.tensor([[share, 1 - share]])  # noqa: E731
    monkeypatch.setattr("baselines.polyspeech.pipeline.named", shares)
    assert PolySpeech(made).name("gid", [talk])[0].label == label
    assert registry.create("polyspeech").sampling.sure == 0


def test_a_label_that_is_not_sure_is_unknown(made, test_set, tmp_path):
    index = run_manifest(system(made, sure=1.0), test_set, tmp_path / "out").set_index("id")
    assert index.loc["lid", "label"] == "unknown" and "no label is sure" in index.loc["lid", "detail"]


def test_tokens_and_back_are_as_long_as_the_reference(made, test_set, tmp_path):
    index = run_manifest(system(made, resynthesis=True), test_set, tmp_path / "out").set_index("id")
    assert index.loc["tts", "status"] == "ok"
    assert len(audio.read(tmp_path / "out" / "tts.wav")[0]) == 12_345


def test_a_model_for_one_task_says_so_when_it_is_asked_for_another(made, test_set):
    single = PolySpeech(made, "polyspeech_lid")
    wave = audio.read(test_set.parent / "source.wav")[0]
    assert set(single.name("lid", [wave])[0].probabilities) == set(LABELS["lid"])
    with pytest.raises(UserError, match="no answers of the task asr: it was trained for lid"):
        single.recognise([wave])


def test_what_is_no_mono_audio_and_letters_that_it_never_read_are_refused(made, test_set):
    polyspeech = PolySpeech(made)
    wave = audio.read(test_set.parent / "source.wav")[0]
    broken = wave.copy()
    broken[100] = np.nan
    for bad in (np.stack([wave, wave], 1), broken):
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.listen(bad)
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.speak("one two", bad)
    with pytest.raises(UserError, match="Latin letters only"):
        polyspeech.speak("один", wave)


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_has_neither_words_nor_labels(made, tmp_path, name):
    wave = NO_SPEECH[name].astype(np.float32)
    heard = PolySpeech(made).listen(wave)
    assert heard.text == "" and not heard.speech and heard.language == heard.sex == Named("unknown", {})
    audio.write(tmp_path / "sound.wav", wave, RATE_HZ)
    done = CliRunner().invoke(app, ["listen", str(tmp_path / "sound.wav"), "--models", str(made)])
    assert done.output.splitlines() == ["text: (nothing was heard that is speech)", "language: unknown", "sex: unknown"]


def test_a_quiet_recording_is_answered_as_a_loud_one(made, talk):
    polyspeech = PolySpeech(made)
    loud, quiet = (polyspeech.listen(np.float32(gain) * talk) for gain in (1.0, 0.03))
    assert loud.speech and (quiet.text, quiet.ended) == (loud.text, loud.ended)
    for task in ("language", "sex"):
        one, other = (getattr(heard, task).probabilities for heard in (loud, quiet))
        assert one and other == pytest.approx(one, abs=1e-4)
    one, other = (polyspeech.speak("one two", np.float32(gain) * talk).wave for gain in (1.0, 0.03))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_clip_shorter_than_a_frame_is_refused_with_what_is_wrong(made, talk, tmp_path):
    short = talk[8000:8300]
    with pytest.raises(UserError, match="The recording is shorter than 25 ms"):
        PolySpeech(made).listen(short)
    audio.write(tmp_path / "short.wav", short, RATE_HZ)
    done = CliRunner().invoke(app, ["listen", str(tmp_path / "short.wav"), "--models", str(made)])
    assert done.exit_code and "shorter than 25 ms" in str(done.exception)


def test_the_call_and_the_command_do_the_same(made, talk, tmp_path):
    source = tmp_path / "talk.wav"
    audio.write(source, talk, RATE_HZ)
    heard = PolySpeech(made).listen(talk)
    done = CliRunner().invoke(app, ["listen", str(source), "--models", str(made)])
    assert done.exit_code == 0, done.output
    assert ("came to no end" in done.output) != heard.ended
    assert ("writes English alone" in done.output) == (heard.language.label == "it")
    assert f"language: {heard.language.label}" in done.output and f"sex: {heard.sex.label}" in done.output
    out = tmp_path / "said.wav"
    done = CliRunner().invoke(
        app, ["speak", "one two", "--voice", str(source), "--out", str(out), "--models", str(made)]
    )
    assert out.is_file() == (done.exit_code == 0)
    assert done.exit_code == 0 or "came to its longest" in str(done.exception)
