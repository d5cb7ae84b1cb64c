"""Stage 0: the codec (Appendix C): Eq. 6 with DAC's multi-scale mel and adversarial losses."""

from __future__ import annotations

from importlib.resources import files
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.codec import Codec, build_codec
from speechbase.codec.base import kl_divergence
from speechbase.codec.loading import load_codec
from speechbase.codec.losses import Discriminators, MultiScaleMel
from speechbase.codec.mel import MelCodec
from speechbase.codec.settings import CodecFitConfig, CodecLossConfig
from speechbase.corpus import noise
from speechbase.corpus.shards import open_speech
from speechbase.corpus.speech import SpeechTable
from speechbase.files import seed_of
from speechbase.settings import checked
from speechbase.training import checkpoint
from speechbase.training.kinds import Context


def fitting_waves(speech: SpeechTable, seed: int, how: CodecFitConfig) -> list[Tensor]:
    """Speech [s] each for the closed-form encoder, a share of it in noise, so that degraded sources keep what
    distinguishes them."""
    rng = np.random.default_rng(seed_of(seed, "fit"))
    waves = [speech.wave(speech.draw(rng, how.recorded)) for _ in range(how.count)]
    kinds = ("coloured", "speech_shaped", "modulated", "hum", "clicks", "music")
    for place in range(round(how.noisy * how.count)):
        kind, wave = kinds[place % len(kinds)], waves[place]
        sound = noise.make(
            kind, "train", seed_of(seed, "fit", place), len(wave) / speech.rate_hz + 0.1, speech.rate_hz, {}
        )
        level = wave.std() / sound.std() * 10 ** (-rng.uniform(0, 20) / 20)
        waves[place] = wave + np.float32(level) * sound[: len(wave)]
    return [torch.from_numpy(wave) for wave in waves]


class CodecTrainee:
    """Trains a codec on random crops of clean speech; one rank draws its own crops of the global batch."""

    def __init__(
        self, codec: Codec, speech: SpeechTable, valid: SpeechTable, config: CodecLossConfig, seed, context: Context
    ):
        self.network, self.config, self.seed, self.speech = codec, config, seed, speech
        self.device, (self.rank, self.ranks) = context.accelerator.device, context.share()
        self.mel = MultiScaleMel(codec.rate_hz, config.mel_windows, config.mel_bands).to(self.device)
        self._judges = Discriminators(config.disc_windows, config.disc_channels)
        self.rivals: nn.Module = self._judges
        self.crop_samples = round(config.seconds * codec.rate_hz / codec.hop) * codec.hop
        self.held_out = self._crops(valid, "valid", batch=32)
        self.heard = valid.wave(0)

    def _crops(self, table: SpeechTable, *stream, batch: int | None = None) -> Tensor:
        """Random crops [b, s]: this rank's share of the global batch, or `batch` of them, the same on every rank."""
        mine = range(batch) if batch else range(self.rank, self.config.batch * self.ranks, self.ranks)
        rows = []
        for index in mine:
            rng = np.random.default_rng(seed_of(self.seed, *stream, index))
            wave = table.wave(table.draw(rng, self.config.recorded))
            start = int(rng.integers(max(1, len(wave) - self.crop_samples)))
            crop = wave[start : start + self.crop_samples] * np.float32(10 ** rng.uniform(-0.5, 0.15))
            rows.append(np.pad(crop, (0, self.crop_samples - len(crop))))
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Losses of codec and discriminators on the crops of (seed, step, micro)."""
        config = self.config
        real = self._crops(self.speech, "train", step, micro)
        generator_on = step >= config.adversarial_from
        fake, mean, logvar = network(real)
        with torch.autocast(real.device.type, enabled=False):
            fake = fake.float()
            waveform, mel = F.l1_loss(fake, real), self.mel(fake, real)
            loss = (
                config.waveform * waveform + config.mel * mel + config.kl * kl_divergence(mean.float(), logvar.float())
            )
        figures = {"mel": mel, "waveform": waveform}
        if generator_on:
            self.rivals.requires_grad_(False)
            adversarial, matching = self._judges.generator_losses(real, fake)
            loss = loss + config.adversarial * adversarial + config.matching * matching
            self.rivals.requires_grad_(True)
            figures |= {"adversarial": adversarial, "rival_loss": self._judges.discriminator_loss(real, fake)}
        return {"loss": loss, **figures}

    @torch.no_grad()
    def measure(self, codec: Codec, utterances: int = 200) -> None:
        """Store the latents' statistics over a fixed choice of training speech; a fitted codec has its own scale
        already."""
        if hasattr(codec, "fit"):
            return
        rng = np.random.default_rng(seed_of(self.seed, "statistics"))
        means = []
        for place in rng.integers(len(self.speech), size=utterances):
            wave = self.speech.wave(int(place))
            whole = torch.from_numpy(wave[: len(wave) // codec.hop * codec.hop])[None].to(self.device)
            means.append(codec.posterior(whole)[0][0])  # [n, c]
        codec.set_statistics(torch.cat(means))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Distance of mel spectra over fixed validation crops, coded without noise."""
        codec = cast(Codec, network)
        estimate = codec.synthesise(codec.posterior(self.held_out)[0]).float()
        return {"mel": float(self.mel(estimate, self.held_out))}

    def weights(self, averaged: Codec) -> dict[str, Tensor]:
        """The codec's weights, the statistics of its latents measured."""
        self.measure(averaged)
        return averaged.state_dict()

    def samples(self, codec: Codec) -> tuple[dict[str, Tensor], int]:
        """A held-out utterance and its round trip."""
        original = torch.from_numpy(self.heard).to(self.device)
        return {"original": original, "reconstruction": codec.decode(codec.encode(original[None]))[0]}, codec.rate_hz


def build(config: dict, context: Context) -> CodecTrainee:
    """The trainee of a codec; begun from other weights it takes their encoder too, so that latents stay the same."""
    codec = build_codec(config["network"])
    speech, valid = (open_speech(context.data, split, codec.rate_hz) for split in ("train", "valid"))
    if context.init is not None:
        tensors, _ = checkpoint.read_model(context.init)
        checkpoint.load_into(codec, tensors, context.init)
    elif isinstance(codec, MelCodec):
        torch.manual_seed(config["seed"])
        waves = fitting_waves(speech, config["seed"], checked(CodecFitConfig, config.get("fit", {}), "fit"))
        context.accelerator.print(f"the encoder keeps {codec.fit(waves):.1%} of the log-mel variance")
        if config.get("adopt"):
            codec.adopt(cast(MelCodec, load_codec(files("speechbase") / "pretrained" / config["adopt"])))
    losses = checked(CodecLossConfig, config.get("losses", {}), "losses")
    return CodecTrainee(codec, speech, valid, losses, config["seed"], context)
