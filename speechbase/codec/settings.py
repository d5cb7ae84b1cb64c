"""Settings of codecs and quantisers: sizes, losses, and what they are fitted to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from speechbase.settings import LISTED, Count, Counts, Natural, NotNegative, Positive, Settings, Share, key
from speechbase.training.settings import Model


class MelConfig(Settings):
    """Sizes of the mel codec (speechbase/codec/mel.py)."""

    kind: Literal["mel"] = "mel"
    rate_hz: Count = 16_000
    hop: Count = key(400, "samples a latent frame")
    latent_dim: Count = 64
    frames_per_latent: Count = key(4, "mel frames a latent frame")
    n_fft: Count = 512
    n_mels: Count = 80
    floor: Positive = key(1e-3, "what is added to mel energies before their logarithm")
    spectrum_power: NotNegative = key(0.35, "of the channels' variances, which so fall less steeply than the data's")
    posterior_std: NotNegative = key(0.1, "of the posterior, in units of the latent's own scale")
    decoder_dim: Count = 256
    decoder_layers: Count = 8


class DacConfig(Settings):
    """Sizes of the paper's codec (Appendix C; speechbase/codec/dac.py)."""

    kind: Literal["dac"] = "dac"
    rate_hz: Count = 48_000
    strides: Counts = key((2, 4, 5, 5, 6), "downsampling of each stage; their product is the hop")
    latent_dim: Count = 64
    encoder_dim: Count = key(64, "width of the first stage, doubled by each")
    decoder_dim: Count = key(1536, "width of the first stage, halved by each")


class EncodecConfig(Settings):
    """Sizes of EnCodec, by default those of 24 kHz (speechbase/codec/encodec.py)."""

    kind: Literal["encodec"] = "encodec"
    sampling_rate: Count = 24_000
    hidden_size: Count = key(128, "channels of a latent")
    num_filters: Count = 32
    num_lstm_layers: Count = 2
    num_residual_layers: Count = 1
    upsampling_ratios: Counts = key((8, 5, 4, 2), "their product is the hop")


class WaveConfig(Settings):
    """Sizes of the small codec with phase (speechbase/codec/wave.py)."""

    kind: Literal["wave"] = "wave"
    rate_hz: Count = 16_000
    hop: Count = key(400, "samples a latent frame")
    latent_dim: Count = 64
    frames_per_latent: Count = key(4, "spectral frames a latent frame")
    n_fft: Count = 512
    encoder_dim: Count = 256
    encoder_layers: Count = 6
    decoder_dim: Count = 256
    decoder_layers: Count = 8


CodecNetwork = Annotated[MelConfig | DacConfig | EncodecConfig | WaveConfig, Field(discriminator="kind")]


class CodecLossConfig(Settings):
    """What a codec is trained with: weights after DAC (mel, matching, adversarial) and Eq. 6 (waveform L1, KL)."""

    seconds: Positive = key(0.38, "of a crop")
    batch: Count = 72
    mel_windows: Counts = (32, 64, 128, 256, 512, 1024, 2048)
    mel_bands: Counts = (5, 10, 20, 40, 80, 160, 320)
    disc_windows: Annotated[tuple[Count, ...], LISTED] = (2048, 1024, 512)
    disc_channels: Count = 32
    waveform: NotNegative = 1.0
    mel: NotNegative = 15.0
    adversarial: NotNegative = 1.0
    matching: NotNegative = 2.0
    kl: NotNegative = 0.1
    adversarial_from: Natural = key(0, "the step from which discriminators take part")
    recorded: Share | None = key(None, "share of crops of real voices; without it every utterance is equally likely")


class CodecFitConfig(Settings):
    """Speech that a closed-form encoder is fitted to."""

    recorded: Share | None = key(None, "share of real voices; without it every utterance is equally likely")
    noisy: Share = key(0.0, "share of utterances in noise at 0 to 20 dB")
    count: Count = key(1000, "utterances")


class CodecModel(Model):
    """An audio codec."""

    network: CodecNetwork
    losses: CodecLossConfig = CodecLossConfig()
    adopt: Annotated[str, Field(pattern="^[a-z0-9_]+/[a-z0-9_]+$")] | None = key(
        None, "scale/model: the shipped codec whose decoder a fitted codec starts from"
    )
    fit: CodecFitConfig = CodecFitConfig()


class QuantiserNetwork(Settings):
    """Sizes of a residual quantiser."""

    levels: Count
    codes: Count | None = key(None, "of each level; EnCodec has its own")
    folder: str | None = key(None, "of EnCodec's published weights, in place of `init`")

    @model_validator(mode="after")
    def _codes_of_one(self) -> QuantiserNetwork:
        if (self.codes is None) == (self.folder is None):
            raise ValueError("give either `codes`, to fit codebooks, or `folder`, to take EnCodec's")
        return self


class FitConfig(Settings):
    """What the codebooks are fitted to: frames of clean speech, of the same degraded, and of noise."""

    frames: Count = key(150_000, "latent frames")
    iterations: Count = key(20, "of k-means, a level")
    parts: dict[Literal["clean", "noisy", "noise"], NotNegative] = key(
        {"clean": 5.0, "noisy": 5.0, "noise": 1.0}, "proportions of the frames"
    )


class QuantiserModel(Model):
    """Residual codes over the latents of the codec `init`; of the codec, the decoder is trained on."""

    network: QuantiserNetwork
    fit: FitConfig = FitConfig()
    losses: CodecLossConfig = CodecLossConfig()
