"""The recognisers that guide ITC: what is no speech is not transcribed, and words come with times and confidence."""

import numpy as np
import pytest

from metrics.judges import guide

RATE = 16_000
SAID = "we met the old captain near the river"
TIME = np.arange(3 * RATE) / RATE
RANDOM = np.random.default_rng(0)
NO_SPEECH = {
    "noise": RANDOM.standard_normal(len(TIME)) * 0.1,
    "faint noise": RANDOM.standard_normal(len(TIME)) * 3e-3,
    "noise that swells": RANDOM.standard_normal(len(TIME)) * 0.1 * (1 + np.sin(2 * np.pi * 4 * TIME)),
    "chord": sum(np.sin(2 * np.pi * f * TIME) for f in (262, 330, 392)) * 0.1,
    "hum": sum(np.sin(2 * np.pi * 50 * k * TIME) / k for k in range(1, 9)) * 0.1,
    "click": (np.arange(len(TIME)) == RATE) * 0.9,
    "clicks": (np.arange(len(TIME)) % 4000 == 0) * 0.8,
    "silence": np.zeros(len(TIME)),
}


@pytest.fixture(scope="module")
def whisper():
    return guide.WhisperBase()


@pytest.fixture(scope="module")
def speech():
    from speechbase.corpus.voices import speak

    return speak({"id": "heart", "model": "heart"}, SAID, 0, RATE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", NO_SPEECH)
def test_what_is_no_speech_is_not_transcribed(whisper, kind):
    heard = whisper.transcribe(NO_SPEECH[kind].astype(np.float32), RATE)
    assert heard["speech"] is False and heard["text"] == ""


@pytest.mark.slow
def test_words_have_places_and_confidence_that_noise_lowers(whisper, speech):
    heard = whisper.transcribe(speech, RATE)
    assert [w["word"].strip(".,").lower() for w in heard["words"]] == SAID.split()
    starts = [w["start"] for w in heard["words"]]
    assert starts == sorted(starts) and heard["words"][-1]["end"] <= len(speech) / RATE
    sure = np.mean([w["confidence"] for w in heard["words"]])
    loud = RANDOM.standard_normal(len(speech)) * np.sqrt((speech**2).mean()) * 3
    doubted = whisper.transcribe((speech + loud).astype(np.float32), RATE)
    assert sure > 0.7
    assert not doubted["speech"] or np.mean([w["confidence"] for w in doubted["words"]]) < sure - 0.2


@pytest.mark.slow
def test_words_are_not_stretched_over_the_silence_around_them(whisper, speech):
    before = np.zeros(2 * RATE, np.float32)
    words = whisper.transcribe(np.concatenate([before, speech, before]), RATE)["words"]
    said = (2.0 + np.flatnonzero(np.abs(speech) > 0.05)[[0, -1]] / RATE).tolist()
    assert [words[0]["start"], words[-1]["end"]] == pytest.approx(said, abs=0.25)


@pytest.fixture(scope="module")
def spanish():
    from speechbase.corpus import languages, voices

    text, voice = "miguel compró siete libros verdes", {"id": "x", "model": "kokoro", "style": {"tebukuro": 1.0}}
    return voices.speak(voice, text, 0, RATE, signs=languages.phonemes(text, "es"))


@pytest.mark.slow
def test_languages_are_told_and_one_that_is_given_is_believed(whisper, speech, spanish):
    told = [whisper.transcribe(wave, RATE)["languages"] for wave in (speech, spanish)]
    assert told[0]["en"] > 0.9 and told[1]["es"] > 0.5 and told[1]["en"] < 0.1
    assert set(told[1]) == set(guide.languages(np.concatenate([spanish] * 20))), "the first of what is long"
    assert "languages" not in guide.WhisperBase(language="en").transcribe(spanish, RATE)


@pytest.mark.slow
def test_a_second_recogniser_of_another_family_hears_the_same(speech):
    pytest.importorskip("moonshine_voice", reason="moonshine-voice is not installed")
    moonshine = guide.Moonshine()
    heard = moonshine.transcribe(speech, RATE)
    assert "captain near the river" in heard["text"].lower() and heard["languages"]["en"] > 0.9
    assert moonshine.transcribe(NO_SPEECH["noise"].astype(np.float32), RATE)["speech"] is False
