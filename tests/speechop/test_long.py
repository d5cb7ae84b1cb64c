"""Files of 11 and 30 minutes through every command that takes long ones: bounded memory, the right length."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from tqdm import TqdmWarning
from typer.testing import CliRunner

from speechop import cli, jobs, pipeline, recordings
from speechop.results import Bar

RATE, HELD_MB = 8_000, 80
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Echo:
    """A model that gives back what it hears: what is left is all that is done with recordings."""

    rate_hz = 16_000

    def answer(self, asked, progress=None, bar=None, **settings):
        return jobs.answer(self, asked, SimpleNamespace(batch=4, trust=None), progress, bar)

    def process(self, requests, how, progress=None):
        return [request.source for request in requests]

    def prompt(self, wave, rate_hz, name):
        return wave


def peak_mb() -> float:
    return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) / 1024


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    root, chance = tmp_path_factory.mktemp("long"), np.random.default_rng(0)
    for minutes, channels in ((11, 1), (30, 2)):
        with soundfile.SoundFile(root / f"{minutes}.wav", "w", RATE, channels) as stream:
            for _ in range(minutes):
                stream.write(chance.standard_normal((60 * RATE, channels)) * 0.1)
    soundfile.write(root / "prompt.wav", chance.standard_normal(2 * RATE) * 0.1, RATE)
    return root


@pytest.mark.skipif(not PEAK.exists(), reason="the peak of memory is read from Linux's /proc")
@pytest.mark.parametrize(
    "words",
    ["enhance 30", "separate 11 --prompt prompt.wav", "isolate 11 --what noise", "match 11 --prompt prompt.wav"],
)
def test_memory_does_not_grow_with_the_recording(long, tmp_path, monkeypatch, words):
    command, minutes, *more = words.split()
    monkeypatch.chdir(long)
    monkeypatch.setattr(recordings, "HELD_BYTES", 2**20)  # of each channel, in and out; the rest lies on the disk
    monkeypatch.setattr(pipeline.SpeechOp, "from_pretrained", lambda *_, **__: Echo())
    PEAK.write_text("5")
    before, out = peak_mb(), tmp_path / "out.wav"
    with warnings.catch_warnings():
        warnings.simplefilter("error", TqdmWarning)
        done = CliRunner().invoke(cli.app, [command, f"{minutes}.wav", *more, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert peak_mb() - before < HELD_MB, "the 30 minutes are 110 MB, and as much again comes out"
    given, made = soundfile.info(f"{minutes}.wav"), soundfile.info(out)
    assert (given.frames, given.samplerate, given.channels) == (made.frames, made.samplerate, made.channels)


def test_a_bar_ends_where_its_work_does():
    """Sums of windows are a little more than the whole, and headers of MP3 files are estimates."""
    with warnings.catch_warnings(), Bar(total=1.0, bar_format="{n:.1f}/{total:.1f}", mininterval=0) as bar:
        warnings.simplefilter("error", TqdmWarning)
        for _ in range(3):
            bar.update(0.5)
        assert str(bar) == "1.5/1.5"
