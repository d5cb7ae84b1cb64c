"""What guides: lines from recognisers and files, what is trusted, and one form for all text."""

import json

import pytest

from speechbase.files import UserError
from speechbase.settings import checked
from speechbase.texts import spoken
from speechop import recognisers, transcripts
from speechop.settings import Answering
from speechop.transcripts import Line, Trust, Word


@pytest.mark.parametrize(
    "text",
    [
        *("Don't go, there!", "don’t go there", "DON＇T  GO\nthere.", "don't go… there", "“don’t — go there”"),
        *("don't/go there", "don't go...there", "Don't_go―there", "don't:go|there", "don't go⸺there"),
        *("\u202adon't\u202c \u2066go\u2069 there", "don't\ufe0f g\u2064o there\U000e0020"),
    ],
)
def test_texts_that_say_the_same_have_one_form(text):
    assert spoken(text) == "don't go there"


def test_signs_between_letters_part_words_but_for_hyphens_and_those_between_digits_do_not():
    assert [spoken(text) for text in ("co-op", "1,000", "7:30 p.m.", "e.g. AT&T")] == [
        "coop",
        "1000",
        "730 p m",
        "e g at t",
    ]


@pytest.mark.parametrize(
    "text,said", [("?!", "no letters"), ("", "no letters"), ("你好世界", "Latin"), ("a " * 900, "bytes")]
)
def test_what_cannot_be_said_is_refused_by_name(text, said):
    with pytest.raises(UserError, match=f"--transcript.*{said}"):
        transcripts.check_text(text, "--transcript")
    assert transcripts.check_text("Café No. 9!", "x") == "café no 9"


SPANISH = {"en": 0.02, "es": 0.93}


def heard(*confidences, **more):
    words = [{"word": f"w{i}", "start": i, "end": i + 1, "confidence": c} for i, c in enumerate(confidences)]
    return {"text": " ".join(w["word"] for w in words), "words": words, **more}


def test_what_a_recogniser_doubts_does_not_guide():
    window = Line(9.0, 19.0, "")
    sure = transcripts.judged(heard(0.9, 0.3, 0.9), window, 8.6)
    assert sure.guide == "w0 w1 w2" and sure.confidence == 0.7 and sure.words[1].start == 9.6
    assert "w1?" in transcripts.told(sure) and "w0?" not in transcripts.told(sure)
    for answer, reason in (
        (heard(0.2, 0.4), "confidence 0.30"),
        (heard(0.9, speech=False), "no speech"),
        (heard(0.9, 0.9, repeats=True), "repeats"),
        ("", "no words"),
        ("...", "no words"),
        ("你好", "Latin"),
        (heard(0.9, languages=SPANISH), "it seems to be in Spanish (es, 93 %), and the model knows English alone"),
        (heard(0.2, languages=SPANISH), "confidence 0.20 is below 0.50, and it may be in Spanish (es, 93 %)"),
        (heard(0.9, languages={"en": 0.02, "ne": 0.8}), "another language (ne, 80 %)"),
        (heard(0.9, languages={"en": 0.05, "it": 0.4, "te": 0.3}), "another language than English"),
        ({"text": "", "languages": {"es": 0.9}}, "no words were heard, and it may be in Spanish"),
    ):
        line = transcripts.judged(answer, window, 8.6)
        assert line.guide is None and reason in line.untrusted and reason in transcripts.told(line)
    for languages in ({"en": 0.6, "es": 0.3}, {"en": 0.11, "ja": 0.85}, {}, None):
        assert transcripts.judged(heard(0.9, languages=languages), window, 0.0).guide == "w0"
    assert transcripts.judged("plain text", window, 0.0).guide == "plain text", (
        "a recogniser may know no more than words"
    )


@pytest.mark.parametrize("suffix", [".srt", ".VTT", ".json"])
def test_transcripts_are_written_and_read_again(tmp_path, suffix):
    lines = [
        Line(0.0, 9.2, "Ten boxes", [Word("Ten", 0.1, 0.4, 0.9)], 0.9),
        Line(9.2, 14.5, "noise", [], 0.1, "no speech"),
    ]
    path = tmp_path / f"a{suffix}"
    transcripts.write(path, lines)
    first, *rest = transcripts.read(path)
    assert (first.start, first.end, first.guide) == (0.0, 9.2, "ten boxes")
    assert all(line.guide is None for line in rest)


