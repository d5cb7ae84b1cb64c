"""Floating-point operations of the configured networks, counted on their real code without weights (torch's meta device)."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from speechbase.codec import build_codec
from speechop.model.network import NetworkConfig, SpeechOpNetwork

# ByT5-base's encoder (Xue et al. 2022): 18 layers, width 1536, attention of 12 x 64, gated feed-forward of 3968.
BYT5_PARAMETERS = 18 * (4 * 1536 * 768 + 3 * 1536 * 3968)


def codec_per_second(network: dict) -> tuple[float, float]:
    """Operations for a second of audio: (encoder, encoder and decoder), forward."""
    with torch.device("meta"):
        codec = build_codec(network).requires_grad_(False)
        wave = torch.zeros(1, codec.rate_hz)
        with FlopCounterMode(display=False) as encoding, torch.no_grad():
            mean, _ = codec.posterior(wave)
        with FlopCounterMode(display=False) as decoding, torch.no_grad():
            codec.decode(mean)
    return float(encoding.get_total_flops()), float(encoding.get_total_flops() + decoding.get_total_flops())


class Counter:
    """Counts one item's forward pass of a network of the given configuration."""

    def __init__(self, network: dict):
        self.config = NetworkConfig(**network)
        with torch.device("meta"):
            self.network = SpeechOpNetwork(self.config, text_encoder=_Encoded()).eval().requires_grad_(False)

    def parameters(self) -> dict[str, int]:
        """Parameters of the diffusion transformer with all that is not the audio encoder, and of the audio encoder."""
        encoder = ("encoder.", "source_in.", "source_out.", "encoder_condition.")
        counts = {"transformer": 0, "encoder": 0}
        for name, parameter in self.network.named_parameters():
            counts["encoder" if name.startswith(encoder) else "transformer"] += parameter.numel()
        return counts

    def forward(self, frames: int, text_bytes: int = 0, source: bool = False, encode_source: bool = True) -> float:
        """Operations of one evaluation: `frames` of latents, a transcript of so many bytes, with or without a source.

        The frozen text encoder counts two operations a parameter and byte.
        """
        network, config = self.network, self.config
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            z, one = torch.zeros(1, frames, config.latent_dim), torch.zeros(1)
            task = torch.zeros(1, dtype=torch.long)
            if text_bytes:
                hidden, lengths = torch.zeros(1, text_bytes, config.text["dim"]), torch.full((1,), text_bytes)
                text = network.encode_text(hidden, lengths, torch.ones(1, dtype=torch.bool), torch.full((1,), frames))
            else:
                text = network.no_text()
            mixed = network.encode_source(z, task, None, one) if source and encode_source else None
            if mixed is not None and config.source_mixing == "cross_attention":
                text, mixed = network.source_as_memory(mixed, None, torch.ones(1, dtype=torch.bool)), None
            hidden = network.latent_in(z) if mixed is None else network.latent_in(z) + mixed
            condition = network.timestep(one) + network.task(task)
            network.latent_out(network.dit(hidden, condition, None, text.memory, text.mask, text.rows))
        return float(counter.get_total_flops()) + (2.0 * BYT5_PARAMETERS * text_bytes)


class _Encoded(nn.Module):
    """Stands in the text encoder's place where the transcript is encoded already."""

    def forward(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return hidden
