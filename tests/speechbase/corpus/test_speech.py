import numpy as np
import pandas
import pytest

from speechbase import audio
from speechbase.corpus import build_speech, jobs, noise, rooms, speech, text
from speechbase.corpus.corpus import read_config
from speechbase.files import UserError, sha256
from workflow.plan import configuration

from .conftest import RATE_HZ


def test_a_table_is_as_planned(built, config):
    rows = pandas.read_csv(built / "speech/test.csv")
    assert list(rows.columns) == speech.COLUMNS and list(rows["id"]) == sorted(rows["id"])
    assert len(rows) == 12 and set(rows["speaker"]) == {"test-f", "test-m"}
    for row in rows.itertuples():
        wave, rate_hz = audio.read(built / "speech" / row.path)
        assert rate_hz == RATE_HZ and len(wave) / rate_hz == pytest.approx(row.seconds, abs=1e-3)


def test_speakers_and_sentences_are_disjoint(built):
    tables = {split: pandas.read_csv(built / f"speech/{split}.csv") for split in ("train", "valid", "test")}
    for column in ("speaker", "text"):
        values = [set(table[column]) for table in tables.values()]
        assert not (values[0] & values[2] or values[1] & values[2] or values[0] & values[1])


def test_building_again_makes_nothing_and_a_changed_voice_is_made_again(built, config, tones, monkeypatch):
    said = []
    monkeypatch.setattr("speechbase.corpus.voices.speak", lambda *given: said.append(given[0]["id"]) or tones(*given))
    before = (built / "speech/test.csv").read_bytes()
    build_speech.build(config, "test", built / "speech")
    assert said == [] and (built / "speech/test.csv").read_bytes() == before
    config["voices"][-1]["formant_ratio"] = 1.1
    build_speech.build(config, "test", built / "speech")
    assert set(said) == {"test-m"} and len(said) == 6


def test_a_killed_build_goes_on_where_it_stopped(config, tones, tmp_path, monkeypatch):
    count = 0

    def dying(*given):
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return tones(*given)

    monkeypatch.setattr("speechbase.corpus.voices.speak", dying)
    with pytest.raises(KeyboardInterrupt):
        build_speech.build(config, "test", tmp_path)
    assert len(list(tmp_path.rglob("*.flac"))) == 5 and not (tmp_path / "test.csv").exists()
    build_speech.build(config, "test", tmp_path)
    assert count == 5 + 1 + 7


def test_a_torn_file_is_made_again_and_a_stray_one_goes(built, config):
    torn = next((built / "speech/audio/test").rglob("*.flac"))
    torn.write_bytes(torn.read_bytes()[:30])
    stray = torn.with_name("older.flac")
    stray.write_bytes(b"x")
    build_speech.build(config, "test", built / "speech")
    assert audio.read(torn)[0].size > 1000 and not stray.exists()


def test_seen_speakers_say_unseen_sentences_in_valid(config):
    config["speech"]["seen_in_valid"] = {"share": 0.25, "voices": ["train-f"]}
    items = build_speech.plan(config, "valid")
    assert sum(item["voice"]["id"] == "train-f" for item in items) == 2
    train = {item["text"] for item in build_speech.plan(config, "train")}
    assert not train & {item["text"] for item in items}
    config["speech"]["seen_in_valid"]["voices"] = ["nobody"]
    with pytest.raises(UserError, match="unknown voices: nobody"):
        build_speech.plan(config, "valid")


def test_further_speech_of_a_split_has_its_speakers_and_sentences_of_its_own(built, config):
    config["speech"]["utterances"]["test_more"] = 20
    table = build_speech.build(config, "test_more", built / "speech")
    more, test = pandas.read_csv(table), pandas.read_csv(built / "speech/test.csv")
    assert len(more) == 20 and set(more["speaker"]) == set(test["speaker"])
    assert not set(more["text"]) & set(test["text"]) and not set(more["id"]) & set(test["id"])
    assert {text.split_of(said, 0.1, 0.1) for said in more["text"]} == {"test"}
    config["speech"]["utterances"]["test"] = 14
    longer = {item["text"] for item in build_speech.plan(config, "test")}
    assert not longer & {item["text"] for item in build_speech.plan(config, "test_more")}


