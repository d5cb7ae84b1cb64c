"""Audio autoencoders (Appendix C): waveform <-> latents at 40 Hz with a variational bottleneck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechbase.codec.build import Codec, DacCodec, EncodecCodec, MelCodec, WaveCodec, build_codec

__all__ = ["Codec", "DacCodec", "EncodecCodec", "MelCodec", "WaveCodec", "build_codec"]


def __getattr__(name: str) -> Any:
    """What `build` has, loaded when it is asked for: planning reads the settings beside it, and torch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'speechbase.codec' has no attribute {name!r}")
    from speechbase.codec import build

    return getattr(build, name)
