import numpy as np
import pytest

from speechbase.corpus import phones
from speechbase.files import UserError


def said(text: str) -> str:
    """Phonemes with stress marks, words apart."""
    spelt = ""
    for phoneme, stress, begins in phones.signs(text):
        spelt += (" " if begins else "") + phones.STRESSES[stress] + phoneme
    return spelt.strip()


def test_words_have_their_sounds_stress_and_beginnings():
    assert said("hello world") == "həlˈO wˈɜɹld"
    assert [begins for _, _, begins in phones.signs("hello world")] == [True] + 3 * [False] + [True] + 4 * [False]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("$5.20", "five dollars and twenty cents"),
        ("123", "one hundred twenty three"),
        ("50%", "fifty percent"),
        ("Dr. Smith", "doctor smith"),
        ("the 5th", "the fifth"),
    ],
)
def test_what_a_recogniser_writes_is_spoken_as_people_say_it(written, spoken):
    sounds = [[sign[0] for sign in phones.signs(text)] for text in (written, spoken)]
    assert sounds[0] == sounds[1]


@pytest.mark.parametrize(
    "text",
    ["Xiomara", "zbrlptk", "NASA's GPU", "naïve café", "www.example.com", "e.g. [laughs] (um)", "I'm, ok?!", "a"],
)
def test_any_english_text_can_be_said(text):
    assert phones.encode(text)


@pytest.mark.parametrize("text", ["", "...", "—", "  "])
def test_nothing_to_say_is_a_plain_error(text):
    with pytest.raises(UserError, match="nothing to say"):
        phones.encode(text)


@pytest.mark.parametrize("word", ["你好", "привет", "γειά"])
def test_another_script_is_a_plain_error_that_names_the_word(word):
    with pytest.raises(UserError, match=word):
        phones.encode(f"hello {word}")


def test_too_long_a_text_is_a_plain_error():
    with pytest.raises(UserError, match="too long"):
        phones.encode("wonderful " * 200)


def test_punctuation_and_capitals_do_not_change_what_is_heard():
    assert phones.encode("The dog barked") == phones.encode("the dog barked!") == phones.encode("the dog barked")


def test_numbers_lie_within_the_alphabet_and_can_be_read_back():
    numbers = phones.encode("we go home today")
    read = [(phones.AMERICAN[(n - 1) // 6], (n - 1) // 2 % 3, bool((n - 1) % 2)) for n in numbers]
    assert read == phones.signs("we go home today")
    assert len(set(phones.AMERICAN)) == len(phones.AMERICAN)


def test_an_older_alphabet_leaves_out_what_it_lacks():
    assert phones.encode("hello", phones.AMERICAN.replace("h", "")) == [
        number if number < 1 + 6 * phones.AMERICAN.index("h") else number - 6 for number in phones.encode("hello")[1:]
    ]


def test_sound_lengths_are_found_again():
    rng = np.random.default_rng(0)
    words = ["go", "snow", "road", "boat", "no", "so", "hat", "hill", "hand", "red", "blue", "dog", "cat", "run", "sit"]
    texts = [" ".join(rng.choice(words, 6)) for _ in range(800)]
    true = {"O": 0.2, "h": 0.02}
    seconds = [sum(true.get(phoneme, 0.08) for phoneme, _, _ in phones.signs(text)) for text in texts]
    plain, stressed = phones.sound_lengths(texts, seconds)
    assert stressed[phones.AMERICAN.index("O")] == pytest.approx(200, abs=25)
    assert plain[phones.AMERICAN.index("h")] == pytest.approx(20, abs=25)
    mean = sum(seconds) / sum(len(phones.signs(text)) for text in texts)
    assert plain[phones.AMERICAN.index("x")] == pytest.approx(1000 * mean, abs=1), "unheard: the mean"
