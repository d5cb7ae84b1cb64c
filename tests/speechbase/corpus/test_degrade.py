import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbase.corpus import degrade
from speechbase.files import UserError

RATE_HZ = 16000
EVERYTHING = {
    "eq": {"probability": 1, "gain_db": 8},
    "compression": {"probability": 1, "threshold_db": [-10, 5], "ratio": [1.5, 5]},
    "reverb": {"probability": 1},
    "noise": {"probability": 1, "snr_db": [-10, 30]},
    "band": {"probability": 1, "cutoff_hz": [1000, 7500]},
}
NOTHING = {"eq_db": None, "compression": None, "rir": None, "noise": None, "noise_start": None, "snr_db": None}
NOTHING |= {"cutoff_hz": None}


def some(kind: int, b: int = 3, n: int = 8000) -> torch.Tensor:
    """Speech-like bursts (kind 0) or noise (kind 1), [b, n]."""
    wave = torch.randn(b, n, generator=torch.Generator().manual_seed(kind)) * 0.05
    return wave * (torch.sin(torch.arange(n) / 700) > 0) if kind == 0 else wave


def response(seed: int = 0) -> torch.Tensor:
    tail = torch.randn(4000, generator=torch.Generator().manual_seed(seed)) * 0.2
    tail = tail * torch.exp(-torch.arange(4000) / 800)
    tail[0] = 1.0
    return tail


def draws(config=EVERYTHING, b: int = 3) -> list[dict]:
    return [degrade.draw(np.random.default_rng(seed), config, ["clip"], ["room"]) for seed in range(b)]


