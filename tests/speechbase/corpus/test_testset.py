import json

import numpy as np
import pandas
import pytest

from speechbase import audio
from speechbase.corpus import build_speech, noise, rooms, testset
from speechbase.files import UserError, sha256

from .conftest import RATE_HZ


def rows_of(built, config, name):
    path = testset.build(config, name, built)
    return pandas.read_csv(path, keep_default_na=False), path.parent


@pytest.mark.parametrize("name", ["se", "sep", "edit"])
def test_the_same_configuration_gives_the_same_bytes(built, config, name):
    first = testset.build(config, name, built).read_bytes()
    (built / "testsets" / f"{name}.csv").unlink()
    assert testset.build(config, name, built).read_bytes() == first


def test_an_enhancement_item_is_what_its_row_says(built, config):
    rows, folder = rows_of(built, config, "se")
    assert list(rows.columns) == testset.COLUMNS and len(rows) == 4
    assert sorted(rows["speaker"]) == ["test-f", "test-f", "test-m", "test-m"]
    spoken = pandas.read_csv(built / "speech/test.csv").set_index("id")
    for row in rows.to_dict("records"):
        source, reference, prompt = (
            audio.read(folder / row[part], RATE_HZ)[0] for part in ("source", "reference", "prompt")
        )
        record = json.loads(row["degradation"])
        assert len(source) == len(reference) == pytest.approx(row["seconds"] * RATE_HZ, abs=1) and len(prompt) > 0
        assert row["text"] == " ".join(spoken["text"][record["utterances"]])
        assert record["prompt_utterance"] not in record["utterances"]
        assert set(spoken["speaker"][[*record["utterances"], record["prompt_utterance"]]]) == {row["speaker"]}
        assert -5 <= row["snr_db"] <= 10 and row["noise_kind"] in noise.KINDS
        assert row["sha256_source"] == sha256(folder / row["source"])
        if not row["rir"]:
            added = source - reference
            snr_db = 10 * np.log10(np.mean(reference**2) / np.mean(added**2))
            assert snr_db == pytest.approx(row["snr_db"], abs=0.1)


def test_a_mixture_is_target_plus_interferer_plus_noise(built, config):
    del config["testsets"]["sep"]["degradation"]
    rows, folder = rows_of(built, config, "sep")
    for row in rows.to_dict("records"):
        parts = [audio.read(folder / row[part], RATE_HZ)[0] for part in ("source", "reference", "interferer")]
        assert np.abs(parts[0] - parts[1] - parts[2]).max() < 1e-3
        level_db = 10 * np.log10(np.mean(parts[2] ** 2) / np.mean(parts[1] ** 2))
        record = json.loads(row["degradation"])
        assert level_db == pytest.approx(record["level_db"], abs=0.1)
        assert record["interferer_speaker"] != row["speaker"]


def test_a_noisy_mixture_still_holds_its_target(built, config):
    rows, folder = rows_of(built, config, "sep")
    for row in rows[rows["rir"] == ""].to_dict("records"):
        parts = [audio.read(folder / row[part], RATE_HZ)[0] for part in ("source", "reference", "interferer")]
        left = parts[0] - parts[1] - parts[2]
        snr_db = 10 * np.log10(np.mean((parts[1] + parts[2]) ** 2) / np.mean(left**2))
        assert snr_db == pytest.approx(row["snr_db"], abs=0.1)


def test_tts_and_edit_have_the_columns_that_they_need(built, config):
    rows, _ = rows_of(built, config, "tts")
    assert (rows["source"] == "").all() and (rows["prompt_text"] != rows["text"]).all() and (rows["snr_db"] == "").all()
    rows, _ = rows_of(built, config, "edit")
    assert (rows["orig_text"] != rows["text"]).all() and set(rows["edit_type"]) <= {
        "substitution",
        "insertion",
        "deletion",
    }
    assert (rows["sha256_source"] == rows["sha256_reference"]).all()


def test_matching_puts_reference_and_prompt_into_the_same_room(built, config):
    config["testsets"]["match"]["degradation"] = {"reverb": {"probability": 1}}
    rows, folder = rows_of(built, config, "match")
    assert (rows["rir"] == "test-room-000").all()
    for row in rows.to_dict("records"):
        source, reference = (audio.read(folder / row[part], RATE_HZ)[0] for part in ("source", "reference"))
        assert len(source) == len(reference) and np.abs(source - reference).max() > 1e-3


def test_rooms_may_be_limited_to_short_decays(built, config):
    config["testsets"]["se"]["degradation"] = {"reverb": {"probability": 1, "max_rt60_s": 0.01}}
    with pytest.raises(UserError, match="no impulse responses"):
        testset.build(config, "se", built)
    config["testsets"]["se"]["degradation"]["reverb"]["max_rt60_s"] = 2
    assert (rows_of(built, config, "se")[0]["rir"] == "test-room-000").all()


