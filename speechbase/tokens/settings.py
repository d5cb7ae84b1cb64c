"""Sizes of a token model's transformer."""

from __future__ import annotations

from speechbase.settings import Count, Settings, key


class LMConfig(Settings):
    """Sizes of a token model's transformer."""

    dim: Count = 256
    ff_dim: Count = 704
    layers: Count = 8
    heads: Count = 4
    window: Count = key(4096, "the most positions that are taken at once")
