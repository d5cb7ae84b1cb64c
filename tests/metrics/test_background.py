"""What is left of a background, and of speech where there should be none."""

import numpy as np
import pytest

from metrics.contract import Unscorable
from metrics.registry import find
from metrics.utterance import Files, Utterance
from speechbase import audio
from tests.metrics.signals import speech_like

RATE_HZ = 16_000


def value(tmp_path, name, transcript=None, **waves):
    paths = {role: tmp_path / f"{role}.wav" for role in waves}
    for role, wave in waves.items():
        audio.write(paths[role], wave.astype(np.float32), RATE_HZ)
    heard = {"x": {"status": "ok", "text": transcript}} if transcript is not None else {}
    metric = find(name)
    utterance = Utterance(Files("u", transcripts=heard, **paths))
    utterance.check(metric)
    return metric.compute(utterance, {"asr": "x"}).value


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, 0.01, 3 * RATE_HZ)


def speech(seed=0):
    return speech_like(seed=seed, seconds=3.0)[: 3 * RATE_HZ] * (np.sin(np.arange(3 * RATE_HZ) / 4000) > 0)


def test_the_noise_floor_is_the_same_whatever_is_said_over_it(tmp_path, noise):
    kept = value(tmp_path, "noise_floor", mixture=speech() + noise, estimate=(speech(1) + noise)[: 2 * RATE_HZ])
    gone = value(tmp_path, "noise_floor", mixture=speech() + noise, estimate=speech() + noise / 100)
    assert kept < 2 < gone


def test_a_quieter_background_is_off_by_its_decibels(tmp_path, noise):
    assert value(tmp_path, "noise_floor", mixture=noise, estimate=noise / 2) == pytest.approx(6.02, abs=0.5)
    assert value(tmp_path, "noise_floor", mixture=noise, estimate=noise) == 0


def test_an_edit_without_the_background_is_seen_however_much_of_the_recording_stays(tmp_path, noise):
    heard, edited = speech() + noise, speech() + noise
    first, last = RATE_HZ, RATE_HZ * 3 // 2
    edited[first:last] = speech(1)[first:last]
    lost = value(tmp_path, "noise_floor", mixture=heard, estimate=edited)
    edited[first:last] += noise[: last - first]
    assert value(tmp_path, "noise_floor", mixture=heard, estimate=edited) < 3 < 10 < lost


def test_words_are_counted_by_second(tmp_path, noise):
    assert value(tmp_path, "words_left_x", transcript="one two three", estimate=noise) == pytest.approx(1.0)
    assert value(tmp_path, "words_left_x", transcript="", estimate=noise) == 0
    with pytest.raises(Unscorable, match="no transcript"):
        value(tmp_path, "words_left_x", estimate=noise)
