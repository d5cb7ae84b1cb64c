"""What generated speech keeps of the recording."""

import numpy as np
import pytest
import torch

from speechop.observation import observed
from speechop.pipeline import Request, SpeechOp
from speechop.settings import Composed

RATE_HZ = 16_000


@pytest.fixture
def recording():
    return torch.from_numpy(np.random.default_rng(0).standard_normal(5000).astype(np.float32) * 0.1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_levels_are_averaged_in_decibels(recording, share):
    """40 dB less than the recording, at an equal share: 20 dB less; with its phase, whatever the share."""
    assert torch.allclose(observed(0.01 * recording, recording, share, RATE_HZ), 0.01 ** (1 - share) * recording,
                          atol=1e-6)  # fmt: skip


def test_the_share_goes_from_generated_levels_to_the_recording_and_the_phase_is_the_recording_s(recording):
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal(5000).astype(np.float32)) * 0.02

    def likeness(share, other):
        return float(torch.corrcoef(torch.stack([observed(noise, recording, share, RATE_HZ), other]))[0, 1])

    assert likeness(1.0, recording) > 0.999
    assert 0.7 < likeness(0.0, recording) < likeness(0.5, recording) < 0.99
    assert abs(likeness(0.0, noise)) < 0.1
    assert observed(noise, recording, 0.0, RATE_HZ).std() / noise.std() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("samples", [1, 100, 513])
def test_a_clip_shorter_than_a_window_keeps_its_length(recording, samples):
    short = recording[:samples]
    assert torch.allclose(observed(short, short, 0.5, RATE_HZ), short, atol=1e-6)


def test_what_the_recording_lacks_is_restored_with_its_own_phase(recording):
    """12 dB below at an equal share: 6 dB; whatever the recording holds less than that."""
    for lacking in (torch.zeros(5000), 1e-4 * torch.roll(recording, 7)):
        assert torch.allclose(observed(recording, lacking, 0.5, RATE_HZ), 10 ** (-6 / 20) * recording, atol=1e-6)


def test_another_length_is_refused(recording):
    with pytest.raises(ValueError, match="4999 generated samples for a recording of 5000"):
        observed(recording[1:], recording, 0.5, RATE_HZ)


def test_only_enhancement_keeps_the_recording():
    model = SpeechOp.from_pretrained("nano")
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.05

    def likeness(task, transcript=None, **shares):
        request, how = Request("a", task, source=wave, transcript=transcript), Composed(steps=1, **shares)
        return np.corrcoef(model.process([request], how)[0], wave)[0, 1]

    generated, kept = likeness("enhancement"), likeness("enhancement", observation=0.7)
    assert kept > generated + 0.3
    assert likeness("noise_isolation", observation=0.7) == likeness("noise_isolation")
    guided = [
        likeness("enhancement", "ten boxes", observation=share, observation_guided=of_guided)
        for share, of_guided in ((0.7, None), (0.7, 0.7), (0.0, 0.7), (0.7, 0.0), (0.0, None))
    ]
    assert guided[0] == guided[1] == guided[2] > guided[3] + 0.3 and guided[3] == guided[4]
