"""Test sets from miniatures of the real corpora: selection, prompts, spans, windows, mixtures."""

import csv
import itertools

import numpy as np
import pandas as pd
import pytest
import soundfile

from speechbase import audio
from speechbase.files import UserError, read_json
from speechbase.items import read_items
from speechbase.recorded import (
    daps_set,
    edit_set,
    fingerprint,
    manifests,
    mixture_sets,
    sounds,
    speech_tables,
    tts_set,
    words,
)
from speechbase.recorded.corpora import Location
from speechbase.recorded.words import Word


@pytest.fixture
def unpublished(monkeypatch):
    """Miniatures differ from what is published: compare with nothing."""
    monkeypatch.setattr(fingerprint, "published", lambda name, table=None: None)


def test_the_shipped_prompts_fit_the_published_set():
    prompts = tts_set.read_prompts()
    assert len(prompts) == 1237 and len({identity.split("-")[0] for identity in prompts}) == 40
    assert all(a.split("-")[0] == b.split("-")[0] and a != b for a, b in prompts.items())
    drawn = tts_set.choose_prompts(
        {"1-1-0": 5.0, "1-1-1": 3.0, "1-1-2": 2.9, "2-1-0": 4.0, "2-1-1": 30.0, "3-1-0": 10.0001}
    )
    assert drawn == {"1-1-0": "1-1-1", "2-1-0": "2-1-1"}


def test_selection_is_inclusive_at_both_ends():
    table = pd.DataFrame({"id": list("edcba"), "seconds": [10.0001, 10.0, 7.0, 4.0, 3.9999]})
    assert list(tts_set.selected(table)["id"]) == ["b", "c", "d"]


def write_words(path, recordings):
    rows = [(name, w.text, w.start_s, w.end_s) for name, spoken in recordings.items() for w in spoken]
    pd.DataFrame(rows, columns=words.COLUMNS).to_csv(path, index=False)


def test_tts_items_have_prompts_cut_at_words(librispeech, tmp_path, monkeypatch, unpublished):
    table = tmp_path / "recorded" / "librispeech" / "test-clean.csv"
    speech_tables.write_part(librispeech, "test-clean", table)
    prompts = {"61-7-0001": "61-7-0002", "121-7-0001": "121-7-0000"}
    monkeypatch.setattr(tts_set, "read_prompts", lambda: prompts)
    spoken = {"61-7-0002": [Word("ONE", 0.5, 8.0), Word("TWO", 9.0, 10.0), Word("THREE", 10.5, 11.75)]}
    write_words(tmp_path / "words.csv", spoken | {"121-7-0000": [Word("ALL", 0.0, 3.5)]})
    tts_set.build(table, tmp_path / "words.csv", tmp_path / "testsets")
    items = {item.id: item for item in read_items(tmp_path / "testsets" / "tts.csv")}
    assert set(items) == set(prompts)
    assert items["61-7-0001"].row["prompt_text"] == "two three" and items["121-7-0001"].row["prompt_text"] == "all"
    assert (
        len(items["61-7-0001"].wave("prompt")) == 2.75 * 16000
        and len(items["61-7-0001"].wave("reference")) == 5 * 16000
    )
    assert read_json(tmp_path / "testsets" / "tts.fingerprint.json")["found"]["items"] == 2
    for times, message in (
        ({"121-7-0000": [Word("a", 0, 3.5)]}, "61-7-0002"),
        ({"121-7-0000": [Word("a", 9, 11)]}, "121-7-0000"),
    ):
        write_words(tmp_path / "words.csv", times)
        with pytest.raises(UserError, match=message):
            tts_set.build(table, tmp_path / "words.csv", tmp_path / "testsets")


def test_another_set_than_the_published_one_is_refused(librispeech, tmp_path, monkeypatch):
    items = [({"id": "a", "task": "tts", "rate_hz": 16000, "text": "x"}, {"reference": np.zeros(9)})]
    with pytest.raises(UserError, match="items 1 where 1237 is published"):
        manifests.write_set("tts", items, tmp_path, "librispeech_test-clean_4_10s")
    assert not (tmp_path / "tts.csv").exists()
    with pytest.raises(UserError, match="would be empty"):
        manifests.write_set("tts", [], tmp_path, None)


REALEDIT = {
    "YOU1_S1.wav": ("a b c", "a x c", "1", "1", "substitution"),
    "84_9_000001_000000.wav": ("Each word here, counts.", "Each small word here, counts.", "0,1", "1", "insertion"),
    "84_9_000001_000001.wav": ("a b c d|a x c d", "a x c d|a x c", "1|2,3", "1|2", "substitution|deletion"),
    f"{edit_set.MALFORMED}.wav": (
        "one two three four five six|one two three four five two",
        "one two three four five two|one two three four five ten",
        "5",
        "5",
        "substitution|substitution",
    ),
}


