"""Recognisers: settings, contexts, resuming; and, with the packaged Whisper, agreement with WhisperX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr

from metrics import transcripts
from metrics.judges import recognisers, whisper
from metrics.text import whisper_english
from metrics.wer import error_rate
from speechbase.files import UserError, read_jsonl
from tests.metrics.signals import speech_like

ROOT = Path(__file__).resolve().parents[2]


def test_settings_are_resolved_and_described():
    found = recognisers.resolve({"model": "whisper_base", "beam_size": 1})
    assert found.description == "whisper_base int8 beam1 context10s vad-off en"
    named = recognisers.resolve({"model": "whisper_base", "name": "standard", "vad": True, "context_s": 30})
    assert named.description.split()[0] == "standard" and "vad-on" in named.description
    for wrong in ({}, {"model": "whisper_huge"}, {"model": "whisper_large_v2"}, {"model": "whisper_base", "beams": 5},
                  {"model": "whisper_base", "context_s": 2}):  # fmt: skip
        with pytest.raises(UserError):
            recognisers.resolve(wrong)


def test_moonshine_is_described_and_takes_no_options():
    found = recognisers.resolve({"model": "moonshine_tiny_en"})
    assert found.description == "moonshine_tiny_en moonshine greedy"
    with pytest.raises(UserError, match="beam_size"):
        recognisers.resolve({"model": "moonshine_tiny_en", "beam_size": 5})


def test_context_leaves_two_seconds_and_never_exceeds_the_window():
    assert [whisper.context_for(s, 10) for s in (0.5, 8.0, 8.01, 18, 18.5, 28)] == [10, 10, 20, 20, 30, 30]
    assert whisper.context_for(3, 30) == 30


def test_long_audio_is_cut_in_its_pauses_without_loss():
    wave = np.random.default_rng(0).standard_normal(70 * 16000).astype(np.float32)
    wave[25 * 16000 : 25 * 16000 + 640] = 0
    pieces = whisper.cut(wave)
    assert np.array_equal(np.concatenate(pieces), wave) and max(map(len, pieces)) <= 28 * 16000
    assert 25 * 16000 <= len(pieces[0]) <= 25 * 16000 + 640


@pytest.mark.slow
def test_what_whisper_is_given_does_not_depend_on_the_number_of_cores():
    from threadpoolctl import threadpool_limits

    model, wave = whisper.load("whisper_base"), speech_like(3, seed=1)
    with threadpool_limits(2, "blas"):
        two = np.array(model.encode(wave, 10))
    with threadpool_limits(1, "blas"):
        assert np.array_equal(np.array(model.encode(wave, 10)), two)


@pytest.mark.slow
def test_what_whisper_is_given_does_not_depend_on_the_processors_blas():
    code = """
