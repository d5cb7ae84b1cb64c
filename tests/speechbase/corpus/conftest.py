import numpy as np
import pytest

from speechbase import audio
from speechbase.corpus import build_speech, speech

RATE_HZ = 8000


@pytest.fixture
def config():
    """A corpus of tones: two speakers a split, so that nothing needs a voice."""
    voices = [
        {"id": f"{split}-{sex}", "sex": sex, "split": split, "share": 1, "model": "heart"}
        for split in ("train", "valid", "test")
        for sex in "fm"
    ]
    return {
        "seed": 7,
        "rate_hz": RATE_HZ,
        "level_dbfs": -26,
        "text": {"source": "matrix", "valid_share": 0.1, "test_share": 0.1},
        "speech": {"utterances": {"train": 12, "valid": 8, "test": 12}, "speed": [0.8, 1.05]},
        "voices": voices,
        "noise": {"clip_seconds": 1, "clips": {"train": 3, "test": 3}, "kinds": {"coloured": 1, "hum": 1, "clicks": 1}},
        "rir": {"count": {"train": 1, "test": 1}, "rt60_s": [0.15, 0.3]},
        "testsets": {
            "se": {"task": "enhancement", "split": "test", "size": 4, "sentences": 2, "degradation": NOISY},
            "sep": {"task": "separation", "split": "test", "size": 4, "level_db": [-5, 5], "degradation": NOISY},
            "tts": {"task": "tts", "split": "test", "size": 3},
            "edit": {"task": "edit", "split": "test", "size": 4, "sentences": 2},
            "match": {"task": "acoustic_matching", "split": "test", "size": 2, "degradation": NOISY},
        },
    }


NOISY = {"noise": {"probability": 1, "snr_db": [-5, 10]}, "reverb": {"probability": 0.5}}


@pytest.fixture
def tones(monkeypatch):
    """Stand in for the voices: a tone whose pitch and length depend on the speaker, the words and the seed."""

    def speak(voice, text, seed, rate_hz, speed=1.0, signs=""):
        n = int(len(text) * 0.06 / speed * rate_hz)
        hz = 100 + seed % 300 + 10 * len(voice["id"])
        return (0.3 * np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)).astype(np.float32)

    monkeypatch.setattr("speechbase.corpus.voices.speak", speak)
    monkeypatch.setattr("speechbase.corpus.phones.phone_count", lambda text: len(text.replace(" ", "")))
    return speak


@pytest.fixture
def built(config, tones, tmp_path):
    """The corpus of tones with its noises and rooms, on disk."""
    from speechbase.corpus import noise, rooms

    for split in config["speech"]["utterances"]:
        build_speech.build(config, split, tmp_path / "speech")
    noise.build(config, tmp_path)
    rooms.build(config, tmp_path)
    return tmp_path


@pytest.fixture
def table(tmp_path):
    """Two speakers with two utterances each, written by hand."""
    rows = []
    for number, speaker in enumerate(("ada", "ada", "bob", "bob")):
        path = tmp_path / f"audio/{number}.flac"
        audio.write(path, np.full(800 + number, 0.1 * (number + 1), np.float32), RATE_HZ)
        rows.append(
            {"id": f"u{number}", "speaker": speaker, "base": speaker, "sex": "f", "split": "train", "text": "a b"}
            | {"path": f"audio/{number}.flac", "rate_hz": RATE_HZ, "seconds": 0.1, "phones": 2, "sha256": "0"}
        )
    speech.write_table(tmp_path / "train.csv", rows, speech.COLUMNS)
    return tmp_path / "train.csv"
