import numpy as np
import pandas
import pytest

from speechbase import audio
from speechbase.corpus import packed, shards, speech
from speechbase.files import UserError

RATE_HZ = 16_000


@pytest.fixture
def data(tmp_path):
    """Twenty synthetic and ten recorded utterances for training, three for validation, two noises and a room."""
    folder = tmp_path / "data"
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("valid", 3)):
        rows = []
        for number in range(count):
            wave = (0.1 * np.sin(np.arange(RATE_HZ) / 20) * rng.uniform(0.5, 1, RATE_HZ)).astype(np.float32)
            path = f"audio/{split}/{number}.flac"
            audio.write(folder / "speech" / path, wave, RATE_HZ)
            base = speech.RECORDED if number >= 20 else "heart"
            row = dict.fromkeys(speech.COLUMNS, "") | {"id": f"{split}-{number:02d}", "speaker": f"s{number % 5}"}
            rows.append(row | {"base": base, "text": "yes", "path": path, "rate_hz": RATE_HZ, "seconds": 1.0})
        speech.write_table(folder / "speech" / f"{split}.csv", rows, speech.COLUMNS)
    for name, suffix in (("noise", "flac"), ("rir", "wav")):
        rows = []
        for number, split in enumerate(("train", "valid", "test")):
            path = f"{name}/{number}.{suffix}"
            audio.write(folder / path, rng.uniform(-0.3, 0.3, RATE_HZ).astype(np.float32), RATE_HZ)
            rows.append({"id": f"{name}-{number}", "split": split, "path": path})
        speech.write_table(folder / f"{name}.csv", rows, ["id", "split", "path"])
    return folder


def test_a_packed_copy_is_read_as_the_whole_is(data, tmp_path):
    out = tmp_path / "packed"
    made = packed.pack(data, out, mib=10, recorded=0.5, seed=1, rate_hz=RATE_HZ)
    assert made["train"] == pytest.approx(30 / 3600) and made["valid"] == pytest.approx(3 / 3600)
    whole, copy = (shards.open_speech(folder, "train", RATE_HZ) for folder in (data, out))
    assert sorted(copy.rows["id"]) == sorted(whole.rows["id"])
    for place, name in enumerate(copy.rows["id"]):
        wave, heard = whole.wave(list(whole.rows["id"]).index(name)), copy.wave(place)
        assert len(wave) == len(heard) and np.corrcoef(wave, heard)[0, 1] > 0.95
    rng = np.random.default_rng(0)
    assert np.mean([copy.is_recorded(copy.draw(rng, 0.4)) for _ in range(500)]) == pytest.approx(0.4, abs=0.08)
    for name in ("noise", "rir"):
        rows = pandas.read_csv(out / f"{name}.csv")
        assert set(rows["split"]) == {"train", "valid"}
        assert all(len(audio.read(out / path)[0]) == RATE_HZ for path in rows["path"])


def test_the_size_is_kept_and_real_voices_come_first_as_often_as_asked(data, tmp_path):
    kib = 12
    made = packed.pack(data, tmp_path / "packed", mib=kib / 1024, recorded=0.9, seed=1, rate_hz=RATE_HZ)
    table = shards.open_speech(tmp_path / "packed", "train", RATE_HZ)
    assert 0 < len(table) < 30 and table.rows["size"].sum() <= kib * 1024 and made["train"] * 3600 == len(table)
    assert np.mean([table.is_recorded(place) for place in range(len(table))]) > 0.5


def test_packing_again_gives_the_same_choice_and_never_empties_another_folder(data, tmp_path):
    texts = []
    for _ in range(2):
        packed.pack(data, tmp_path / "packed", 0.012, 0.3, 1, RATE_HZ)
        texts.append((tmp_path / "packed/shards/train/index/000000.csv").read_text())
    assert texts[0] == texts[1]
    with pytest.raises(UserError, match="something else"):
        packed.pack(data, data, 1, 0.3, 1, RATE_HZ)
