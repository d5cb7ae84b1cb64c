"""DeepFilterNet 3 from its package: it enhances, keeps length and timing, and starts afresh on every item."""

import numpy as np
import pytest

from baselines import registry
from speechbase import audio
from speechbase.systems.runner import run_manifest


def si_sdr(estimate, reference):
    scale = estimate @ reference / (reference @ reference)
    return 10 * np.log10(np.sum((scale * reference) ** 2) / np.sum((scale * reference - estimate) ** 2))


@pytest.fixture(scope="module")
def adapter():
    baseline = registry.create("deepfilternet3")
    if reason := baseline.skip():
        pytest.skip(reason)
    baseline.load("cpu")
    return baseline


def test_delay_is_removed_and_noise_too(adapter, make_speech):
    clean = make_speech(3, 2.0, 48000)
    noisy = clean + np.random.default_rng(0).normal(0, 0.05, len(clean)).astype(np.float32)
    enhanced = adapter.enhance(noisy)
    assert len(enhanced) == len(noisy)
    spectrum = np.fft.rfft(enhanced, 2 * len(clean)) * np.conj(np.fft.rfft(noisy, 2 * len(clean)))
    assert np.argmax(np.fft.irfft(spectrum)) == 0
    assert si_sdr(enhanced, clean) > si_sdr(noisy, clean) + 3
    np.testing.assert_array_equal(enhanced, adapter.enhance(noisy))


def test_rate_and_length_through_the_runner(manifest, tmp_path):
    index = run_manifest(registry.create("deepfilternet3"), manifest(), tmp_path / "out")
    assert list(index["status"]) == ["ok"] * 3 and set(index["rate_hz"]) == {48000}
    for identifier in index["id"]:
        source, _ = audio.read(tmp_path / f"{identifier}-source.wav")
        enhanced, _ = audio.read(tmp_path / "out" / f"{identifier}.wav")
        assert len(enhanced) == 3 * len(source)