def write_realedit(path, rows):
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerows([edit_set.FIELDS, *([name, *row] for name, row in rows.items())])


def test_realedit_is_parsed_with_its_one_malformed_row(tmp_path):
    write_realedit(tmp_path / "RealEdit.txt", REALEDIT)
    insertion, two, malformed = edit_set.read_realedit(tmp_path / "RealEdit.txt")
    assert (insertion.original_spans, insertion.edited_spans, insertion.types) == (((0, 1),), ((1, 1),), ("insertion",))
    assert two.original == "a b c d" and two.edited == "a x c" and edit_set.format_spans(two.original_spans) == "1|2,3"
    assert malformed.original_spans == ((5, 5), (5, 5)) == malformed.edited_spans
    for row, message in (
        (("a b c", "a x c", "1", "1", "substitution|deletion"), "2 types and 1/1 spans"),
        (("a b c", "a x c", "1;2", "1", "substitution"), "neither"),
        (("a b c", "a x c", "3", "1", "substitution"), "beyond the 3 words"),
        (("a b c", "a x c", "1", "1", "swap"), "do not fit"),
    ):
        write_realedit(tmp_path / "RealEdit.txt", {"84_9_000001_000000.wav": row})
        with pytest.raises(UserError, match=message):
            edit_set.read_realedit(tmp_path / "RealEdit.txt")


def test_edit_items_come_from_libritts_dev(make_libritts, tmp_path, unpublished):
    libritts = make_libritts({"dev-clean": ["7697"], "dev-other": ["84"]})
    write_realedit(tmp_path / "RealEdit.txt", {name: row for name, row in REALEDIT.items() if name.startswith("84")})
    realedit = Location("realedit", (tmp_path,))
    edit_set.build(realedit, libritts, tmp_path / "testsets", size=100)
    first, _ = read_items(tmp_path / "testsets" / "edit.csv")
    assert first.task == "edit" and first.rate_hz == 24000 and first.text == "each small word here, counts."
    assert (first.row["orig_span"], first.row["new_span"], first.row["edit_type"]) == ("0,1", "1", "insertion")
    assert len(first.wave("source")) == 2 * 24000
    with pytest.raises(UserError, match="2 LibriTTS rows where 100"):
        edit_set.build(realedit, libritts, tmp_path / "testsets")


@pytest.fixture
def daps(tmp_path, make_noise):
    """DAPS with its two test speakers, all environments, 17 or 8.1 s of script 5; a Macintosh's leftovers; sentences'
    texts."""
    for place, environment in enumerate(("clean", *daps_set.ENVIRONMENTS)):
        for speaker in daps_set.SPEAKERS:
            folder = tmp_path / "daps" / environment
            seconds = {"clean": 17.0, "ipad_balcony1": 17.2}.get(environment, 8.1)
            audio.write(folder / f"{speaker}_script5_{environment}.wav", make_noise(seconds, 44100, place), 44100)
            if environment == "clean":
                audio.write(folder / f"{speaker}_script1_clean.wav", make_noise(4.0, 44100, 99), 44100)
            (folder / f"._{speaker}_script5_{environment}.wav").write_bytes(b"left")
            sentences = tmp_path / "daps-segmented" / speaker
            sentences.mkdir(parents=True, exist_ok=True)
            for number, text in enumerate(("First one.", "Then two.")):
                (sentences / f"{speaker}_script5_{number:03d}.txt").write_text(text)
            (sentences / f"{speaker}_script50_000.txt").write_text("Another script.")
    return Location("daps", (tmp_path,))


def test_daps_windows_hold_the_words_heard_in_them(daps, tmp_path, unpublished):
    daps_set.alignment_table(daps, daps, tmp_path / "recordings.csv")
    table = pd.read_csv(tmp_path / "recordings.csv")
    assert list(table["recording"]) == ["f10_script5", "m10_script5"] and table["text"][0] == "First one. Then two."
    spoken = [Word("First", 0.2, 1.0), Word("one", 7.5, 8.3), Word("then", 7.8, 8.8), Word("two", 16.5, 16.9)]
    write_words(tmp_path / "words.csv", {"f10_script5": spoken, "m10_script5": spoken})
    daps_set.build(daps, tmp_path / "words.csv", tmp_path / "testsets")
    items = read_items(tmp_path / "testsets" / "se.csv")
    assert len(items) == 2 * (11 + 2)
    by_id = {item.id: item for item in items}
    first, second = (by_id[f"f10-script5-ipad_balcony1-{n:05d}"] for n in (0, 1))
    assert (first.text, second.text) == ("first one", "then")
    assert (
        len(first.wave("source")) == len(first.wave("reference")) == 8 * 44100
        and len(first.wave("prompt")) == 3 * 44100
    )
    power = np.abs(np.fft.rfft(first.wave("source"))) ** 2
    above = np.fft.rfftfreq(8 * 44100, 1 / 44100) > 8200
    assert power[above].sum() < 1e-3 * power[~above].sum()
    (tmp_path / "daps" / "ipad_office1" / "m10_script5_ipad_office1.wav").unlink()
    with pytest.raises(UserError, match="m10_script5_ipad_office1"):
        daps_set.build(daps, tmp_path / "words.csv", tmp_path / "testsets")


