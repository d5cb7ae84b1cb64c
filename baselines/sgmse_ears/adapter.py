"""SGMSE+ at 48 kHz: the adapter of `sgmse` with another checkpoint."""

from baselines.sgmse.adapter import Adapter

__all__ = ["Adapter"]