import sys; from types import SimpleNamespace; import numpy as np
from metrics.judges import whisper; from tests.metrics.signals import speech_like
model = whisper.load("whisper_base")
model.model.model = SimpleNamespace(encode=np.array)
sys.stdout.buffer.write(model.encode(speech_like(3, seed=1), 10).tobytes())
"""
    given = []
    for kernels in ("Prescott", "Haswell"):
        environment = os.environ | {"OPENBLAS_CORETYPE": kernels}
        done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True)
        given.append(np.frombuffer(done.stdout, np.float32))
    assert len(given[0]) == 80 * 1000 and np.array_equal(*given)


def test_digital_silence_is_the_empty_text():
    assert recognisers.transcribe(recognisers.resolve({"model": "whisper_base"}), np.zeros(16000, np.float32)) == ""


def test_a_decoder_that_repeats_itself_is_asked_again(monkeypatch):
    asked, replies = [], []

    def decode(self, wave, seconds, *settings, no_repeat=0):
        asked.append((seconds, no_repeat))
        return replies.pop(0)

    monkeypatch.setattr(whisper.Whisper, "_decode", decode)
    model = object.__new__(whisper.Whisper)
    looping, text = "and then he went " * 30, "Nina bought nineteen heavy desks"
    twice, steps = f"{text}. {text.lower()}.", [(10.0, 0), (30.0, 0), (30.0, 3)]
    for answers, final, attempts in (
        ([text], text, steps[:1]),
        ([twice, text], text, steps[:2]),
        ([twice, twice], twice, steps[:2]),  # it may well be said twice
        ([looping, looping, text], text, steps),
    ):
        asked.clear()
        replies[:] = answers
        assert model.transcribe(np.zeros(16000), 10.0, 5, "en", None) == final
        assert asked == attempts
    assert not whisper.repeats("he is very very old and very very tired")


def index_of(folder, write, count: int):
    for k in range(count):
        write(f"audio/{k}.wav", speech_like(0.3, seed=k))
    path = folder / "audio/index.csv"
    path.write_text("id,path,status\n" + "".join(f"u{k},{k}.wav,ok\n" for k in range(count)))
    return path


def test_an_interrupted_transcription_continues(tmp_path, write, monkeypatch):
    index, out = index_of(tmp_path, write, 3), tmp_path / "t.jsonl"
    heard = []

    def hear(recogniser, wave):
        if len(heard) == 2:
            raise KeyboardInterrupt
        heard.append(len(wave))
        return f"text {len(heard)}"

    monkeypatch.setattr(recognisers, "transcribe", hear)
    with pytest.raises(KeyboardInterrupt):
        transcripts.transcribe_index(index, {"model": "whisper_base"}, out)
    assert not out.exists()
    monkeypatch.setattr(recognisers, "transcribe", lambda *_: "later")
    rows = transcripts.transcribe_index(index, {"model": "whisper_base"}, out)
    assert [row["text"] for row in rows] == ["text 1", "text 2", "later"] and read_jsonl(out) == rows
    again = transcripts.transcribe_index(index, {"model": "whisper_base", "beam_size": 1}, out)
    assert [row["text"] for row in again] == ["later"] * 3  # another setting is another transcript


def test_transcripts_of_one_recogniser_a_file(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [
        {"id": "a", "text": "", "status": "ok", "asr": "x int8"},
        {"id": "b", "text": "", "status": "ok", "asr": "y int8"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:1]))
    assert set(transcripts.read_transcripts([path])) == {"x"}
    with pytest.raises(UserError):
        transcripts.read_transcripts([path, path])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError):
        transcripts.read_transcripts([path])


@pytest.fixture(scope="module")
def spoken():
    from hibari import Hibari

    synthesise = Hibari()
    texts = ["The birch canoe slid on the smooth planks.", "Four hours of steady work faced us."]
    return texts, [soxr.resample(synthesise(text), 24000, 16000).astype(np.float32) for text in texts]


def errors(said: str, heard: str) -> float:
    """Word error rate in %."""
    return error_rate(reference=whisper_english(said), hypothesis=whisper_english(heard)).value


@pytest.mark.slow
def test_moonshine_hears_clean_speech(spoken):
    pytest.importorskip("moonshine_voice")
    judge = recognisers.resolve({"model": "moonshine_tiny_en"})
    found = [errors(said, recognisers.transcribe(judge, wave)) for said, wave in zip(*spoken, strict=True)]
    # The synthetic "canoe" is heard as "can use", as by Whisper: three errors in that sentence's eight words.
    assert sum(found) / len(found) < 20 and max(found) <= 40


@pytest.mark.slow
def test_whisper_hears_clean_speech_whatever_the_context_beam_and_threads(spoken):
    for settings in ({}, {"context_s": 30}, {"beam_size": 1}, {"threads": 2}):
        found = recognisers.resolve({"model": "whisper_base", **settings})
        for text, wave in zip(*spoken, strict=True):
            # With other vector instructions the synthetic "canoe" is heard as "can use": two errors in eight words.
            assert errors(text, recognisers.transcribe(found, wave)) <= 25


@pytest.mark.slow
def test_decoding_is_whisperx_s(spoken):
    """With a 30 s context and no voice activity detection, the text and the log-mel input are WhisperX's own."""
    import torch
    import whisperx.asr
    from whisperx.audio import log_mel_spectrogram

    model = whisper.load("whisper_base")
    pipeline = recognisers._whisperx("x", model, "cpu", "en", 5, None)
    noise = np.random.default_rng(0).standard_normal(len(spoken[1][0])).astype(np.float32) * 0.03
    for wave in (*spoken[1], spoken[1][0] + noise):
        features = log_mel_spectrogram(wave, 80, padding=480000 - len(wave))
        padded = np.pad(wave, (0, 480000 - len(wave)))
        assert np.abs(model.model.feature_extractor(padded, padding=0) - features.numpy()).max() < 1e-3
        theirs = pipeline.model.generate_segment_batched(
            torch.stack([features]).numpy(), pipeline.tokenizer, pipeline.options
        )
        assert model.transcribe(wave, 30, 5, "en", None) == theirs["text"][0].strip()
    assert isinstance(pipeline.model, whisperx.asr.WhisperModel)
    heard = recognisers.transcribe(
        recognisers.resolve({"model": "whisper_base", "vad": True, "context_s": 30}), spoken[1][0]
    )
    assert errors(spoken[0][0], heard) <= 25


@pytest.mark.slow
def test_features_last_as_long_as_the_audio_and_tell_words_apart(spoken):
    from metrics.spbs import speech_bert_score

    model = whisper.load("whisper_base")
    first, second = (model.features(wave) for wave in spoken[1])
    assert first.shape == (-(-len(spoken[1][0]) // 320), 512)
    noisy = model.features(
        spoken[1][0] + 0.01 * np.random.default_rng(0).standard_normal(len(spoken[1][0])).astype(np.float32)
    )
    same = speech_bert_score(reference=first, estimate=noisy)["p"]
    other = speech_bert_score(reference=first, estimate=second)["p"]
    assert 0.999 > same > other + 0.02
    assert speech_bert_score(reference=first, estimate=first)["p"] == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_one_command_transcribes_several_indexes(tmp_path, write, spoken, capsys):
    from metrics.__main__ import main

    arguments = ["transcribe", "--asr", '{"model": "whisper_tiny_en"}']
    for k, wave in enumerate(spoken[1]):
        write(f"{k}/a.wav", wave)
        (tmp_path / f"{k}/index.csv").write_text("id,path,status\na,a.wav,ok\n")
        arguments += ["--index", str(tmp_path / f"{k}/index.csv"), "--out", str(tmp_path / f"{k}.jsonl")]
    assert main(arguments) == 0
    for k, text in enumerate(spoken[0]):
        heard = read_jsonl(tmp_path / f"{k}.jsonl")[0]["text"]
        assert errors(text, heard) < 50 < errors(spoken[0][1 - k], heard)
