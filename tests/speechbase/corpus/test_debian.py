"""Recorded speech of Debian packages: read from stand-ins in the packages' layout, checked, and made to test sets."""

import gzip
import hashlib
import io
import subprocess

import numpy as np
import pandas
import pytest
import soundfile

from speechbase import audio
from speechbase.corpus import build_speech, debian, noise, rooms, testset
from speechbase.files import UserError

RATE_HZ = 16_000


def tone(seconds: float, hz: float, rate_hz: int) -> np.ndarray:
    """A tone that comes and goes, float32 [n]."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * at) * np.sin(3 * at) ** 2).astype(np.float32)


def coded(wave: np.ndarray, rate_hz: int, form: str) -> bytes:
    """A file's bytes in a format that libsndfile writes."""
    out = io.BytesIO()
    soundfile.write(out, wave, rate_hz, format=form)
    return out.getvalue()


def g722(wave: np.ndarray) -> bytes:
    """A stream of G.722, by ffmpeg's encoder."""
    av = pytest.importorskip("av")
    out = io.BytesIO()
    with av.open(out, "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()


def member(name: str, start: int, size: int) -> bytes:
    """An entry of the game's archive."""
    return name.encode().ljust(12, b"\0") + b"\1" + start.to_bytes(4, "big") + size.to_bytes(4, "big")


def dialogue(key: int, lines: dict[str, list[tuple[int, str]]]) -> bytes:
    """A dialogue file of one level, with lines (number, text) of the roles J and P."""
    content = bytearray(32 + 96)
    for role, count_at in (("J", 6), ("P", 8)):
        if role == "P":
            content[22:24] = len(content).to_bytes(2, "big")
        content[count_at : count_at + 2] = len(lines[role]).to_bytes(2, "big")
        for number, text in lines[role]:
            content += b"\0\0" + number.to_bytes(2, "big") + bytes([len(text)]) + text.encode()
            content += b"\0" * (-len(content) % 4)
    content[0:2], content[4:6] = (-1).to_bytes(2, "big", signed=True), key.to_bytes(2, "big")
    return bytes(20) + bytes(content)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The three packages' layout with a few tones, and a list of what is used of them."""
    root = tmp_path / "recordings"
    share = root / "usr/share"
    for language, folder, hz in (("en", "en_US_f_Allison", 200), ("it", "it_IT_m_Carlo", 130)):
        sounds = share / f"asterisk/sounds/{folder}"
        (sounds / "digits").mkdir(parents=True)
        (sounds / "hello.g722").write_bytes(g722(tone(1.5, hz, RATE_HZ)))
        (sounds / "digits/one.g722").write_bytes(g722(tone(1.0, hz, RATE_HZ)))
        listed = share / f"doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        listed.parent.mkdir(parents=True)
        listed.write_bytes(gzip.compress(b"; a comment\n\nhello: Hello, it's me.\ndigits/one: One\ngone: not there\n"))
    stamps = share / "tuxpaint/stamps/animals"
    stamps.mkdir(parents=True)
    (stamps / "owl.txt").write_text("An owl.\nfr.utf8=Un hibou.\nde.utf8=Eine Eule.\n")
    (stamps / "owl_desc.ogg").write_bytes(coded(tone(0.9, 250, 22_050), 22_050, "OGG"))
    (stamps / "owl_desc_fr.ogg").write_bytes(coded(tone(0.9, 220, 44_100), 44_100, "OGG"))
    game = share / "scummvm/flight-of-the-amazon-queen"
    game.mkdir(parents=True)
    voice = coded(tone(1.2, 150, 11_025), 11_025, "MP3")
    talk = dialogue(7, {"J": [(10, "Hi there.*XY00(237,112)Who are you?")], "P": [(0x2B, "Guess."), (12, "")]})
    parts = {"07000AJ1.SB": voice, "07000AJ2.SB": voice, "07002BP1.SB": voice, "BOB12.DOG": talk}
    at, head, body = 15 + 21 * len(parts), b"", b""
    for name, data in parts.items():
        head += member(name, at + len(body), len(data))
        body += data
    archive = b"QTBLCEM10\0\0\0\0" + len(parts).to_bytes(2, "big") + head + body
    (game / "queen.1c").write_bytes(archive)
    rows = [
        {"table": table, "id": clip.id, "sha256": hashlib.sha256(clip.read()).hexdigest()}
        for table, source in debian.SOURCES.items() for clip in source.clips(root)
    ]  # fmt: skip
    (tmp_path / "lists").mkdir()
    pandas.DataFrame(rows).to_csv(tmp_path / "lists/some.csv", index=False)
    monkeypatch.setattr(debian, "files", lambda package: tmp_path)
    return {
        "seed": 3, "rate_hz": RATE_HZ, "level_dbfs": -26, "voices": [],
        "text": {"source": "matrix", "valid_share": 0.1, "test_share": 0.1},
        "debian": {"list": "some.csv", "have": str(root), "variable": "NOT_SET"},
        "noise": {"clip_seconds": 1, "clips": {"test": 1}, "kinds": {"hum": 1}},
        "rir": {"count": {"test": 1}, "rt60_s": [0.15, 0.3]},
        "testsets": {
            "asr": {"task": "asr", "split": "debian_prompts", "languages": ["en"], "size": 2},
            "lid": {"task": "lid", "split": "debian_prompts", "languages": ["en", "it"], "size": 4},
            "gid": {"task": "gid", "split": "debian_prompts", "size": 4},
            "foreign": {"task": "lid", "split": "debian_words", "languages": ["fr"], "size": 1, "foreign": True},
            "none": {"task": "lid", "split": "debian_words", "languages": ["pt"], "size": 1},
        },
    }  # fmt: skip


def test_every_package_is_read_with_its_words_languages_and_speakers(packages, tmp_path):
    tables = {name: pandas.read_csv(debian.build(packages, name, tmp_path / "out")) for name in debian.SOURCES}
    assert list(tables["prompts"]["id"]) == ["en-digits-one", "en-hello", "it-digits-one", "it-hello"]
    assert list(tables["prompts"]["language"]) == 2 * ["en"] + 2 * ["it"]
    assert list(tables["prompts"]["sex"]) == 2 * ["f"] + 2 * ["m"]
    assert list(tables["prompts"]["text"])[:2] == ["one", "hello it's me"]
    assert dict(zip(tables["words"]["language"], tables["words"]["text"])) == {"en": "an owl", "fr": "Un hibou."}
    assert dict(zip(tables["games"]["speaker"], tables["games"]["text"])) == {
        "queen-joe": "who are you", "queen-bob": "guess",
    }  # fmt: skip
    assert list(tables["games"]["id"]) == ["queen-07000AJ1", "queen-07000AJ2", "queen-07002BP1"]
    for name, seconds in (("prompts", [1.0, 1.5, 1.0, 1.5]), ("words", [0.9, 0.9]), ("games", [1.2, 1.2, 1.2])):
        rows = tables[name]
        np.testing.assert_allclose(rows["seconds"], seconds, atol=0.15)
        for path in rows["path"]:
            wave, rate_hz = audio.read(tmp_path / "out/speech" / path)
            assert rate_hz == RATE_HZ and 0.05 < np.abs(wave).max() < 1


def test_g722_keeps_the_tone(packages):
    clip = next(clip for clip in debian.prompts(_root(packages)) if clip.id == "en-hello")
    wave, rate_hz = debian.decoded(clip.read(), clip.form)
    original = tone(1.5, 200, RATE_HZ)
    count = min(len(wave), len(original)) - 40
    best = max(np.corrcoef(wave[lag : lag + count], original[:count])[0, 1] for lag in range(40))
    assert rate_hz == RATE_HZ and best > 0.98


def _root(config: dict):
    from pathlib import Path

    return Path(config["debian"]["have"])


def test_test_sets_take_languages_and_what_no_model_knows_is_unknown(packages, tmp_path):
    out = tmp_path / "out"
    for name in ("prompts", "words"):
        debian.build(packages, name, out)
    noise.build(packages, out, 1, "test")
    rooms.build(packages, out, 1, "test")
    made = {name: pandas.read_csv(testset.build(packages, name, out)) for name in ("asr", "lid", "gid", "foreign")}
    assert set(made["asr"]["text"]) == {"one", "hello it's me"}
    assert sorted(made["lid"]["label"]) == ["en", "en", "it", "it"]
    assert sorted(made["gid"]["label"]) == ["f", "f", "m", "m"]
    assert list(made["foreign"]["label"]) == ["unknown"]
    with pytest.raises(UserError, match="has no utterance of pt"):
        testset.build(packages, "none", out)
    assert not testset.lacks_recordings(packages["testsets"]["asr"], out)
    assert testset.lacks_recordings({"split": "debian_games"}, out)


def test_missing_and_other_clips_are_refused_and_no_folder_makes_nothing(packages, tmp_path):
    path = _root(packages) / "usr/share/asterisk/sounds/en_US_f_Allison/hello.g722"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"en-hello is not the clip that the list names"):
        debian.build(packages, "prompts", tmp_path / "out")
    path.unlink()
    with pytest.raises(UserError, match=r"lacks 1 of the 4 listed clips, such as en-hello: unpack asterisk"):
        debian.build(packages, "prompts", tmp_path / "out")
    (_root(packages) / "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c").write_bytes(b"another file")
    with pytest.raises(UserError, match="no archive of Flight"):
        debian.build(packages, "games", tmp_path / "out")
    with pytest.raises(UserError, match=r"no table 'promts' \(did you mean 'prompts'"):
        debian.build(packages, "promts", tmp_path / "out")
    packages["debian"]["have"] = None
    assert debian.build(packages, "prompts", tmp_path / "out") is None
    assert not (tmp_path / "out/speech/debian_prompts.csv").exists()


