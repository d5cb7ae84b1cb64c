"""Recordings in which nobody speaks stay as they are, and speech in another language is not guided by English words;
both are said."""

import json
import sys

import numpy as np
import pytest
import soundfile

from speechbase import audio, voice_activity
from speechbase.corpus.build_speech import SPOKEN
from speechop import MARK, checks, recognisers, transcripts
from speechop.jobs import Job
from speechop.pipeline import SpeechOp
from speechop.recordings import Recording
from tests.speechop.test_cli import Entry, Heard, run  # noqa: F401  pytest finds it by its name here
from tests.speechop.test_recordings import RATE, noise

HOW = {"steps": 2, "precision": "fp32"}


@pytest.fixture(autouse=True)
def everything_is_speech():
    """The detector listens."""


def hum(seconds: float = 2.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (sum(np.sin(2 * np.pi * 50 * k * times) / k for k in range(1, 9)) * 0.1).astype(np.float32)


@pytest.fixture(scope="module")
def said() -> np.ndarray:
    return audio.read(SPOKEN / "audio/test/kumo/test-kumo-0001.flac")[0]


@pytest.fixture
def files(tmp_path, said):
    sounds = {"hum": hum(), "noise": noise(2.0), "speech": said + noise(len(said) / RATE, gain=0.01)}
    for name, wave in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE, subtype="FLOAT")
    return sounds


def made(path) -> np.ndarray:
    return audio.read(path)[0]


def test_files_without_speech_stay_as_they_are_among_others(run, tmp_path, files):  # noqa: F811
    code, said = run("enhance", "*.wav", "--out-dir", "out", "--json")
    assert code == 0 and "3 of 3 written" in said
    kept = {name: np.array_equal(made(tmp_path / f"out/{name}.enhanced.wav"), wave) for name, wave in files.items()}
    assert kept == {"hum": True, "noise": True, "speech": False}
    notes = {name: json.loads((tmp_path / f"out/{name}.enhanced.json").read_text())["notes"] for name in files}
    assert "no speech was found" in notes["hum"][0] and "--any-sound" in notes["noise"][0] and not notes["speech"]
    for name, mark in (("hum", ""), ("speech", MARK)):
        with soundfile.SoundFile(tmp_path / f"out/{name}.enhanced.wav") as stream:
            assert stream.comment == mark


def test_what_to_do_is_said_and_does_it(run, tmp_path, files):  # noqa: F811
    code, said = run("enhance", "hum.wav")
    assert code == 0 and "no speech was found" in said and "--any-sound" in said
    code, said = run("enhance", "hum.wav", "--any-sound", "--force")
    assert code == 0 and "no speech" not in said
    assert not np.array_equal(made(tmp_path / "hum.enhanced.wav"), files["hum"])
    code, said = run("enhance", "hum.wav", "--transcript", "ten boxes", "--force")
    assert code == 0 and "no speech" not in said, "who gives the words says that somebody speaks"
    assert not np.array_equal(made(tmp_path / "hum.enhanced.wav"), files["hum"])


def test_a_recogniser_is_not_asked_what_a_hum_says(run, tmp_path, files, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Heard, "transcribe", lambda *_: pytest.fail("it was asked"))
    code, said = run("enhance", "hum.wav", "--itc", "--transcript-out", "hum.json")
    assert code == 0 and "heard 0.00-2.00 s: '' [not used: no speech was found]" in said
    (line,) = transcripts.read(tmp_path / "hum.json")
    assert line.guide is None and np.array_equal(made(tmp_path / "hum.enhanced.wav"), files["hum"])


def test_of_other_tasks_it_is_only_said(run, tmp_path, files):  # noqa: F811
    code, said = run("separate", "hum.wav", "--prompt", "speech.wav")
    assert code == 0 and "no speech was found: what sounds like it is made up" in said
    assert not np.array_equal(made(tmp_path / "hum.separated.wav"), files["hum"])
    assert "no speech" not in run("isolate", "hum.wav", "--what", "noise")[1]


def test_speech_is_found_late_and_in_one_channel(said):
    late = np.concatenate([hum(25.0), said])
    both = np.stack([hum(27.0)[: len(late)], late], 1)
    two = Recording.of(late, RATE)
    two.tracks = [Recording.of(channel, RATE).tracks[0] for channel in both.T]
    assert checks.has_speech(Recording.of(late, RATE)) and checks.has_speech(two)
    assert not checks.has_speech(Recording.of(late[: 25 * RATE], RATE))


def test_the_library_warns(models, said):
    model = SpeechOp(models)
    with pytest.warns(UserWarning, match="the recording: no speech was found"):
        np.testing.assert_array_equal(model.enhance(hum(), RATE, **HOW), hum())
    assert np.abs(model.enhance(hum(), RATE, any_sound=True, **HOW) - hum()).max() > 1e-3
    assert model.listen(hum(), RATE, lambda part, rate: "ten boxes")[0].guide == "ten boxes"
    heard = []
    jobs = [Job(str(number), "enhancement", Recording.of(wave, RATE)) for number, wave in enumerate((hum(), said))]
    done = list(model.answer(jobs, heard.append, **HOW))
    assert [one.left for one in done] == [True, False] and sum(heard) == pytest.approx(2.0 + len(said) / RATE)


def test_without_a_detector_all_is_enhanced_and_that_is_said(run, tmp_path, files, monkeypatch):  # noqa: F811
    voice_activity._silero.cache_clear()
    monkeypatch.setitem(sys.modules, "faster_whisper.vad", None)
    code, said = run("enhance", "hum.wav")
    assert code == 0 and "speechop-replication[itc]" in said
    assert not np.array_equal(made(tmp_path / "hum.enhanced.wav"), files["hum"])


class Spanish(Heard):
    def transcribe(self, wave, rate_hz):
        return super().transcribe(wave, rate_hz) | {"languages": {"en": 0.02, "es": 0.93}}


def test_another_language_is_enhanced_without_a_transcript(run, models, tmp_path, files, monkeypatch):  # noqa: F811
    offered = [Entry("whisper_base", Spanish), Entry("english", Heard)]
    monkeypatch.setattr(recognisers, "entry_points", lambda group: offered)
    assert run("enhance", "speech.wav", "-o", "plain.wav")[0] == 0
    code, said = run("enhance", "speech.wav", "--itc")
    assert code == 0 and "seems to be in Spanish (es, 93 %), and the model knows English alone" in said
    assert "1 of 1 windows not guided by a transcript: it seems" in said
    assert np.array_equal(made(tmp_path / "speech.enhanced.wav"), made(tmp_path / "plain.wav"))
    code, said = run("enhance", "speech.wav", "--itc", "--asr", "english", "--force")
    assert code == 0 and "Spanish" not in said
    assert not np.array_equal(made(tmp_path / "speech.enhanced.wav"), made(tmp_path / "plain.wav"))
    with pytest.warns(UserWarning, match="the recording: 1 of 1 windows .* Spanish"):
        SpeechOp(models).enhance(files["speech"], RATE, transcribe=Spanish().transcribe, **HOW)