def test_absurd_speech_is_tried_again_then_refused(config, tones, tmp_path, monkeypatch):
    monkeypatch.setattr("speechbase.corpus.voices.speak", lambda *given: np.zeros(RATE_HZ, np.float32))
    with pytest.raises(UserError, match="silence; silence; silence; silence"):
        build_speech.build(config, "test", tmp_path)


def test_trim_leaves_fifty_milliseconds_and_level_is_common():
    tone = np.sin(np.arange(RATE_HZ) * 0.3).astype(np.float32)
    wave = np.concatenate([np.zeros(RATE_HZ), tone, np.zeros(3 * RATE_HZ)]).astype(np.float32)
    short = build_speech.trim(wave, RATE_HZ)
    assert len(short) == pytest.approx(len(tone) + 2 * 0.05 * RATE_HZ, abs=0.02 * RATE_HZ)
    levelled = build_speech.normalise_level(short, RATE_HZ, -26)
    active = levelled[int(0.06 * RATE_HZ) : -int(0.06 * RATE_HZ)]
    assert 20 * np.log10(np.sqrt(np.mean(active**2))) == pytest.approx(-26, abs=0.2)


@pytest.mark.parametrize("total", [1, 7, 252])
def test_apportioning_gives_everything_away(total):
    counts = jobs.apportion(total, [0.5, 0.3, 0.2])
    assert sum(counts) == total and abs(counts[0] - total / 2) <= 1


def test_the_table_gives_prompts_and_interferers(table):
    loaded = speech.SpeechTable.load(table)
    rng = np.random.default_rng(0)
    assert loaded.other_of_speaker(0, rng) == 1
    assert loaded.other_speaker(0, rng) in (2, 3)
    assert loaded.wave(1).dtype == np.float32 and loaded.wave_int16(1).dtype == np.int16
    assert loaded.wave(1)[0] == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_text("id,text\na,b\n"), "lacks the columns"),
        (lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"), "no rows"),
        (lambda path: path.write_text(path.read_text().replace("8000", "44100", 1)), "mixes the rates"),
        (lambda path: (path.parent / "audio/2.flac").unlink(), "2.flac does not exist"),
        (lambda path: (path.parent / "audio/2.flac").write_bytes(b"noise"), "2.flac cannot be read as audio"),
    ],
)
def test_a_spoilt_table_names_the_file(table, spoil, message):
    spoil(table)
    with pytest.raises(UserError, match=message):
        speech.SpeechTable.load(table)


@pytest.mark.parametrize(
    ("given", "message"),
    [("{broken", "--config"), ("nowhere.yaml", "nowhere.yaml does not exist"), ('{"seed": 1}', "--config")],
)
def test_a_bad_configuration_is_a_plain_error(given, message):
    with pytest.raises(UserError, match=message):
        read_config(given)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["heart", "joe"])
def test_a_voice_says_the_same_for_the_same_seed(model):
    from speechbase.corpus import voices

    voice = {"id": "x", "model": model, "formant_ratio": 0.9, "median_f0_hz": 150}
    first, again, other = (voices.speak(voice, "peter found three green chairs", seed, 16000) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert 1.2 < len(first) / 16000 < 3.5


def test_recordings_become_the_split_real(config, tmp_path, monkeypatch):
    from speechbase.corpus import real

    monkeypatch.setattr("speechbase.corpus.phones.phone_count", len)
    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32) * 0.01
    audio.write(tmp_path / "mine.wav", tone, 16000)
    item = {"id": "one", "speaker": "me", "sex": "f", "text": "Hello, World!", "path": str(tmp_path / "mine.wav")}
    rows = pandas.read_csv(real.build(config | {"real": [item]}, tmp_path / "speech"))
    wave, _ = audio.read(tmp_path / "speech" / rows["path"][0], RATE_HZ)
    assert rows["text"][0] == "hello world" and 20 * np.log10(wave[800:-800].std()) == pytest.approx(-26, abs=0.3)
    for spoilt in ({"path": "nowhere.wav"}, {"package": "no_such_package"}):
        with pytest.raises(UserError, match=r"nowhere\.wav|no_such_package"):
            real.build(config | {"real": [item | spoilt]}, tmp_path / "speech")
    with pytest.raises(UserError, match="same id twice"):
        real.build(config | {"real": [item, item]}, tmp_path / "speech")
    audio.write(tmp_path / "mine.wav", tone * 0, 16000)
    with pytest.raises(UserError, match="has silence"):
        real.build(config | {"real": [item]}, tmp_path / "speech")