def test_a_set_may_do_without_prompts(built, config):
    config["testsets"]["se"]["prompt"] = False
    rows, _ = rows_of(built, config, "se")
    assert (rows["prompt"] == "").all() and (rows["source"] != "").all()


def test_a_set_of_further_speech_has_the_noises_and_rooms_of_its_split(built, config):
    config["speech"]["utterances"]["test_more"] = 8
    build_speech.build(config, "test_more", built / "speech")
    config["testsets"]["more"] = config["testsets"]["se"] | {"split": "test_more", "sentences": 1, "size": 8}
    rows, _ = rows_of(built, config, "more")
    spoken = pandas.read_csv(built / "speech/test_more.csv")
    assert sorted(rows["text"]) == sorted(spoken["text"])  # each sentence once
    assert set(rows["speaker"]) == {"test-f", "test-m"}
    assert all(name.startswith("test-") for name in rows["noise"])
    config["testsets"]["more"] |= {"task": "edit"}
    assert len(rows_of(built, config, "more")[0]) == 8


def test_bad_settings_are_plain_errors(built, config):
    with pytest.raises(UserError, match="has no 'opera'"):
        testset.build(config, "opera", built)
    config["testsets"]["se"]["task"] = "singing"
    with pytest.raises(UserError, match="singing"):
        testset.build(config, "se", built)
    config["testsets"]["tts"]["sentences"] = 6
    with pytest.raises(UserError, match=r"raise corpus\.speech\.utterances"):
        testset.build(config, "tts", built)
    config["noise"]["kinds"] = {"opera": 1}
    with pytest.raises(UserError, match="opera"):
        noise.plan(config)


def test_noise_splits_share_no_parameter_bin_and_no_clip():
    bins = [set(values) for values in noise.DIAL_BINS.values()]
    assert sum(map(len, bins)) == len(set.union(*bins)) == 10
    text = {"source": "matrix", "valid_share": 0.1, "test_share": 0.1}
    for kind in ("coloured", "speech_shaped", "modulated", "hum", "clicks", "music"):
        clips = [noise.make(kind, "train", seed, 0.5, RATE_HZ, text) for seed in (1, 1, 2)]
        assert np.array_equal(clips[0], clips[1]) and not np.array_equal(clips[0], clips[2])
        assert np.isfinite(clips[0]).all() and len(clips[0]) == RATE_HZ // 2 and np.abs(clips[0]).max() < 0.99


def test_babble_is_made_of_voices(tones):
    text = {"source": "matrix", "valid_share": 0.1, "test_share": 0.1}
    clip = noise.make("babble", "test", 3, 1.0, RATE_HZ, text)
    assert len(clip) == RATE_HZ and 20 * np.log10(clip.std()) == pytest.approx(-26, abs=0.5)


def test_a_room_starts_with_its_direct_path_and_decays_as_measured():
    response, rt60_s = rooms.simulate(3, (0.2, 0.4), 16000)
    assert response[0] == 1.0 == np.abs(response).max()
    assert 0.1 < rt60_s < 0.8 and 0.05 < len(response) / 16000 < 1.0
    again, _ = rooms.simulate(3, (0.2, 0.4), 16000)
    assert np.array_equal(response, again)


def test_an_edit_of_a_noisy_recording_keeps_its_noise_to_the_ends(built, config):
    """The recording to be edited is noisy, its spans and texts are those of a clean one."""
    config["testsets"]["edit"]["degradation"] = {"noise": {"probability": 1, "snr_db": [0, 5]}}
    rows, _ = rows_of(built, config, "edit")
    assert rows["snr_db"].between(0, 5).all() and (rows["orig_text"] != rows["text"]).all()
    assert (rows["sha256_source"] == rows["sha256_reference"]).all()


def test_items_of_one_length_stand_in_silence_before_the_noise(built, config):
    config["testsets"]["se"] |= {"sentences": 1, "seconds": 4.0}
    rows, folder = rows_of(built, config, "se")
    assert (rows["seconds"] == 4.0).all()
    for row in rows.to_dict("records"):
        clean, _ = audio.read(folder / row["reference"], RATE_HZ)
        spoken = np.flatnonzero(np.abs(clean) > 1e-3)
        assert 0.06 * len(row["text"]) / 0.8 * RATE_HZ >= spoken[-1] - spoken[0] > RATE_HZ
    config["testsets"]["se"]["seconds"] = 0.5
    with pytest.raises(UserError, match="longer than the test set"):
        testset.build(config, "se", built)
