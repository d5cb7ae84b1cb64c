import numpy as np
import pytest
import torch

from speechbase.codec import DacCodec, MelCodec, WaveCodec, build_codec
from speechbase.codec.base import kl_divergence
from speechbase.codec.losses import Discriminators, MultiScaleMel
from speechbase.codec.settings import DacConfig, MelConfig, WaveConfig


@pytest.fixture(scope="module", params=["mel", "dac", "wave"])
def any_codec(request):
    torch.manual_seed(0)
    if request.param == "mel":
        return MelCodec(MelConfig(latent_dim=16, decoder_dim=16, decoder_layers=3)).eval()
    if request.param == "wave":
        sizes = {"encoder_dim": 16, "encoder_layers": 2, "decoder_dim": 16, "decoder_layers": 3}
        return WaveCodec(WaveConfig(latent_dim=16, **sizes)).eval()
    return DacCodec(DacConfig(rate_hz=16_000, strides=(2, 4, 5), latent_dim=8, encoder_dim=4, decoder_dim=32)).eval()


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_chunks_have_no_seam(any_codec, chunk):
    wave = torch.randn(2, any_codec.hop * 61 + 13) * 0.1
    whole = any_codec.encode(wave)
    assert whole.shape == (2, 62, any_codec.latent_dim)
    torch.testing.assert_close(any_codec.encode(wave, chunk_frames=chunk), whole, atol=1e-5, rtol=1e-5)
    audio = any_codec.decode(whole)
    assert audio.shape == (2, 62 * any_codec.hop)
    torch.testing.assert_close(any_codec.decode(whole, chunk_frames=chunk), audio, atol=1e-5, rtol=1e-4)


def test_the_context_is_really_needed(any_codec):
    """Without context the same chunks show a seam: the test above cannot pass by accident."""
    latents = any_codec.encode(torch.randn(1, any_codec.hop * 40))
    whole = any_codec.decode(latents)
    apart = torch.cat([any_codec.decode(latents[:, :20]), any_codec.decode(latents[:, 20:])], 1)
    assert (whole - apart).abs().max() > 1e-6


def test_paper_scale_is_48_khz_to_64_channels_at_40_hz():
    with torch.device("meta"):
        codec = build_codec({"kind": "dac"})
        mean, logvar = codec.posterior(torch.zeros(1, 48_000))
        assert codec.synthesise(mean).shape == (1, 48_000)
    assert codec.hop == 1200 and mean.shape == logvar.shape == (1, 40, 64)


def test_a_codec_with_phase_learns_the_waveform_itself():
    """Trained on tones of unlike phases it gives back their samples, which no codec without phase could."""
    torch.manual_seed(0)
    codec = WaveCodec(WaveConfig(latent_dim=16, encoder_dim=32, encoder_layers=1, decoder_dim=32, decoder_layers=1))
    time, turns = torch.arange(2000) / 16_000, torch.rand(8, 1) * 6.283
    wave = 0.1 * torch.sin(2 * np.pi * 200.0 * time + turns)
    optimiser = torch.optim.Adam(codec.parameters(), 3e-3)
    ratios = []
    for _ in range(120):
        made, mean, logvar = codec(wave)
        error = (made - wave).square().mean() / wave.square().mean()
        loss = error + 1e-4 * kl_divergence(mean, logvar)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        ratios.append(float(error))
    assert ratios[-1] < 0.2 < ratios[0]


def test_latent_statistics_are_stored_and_used():
    codec = DacCodec(DacConfig(rate_hz=16_000, strides=(2, 4), latent_dim=4, encoder_dim=4, decoder_dim=16)).eval()
    wave = torch.randn(1, 8000)
    raw = codec.posterior(wave)[0].detach()
    codec.set_statistics(raw)
    normal = codec.encode(wave)
    torch.testing.assert_close(normal.mean(1), torch.zeros(1, 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(normal.std(1), torch.ones(1, 4), atol=1e-3, rtol=0)
    again = DacCodec(DacConfig(rate_hz=16_000, strides=(2, 4), latent_dim=4, encoder_dim=4, decoder_dim=16)).eval()
    again.load_state_dict(codec.state_dict())
    torch.testing.assert_close(again.encode(wave), normal)
    torch.testing.assert_close(codec.decode(normal), codec.synthesise(raw))


def test_kl_is_an_element_mean_and_zero_at_the_prior():
    zero = torch.zeros(3, 5, 4)
    assert float(kl_divergence(zero, zero)) == 0
    assert float(kl_divergence(zero + 2, zero)) == pytest.approx(2.0)  # mean^2 / 2, whatever the size


def test_mel_codec_frames_are_centred_on_their_latent():
    """A click in the middle of latent frame 10 excites that frame most: audio and latents are aligned."""
    codec = MelCodec(MelConfig(latent_dim=16, decoder_dim=16, decoder_layers=2)).eval()
    wave = torch.zeros(1, 20 * codec.hop)
    wave[0, 10 * codec.hop + codec.hop // 2] = 1.0
    energy = codec.log_mel(wave)[0].reshape(20, -1).sum(1)
    assert int(energy.argmax()) == 10


def test_multi_scale_mel_is_zero_for_equal_audio_and_grows_with_the_error():
    loss = MultiScaleMel(16_000, (128, 512), (10, 40))
    wave = torch.randn(1, 4000) * 0.1
    worse = [float(loss(wave + level * torch.randn_like(wave), wave)) for level in (0.0, 0.01, 0.1)]
    assert worse[0] == 0 < worse[1] < worse[2]


def test_discriminators_learn_to_tell_noise_from_tones():
    torch.manual_seed(0)
    rivals = Discriminators((256,), 4)
    time = torch.arange(2000) / 16_000
    real = torch.stack([torch.sin(2 * np.pi * hz * time) for hz in (200, 500, 900, 1500)])
    optimiser = torch.optim.Adam(rivals.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = rivals.discriminator_loss(real, torch.randn_like(real))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]
    adversarial, matching = rivals.generator_losses(real, real)
    assert float(matching) == 0 and float(adversarial) >= 0


def test_a_fitted_codec_adopts_another_ones_decoder_through_their_affine_encoders():
    """With a basis of its own, of as many channels or more, it reconstructs what the other one does."""
    torch.manual_seed(0)
    waves = [torch.randn(16_000) * torch.linspace(0.01, 0.2, 16_000) for _ in range(4)]
    old = MelCodec(MelConfig(latent_dim=40, decoder_dim=16, decoder_layers=2)).eval()
    old.fit(waves[:2])
    for layer in (old.decoder.enter, old.decoder.leave):
        torch.nn.init.normal_(layer.weight, std=0.05)
    new = MelCodec(
        MelConfig(latent_dim=320, decoder_dim=16, decoder_layers=2)
    ).eval()  # every channel: nothing is lost on the way
    new.fit(waves[2:])
    new.adopt(old)
    given, wanted = (codec.decode(codec.encode(waves[3][None])) for codec in (new, old))
    inner = slice(2 * new.hop, -2 * new.hop)  # at the ends zero latents mean different sounds to the two
    torch.testing.assert_close(given[:, inner], wanted[:, inner], atol=2e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="other sizes"):
        MelCodec(MelConfig(latent_dim=40, decoder_dim=32, decoder_layers=2)).adopt(old)
