"""Shards: the same audio through the table's interface, whole or resumed; every utterance once an epoch; lhotse reads
them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from speechbase import audio
from speechbase.corpus.shards import ShardTable
from speechbase.corpus.speech import COLUMNS
from speechbase.files import UserError
from speechbase.recorded import shards

COUNT, SIZE = 30, 4


@pytest.fixture
def table(tmp_path, make_noise):
    """A speech table of 30 utterances by three speakers, at two rates."""
    rows = []
    for number in range(COUNT):
        rate_hz = (16000, 24000)[number % 2]
        path = tmp_path / "audio" / f"u{number:02d}.flac"
        audio.write(path, make_noise(0.2 + 0.01 * number, rate_hz, number), rate_hz)
        row = {
            "id": f"u{number:02d}",
            "speaker": f"{number % 3}",
            "text": f"text {number}",
            "path": f"audio/u{number:02d}.flac",
        }
        rows.append(row | {"rate_hz": rate_hz, "seconds": round(0.2 + 0.01 * number, 3)})
    pd.DataFrame(rows).reindex(columns=COLUMNS).to_csv(tmp_path / "tts.csv", index=False)
    return tmp_path / "tts.csv"


def test_shards_give_the_tables_audio_back(table, tmp_path):
    out = tmp_path / "shards"
    for part in range(3):
        shards.write(table, out, part, 3, SIZE)
    found = ShardTable.open(out, 16000)
    assert len(found) == COUNT and set(found.rows["id"]) == {f"u{n:02d}" for n in range(COUNT)}
    for place, identity in enumerate(found.rows["id"]):
        original, rate_hz = audio.read(tmp_path / "audio" / f"{identity}.flac")
        np.testing.assert_allclose(found.wave(place), audio.resample(original, rate_hz, 16000), atol=2e-5)
    rng = np.random.default_rng(0)
    assert found.rows["speaker"].iat[found.other_of_speaker(3, rng)] == found.rows["speaker"].iat[3]
    assert found.rows["speaker"].iat[found.other_speaker(3, rng)] != found.rows["speaker"].iat[3]
    assert found.wave_int16(0).dtype == np.int16


def test_shards_of_several_languages_say_which_and_the_sex(table, tmp_path):
    rows = pd.read_csv(table).assign(language="it", sex="f")
    rows.to_csv(tmp_path / "languages_train.csv", index=False)
    shards.write(tmp_path / "languages_train.csv", tmp_path / "shards", size=SIZE)
    found = ShardTable.open(tmp_path / "shards", 16000).rows
    assert set(found["language"]) == {"it"} and set(found["sex"]) == {"f"}


def test_an_interrupted_writer_keeps_what_is_finished(table, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    total = shards.write(table, tmp_path / "whole", size=SIZE)
    real, calls = shards._write_shard, itertools.count()

    def failing(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(shards, "_write_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        shards.write(table, out, size=SIZE)
    before = {path: path.stat().st_mtime_ns for path in out.glob("shar/*.tar")}
    assert len(before) == 2
    assert shards.write(table, out, size=SIZE) == total - 2
    assert {path: path.stat().st_mtime_ns for path in before} == before and not list(out.glob(".part-*"))
    for path in (tmp_path / "whole" / "index").glob("*.csv"):
        assert path.read_bytes() == (out / "index" / path.name).read_bytes()


def test_lhotse_reads_the_shards(table, tmp_path):
    from lhotse import CutSet

    shards.write(table, tmp_path / "shards", size=SIZE)
    cuts = {cut.id: cut for cut in CutSet.from_shar(in_dir=str(tmp_path / "shards" / "shar"))}
    assert len(cuts) == COUNT and cuts["u03"].supervisions[0].text == "text 3"
    wave, _ = audio.read(tmp_path / "audio" / "u03.flac")
    np.testing.assert_allclose(cuts["u03"].load_audio()[0], wave, atol=2e-5)


def test_latents_are_encoded_beside_the_audio_and_resumed(table, tmp_path):
    out, calls = tmp_path / "shards", []
    shards.write(table, out, size=SIZE)

    def codec(wave):
        calls.append(len(wave))
        return np.stack([wave[::400], wave[::400] * 2], 1)

    with pytest.raises(UserError, match="holds no latents"):
        ShardTable.open(out, 16000).latent(0)
    for part in (0, 1):
        shards.encode(out, codec, 16000, part, 2)
    assert len(calls) == COUNT and shards.encode(out, codec, 16000) == 0
    found = ShardTable.open(out, 16000)
    np.testing.assert_allclose(found.latent(7), codec(found.wave(7)).astype(np.float16))


def test_torn_shards_and_missing_audio_are_named(table, tmp_path):
    with pytest.raises(UserError, match="holds no shards"):
        ShardTable.open(tmp_path, 16000)
    shards.write(table, tmp_path / "shards", size=SIZE)
    tar = sorted((tmp_path / "shards" / "shar").glob("recording.*.tar"))[0]
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(UserError, match="shorter than its index"):
        ShardTable.open(tmp_path / "shards", 16000)
    (tmp_path / "audio" / "u05.flac").unlink()
    with pytest.raises(UserError, match=r"u05\.flac is missing"):
        shards.write(table, tmp_path / "again", size=SIZE)
    with pytest.raises(SystemExit):
        shards.main(["write", "--table", str(table), "--out", str(tmp_path / "x"), "--part", "3/3"])


def test_the_command_leaves_its_mark(table, tmp_path):
    done = tmp_path / "s" / ".written" / "0.done"
    assert (
        shards.main(
            ["write", "--table", str(table), "--out", str(tmp_path / "s"), "--part", "0/1", "--done", str(done)]
        )
        == 0
    )
    assert done.is_file() and shards.shard_count(2001) == 3 and shards.shard_count(0) == 1
