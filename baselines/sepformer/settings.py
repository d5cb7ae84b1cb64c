"""Settings of SepFormer."""

from __future__ import annotations

from baselines.settings import MatchedModel
from speechbase.settings import Count, Settings


class Size(Settings):
    """Sizes of SepFormer; the defaults can be trained by two CPU cores."""

    rate_hz: Count = 16000
    kernel: Count = 32
    channels: Count = 64
    chunk: Count = 100
    blocks: Count = 2
    layers: Count = 1
    heads: Count = 4
    feedforward: Count = 256


class SepFormerModel(MatchedModel):
    """SepFormer, trained here."""

    network: Size
