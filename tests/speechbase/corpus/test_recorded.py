import hashlib
import json

import numpy as np
import pandas
import pytest

from speechbase import audio
from speechbase.corpus import recorded, recorded_test, shards, speech, testset
from speechbase.files import UserError

RATE_HZ = 16_000


def talk(seconds: float, pauses: list[tuple[float, float]], seed: int) -> np.ndarray:
    """Something like a voice: a buzz of 120 Hz with noise, silent in the given stretches."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * 120 * h * time) / h for h in range(1, 20)) + 0.1 * rng.standard_normal(len(time))
    for begin, end in pauses:
        wave[int(begin * RATE_HZ) : int(end * RATE_HZ)] *= 1e-3
    return (0.1 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Three recordings and their list: (configuration, folder)."""
    folder = tmp_path / "theirs"
    rows = []
    for number, (split, seconds) in enumerate([("train", 5.0), ("train", 2.0), ("valid", 2.0)]):
        path = folder / f"{number}" / f"{number}-1.flac"
        audio.write(path, talk(seconds, [(2.2, 2.6), (4.0, 4.1)], number), RATE_HZ)
        rows.append((f"{number}-1", f"{number}", split, hashlib.sha256(path.read_bytes()).hexdigest()))
    listed = pandas.DataFrame(rows, columns=["id", "speaker", "split", "sha256"])
    lists = tmp_path / "lists"
    lists.mkdir()
    listed.to_csv(lists / "few.csv", index=False)
    monkeypatch.setattr(recorded, "files", lambda package: tmp_path)
    voices = {
        "list": "few.csv", "have": str(folder), "variable": "NOT_SET", "max_seconds": 4, "copies": 3,
        "formant_ratio": [0.9, 1.1], "f0_ratio": [0.9, 1.1], "speed": [0.9, 1.1],
    }  # fmt: skip
    return {"seed": 3, "rate_hz": RATE_HZ, "level_dbfs": -26, "real_voices": voices}, folder


def test_a_long_recording_is_cut_in_its_longest_pause():
    wave = talk(5.0, [(2.2, 2.6), (3.0, 3.1)], 0)
    first, second = recorded.pieces(wave, RATE_HZ, 4)
    assert 2.2 < len(first) / RATE_HZ < 2.6 and np.array_equal(np.concatenate([first, second]), wave)
    assert all(len(piece) <= 1.5 * RATE_HZ for piece in recorded.pieces(wave, RATE_HZ, 1.5))


def test_voices_are_multiplied_for_training_and_left_alone_for_validation(corpus, tmp_path):
    config, _ = corpus
    tables = {split: recorded.build(config, split, tmp_path / "out") for split in ("train", "valid")}
    train, valid = (pandas.read_csv(table, keep_default_na=False) for table in tables.values())
    assert set(valid["speaker"].astype(str)) == {"2"} and len(valid) == 1
    assert len(train) == 3 * 3 and train["speaker"].nunique() == 2 * 3  # two pieces and one, three copies each
    assert (train["base"] == speech.RECORDED).all() and (train["text"] == "").all()
    waves = {row.id: audio.read(tmp_path / "out" / row.path)[0] for row in train.itertuples()}
    copies = [waves["1-1.0"], waves["1-1.0~1"], waves["1-1.0~2"]]
    assert len({len(wave) for wave in copies}) == 3, "each copy has its own pace"


def test_building_again_makes_nothing_and_keeps_every_byte(corpus, tmp_path, monkeypatch):
    config, _ = corpus
    table = recorded.build(config, "train", tmp_path / "out")
    before = table.read_bytes()
    monkeypatch.setattr(recorded, "_changed", lambda *given: pytest.fail("made again"))
    assert recorded.build(config, "train", tmp_path / "out").read_bytes() == before


