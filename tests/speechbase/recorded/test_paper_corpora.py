"""The table of corpora, unpacking, locations, fingerprints, and the speech tables made of miniature corpora."""

import csv
import io
import tarfile
import zipfile

import pandas as pd
import pytest

from speechbase.files import UserError, read_json, write_json
from speechbase.recorded import corpora, fingerprint, sources, speech_tables, unpack
from speechbase.recorded.corpora import Location, check_licence, locate, read_corpora
from workflow.cluster import plan

RECORDED = {
    "folder": "corpora",
    "speech": {"train": {"libritts_r": ["train-clean-100"]}, "valid": {"libritts_r": ["dev-clean"]}},
    "held_out": {"librispeech": ["test-clean"]},
    "noise": ["dns5_noise"],
    "rir": ["mit_ir"],
    "testsets": {"edit": {"from": "realedit"}, "sep": {"from": "libri2mix", "noisy": True}},
}


def test_the_table_of_corpora_is_whole():
    found = read_corpora()
    assert {
        "libritts",
        "libritts_r",
        "mls_english",
        "librispeech",
        "realedit",
        "daps",
        "libri2mix",
        "wham_noise",
    } <= set(found)
    assert {"whamr", "wsj0_2mix", "dns5_noise", "sfs_static", "mit_ir", "echothief", "openslr28"} <= set(found)
    bound = {name for name, rows in found.items() if rows[0].needs_licence}
    assert bound == {"whamr", "wsj0_2mix"} == set(corpora.REMEDIES)
    assert len(found["dns5_noise"]) == 9
    files = [(row.name, row.file) for rows in found.values() for row in rows]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("bytes", "1.5 GB", "not a whole number"),
        ("checksum", "sha256:12", "checksum must be"),
        ("needs_licence", "maybe", "yes or no"),
        ("url", "", "needs an address"),
        ("licence", "", "must not be empty"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, column, value, message):
    with open(corpora.TABLE, newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["name"] == "mit_ir"]
    rows[0][column] = value
    table = tmp_path / "corpora.tsv"
    pd.DataFrame(rows).to_csv(table, sep="\t", index=False)
    with pytest.raises(UserError, match=f"mit_ir all.*{message}|{message}"):
        read_corpora(table)


def test_corpora_are_found_unpacked_or_in_the_users_folder(tmp_path):
    with pytest.raises(UserError, match="run the rule"):
        locate("mit_ir", tmp_path, {})
    (tmp_path / "mit_ir" / "Audio" / "x").mkdir(parents=True)
    write_json(tmp_path / "mit_ir.json", {"folders": ["mit_ir/Audio"]})
    assert locate("mit_ir", tmp_path, {}).find("Audio/x") == tmp_path / "mit_ir" / "Audio" / "x"
    own = locate("mit_ir", tmp_path, {"have": {"mit_ir": str(tmp_path / "mit_ir")}})
    assert own.find("Audio") == tmp_path / "mit_ir" / "Audio"
    with pytest.raises(UserError, match="unpack it again"):
        own.find("Audio/y")
    with pytest.raises(UserError, match="not a folder"):
        locate("mit_ir", tmp_path, {"have": {"mit_ir": str(tmp_path / "gone")}})
    with pytest.raises(UserError, match="LDC93S6A"):
        check_licence(read_corpora()["whamr"], {})


def test_the_plan_names_what_a_configuration_needs():
    assert plan.corpora_used(RECORDED) == [
        "dns5_noise", "libri2mix", "librispeech", "libritts", "libritts_r", "mit_ir", "realedit", "wham_noise",
    ]  # fmt: skip
    assert [a.part for a in plan.archives_needed("libritts_r", RECORDED)] == ["dev_clean", "failed", "train_clean_100"]
    assert [a.part for a in plan.archives_needed("libritts", RECORDED)] == ["dev-clean", "dev-other"]
    assert plan.parts_of(RECORDED, "train") == [("libritts_r", "train-clean-100"), ("librispeech", "test-clean")]
    with pytest.raises(UserError, match="bound by a licence"):
        plan.archives_needed("wsj0_2mix", RECORDED)


def write_tar(path, members: dict[str, bytes]):
    with tarfile.open(path, "w:gz") as stream:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            stream.addfile(member, io.BytesIO(content))


def test_archives_are_unpacked_whole_once_and_again_after_damage(tmp_path):
    archive = tmp_path / "a.tar.gz"
    write_tar(archive, {"set/1.txt": b"one", "set/2.txt": b"two"})
    folder = tmp_path / "out" / "a"
    (tmp_path / "out" / "a.part").mkdir(parents=True)
    (tmp_path / "out" / "a.part" / "torn").write_text("of a killed run")
    unpack.unpack(archive, folder)
    assert (
        sorted(p.name for p in folder.rglob("*.txt")) == ["1.txt", "2.txt"]
        and not (tmp_path / "out" / "a.part").exists()
    )
    (folder / "set" / "1.txt").write_text("kept")
    unpack.unpack(archive, folder)
    assert (folder / "set" / "1.txt").read_text() == "kept"
    (folder / "set" / "2.txt").unlink()
    unpack.unpack(archive, folder)
    assert (folder / "set" / "1.txt").read_text() == "one" and (folder / "set" / "2.txt").exists()


