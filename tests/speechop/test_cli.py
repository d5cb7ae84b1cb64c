"""The command line on a tiny random model: many inputs, every layout of audio, and what is refused before any work."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from speechbase import audio
from speechop import MARK, checks, cli, pipeline, recognisers, transcripts
from tests.speechop.test_recordings import RATE, noise, with_pauses
from workflow.plan.places import ROOT


class Heard:
    """A recogniser that hears the same in everything, and nothing where it is quiet."""

    def __init__(self, confidence: float = 0.9):
        self.confidence = confidence

    def transcribe(self, wave, rate_hz):
        if np.abs(wave).max() < 0.01:
            return {"text": "", "speech": False}
        words = [{"word": w, "start": 0.1, "end": 0.2, "confidence": self.confidence} for w in ("Ten", "boxes.")]
        return {"text": "Ten boxes.", "words": words, "speech": True}

    def align(self, wave, rate_hz, text):
        edges = np.linspace(0, len(wave) / rate_hz, len(text.split()) + 1)
        return [{"word": w, "start": a, "end": b} for w, a, b in zip(text.split(), edges, edges[1:], strict=False)]


class Entry:
    def __init__(self, name, made):
        self.name, self.made = name, made

    def load(self):
        return self.made


class Broken:
    def transcribe(self, wave, rate_hz):
        raise ZeroDivisionError("no luck")


@pytest.fixture
def run(models, tmp_path, monkeypatch):
    """Runs a command in a folder of its own: (exit status, all that was printed)."""
    monkeypatch.chdir(tmp_path)
    offered = [Entry("whisper_base", Heard), Entry("deaf", lambda: Heard(0.1)), Entry("broken", Broken)]
    monkeypatch.setattr(recognisers, "entry_points", lambda group: offered)
    monkeypatch.setattr(checks, "phones_of", lambda text, name: len(text))

    def command(*arguments, steps=3):
        quick = ["--steps", str(steps)] if steps else []
        done = CliRunner().invoke(cli.app, [*map(str, arguments), "--models", str(models), *quick])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.output + (done.stderr or "")

    return command


@pytest.fixture
def never(monkeypatch):
    """No model may be loaded: what is refused is refused before."""

    def refuse(*_, **__):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(pipeline.SpeechOp, "from_pretrained", refuse)


def put(path, seconds=0.5, rate=RATE, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, noise(seconds, rate, **more), rate)
    return path


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate,layout", [(8_000, 1), (44_100, 2), (192_000, 1), (11_025, 3)])
def test_rate_length_channels_and_loudness_come_back(run, tmp_path, rate, layout):
    wave = np.stack([noise(0.7, rate, seed=i) for i in range(layout)], 1)
    soundfile.write(tmp_path / "x.wav", wave, rate, subtype="FLOAT")
    code, said = run("enhance", "x.wav")
    assert code == 0, said
    out, out_rate = soundfile.read(tmp_path / "x.enhanced.wav", always_2d=True)
    assert (out.shape, out_rate) == (wave.shape, rate)
    with soundfile.SoundFile(tmp_path / "x.enhanced.wav") as stream:
        assert stream.comment == MARK
    for channel, shape in (("mean", 1), ("0", 1)):
        assert run("enhance", "x.wav", "--channel", channel, "-o", f"{channel}.wav")[0] == 0
        assert soundfile.info(tmp_path / f"{channel}.wav").channels == shape


def test_of_the_recording_stays_what_is_asked_for(run, tmp_path):
    put(tmp_path / "x.wav")
    kept = []
    for share in ("0", "0.4", "0.8"):
        assert run("enhance", "x.wav", "--observation", share, "-o", f"{share}.wav", "--itc")[0] == 0
        made, heard = (soundfile.read(tmp_path / name)[0] for name in (f"{share}.wav", "x.wav"))
        kept.append(np.corrcoef(made, heard)[0, 1])
    assert kept[0] + 0.1 < kept[1] < kept[2]


def test_folders_go_in_and_come_out_with_records_and_a_table(run, tmp_path):
    for name in ("in/a.wav", "in/deep/b.flac", "in/.hidden.wav", "in/._a.wav", "in/a.enhanced.wav", "in/deep/a.opus"):
        put(tmp_path / name)
    (tmp_path / "in/notes.txt").write_text("no audio")
    code, said = run("enhance", "in", "-r", "--out-dir", "out", "--format", "flac", "--json", "--itc")
    assert code == 0, said
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.flac")}
    assert written == {"a.enhanced.flac", "deep/b.enhanced.flac", "deep/a.enhanced.flac"}
    assert "3 of 3 written, 0 failed" in said and "Ten boxes." in said
    code, said = run("enhance", "in", "-r", "--out-dir", "in/done")
    assert code == 0 and "3 of 3 written" in said
    code, said = run("enhance", "in", "-r", "--out-dir", "in/done", "--force")
    assert code == 0 and "3 of 3 written" in said, "results are no inputs"
    record = json.loads((tmp_path / "out/a.enhanced.json").read_text())
    assert record["settings"]["steps"] == 3 and record["settings"]["composition"] == "tc_cfg" and record["seed"] == 0
    assert re.fullmatch("[0-9a-f]{64}", record["weights"]["multitask"]) and record["recogniser"] == "whisper_base"
    assert record["transcript"][0]["words"][0]["confidence"] == 0.9
    assert record["seconds"] == 0.5 and record["real_time_factor"] > 0


def test_a_file_that_fails_costs_its_own_row(run, tmp_path):
    put(tmp_path / "a.wav"), put(tmp_path / "c.wav")
    (tmp_path / "b.wav").write_text("no audio")
    put(tmp_path / "d.wav", 0.05)
    code, said = run("enhance", "*.wav", "--out-dir", "out")
    assert code == 1 and "2 of 4 written, 2 failed" in said and "too short" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.enhanced.wav", "c.enhanced.wav"]
    code, said = run("enhance", "a.wav", "c.wav", "--itc", "--asr", "broken", "--out-dir", "other")
    assert code == 1 and "no luck" in said and "0 of 2 written" in said
    code, said = run("enhance", "b.wav")
    assert code == 2 and "cannot be read as audio" in said


def test_a_result_depends_neither_on_its_batch_nor_on_its_name(run, tmp_path):
    for number in range(5):
        put(tmp_path / f"{number}.wav", 0.4 + number / 10, seed=number)
    assert run("enhance", "*.wav", "--out-dir", "all")[0] == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other/name.wav").write_bytes((tmp_path / "3.wav").read_bytes())
    assert run("enhance", "other/name.wav", "--batch", "1")[0] == 0
    alone, _ = audio.read(tmp_path / "other/name.enhanced.wav")
    among, _ = audio.read(tmp_path / "all/3.enhanced.wav")
    other, _ = audio.read(tmp_path / "all/4.enhanced.wav")
    np.testing.assert_allclose(alone, among, atol=0.02)  # bf16: a batch's shape moves the last bits
    assert np.abs(alone - other[: len(alone)]).max() > 0.1


def test_nothing_is_overwritten_unasked(run, tmp_path):
    put(tmp_path / "a.wav"), put(tmp_path / "b.wav")
    assert run("enhance", "a.wav")[0] == 0
    first = (tmp_path / "a.enhanced.wav").read_bytes()
    code, said = run("enhance", "a.wav", "--seed", "1")
    assert code == 2 and "--force" in said and (tmp_path / "a.enhanced.wav").read_bytes() == first
    code, said = run("enhance", "a.wav", "b.wav", "--seed", "1", "--skip-existing")
    assert code == 0 and (tmp_path / "a.enhanced.wav").read_bytes() == first and (tmp_path / "b.enhanced.wav").is_file()
    assert "1 there already" in said
    assert run("enhance", "a.wav", "--seed", "1", "--force")[0] == 0
    assert (tmp_path / "a.enhanced.wav").read_bytes() != first


def test_names_that_differ_in_their_endings_alone_stay_apart(run, tmp_path):
    put(tmp_path / "a.wav"), put(tmp_path / "a.flac")
    assert run("enhance", "a.wav", "a.flac")[0] == 0
    assert (tmp_path / "a.wav.enhanced.wav").is_file() and (tmp_path / "a.flac.enhanced.wav").is_file()


def test_every_other_command_answers(run, tmp_path):
    put(tmp_path / "a.wav"), put(tmp_path / "p.wav", 0.6, 22_050, seed=1)
    soundfile.write(tmp_path / "two.wav", np.stack([noise(0.5), noise(0.5, seed=3)], 1), RATE)
    for arguments, written in (
        (("separate", "a.wav", "--prompt", "two.wav", "--prompt-channel", "1"), "a.separated.wav"),
        (("isolate", "a.wav", "--what", "noise"), "a.noise.wav"),
        (("match", "a.wav", "--prompt", "p.wav"), "a.matched.wav"),
        (("tts", "ten boxes", "--prompt", "p.wav", "--prompt-text", "three", "--seconds", "0.4"), "speech.wav"),
        (("edit", "a.wav", "--old", "Ten boxes", "--new", "ten: foxes."), "a.edited.wav"),
    ):
        code, said = run(*arguments)
        assert code == 0 and (tmp_path / written).is_file(), said
    assert soundfile.info(tmp_path / "speech.wav").frames == round(0.4 * 22_050)
    (tmp_path / "lines.txt").write_bytes("\ufeffone\r\n\r\ntwo\r\n".encode())
    code, said = run("tts", "--lines", "lines.txt", "--prompt", "p.wav", "--prompt-text", "three", "--seconds", "0.3",
                     "--out-dir", "spoken", "--json")  # fmt: skip
    assert code == 0 and sorted(p.name for p in (tmp_path / "spoken").glob("*.wav")) == ["001.wav", "002.wav"], said
    assert json.loads((tmp_path / "spoken/002.json").read_text())["transcript"][0]["text"] == "two"


# -- transcripts -------------------------------------------------------------------------------------------------------


def test_what_was_heard_is_saved_mended_and_given_back_window_by_window(run, tmp_path):
    audio.write(tmp_path / "long.wav", with_pauses(25.0), RATE)
    assert run("enhance", "long.wav", "--itc", "--transcript-out", "a.srt", "--json", "-o", "a.wav")[0] == 0
    lines = transcripts.read(tmp_path / "a.srt")
    assert len(lines) >= 3 and {line.guide for line in lines} == {"ten boxes"}
    assert run("enhance", "long.wav", "--transcript-in", "a.srt", "-o", "b.wav")[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes(), "the same words, the same result"
    lines[1].text = "three foxes"
    transcripts.write(tmp_path / "c.vtt", lines)
    assert run("enhance", "long.wav", "--transcript-in", "c.vtt", "-o", "c.wav")[0] == 0
    before, after = (audio.read(tmp_path / name)[0] for name in ("a.wav", "c.wav"))
    moved = np.abs(before - after).reshape(25, RATE).max(1) > 1e-5
    assert moved.any() and not moved[:5].any() and not moved[-5:].any(), "only the window that was changed"
    code, said = run("enhance", "long.wav", "--transcript", "too long for one window", "-o", "d.wav")
    assert code == 2 and "--itc" in said


def test_each_part_of_a_recording_is_heard_once(run, tmp_path, monkeypatch):
    """What lies around a window, which the model hears too, would be heard and written down twice."""
    heard = []
    monkeypatch.setattr(Heard, "transcribe", lambda self, wave, rate_hz: heard.append(wave) or "ten boxes")
    wave = with_pauses(25.0)
    audio.write(tmp_path / "long.wav", wave, RATE)
    assert run("enhance", "long.wav", "--itc", steps=1)[0] == 0
    assert len(heard) >= 3 and sum(map(len, heard)) == len(wave)
    assert np.corrcoef(np.concatenate(heard), wave)[0, 1] > 0.999


def test_what_is_not_trusted_does_not_guide_and_that_is_said(run, tmp_path):
    put(tmp_path / "a.wav"), put(tmp_path / "faint.wav", gain=1e-3)
    assert run("enhance", "a.wav", "-o", "plain.wav")[0] == 0
    code, said = run("enhance", "a.wav", "--itc", "--asr", "deaf", "-o", "itc.wav")
    assert code == 0 and "Ten? boxes.?" in said and "confidence 0.10 is below 0.50" in said
    assert "1 of 1 windows not guided" in said
    assert (tmp_path / "plain.wav").read_bytes() == (tmp_path / "itc.wav").read_bytes()
    code, said = run("enhance", "a.wav", "--itc", "--asr", "deaf", "--min-confidence", "0.05", "-o", "guided.wav")
    assert code == 0 and (tmp_path / "plain.wav").read_bytes() != (tmp_path / "guided.wav").read_bytes()


# -- refused before any work -------------------------------------------------------------------------------------------

EARLY = [
    (("enhance", "none.wav"), "does not exist"),
    (("enhance", "*.ogg"), "No file matches"),
    (("enhance", "empty"), "no audio files"),
    (("enhance", "a.wav", "-o", "x.doc"), "no audio format"),
    (("enhance", "a.wav", "-o", "nosuffix"), "no audio format"),
    (("enhance", "a.wav", "-o", "a.wav/x.wav"), "a.wav"),
    (("enhance", "a.wav", "-o", "a.wav", "--force"), "place of an input"),
    (("enhance", "a.wav", "b.wav", "-o", "x.wav"), "--out-dir"),
    (("enhance", "a.wav", "-o", "x.wav", "--out-dir", "y"), "exclude each other"),
    (("enhance", "a.wav", "--format", "doc"), "--format doc"),
    (("enhance", "a.wav", "--suffix", "../x"), "--suffix"),
    (("enhance", "odd.wav", "--format", "opus"), "22050 Hz is refused"),
    (("enhance", "a.wav", "--steps", "0"), "steps"),
    (("enhance", "a.wav", "--batch", "0"), "batch"),
    (("enhance", "a.wav", "--seed", "-1"), "seed"),
    (("enhance", "a.wav", "--gamma", "nan"), "gamma"),
    (("enhance", "a.wav", "--gamma", "inf"), "finite"),
    (("enhance", "a.wav", "--gamma", "-1"), "gamma"),
    (("enhance", "a.wav", "--observation", "2"), "observation"),
    (("enhance", "a.wav", "--observation", "nan"), "observation"),
    (("enhance", "a.wav", "--channel", "left"), "each, mean"),
    (("enhance", "a.wav", "--loudness", "loud"), "--loudness"),
    (("enhance", "a.wav", "--min-confidence", "2"), "min-confidence"),
    (("enhance", "a.wav", "--min-confidence", "nan"), "min-confidence"),
    (("enhance", "a.wav", "--transcript", "?!"), "no letters"),
    (("enhance", "a.wav", "--transcript", "你好"), "Latin"),
    (("enhance", "a.wav", "--transcript", "a", "--itc"), "exclude each other"),
    (("enhance", "a.wav", "--transcript-out", "x.srt"), "--itc"),
    (("enhance", "a.wav", "--itc", "--transcript-out", "x.doc"), ".srt"),
    (("enhance", "a.wav", "--transcript-in", "none.srt"), "does not exist"),
    (("enhance", "a.wav", "b.wav", "--transcript-in", "a.srt"), "name a folder"),
    (("enhance", "a.wav", "b.wav", "--transcript-in", "empty"), "holds no a.srt"),
    (("enhance", "a.wav", "--transcript-in", "late.srt"), "a.wav lasts 0.50 s, its transcript 9.00 s"),
    (("enhance", "long.wav", "--transcript", "ten boxes"), "at most 10 s"),
    (("enhance", "a.wav", "--json", "-o", "taken.wav"), "taken.json exists"),
    (("enhance", "a.wav", "--json", "--itc", "--transcript-out", "x.json", "-o", "x.wav"), "Two results"),
    (("enhance", "a.wav", "--transcript-in", "a.srt", "--transcript-out", "a.srt", "--force"), "place of an input"),
    (("enhance", "a.wav", "--itc", "--asr", "nobody"), "whisper_base"),
    (("enhance", "a.wav", "--itc", "--asr-option", "beam"), "key=value"),
    (("enhance", "a.wav", "--voice", "long.wav"), "at most 10 s"),
    (("enhance", "a.wav", "--voice", "b.wav", "--voice-channel", "each"), "one channel"),
    (("separate", "a.wav", "--prompt", "silent.wav"), "silent"),
    (("separate", "a.wav", "--prompt", "none.wav"), "does not exist"),
    (("separate", "a.wav", "--prompt", "b.wav", "-o", "b.wav", "--force"), "place of an input"),
    (("match", "a.wav", "--prompt", "long.wav"), "at most 10 s"),
    (("isolate", "a.wav", "--what", "music"), "speech or noise"),
    (("tts", "", "--prompt", "b.wav", "--prompt-text", "b"), "no letters"),
    (("tts", "你好世界", "--prompt", "b.wav", "--prompt-text", "b"), "Latin"),
    (("tts", "a", "--prompt", "b.wav", "--prompt-text", ""), "no letters"),
    (("tts", "a", "--prompt", "b.wav", "--prompt-text", "b", "--seconds", "-2"), "0.2 to 30"),
    (("tts", "a", "--prompt", "b.wav", "--prompt-text", "b", "--seconds", "3600"), "0.2 to 30"),
    (("tts", "a", "--prompt", "b.wav", "--prompt-text", "b", "--seconds", "nan"), "0.2 to 30"),
    (("tts", "a" * 900, "--prompt", "b.wav", "--prompt-text", "b"), "0.2 to 30"),
    (("tts", "a", "--prompt", "b.wav", "--prompt-text", "b", "-o", "b.wav", "--force"), "place of an input"),
    (("tts", "a", "--prompt", "long.wav", "--prompt-text", "b"), "at most 10 s"),
    (("tts", "--prompt", "b.wav", "--prompt-text", "b"), "either"),
    (("edit", "a.wav", "--old", "same words", "--new", "Same: words!"), "differ"),
    (("edit", "a.wav", "--old", "thirty eggs", "--new", "forty eggs"), "Ten boxes."),
    (("edit", "silent.wav", "--old", "ten boxes", "--new", "ten foxes"), "silent"),
    (("edit", "long.wav", "--old", "ten boxes", "--new", "ten foxes"), "at most 28 s"),
    (("edit", "two.wav", "--old", "ten boxes", "--new", "ten foxes"), "--channel 0"),
    (("edit", "a.wav", "--old", "ten boxes", "--new", "ten foxes", "--asr", "broken"), "cannot align"),
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    put(root / "a.wav"), put(root / "b.wav"), put(root / "odd.wav", 0.5, 22_050), put(root / "long.wav", 29)
    audio.write(root / "silent.wav", np.zeros(RATE, np.float32), RATE)
    soundfile.write(root / "two.wav", np.stack([noise(0.5), noise(0.5, seed=1)], 1), RATE)
    (root / "empty").mkdir(), (root / "taken.json").write_text("{}")
    (root / "late.srt").write_text("1\n00:00:08,000 --> 00:00:09,000\nten boxes\n")
    (root / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nten boxes\n")
    return root


@pytest.mark.parametrize("arguments,said", EARLY, ids=lambda x: " ".join(x)[:60] if isinstance(x, tuple) else x)
def test_refused_in_a_sentence_before_the_model_is_loaded(run, never, inputs, monkeypatch, arguments, said):
    monkeypatch.chdir(inputs)
    before = sorted(inputs.rglob("*"))
    code, printed = run(*arguments, steps=0 if "--steps" in arguments else 3)
    assert code == 2 and said in " ".join(printed.split()), printed
    assert sorted(inputs.rglob("*")) == before, "something was written"


def test_texts_that_differ_in_signs_alone_are_cut_at_the_same_place(run, tmp_path):
    put(tmp_path / "a.wav", 1.0)
    for number, new in enumerate(("seven boxes", "Seven: boxes.", "“SEVEN” boxes!")):
        assert run("edit", "a.wav", "--old", "ten boxes", "--new", new, "-o", f"{number}.wav")[0] == 0
    first, *others = ((tmp_path / f"{number}.wav").read_bytes() for number in range(3))
    assert all(other == first for other in others)


def test_the_command_line_starts_without_torch_and_its_threads_wait_without_spinning():
    code = (
        "import os, sys; from speechop import cli; assert 'torch' not in sys.modules, 'slow to start'; "
        "cli.app = lambda: print(os.environ['OMP_WAIT_POLICY']); cli.main()"
    )
    for given, wanted in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.stdout.strip() == wanted, done.stderr


def test_the_version_is_the_package_s():
    done = CliRunner().invoke(cli.app, ["--version"])
    assert (done.exit_code, done.output.strip()) == (0, f"speechop {version('speechop-replication')}")


def test_help_teaches_with_three_examples_each():
    for command in typer.main.get_command(cli.app).commands:
        shown = CliRunner().invoke(cli.app, [command, "--help"]).output
        assert shown.count(f"speechop {command}") >= 3, command


def test_every_command_and_option_that_the_guide_names_exists():
    commands = typer.main.get_command(cli.app).commands
    guide = (ROOT / "docs/use.md").read_text() + "".join(command.help or "" for command in commands.values())
    lines = re.findall(r"^    speechop (.*?)(?:  +#.*)?$|`speechop (.*?)`", guide, re.MULTILINE)
    named = [shlex.split(indented or quoted) for indented, quoted in lines]
    assert len(named) > 30
    for name, *arguments in named:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        unknown = {part for part in arguments if re.fullmatch(r"--?[a-z][a-z-]*", part)} - known
        assert not unknown, (name, unknown)
