"""Audio autoencoders (Appendix C): waveform <-> latents at 40 Hz with a variational bottleneck."""

from __future__ import annotations

from speechbase.codec.base import Codec
from speechbase.codec.dac import DacCodec
from speechbase.codec.encodec import EncodecCodec
from speechbase.codec.mel import MelCodec

KINDS: dict[str, type[Codec]] = {"dac": DacCodec, "encodec": EncodecCodec, "mel": MelCodec}


def build_codec(config: dict) -> Codec:
    """A codec with fresh weights from its configuration: {"kind": "dac" | "encodec" | "mel", ...sizes}."""
    sizes = dict(config)
    kind = sizes.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"unknown codec {kind!r}; known are {', '.join(KINDS)}")
    return KINDS[kind](**sizes)