def test_the_list_names_known_tables_and_each_clip_once():
    from importlib.resources import files

    listed = pandas.read_csv(files("speechbase.corpus") / "lists" / "debian.csv")
    assert set(listed["table"]) == set(debian.SOURCES) and not listed.duplicated(["table", "id"]).any()
    assert listed["sha256"].str.fullmatch("[0-9a-f]{64}").all()


def test_packages_are_fetched_by_apt_and_unpacked_once(tmp_path, monkeypatch):
    """A stand-in's apt-get leaves a file, and dpkg-deb unpacks it."""
    said = []

    def run(command, cwd, **_):
        said.append(command)
        if command[0] == "apt-get":
            (cwd / f"{command[-1]}_1_all.deb").write_text("")
        failed = command[0] == "dpkg-deb" and "tuxpaint" in command[2] and len(said) > 30
        return subprocess.CompletedProcess(command, int(failed), "", "a line\nthe archive is broken\n")

    monkeypatch.setattr(debian.subprocess, "run", run)
    monkeypatch.setattr(debian.shutil, "which", lambda name: f"/usr/bin/{name}")
    debian.fetch(tmp_path / "there")
    packages = sum(len(source.packages) for source in debian.SOURCES.values())
    assert [command[0] for command in said].count("apt-get") == packages == len(said) / 2
    with pytest.raises(UserError, match=r"dpkg-deb -x .* failed: the archive is broken"):
        debian.fetch(tmp_path / "there")
    assert [command[0] for command in said].count("apt-get") == packages  # what lies there is not fetched again
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="is not on this machine"):
        debian.fetch(tmp_path / "there")


def test_a_click_beside_quiet_speech_does_not_clip():
    wave = tone(1.0, 200, RATE_HZ) * 0.02
    wave[8000] = 0.9
    assert np.abs(build_speech.levelled(wave, RATE_HZ, -26)).max() == pytest.approx(0.99, abs=0.01)