def db(wanted: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(wanted.square().mean(-1) / other.square().mean(-1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["eq", "compression", "reverb", "band", "none"]))
def test_the_snr_is_the_one_drawn_and_the_parts_sum_to_the_source(seed, without):
    config = {name: part for name, part in EVERYTHING.items() if name != without}
    params = [degrade.draw(np.random.default_rng(seed), config, ["clip"], ["room"])]
    rirs = [response() if params[0]["rir"] else None]
    out = degrade.apply(some(0, 1), some(1, 1), rirs, params, RATE_HZ)
    assert db(out.speech, out.noise).item() == pytest.approx(params[0]["snr_db"], abs=0.01)
    assert torch.allclose(out.source, out.speech + out.noise, atol=1e-6)
    assert out.source.abs().max() <= 0.981


def test_nothing_drawn_leaves_the_speech_as_it_is():
    clean = some(0)
    out = degrade.apply(clean, some(1), [None] * 3, [NOTHING] * 3, RATE_HZ)
    assert torch.allclose(out.source, clean, atol=1e-6) and not out.noise.any()


@pytest.mark.parametrize("step", ["eq", "compression", "reverb", "band"])
def test_each_step_changes_the_speech_keeps_its_level_and_does_not_shift_it(step):
    clean = some(0, 1, 16000)
    params = draws({step: EVERYTHING[step]}, 1)
    out = degrade.apply(clean, some(1, 1, 16000), [response() if step == "reverb" else None], params, RATE_HZ)
    assert not torch.allclose(out.speech, clean, atol=1e-3)
    assert db(out.speech, clean).item() == pytest.approx(0, abs=0.01)
    spectra = [torch.fft.rfft(wave[0], 32768) for wave in (out.speech, clean)]
    correlation = torch.fft.irfft(spectra[0] * spectra[1].conj())
    assert correlation.argmax() == 0


def test_band_limiting_empties_what_lies_above():
    out = degrade.apply(some(1), some(1), [None] * 3, [NOTHING | {"cutoff_hz": 2000.0, "snr_db": 3.0}] * 3, RATE_HZ)
    power = torch.fft.rfft(out.source).abs().square().mean(0)
    hz = torch.fft.rfftfreq(out.source.shape[1], 1 / RATE_HZ)
    assert 10 * torch.log10(power[hz > 2400].mean() / power[hz < 1900].mean()) < -40


def test_compression_narrows_the_dynamic_range():
    ramp = torch.linspace(0.01, 1, 16000)[None] * some(1, 1, 16000)
    squeezed = degrade.compress(ramp, [{"threshold_db": -10.0, "ratio": 4.0}], RATE_HZ)
    before, after = (db(wave[:, -2000:], wave[:, 2000:4000]).item() for wave in (ramp, squeezed))
    assert 0 < after < before - 5


def test_an_item_does_not_depend_on_its_batch():
    clean, noise, params = some(0), some(1), draws()
    rirs = [response(seed) for seed in range(3)]
    together = degrade.apply(clean, noise, rirs, params, RATE_HZ)
    for row in range(3):
        alone = degrade.apply(
            clean[row : row + 1], noise[row : row + 1], rirs[row : row + 1], params[row : row + 1], RATE_HZ
        )
        assert torch.allclose(alone.source[0], together.source[row], atol=2e-6)


def test_everything_is_computed_on_the_device_of_the_speech():
    """On the meta device an operation that meets a tensor of the CPU fails, as it would on a GPU."""
    clean, noise = some(0).to("meta"), some(1).to("meta")
    rirs = [response().to("meta") for _ in range(3)]
    out = degrade.apply(clean, noise, rirs, draws(), RATE_HZ, lengths=[8000, 7000, 100])
    assert {wave.device.type for wave in vars(out).values()} == {"meta"}


def test_draws_are_json_and_the_same_for_the_same_seed():
    first, second = (degrade.draw(np.random.default_rng(4), EVERYTHING, ["a", "b"], ["r"]) for _ in range(2))
    assert first == second == json.loads(json.dumps(first))
    quiet = {name: part for name, part in EVERYTHING.items() if name != "eq"}
    without = degrade.draw(np.random.default_rng(4), quiet, ["a", "b"], ["r"])
    assert without == first | {"eq_db": None}


@pytest.mark.parametrize("spoilt", ["silence", "nan", "silent noise"])
def test_silence_and_nan_come_back_finite(spoilt):
    clean, noise = some(0), some(1)
    if spoilt == "silent noise":
        noise[1] = 0
    else:
        clean[1] = 0 if spoilt == "silence" else float("nan")
    out = degrade.apply(clean, noise, [response()] * 3, draws(), RATE_HZ)
    assert all(torch.isfinite(wave).all() for wave in (out.source, out.speech, out.noise))
    assert not out.noise[1].any()
    assert out.noise[0].any() and out.speech[2].any()


def test_padding_stays_silent_and_does_not_count():
    clean = some(0, 1)
    padded, noise = torch.nn.functional.pad(clean, (0, 4000)), some(1, 1, 12000)
    params = [NOTHING | {"snr_db": 5.0}]
    out = degrade.apply(padded, noise, [None], params, RATE_HZ, lengths=[8000])
    assert not out.source[:, 8000:].any()
    assert db(out.speech[:, :8000], out.noise[:, :8000]).item() == pytest.approx(5, abs=0.01)


def test_a_mixture_has_the_drawn_level_and_keeps_its_target():
    target, interferer = some(0), some(1) * 7
    mixture, kept = degrade.mix(target, interferer, torch.tensor([-5.0, 0.0, 5.0]))
    assert torch.allclose(db(mixture - kept, kept), torch.tensor([-5.0, 0.0, 5.0]), atol=0.01)
    assert torch.allclose(kept, target, atol=1e-6)


def test_reverberation_without_rooms_is_a_plain_error():
    with pytest.raises(UserError, match="no impulse responses or noises"):
        degrade.draw(np.random.default_rng(0), EVERYTHING, ["clip"], [])


ENDED = {
    "clipping": {"probability": 1, "below_peak_db": [6, 6]},
    "coding": {"probability": 1, "kinds": ["opus", "mp3", "gsm", "ulaw"]},
}


def test_clipping_flattens_the_sum_at_the_drawn_level():
    clean = some(0)
    peak = clean.abs().amax(1)
    out = degrade.apply(clean, some(1), [None] * 3, draws({"clipping": ENDED["clipping"]}), RATE_HZ)
    torch.testing.assert_close(out.source.abs().amax(1), peak * 10 ** (-6 / 20), atol=1e-5, rtol=1e-3)
    assert (out.source.abs() >= out.source.abs().amax(1, keepdim=True) - 1e-6).sum() > 30
    torch.testing.assert_close(out.speech, clean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", degrade.CODINGS)
def test_a_lossy_format_keeps_length_and_time_and_loses_something(kind):
    time = np.arange(RATE_HZ) / RATE_HZ
    wave = (0.1 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.01 * some(1, 1, RATE_HZ)[0].numpy()).astype(
        np.float32
    )
    heard = degrade.coded(wave, RATE_HZ, kind, 0.9)
    assert heard.shape == wave.shape and np.isfinite(heard).all()
    inner = slice(1000, -1000)
    overlap = [np.dot(heard[inner], np.roll(wave, lag)[inner]) for lag in range(-40, 41)]
    assert abs(int(np.argmax(overlap)) - 40) <= 2
    error = np.mean((heard - wave)[inner] ** 2) / np.mean(wave[inner] ** 2)
    assert 1e-6 < error < 0.5


def test_a_configuration_without_them_keeps_its_draws_and_keys():
    plain, ended = draws(EVERYTHING), draws(EVERYTHING | ENDED)
    assert [{key: value for key, value in row.items() if key in plain[0]} for row in ended] == plain
    assert set(ended[0]) - set(plain[0]) == {"clip_db", "coding"} and json.dumps(ended)


def test_impulse_responses_are_cut_where_the_configuration_says():
    rate_hz, echo = 8000, torch.zeros(8000)
    echo[0], echo[7000] = 1.0, 0.5  # an echo after .875 s
    clean = torch.zeros(1, 16000)
    clean[0, :100] = 0.1
    heard = {}
    for seconds in (None, 1.0):
        config = {"reverb": {"probability": 1.0} | ({"seconds": seconds} if seconds else {})}
        params = degrade.draw(np.random.default_rng(0), config, [], ["a"])
        out = degrade.apply(clean, torch.zeros_like(clean), [echo], [params], rate_hz)
        heard[seconds] = float(out.speech[0, 7000:7100].abs().sum())
    assert heard[None] < 1e-3 < heard[1.0]