def test_sure_words_reach_every_copy(corpus, tmp_path):
    config, _ = corpus
    texts = recorded.sure_words(
        [
            {"id": "1-1.0", "text": "Hello, there!", "status": "ok"},
            {"id": "0-1.0", "text": "Good bye.", "status": "ok"},
        ],
        [{"id": "1-1.0", "text": "hello there", "status": "ok"}, {"id": "0-1.0", "text": "Good boy.", "status": "ok"}],
    )
    assert texts == [{"id": "1-1.0", "text": "hello there"}]
    speech.write_table(tmp_path / recorded.BESIDE / recorded.TEXTS, texts, ["id", "text"])
    rows = pandas.read_csv(recorded.build(config, "train", tmp_path / "out"), keep_default_na=False)
    index = pandas.read_csv(tmp_path / recorded.BESIDE / "train.csv")
    assert len(index) == 3 and all((tmp_path / recorded.BESIDE / path).is_file() for path in index["path"])
    assert set(rows.loc[rows["text"] == "hello there", "id"]) == {"1-1.0", "1-1.0~1", "1-1.0~2"}


def test_a_missing_or_other_recording_is_named(corpus, tmp_path):
    config, folder = corpus
    audio.write(folder / "0" / "0-1.flac", talk(1.0, [], 9), RATE_HZ)
    with pytest.raises(UserError, match=r"0-1\.flac is not the recording"):
        recorded.build(config, "train", tmp_path / "out")
    (folder / "0" / "0-1.flac").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of the 2 listed recordings, such as 0-1\.flac"):
        recorded.build(config, "train", tmp_path / "out")


def test_without_the_corpus_nothing_is_built_and_a_wrong_folder_is_said(corpus, tmp_path):
    config, _ = corpus
    config["real_voices"]["have"] = None
    assert recorded.build(config, "train", tmp_path / "out") is None and not (tmp_path / "out").exists()
    config["real_voices"]["have"] = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match="nowhere, which is not a folder"):
        recorded.build(config, "train", tmp_path / "out")


def test_training_reads_real_and_synthetic_voices_as_one_table(corpus, tmp_path):
    config, _ = corpus
    recorded.build(config, "train", tmp_path / "speech")
    row = dict.fromkeys(speech.COLUMNS, "") | {"rate_hz": RATE_HZ, "seconds": 1.0}
    audio.write(tmp_path / "speech/audio/a.flac", talk(1.0, [], 4), RATE_HZ)
    rows = [
        row | {"id": f"s{n}", "speaker": "s", "base": "heart", "text": "yes", "path": "audio/a.flac"} for n in range(5)
    ]
    for number, split in enumerate(("train", "train_2")):
        speech.write_table(tmp_path / f"speech/{split}.csv", rows[number::2], speech.COLUMNS)
    table = shards.open_speech(tmp_path, "train", RATE_HZ)
    assert len(table) == 5 + 9 and len(table.with_text()) == 5
    rng = np.random.default_rng(0)
    real = [table.rows["base"].iat[table.draw(rng, 0.3)] == speech.RECORDED for _ in range(2000)]
    assert np.mean(real) == pytest.approx(0.3, abs=0.05)
    near = table.alike(rng, 4)
    lengths = table.rows["seconds"].to_numpy()
    assert len(near) == 4 and np.ptp(lengths[near]) <= np.ptp(np.sort(lengths)[-4:])


