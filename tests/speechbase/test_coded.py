"""Audio of models of a codec's frames: what none of them can hear is refused with the same sentence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speechbase.files import UserError, read_yaml
from speechbase.tokens import coded
from speechbase.tokens.coded import CodedAudio, Result
from workflow.plan.places import ROOT

CODEC = SimpleNamespace(
    rate_hz=100, hop=10, encode=lambda wave, chunk: wave.view(1, -1, 10), decode=lambda frames, chunk: frames.flatten(1)
)


@pytest.mark.parametrize(
    ("wave", "said"),
    [
        (np.ones((50, 2)), "must be mono audio"),
        (np.full(50, np.nan), "must be mono audio, finite"),
        (np.ones(9), "is shorter than 100 ms"),
        (np.ones(2010), r"lasts 20\.1 s; at most 19\.2 s are taken at once"),
        (np.full(50, 1e-5), "is silent"),
    ],
)
def test_what_cannot_be_heard_is_refused(wave, said):
    with pytest.raises(UserError, match=f"^The source {said}"):
        CodedAudio(CODEC, 400, "cpu").frames(wave, "The source")


def test_frames_come_back_within_full_scale_and_prompts_have_ten_seconds():
    coded = CodedAudio(CODEC, 400, "cpu")
    wave = np.linspace(-2, 2, 1000).astype(np.float32)
    np.testing.assert_array_equal(coded.wave(coded.prompt(wave, "The prompt")), wave.clip(-1, 1))
    assert coded.wave(torch.zeros(0, 10)).shape == (0,)
    with pytest.raises(UserError, match=r"The prompt lasts 10\.1 s; at most 10 s are used"):
        coded.prompt(np.ones(1010, np.float32), "The prompt")


def test_speech_without_an_end_is_not_written(tmp_path):
    with pytest.raises(UserError, match="without an end, and nothing was written"):
        Result(np.ones(9, np.float32), 100, "limit", 9).write(tmp_path / "x.wav", "made")
    assert not list(tmp_path.iterdir())


def test_the_level_that_models_know_is_that_of_all_corpora():
    assert read_yaml(ROOT / "config" / "base.yaml")["corpus"]["level_dbfs"] == coded.LEVEL_DBFS
    heard = CodedAudio(SimpleNamespace(**vars(CODEC) | {"rate_hz": 16_000}), 400, "cpu")
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32) * 0.001
    loud, gain = heard.levelled(tone, "The recording")
    assert np.allclose(loud, tone * gain)
    assert 20 * np.log10(np.sqrt((loud**2).mean())) == pytest.approx(coded.LEVEL_DBFS, abs=0.1)
    silence = np.zeros(800, np.float32)
    same, gain = heard.levelled(silence, "The recording")
    assert gain == 1 and not same.any()
    with pytest.raises(UserError, match="The recording must be mono audio"):
        heard.levelled(np.zeros((2, 800), np.float32), "The recording")