def test_libri2mix_is_mixed_from_its_metadata(librispeech, tmp_path, make_noise, unpublished):
    audio.write(tmp_path / "wham_noise" / "tt" / "n.wav", make_noise(2.0, 16000, 5), 16000)
    row = {
        "mixture_ID": "61-7-0001_121-7-0000",
        "source_1_path": "test-clean/61/7/61-7-0001.flac",
        "source_1_gain": 0.5,
    }
    row |= {"source_2_path": "test-clean/121/7/121-7-0000.flac", "source_2_gain": 2.0, "noise_path": "tt/n.wav"}
    pd.DataFrame([row | {"noise_gain": 0.1}]).to_csv(tmp_path / "libri2mix_test-clean.csv", index=False)
    metadata, noises = Location("libri2mix", (tmp_path,)), Location("wham_noise", (tmp_path,))
    for name, noise in (("sep_clean", None), ("sep_noisy", noises)):
        mixture_sets.build(
            mixture_sets.libri2mix(metadata, librispeech, noise), "libri2mix", tmp_path / "testsets", name
        )
    one, two = read_items(tmp_path / "testsets" / "sep_clean.csv")
    assert one.id == "61-7-0001_121-7-0000-s1" and (one.text, two.text) == ("he said word1", "he said word0")
    np.testing.assert_allclose(one.wave("source"), one.wave("reference") + one.wave("interferer"), atol=1e-4)
    np.testing.assert_allclose(one.wave("reference"), two.wave("interferer"))
    original, _ = audio.read(librispeech.find("LibriSpeech/test-clean") / "61" / "7" / "61-7-0001.flac")
    np.testing.assert_allclose(one.wave("reference"), 0.5 * original[: int(3.5 * 16000)], atol=1e-4)
    assert len(one.wave("prompt")) == 3 * 16000
    noisy, _ = read_items(tmp_path / "testsets" / "sep_noisy.csv")
    residual = noisy.wave("source") - one.wave("source")
    assert 0.005 < residual.std() < 0.02 and np.abs(residual[: 2 * 16000 - 8000]).max() > 0
    row["source_2_path"] = "test-clean/999/7/999-7-0000.flac"
    pd.DataFrame([row | {"noise_gain": 0.1}]).to_csv(tmp_path / "libri2mix_test-clean.csv", index=False)
    with pytest.raises(UserError, match="999-7-0000"):
        mixture_sets.libri2mix(metadata, librispeech, None)


def test_short_noise_is_faded_into_itself(tmp_path, make_noise):
    audio.write(tmp_path / "n.wav", make_noise(2.0, 16000), 16000)
    long = mixture_sets._noise(tmp_path / "n.wav", 80000)
    assert len(long) == 80000 and long[60000:].std() > 0.05


@pytest.mark.parametrize("corpus", ["wsj0_2mix", "whamr"])
def test_licence_bound_mixtures_are_read_as_users_have_them(corpus, tmp_path, make_noise, unpublished):
    layout = {
        "wsj0_2mix": ("2speakers/wav16k/min/tt", ("mix", "s1", "s2")),
        "whamr": ("wav16k/min/tt", ("mix_both_reverb", "s1_anechoic", "s2_anechoic")),
    }
    folder, names = layout[corpus]
    mixtures = ("440c020a_0.5_22ho010b_-0.5.wav", "22ho010d_1.1_440c020f_-1.1.wav")
    for (place, name), part in itertools.product(enumerate(mixtures), names):
        audio.write(tmp_path / folder / part / name, make_noise(1.0 + place, 16000, place), 16000)
    location = Location(corpus, (tmp_path,))
    found = getattr(mixture_sets, corpus)(location)
    mixture_sets.build(found, corpus, tmp_path / "testsets", "sep")
    items = read_items(tmp_path / "testsets" / "sep.csv")
    assert [item.row["speaker"] for item in items] == ["22h", "440", "440", "22h"]
    assert len(items[0].wave("prompt")) == 16000 and len(items[2].wave("prompt")) == 2 * 16000
    (tmp_path / folder / names[1] / mixtures[0]).unlink()
    with pytest.raises(UserError, match="another folder has it"):
        getattr(mixture_sets, corpus)(location)


