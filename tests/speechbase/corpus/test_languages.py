"""Several languages in the same voices, and the test sets that ask for their names."""

import json
from collections import Counter

import pandas
import pytest

from speechbase import audio
from speechbase.corpus import build_speech, languages, testset
from speechbase.files import UserError

from .conftest import NOISY, RATE_HZ


@pytest.fixture
def several(config):
    """The corpus of tones with two languages, and test sets of recognition and of labels."""
    config["languages"] = {"spoken": ["en", "it"], "synthesiser": "heart", "utterances": {"train": 4, "test": 6}}
    config["testsets"] |= {
        "asr": {"task": "asr", "split": "test", "size": 4},
        "lid": {"task": "lid", "split": "languages_test", "size": 24, "crop_s": 0.5, "degradation": NOISY},
        "gid": {"task": "gid", "split": "test", "size": 4, "crop_s": 0.5},
    }
    return config


def test_every_voice_says_every_language_equally_often(several):
    items = build_speech.plan_languages(several, "test")
    assert Counter((item["language"], item["voice"]["id"]) for item in items) == {
        (language, voice): 3 for language in ("en", "it") for voice in ("test-f", "test-m")
    }
    said = {item["text"] for item in items} | {item["text"] for item in build_speech.plan_languages(several, "train")}
    assert len(said) == 12 + 8, "a sentence lies in two splits"
    assert len({item["key"] for item in items}) == 12


def test_a_table_says_the_language(several, tones, tmp_path):
    rows = pandas.read_csv(build_speech.build(several, "languages_test", tmp_path))
    assert Counter(rows["language"]) == {"en": 6, "it": 6} and set(rows["speaker"]) == {"test-f", "test-m"}
    assert rows["phones"].min() > 10


def test_a_crop_has_the_label_that_is_right(several, built):
    several["languages"]["utterances"] = {"test": 6}
    build_speech.build(several, "languages_test", built / "speech")
    spoken = pandas.read_csv(built / "speech/languages_test.csv").set_index("id")
    lid = pandas.read_csv(testset.build(several, "lid", built), keep_default_na=False)
    for row in lid.to_dict("records"):
        record = json.loads(row["degradation"])
        assert row["label"] == spoken.loc[record["utterances"][0], "language"] and record["snr_db"] is not None
        waves = [audio.read(built / "testsets" / row[part], RATE_HZ)[0] for part in ("source", "reference")]
        assert [len(wave) for wave in waves] == [RATE_HZ // 2] * 2 and not row["prompt"]
    starts = lid.groupby(lid["degradation"].map(lambda text: json.loads(text)["utterances"][0]))["degradation"]
    assert all(len({json.loads(text)["crop_start_s"] for text in group}) == 2 for _, group in starts)
    gid = pandas.read_csv(testset.build(several, "gid", built), keep_default_na=False)
    assert list(gid["label"]) == list(gid["sex"])
    asr = pandas.read_csv(testset.build(several, "asr", built), keep_default_na=False)
    assert "label" not in asr and asr["seconds"].min() > 0.5 and asr["text"].str.len().min() > 10


def test_what_does_not_fit_is_a_sentence(several):
    for changed, message in (
        ({"spoken": ["en", "itt"]}, "no language 'itt' .did you mean 'it'"),
        ({"synthesiser": "kokoro"}, "no voice of kokoro whose split is 'test'"),
    ):
        with pytest.raises(UserError, match=message):
            build_speech.plan_languages(several | {"languages": several["languages"] | changed}, "test")


@pytest.mark.parametrize("language", languages.MATRICES)
def test_every_word_is_spelled_in_signs_that_the_synthesiser_knows(language):
    """A sign that it does not know would be left out, and with it a sound."""
    known = set("abcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçðʤəɚɛɜɡɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʧʨʥʦʣʊʋʌɣʎʒʔᵻɭ AIOQSWYTᵊᵝ")
    known |= languages.LETTERS | set("ː̞̃̈")  # the last two are dropped: finer shades of Japanese vowels
    for slot in languages.MATRICES[language]:
        assert len(slot) == len(set(slot)) == 10
        for word in slot:
            spelled = languages.phonemes(word, language)
            assert set(spelled) <= known and languages.sounds(spelled) >= 2, (word, spelled, set(spelled) - known)


def test_japanese_is_spelled_as_the_synthesiser_learned_it():
    """In espeak-ng's own signs the tap was heard as z or d: kuroi as kuzoi."""
    assert "ɯɾˈo" in languages.phonemes("くろい", "ja") and "ɾʲi" in languages.phonemes("まりこわ", "ja")
    assert "ʔʦ" in languages.phonemes("むっつ", "ja") and "ɴ" in languages.phonemes("かばんお", "ja")
    for word in (word for slot in languages.MATRICES["ja"] for word in slot):
        assert not set("ɽᵝ") & set(languages.phonemes(word, "ja")), word