def test_files_as_others_write_them(tmp_path):
    path = tmp_path / "a.srt"
    path.write_bytes("\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Don’t</i>\r\ngo\r\n".encode())
    (line,) = transcripts.read(path)
    assert (line.start, line.end, line.guide) == (1.0, 2.5, "don't go")
    for name, content, said in (
        ("b.srt", "no times at all", "no lines"),
        ("b.json", '[{"start": 1, "text": "a"}]', "no transcript"),
        ("b.json", "{", "no transcript"),
        ("b.json", '[{"start": 3, "end": 1, "text": "a"}]', "3.0 to 1.0"),
        ("b.json", '[{"start": NaN, "end": 1, "text": "a"}]', "nan"),
        ("b.json", json.dumps([{"start": 0, "end": 1, "text": "你好"}]), "Latin"),
        ("b.txt", "x", "srt"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=said):
            transcripts.read(tmp_path / name)


def test_lines_go_to_the_window_that_holds_their_middle():
    lines = [Line(0, 2, "one"), Line(2, 4, "two"), Line(4, 9, "three"), Line(9, 10, "?")]
    first, second, third = transcripts.for_windows(lines, [(0, 5), (5, 8.5), (8.5, 12)])
    assert (first.guide, second.guide) == ("one two", "three") and third.guide is None


class Hearing:
    def __init__(self, text, **more):
        self.answer = {"text": text, **more}

    def transcribe(self, wave, rate_hz):
        return self.answer


def test_an_old_text_that_is_not_said_is_refused():
    import numpy as np

    wave = np.zeros(16_000, np.float32)
    recognisers.check_said(Hearing("Nine small boxes."), wave, 16_000, "nine small foxes")
    recognisers.check_said(Hearing("in between"), wave, 16_000, "inbetween")
    for hearing, said in (
        (Hearing("I went to the shop yesterday"), "shop"),
        (Hearing("", speech=False), "no speech"),
        (Hearing(""), "no words"),
    ):
        with pytest.raises(UserError, match=said):
            recognisers.check_said(hearing, wave, 16_000, "nine small boxes")


def test_recognisers_are_found_by_name_and_their_options_checked():
    with pytest.raises(UserError, match="whisper_base"):
        recognisers.load("nobody")
    for options, said in ((["beam"], "key=value"), (["beem_size=2"], "beem_size"), (["beam_size=many"], "beam_size")):
        with pytest.raises(UserError, match=said):
            recognisers.load("whisper_base", options)


def sure(text, *confidences):
    words = [{"word": w, "start": 0.0, "end": 0.1, "confidence": c} for w, c in zip(text.split(), confidences)]
    return transcripts.judged({"text": text, "words": words}, Line(0, 1, ""), 0.0, min_confidence=0.0)


def test_a_recogniser_s_confidence_sets_gamma_and_drops_words():
    trust = Trust(min_word=0.3, gamma=[[0.4, 0.75], [0.8, 1.5]])
    assert trust.weigh(sure("ten small boxes", 0.9, 0.9, 0.9)).gamma == 1.5
    doubted = trust.weigh(sure("ten small boxes", 0.9, 0.2, 0.9))
    assert (doubted.guide, doubted.gamma) == ("ten boxes", 0.75)
    lost = trust.weigh(sure("ten boxes", 0.3, 0.1))
    assert lost.guide is None and "below 0.4" in lost.untrusted
    assert trust.weigh(sure("")).guide is None


def test_without_confidences_nothing_is_trusted_silently():
    trust = Trust(gamma=[[0.5, 1.5]])
    for heard in ("ten boxes", {"text": "ten boxes", "words": [{"word": "ten", "start": 0, "end": 1}]}):
        line = transcripts.judged(heard, Line(0, 1, ""), 0.0)
        with pytest.raises(UserError, match="transcribed without confidences"):
            trust.weigh(line)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gamma": [[0.8, 1.0], [0.5, 1.5]]}, "confidences must rise"),
        ({"gamma": []}, "at least 1"),
        ({"gamma": [[0.5, -1.0]]}, "greater than or equal to 0"),
        ({"gamma": [[0.5, 1.0]], "min_wrod": 0.1}, "min_word"),
    ],
)
def test_wrong_rules_of_trust_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        checked(Answering, {"trust": values}, "the system")