def test_word_times_fill_gaps_and_bad_tables_are_named(tmp_path):
    filled = words.fill_gaps(
        [("a", 0.1, 0.5), ("7", None, None), ("8", None, None), ("b", 1.1, 1.5), ("!", None, None)], 2.0
    )
    assert [(w.text, round(w.start_s, 2), round(w.end_s, 2)) for w in filled] == [
        ("a", 0.1, 0.5), ("7", 0.5, 0.8), ("8", 0.8, 1.1), ("b", 1.1, 1.5), ("!", 1.5, 2.0),
    ]  # fmt: skip
    assert [w.text for w in words.last_words(filled, 1.2)] == ["8", "b", "!"]
    assert [w.text for w in words.last_words(filled, 0.1)] == ["!"]
    (tmp_path / "w.csv").write_text("recording,word,start_s,end_s\nr,a,zero,1\n")
    with pytest.raises(UserError, match="not numbers"):
        words.read_words(tmp_path / "w.csv")
    (tmp_path / "w.csv").write_text("recording,word\n")
    with pytest.raises(UserError, match="lacks the columns end_s, start_s"):
        words.read_words(tmp_path / "w.csv")


def test_alignment_tables_go_through_an_aligner(tmp_path, make_noise):
    audio.write(tmp_path / "r.wav", make_noise(2.0, 24000), 24000)
    rows = [{"recording": "r", "path": str(tmp_path / "r.wav"), "text": "one two"}]

    def aligner(wave, text):
        assert len(wave) == 2 * 16000
        return [Word(word, place, place + 0.5) for place, word in enumerate(text.split())]

    words.align_table(rows, tmp_path / "words.csv", aligner)
    assert words.read_words(tmp_path / "words.csv") == {"r": [Word("one", 0.0, 0.5), Word("two", 1.0, 1.5)]}


def test_noises_and_responses_become_tables(tmp_path, make_noise, unpublished):
    for name in ("a", "b"):
        audio.write(tmp_path / "datasets_fullband" / "noise_fullband" / f"{name}.wav", make_noise(1.0, 48000), 48000)
    audio.write(tmp_path / "SFS-Static-Dataset" / "office" / "tone.wav", make_noise(2.0, 44100), 44100)
    decay = make_noise(1.0, 32000) * np.exp(-6.9 * np.arange(32000) / (0.4 * 32000)).astype(np.float32)
    response = np.concatenate([np.zeros(320), [0.9], 0.5 * decay]).astype(np.float32)
    audio.write(tmp_path / "Audio" / "h001.wav", response, 32000)
    for place in (
        "EchoThiefImpulseResponseLibrary/Caves/a",
        "RIRS_NOISES/real_rirs_isotropic_noises/RVB2014_type1_rir_a",
    ):
        path = (tmp_path / place).with_suffix(".wav")
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.stack([response, response], 1), 32000)
    soundfile.write(path.with_name("RVB2014_type1_noise_a.wav"), make_noise(1.0, 16000), 16000)
    noises = [Location(name, (tmp_path,)) for name in ("dns5_noise", "sfs_static")]
    count = sounds.noise_table(noises, tmp_path / "out" / "noise.csv")
    noise = pd.read_csv(tmp_path / "out" / "noise.csv")
    assert (
        count == 3
        and list(noise["rate_hz"]) == [48000, 48000, 44100]
        and (tmp_path / "out" / noise["path"][0]).resolve().is_file()
    )
    rooms = [Location(name, (tmp_path,)) for name in ("mit_ir", "echothief", "openslr28")]
    sounds.rir_table(rooms, tmp_path / "out" / "rir.csv", 16000)
    table = pd.read_csv(tmp_path / "out" / "rir.csv")
    assert list(table["id"]) == ["echothief-a", "mit_ir-h001", "openslr28-RVB2014_type1_rir_a"]
    for _, row in table.iterrows():
        wave, rate_hz = audio.read(tmp_path / "out" / row["path"])
        assert rate_hz == 16000 and wave[0] == 1.0 and row["rt60_s"] == pytest.approx(0.4, rel=0.25)
    found = {path.name: read_json(path)["found"]["items"] for path in (tmp_path / "out" / "recorded").iterdir()}
    assert found["dns5_noise.fingerprint.json"] == 2 and len(found) == 5
    with pytest.raises(UserError, match="unpack it again"):
        list(sounds.files_of(Location("echothief", (tmp_path / "out",))))
