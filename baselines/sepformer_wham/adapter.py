"""A public SepFormer: the adapter of `sepformer_whamr16k` with another checkpoint."""

from baselines.sepformer_whamr16k.adapter import Adapter

__all__ = ["Adapter"]