def test_broken_and_hostile_archives_are_refused(tmp_path):
    broken = tmp_path / "b.tar.gz"
    write_tar(broken, {"x": bytes(100_000)})
    broken.write_bytes(broken.read_bytes()[:80])
    for archive in (broken, tmp_path / "c.tar.gz", tmp_path / "d.zip", tmp_path / "e.tar.gz"):
        if archive.name == "c.tar.gz":
            archive.write_bytes(b"<html>")
        if archive.name == "d.zip":
            with zipfile.ZipFile(archive, "w") as stream:
                stream.writestr("../outside.txt", "x")
        if archive.name == "e.tar.gz":
            write_tar(archive, {"../outside.txt": b"x"})
        with pytest.raises(UserError, match="is broken"):
            unpack.unpack(archive, tmp_path / "out" / archive.name[0])
        assert not (tmp_path / "out" / archive.name[0]).exists()
    assert not (tmp_path / "outside.txt").exists()


def test_the_command_unpacks_all_parts_and_says_where(tmp_path, librispeech):
    for part in ("one", "two"):
        write_tar(tmp_path / f"{part}.tar.gz", {f"S/{part}/x.txt": b"x"})
    (tmp_path / "list.csv").write_text("a,b\n")
    unpack.main(
        [
            "tiny",
            *(str(tmp_path / f) for f in ("one.tar.gz", "two.tar.gz", "list.csv")),
            "--folder",
            str(tmp_path / "c"),
        ]
    )
    folders = tuple(tmp_path / "c" / f for f in read_json(tmp_path / "c" / "tiny.json")["folders"])
    location = Location("tiny", folders)
    assert location.find("S/two/x.txt").is_file() and location.find("list.csv").is_file()


def test_fingerprints_agree_differ_or_are_unknown(tmp_path):
    found = fingerprint.fingerprint([("b", 2), ("a", 10)])
    assert found["items"] == 2 and found["samples"] == 12
    assert found == fingerprint.fingerprint([("a", 10), ("b", 2)]) != fingerprint.fingerprint([("a", 2), ("b", 10)])
    assert "no published fingerprint" in fingerprint.check("nothing", found, tmp_path / "f.json")
    with pytest.raises(UserError, match="items 2 where 271 is published"):
        fingerprint.check("mit_ir", found)
    known = fingerprint.published("librispeech_test-clean_4_10s")
    assert known["items"] == 1237 and round(known["samples"] / 16000 / 3600, 4) == 2.1966


def test_librispeech_is_read_in_its_layout(librispeech):
    found = list(sources.librispeech(librispeech, "test-clean"))
    assert [u.id for u in found] == [f"{s}-7-{n:04d}" for s in ("121", "61") for n in range(3)]
    assert (found[0].sex, found[3].sex, found[3].text) == ("f", "m", "he said word0")
    assert [u.seconds for u in found[:3]] == [3.5, 5.0, 12.0]
    (librispeech.find("LibriSpeech/test-clean") / "61" / "7" / "61-7-0001.flac").unlink()
    with pytest.raises(UserError, match=r"61-7-0001\.flac is missing"):
        list(sources.librispeech(librispeech, "test-clean"))


def test_libritts_and_its_restoration_are_read_in_their_layout(make_libritts, tmp_path):
    location = make_libritts({"dev-clean": ["84"]})
    found = list(sources.libritts(location, "dev-clean"))
    assert [u.text for u in found] == ["normal text, no. 0", "normal text, no. 1"] and found[0].sex == "f"
    restored = make_libritts({"train-clean-100": ["19"]}, "LibriTTS_R")
    assert [u.rate_hz for u in sources.libritts_r(restored, "train-clean-100")] == [24000, 24000]
    folder = tmp_path / "libritts_r_failed_speech_restoration_examples"
    folder.mkdir()
    (folder / "train-clean-100_bad_sample_list.txt").write_text("./train-clean-100/19/9/19_9_000001_000001.wav\n")
    assert sources.failed_restorations(restored, "train-clean-100") == {"19_9_000001_000001"}


