"""A codec of any kind from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from speechbase.codec.base import Codec
from speechbase.codec.dac import DacCodec
from speechbase.codec.encodec import EncodecCodec
from speechbase.codec.mel import MelCodec
from speechbase.codec.settings import DacConfig, EncodecConfig, MelConfig, WaveConfig
from speechbase.codec.wave import WaveCodec
from speechbase.files import UserError, did_you_mean
from speechbase.settings import Settings, checked

KINDS: dict[str, tuple[type[Settings], Callable[[Any], Codec]]] = {
    "dac": (DacConfig, DacCodec),
    "encodec": (EncodecConfig, EncodecCodec),
    "mel": (MelConfig, MelCodec),
    "wave": (WaveConfig, WaveCodec),
}


def build_codec(config: dict) -> Codec:
    """A codec with fresh weights from its configuration: its kind and sizes (speechbase/codec/settings.py).

    Raises:
        UserError: an unknown kind or size.
    """
    kind = config.get("kind", "")
    if kind not in KINDS:
        raise UserError(f"There is no codec of the kind {kind!r}{did_you_mean(kind, KINDS)}.")
    sizes, codec = KINDS[kind]
    return codec(checked(sizes, config, f"the codec {kind}"))
