"""What generated speech keeps of the recording."""

import numpy as np
import pytest
import torch

from speechop.observation import MOST_SHARE, observed, spread
from speechop.pipeline import Request, SpeechOp
from speechop.settings import Composed

RATE_HZ = 16_000


def voices(seed, level):
    """Noise [5000] from 300 Hz on: below voices all is generated."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(5000) * level)
    spectrum[: round(300 * 5000 / RATE_HZ)] = 0
    return torch.from_numpy(np.fft.irfft(spectrum, 5000).astype(np.float32))


def alike(one, other):
    """Equal but for the windows at the ends, whose edges have low frequencies of their own."""
    return torch.allclose(one[600:-600], other[600:-600], atol=1e-3)


@pytest.fixture
def recording():
    return voices(0, 0.1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_levels_are_averaged_in_decibels(recording, share):
    """40 dB less than the recording, at an equal share: 20 dB less; with its phase, whatever the share."""
    assert alike(observed([0.01 * recording], recording, share, RATE_HZ), 0.01 ** (1 - share) * recording)


def test_the_share_goes_from_generated_levels_to_the_recording_and_the_phase_is_the_recording_s(recording):
    noise = voices(1, 0.02)

    def likeness(share, other):
        return float(torch.corrcoef(torch.stack([observed([noise], recording, share, RATE_HZ), other]))[0, 1])

    assert likeness(1.0, recording) > 0.999
    assert 0.7 < likeness(0.0, recording) < likeness(0.5, recording) < 0.99
    assert abs(likeness(0.0, noise)) < 0.1
    assert observed([noise], recording, 0.0, RATE_HZ).std() / noise.std() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("samples", [1, 100, 513])
def test_a_clip_shorter_than_a_window_keeps_its_length(recording, samples):
    short = recording[:samples]
    assert torch.allclose(observed([short], short, 0.5, RATE_HZ), short, atol=1e-6)


def test_what_the_recording_lacks_is_restored_with_its_own_phase(recording):
    """12 dB below at an equal share: 6 dB; whatever the recording holds less than that."""
    for lacking in (torch.zeros(5000), 1e-4 * torch.roll(recording, 7)):
        assert alike(observed([recording], lacking, 0.5, RATE_HZ), 10 ** (-6 / 20) * recording)


def test_hum_and_a_constant_do_not_return(recording):
    """A loud hum beside a generated voice that begins where a window cannot tell the two apart."""
    seconds = np.arange(16_000) / RATE_HZ
    voice, hum = (torch.from_numpy(np.sin(2 * np.pi * hz * seconds)).float() for hz in (110, 50))
    left = observed([0.1 * voice], 0.1 * voice + hum + 0.3, 0.5, RATE_HZ)[2000:-2000]
    spectrum = 2 * torch.fft.rfft(left * torch.hann_window(len(left))).abs() / len(left) * 2
    assert spectrum[round(50 * len(left) / RATE_HZ)] < 0.1 and left.mean().abs() < 0.01


def test_levels_of_several_samples_are_averaged_and_those_alike_keep_the_share(recording):
    assert alike(observed([0.1 * recording, 0.001 * recording], recording, 0.0, RATE_HZ), 0.01 * recording)
    same = observed([0.1 * recording] * 2, recording, 0.3, RATE_HZ, unsure=0.12)
    assert alike(same, observed([0.1 * recording], recording, 0.3, RATE_HZ))


@pytest.mark.parametrize(("unsure", "share"), [(0.03, 0.3), (0.05, 0.5), (1.0, MOST_SHARE)])
def test_more_is_kept_where_samples_differ_and_some_more_than_where_they_agree(recording, unsure, share):
    """One of them 14 dB up from the middle on: so far are they apart, by their standard deviation 10 dB."""
    generated, other = 0.1 * recording, 0.1 * recording
    other[2500:] *= 10 ** (14.14 / 20)
    kept = observed([generated, other], recording, 0.3, RATE_HZ, unsure)
    mean = 0.1 * 10 ** (7.07 / 20)
    first, second = slice(600, 1500), slice(3500, -600)
    assert torch.allclose(kept[first], 0.1**0.7 * recording[first], atol=2e-3)
    assert kept[second].std() / recording[second].std() == pytest.approx(mean ** (1 - share), rel=0.03)


def test_samples_of_next_to_nothing_are_no_doubt(recording):
    """Where all is 50 dB down they may differ as they like."""
    one, other = 0.1 * recording, 0.1 * recording
    one[:2500] *= 1e-4
    other[:2500] *= 1e-3
    apart = spread(torch.stack([stft(wave).abs() for wave in (one, other)]))
    assert apart.max() < 1


def stft(wave):
    return torch.stft(wave, 512, 128, window=torch.hann_window(512), pad_mode="constant", return_complex=True)


def test_another_length_is_refused(recording):
    with pytest.raises(ValueError, match="4999 generated samples for a recording of 5000"):
        observed([recording[1:]], recording, 0.5, RATE_HZ)


def test_only_enhancement_keeps_the_recording():
    model = SpeechOp.from_pretrained("nano")
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.05

    def likeness(task, transcript=None, **shares):
        request, how = (
            Request("a", task, source=wave, transcript=transcript),
            Composed(steps=1, composition="tc_cfg" if transcript else "none", **shares),
        )
        return np.corrcoef(model.process([request], how)[0], wave)[0, 1]

    generated, kept = likeness("enhancement"), likeness("enhancement", observation=0.7)
    unsure = likeness("enhancement", observation=0.1, observation_unsure=1.0)
    assert unsure > likeness("enhancement", observation=0.1) + 0.3
    assert likeness("enhancement", observation=0.0, observation_unsure=1.0) == generated
    assert kept > generated + 0.3
    assert likeness("noise_isolation", observation=0.7) == likeness("noise_isolation")
    unsure, kept = (
        likeness("enhancement", "ten boxes", observation=share, observation_unsure=1.0) for share in (0.0, 0.1)
    )
    assert kept > unsure + 0.3


def test_a_share_given_alone_holds_however_unsure_the_model_is():
    model = SpeechOp.from_pretrained("mini")
    own, alone = (model.settings(values, True) for values in ({}, {"observation": 0.4}))
    assert own.observation and own.observation_unsure
    assert (alone.observation, alone.observation_unsure) == (0.4, None)


def test_words_without_strength_do_not_guide():
    model = SpeechOp.from_pretrained("mini")
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.05
    plain, weak = (
        model.enhance(wave, RATE_HZ, transcript=text, steps=1, gamma=0.0, precision="fp32") for text in (None, "yes")
    )
    assert np.allclose(plain, weak, atol=1e-3)