def test_mls_takes_lengths_from_its_segments(tmp_path):
    folder = tmp_path / "mls_english" / "train"
    folder.mkdir(parents=True)
    (tmp_path / "mls_english" / "metainfo.txt").write_text(" SPEAKER | GENDER | PARTITION\n 61 | M | train\n")
    (folder / "transcripts.txt").write_text("61_5_000000\tSome Words\n9_5_000001\tother words\n")
    (folder / "segments.txt").write_text("61_5_000000\thttp://a.mp3\t10.0\t25.5\n9_5_000001\thttp://a.mp3\t1\t2\n")
    found = list(sources.mls(Location("mls_english", (tmp_path,)), "train"))
    assert (found[0].seconds, found[0].sex, found[0].text, found[0].book) == (15.5, "m", "some words", "5")
    assert found[0].path == folder / "audio" / "61" / "5" / "61_5_000000.flac"
    (folder / "segments.txt").write_text("9_5_000001\tu\t1\t2\n61_5_000000\tu\t1\t2\n")
    with pytest.raises(UserError, match="unpack again"):
        list(sources.mls(Location("mls_english", (tmp_path,)), "train"))


def test_training_leaves_out_what_tests_contain_and_says_so(librispeech, make_libritts, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "published", lambda name: None)
    train = make_libritts({"train-clean-100": ["19", "61"]})
    parts = []
    for location, part in ((librispeech, "test-clean"), (train, "train-clean-100")):
        parts.append(tmp_path / "recorded" / location.name / f"{part}.csv")
        assert "no published" in speech_tables.write_part(location, part, parts[-1])
    table = pd.read_csv(parts[1], keep_default_na=False)
    assert list(table["split"].unique()) == ["train"] and (parts[1].parent / table["path"][0]).resolve().is_file()
    held_out = speech_tables.speakers_of(parts[:1])
    assert held_out == {"61", "121"}
    out = tmp_path / "speech" / "tts.csv"
    kept = speech_tables.write_training(parts[1:], out, held_out=held_out, seconds={"libritts": (0, 10)})
    assert kept == {"libritts": {"utterances": 1, "hours": 0.0}}
    assert list(pd.read_csv(out)["id"]) == ["19_9_000001_000000"]
    excluded = pd.read_csv(tmp_path / "speech" / "tts.excluded.csv", keep_default_na=False, dtype=str)
    assert list(excluded["reason"]) == ["length", "reader of a test set"] and list(excluded["speaker"]) == ["", "61"]
    with pytest.raises(UserError, match="would be empty"):
        speech_tables.write_training(parts[:1], out, held_out=held_out)


@pytest.fixture
def mls(tmp_path):
    """Write a language of MLS: utterances of 15 s by one speaker. Returns its location."""

    def make(language: str, count: int, part: str = "train") -> Location:
        name = f"mls_{language}"
        folder = tmp_path / name / part
        folder.mkdir(parents=True)
        (tmp_path / name / "metainfo.txt").write_text(" SPEAKER | GENDER | PARTITION\n 7 | F | train\n")
        names = [f"7_5_{number:06d}" for number in range(count)]
        (folder / "transcripts.txt").write_text("".join(f"{name}\twords\n" for name in names))
        (folder / "segments.txt").write_text("".join(f"{name}\tu\t0\t15\n" for name in names))
        return Location(name, (tmp_path,))

    return make


def test_languages_are_named_and_each_has_its_share(mls, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "published", lambda name: None)
    parts = []
    for language, count in (("english", 400), ("polish", 40)):
        parts.append(tmp_path / "recorded" / f"mls_{language}" / "train.csv")
        speech_tables.write_part(mls(language, count), "train", parts[-1])
    out = tmp_path / "speech" / "languages_train.csv"
    kept = speech_tables.write_training(parts, out, held_out=set(), shares={"mls_english": 0.1}, languages=True)
    assert kept["mls_polish"]["utterances"] == 40 and 20 < kept["mls_english"]["utterances"] < 60
    rows = pd.read_csv(out)
    assert set(rows["language"]) == {"en", "pl"} and set(rows["sex"]) == {"f"}
    again = speech_tables.write_training(parts, out, held_out=set(), shares={"mls_english": 0.1}, languages=True)
    assert again == kept and list(pd.read_csv(out)["id"]) == list(rows["id"])
    left_out = pd.read_csv(tmp_path / "speech" / "languages_train.excluded.csv")
    assert list(left_out["reason"]) == ["share"]


def test_an_incomplete_corpus_differs_from_the_published_one(librispeech, tmp_path):
    with pytest.raises(UserError, match="items 6 where 2620 is published"):
        speech_tables.write_part(librispeech, "test-clean", tmp_path / "t.csv")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_and_leaves_nothing(tmp_path, kind):
    archive, zeros = tmp_path / f"bomb.{kind}", tmp_path / "zeros"
    with open(zeros, "wb") as stream:
        stream.truncate(50_000_000)
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
            stream.write(zeros, "zeros")
    else:
        with tarfile.open(archive, "w:gz") as stream:
            stream.add(zeros, "zeros")
    with pytest.raises(UserError, match="grows more than"):
        unpack.unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"bomb.{kind}", "zeros"]
