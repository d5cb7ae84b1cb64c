"""The floor of separation: the mixture as it is."""

from baselines.noisy.adapter import Adapter

__all__ = ["Adapter"]