def test_speech_that_was_spoken_before_is_copied_where_its_plan_is_the_same(
    built, config, tones, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr("speechbase.corpus.voices.speak", lambda *given: said.append(given[0]["id"]) or tones(*given))
    before = built / "speech"
    table = build_speech.build(config, "test", tmp_path / "copy", spoken=before)
    assert said == [] and table.read_bytes() == (before / "test.csv").read_bytes()
    for row in pandas.read_csv(table).itertuples():
        assert (tmp_path / "copy" / row.path).read_bytes() == (before / row.path).read_bytes()
    config["voices"][-1]["formant_ratio"] = 1.1  # one of two speakers
    torn = before / pandas.read_csv(table).query("speaker == 'test-f'")["path"].iloc[0]
    torn.write_bytes(torn.read_bytes()[:30])
    build_speech.build(config, "test", tmp_path / "other", spoken=before)
    assert sorted(set(said)) == ["test-f", "test-m"] and said.count("test-f") == 1 and said.count("test-m") == 6


def test_the_test_speech_that_ships_is_what_the_default_scale_plans():
    corpus = configuration.resolve({})["corpus"]
    rows = pandas.read_csv(build_speech.SPOKEN / "test.csv").set_index("id")
    items = build_speech.plan(corpus, "test")
    assert sorted(rows.index) == sorted(item["id"] for item in items)
    for item in items:
        path = build_speech.SPOKEN / rows.loc[item["id"], "path"]
        assert jobs.is_made(path, item["key"]) and sha256(path) == rows.loc[item["id"], "sha256"], path


def test_noises_and_rooms_of_one_split_are_those_of_all(built, config, tmp_path):
    for maker, name in ((noise, "noise"), (rooms, "rir")):
        part = pandas.read_csv(maker.build(config, tmp_path / "part", split="test"))
        whole = pandas.read_csv(built / f"{name}.csv")
        assert part.equals(whole[whole["split"] == "test"].reset_index(drop=True)) and len(part)
        maker.build(config, built, split="test")
        assert all((built / path).is_file() for path in whole["path"])  # the other splits' are no strays
        with pytest.raises(UserError, match="nothing of the split 'tset'"):
            maker.build(config, tmp_path / "part", split="tset")


def test_a_share_of_the_voices_is_chosen_by_name(tmp_path):
    rows = pandas.DataFrame({"speaker": [f"s{i % 10}" for i in range(40)], "text": "a", "base": "b"})
    table = speech.SpeechTable(rows, tmp_path, 8000)
    few = table.of_voices(0.3)
    assert (
        len(few.by_speaker) == 3 and len(few) == 12 and few.of_voices(0.01).by_speaker.keys() <= few.by_speaker.keys()
    )
    assert len(table.of_voices(0.01).by_speaker) == 2 and table.of_voices(1.0) is table
    assert table.of_voices(0.3).by_speaker.keys() == few.by_speaker.keys()


def test_voices_that_say_little_may_be_as_likely_as_others(tmp_path):
    row = dict.fromkeys(speech.COLUMNS, "") | {"rate_hz": 16000, "seconds": 1.0}
    rows = [row | {"id": f"u{n}", "speaker": "much" if n else "little"} for n in range(9)]
    speech.write_table(tmp_path / "train.csv", rows, speech.COLUMNS)
    table, rng = speech.SpeechTable.load(tmp_path / "train.csv", eager=False), np.random.default_rng(0)
    for even, share in ((False, 1 / 9), (True, 1 / 2)):
        drawn = [table.rows["speaker"].iat[table.one_of(np.arange(9), rng, even)] for _ in range(1000)]
        assert drawn.count("little") / 1000 == pytest.approx(share, abs=0.05)