@pytest.fixture
def tests_of_recordings(tmp_path, monkeypatch):
    folder = tmp_path / "theirs"
    audio.write(
        folder / "noise/tap.flac", np.random.default_rng(0).uniform(-0.1, 0.1, RATE_HZ).astype(np.float32), RATE_HZ
    )
    decay = np.exp(-np.arange(RATE_HZ) / RATE_HZ * np.log(1000) / 0.5)  # 60 dB in half a second
    room = np.concatenate([np.zeros(100), decay * np.random.default_rng(1).standard_normal(RATE_HZ)])
    room[100] = 4.0
    audio.write(folder / "rir/hall.flac", (room / 8).astype(np.float32), RATE_HZ)
    for number in range(3):
        audio.write(folder / f"speech/{number}-1.flac", talk(2.0, [], number), RATE_HZ)
    (folder / "7.trans.txt").write_text("0-1 HELLO THERE\n1-1 IT'S COLD\n")
    (folder / "manifest.csv").write_text("id,text\n2-1,good-bye then\nnoise,\n")
    rows = []
    for path in sorted(folder.rglob("*.flac")):
        kind = path.parent.name
        rows.append((kind, path.stem, path.stem[0], "", "", hashlib.sha256(path.read_bytes()).hexdigest()))
    lists = tmp_path / "lists"
    lists.mkdir()
    columns = ["kind", "id", "speaker", "licence", "source", "sha256"]
    pandas.DataFrame(rows, columns=columns).to_csv(lists / "set.csv", index=False)
    monkeypatch.setattr(recorded_test, "files", lambda package: tmp_path)
    real = {"list": "set.csv", "have": str(folder), "variable": "NOT_SET"}
    return {
        "seed": 3, "rate_hz": RATE_HZ, "level_dbfs": -26, "voices": [], "real_tests": real,
        "testsets": {
            "real_se": {
                "task": "enhancement", "split": "recorded", "size": 6, "prompt": False, "snr_steps_db": [0, 10],
                "degradation": {"reverb": {"probability": 1}},
            }
        },
    }  # fmt: skip


def test_a_recorded_test_set_has_every_utterance_at_every_snr(tests_of_recordings, tmp_path):
    out = tmp_path / "out"
    recorded_test.build(tests_of_recordings, out)
    rows = pandas.read_csv(testset.build(tests_of_recordings, "real_se", out))
    assert rows.groupby("text")["snr_db"].apply(sorted).tolist() == 3 * [[0.0, 10.0]]
    assert set(rows["text"]) == {"hello there", "it's cold", "good bye then"} and set(rows["noise_kind"]) == {
        "recorded"
    }
    source, _ = audio.read(out / "testsets" / rows["source"].iat[0])
    assert np.isfinite(source).all() and set(rows["rir"]) == {"hall"}


def test_a_measured_room_begins_at_its_direct_path_and_keeps_its_decay(tests_of_recordings, tmp_path):
    recorded_test.build(tests_of_recordings, tmp_path / "out")
    row = pandas.read_csv(tmp_path / "out/rir_recorded.csv").iloc[0]
    wave, _ = audio.read(tmp_path / "out" / row["path"])
    assert np.argmax(np.abs(wave)) == 0 and row["rt60_s"] == pytest.approx(0.5, abs=0.1)


def test_a_recording_without_words_is_named(tests_of_recordings, tmp_path):
    (tmp_path / "theirs/manifest.csv").unlink()
    with pytest.raises(UserError, match=r"2-1\.flac has no words"):
        recorded_test.build(tests_of_recordings, tmp_path / "out")


def test_the_command_makes_the_recorded_tests_where_they_are_and_says_where_not(tmp_path, monkeypatch, capsys):
    """The rule `recorded_tests` gives the command no real voices, only `real_tests`."""
    from speechbase.corpus import corpus, recorded_test

    config = {"seed": 1, "rate_hz": 16000, "level_dbfs": -26, "text": {}, "speech": {}, "voices": []}
    config["real_tests"] = {"list": "real_se.csv", "variable": "SPEECHOP_NOWHERE"}
    monkeypatch.delenv("SPEECHOP_NOWHERE", raising=False)
    corpus.recorded(json.dumps(config), tmp_path, ["test"], 1)
    assert "SPEECHOP_NOWHERE" in capsys.readouterr().out
    monkeypatch.setattr(recorded_test, "build", lambda settings, out: out / settings["real_tests"]["list"])
    corpus.recorded(json.dumps(config), tmp_path, ["test"], 1)
    assert "real_se.csv" in capsys.readouterr().out
