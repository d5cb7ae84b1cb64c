"""The residual quantiser: codebooks fitted to all that must be said in tokens, then the decoder trained on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from speechbase.codec.encodec import published
from speechbase.codec.loading import load_codec
from speechbase.codec.quantiser import TokenCodec
from speechbase.codec.settings import CodecLossConfig, FitConfig, QuantiserNetwork
from speechbase.codec.trainee import CodecTrainee
from speechbase.corpus.pairs import Pairs
from speechbase.corpus.shards import open_speech
from speechbase.corpus.speech import SpeechTable
from speechbase.files import UserError, seed_of
from speechbase.settings import checked
from speechbase.training import checkpoint
from speechbase.training.kinds import Context

SECONDS = 3.0  # of a crop
GROUP = 16  # crops that are simulated at once


class QuantiserTrainee(CodecTrainee):
    """Trains the decoder of a token codec as the codec's own was trained; encoder and codebooks stay to the bit."""

    def __init__(self, network: TokenCodec, speech: SpeechTable, valid: SpeechTable, config, seed, context, sizes):
        super().__init__(network, speech, valid, config, seed, context)  # type: ignore[arg-type]
        self.sizes = sizes

    def resolved(self) -> dict:
        """The codec's sizes, which come from the weights that it starts from."""
        return {"network": self.sizes}

    @torch.no_grad()
    def validate(self, network: TokenCodec) -> dict[str, float]:  # type: ignore[override]
        """Distance of held-out crops from their round trip through all levels, and through the first 1, 2, 4, ..."""
        codes = network.encode(self.held_out)
        counts = [2**power for power in range(codes.shape[-1].bit_length()) if 2**power < codes.shape[-1]]
        figures = {f"mel_{count}": self._distance(network, codes[..., :count]) for count in counts}
        return figures | {"mel": self._distance(network, codes)}

    def _distance(self, network: TokenCodec, codes: Tensor) -> float:
        return float(self.mel(network.decode(codes).float(), self.held_out))

    def weights(self, averaged: TokenCodec) -> dict[str, Tensor]:  # type: ignore[override]
        """Codec and codebooks."""
        return averaged.state_dict()


def fitting_latents(codec, pairs: Pairs, config: FitConfig, seed: int) -> Tensor:
    """Latents [frames, c] of training speech, of the same degraded, and of the noise alone."""
    total, parts = sum(config.parts.values()), []
    wanted: dict[str, int] = {name: round(config.frames * part / total) for name, part in config.parts.items()}
    samples = round(SECONDS * codec.rate_hz / codec.hop) * codec.hop
    per_group = GROUP * samples // codec.hop
    for number in range(-(-max(wanted.values()) // per_group)):
        for name, task in (("clean", "enhancement"), ("noisy", "enhancement"), ("noise", "noise_isolation")):
            left = wanted.get(name, 0) - number * per_group
            if left <= 0:
                continue
            rngs = [np.random.default_rng(seed_of(seed, "quantiser", task, number, item)) for item in range(GROUP)]
            pair = pairs.pairs([task] * GROUP, rngs, samples, 0)
            wave = pair.source if name == "noisy" else pair.target
            parts.append(codec.encode(wave).flatten(0, 1)[:left].cpu())  # [frames, c]
    return torch.cat(parts)


def build(config: dict, context: Context) -> QuantiserTrainee:
    """The trainee of a token codec, from the weights of a codec (`init`), or from a published one (`network.folder`).

    Raises:
        UserError: no codec to start from, or an unknown key.
    """
    losses = checked(CodecLossConfig, config.get("losses", {}), "losses")
    asked = checked(QuantiserNetwork, config["network"], "network")
    if asked.codes is None or asked.folder is not None:
        network, sizes = published(str(asked.folder), asked.levels)
        tables = _speech(context, network.rate_hz)
        return QuantiserTrainee(network, *tables, losses, config["seed"], context, sizes)
    if context.init is None:
        raise UserError(
            "A quantiser needs the codec whose latents it quantises: give `init: codec`, or `network.folder` with the "
            "published weights of EnCodec."
        )
    device = context.accelerator.device
    codec = load_codec(context.init).to(device)
    _, before = checkpoint.read_model(context.init)
    fit = checked(FitConfig, config.get("fit", {}), "fit")
    speech = _speech(context, codec.rate_hz)
    pairs = Pairs.load(context.data, "train", config["degradation"], codec.rate_hz, device, speech=speech[0])
    network = TokenCodec(codec, asked.levels, asked.codes)
    left = network.quantiser.fit(fitting_latents(codec, pairs, fit, config["seed"]), config["seed"], fit.iterations)
    shown = ", ".join(f"{share:.3f}" for share in left)
    context.accelerator.print(f"variance of the latents that is left over after each level: {shown}")
    sizes = {"codec": before["network"], "levels": network.quantiser.levels, "codes": asked.codes}
    return QuantiserTrainee(network, *speech, losses, config["seed"], context, sizes)


def _speech(context: Context, rate_hz: int) -> tuple[SpeechTable, SpeechTable]:
    """Speech of training and of validation."""
    return open_speech(context.data, "train", rate_hz), open_speech(context.data, "valid", rate_hz)
