"""Training of the predictive enhancer on SpeechOp's degraded speech."""

from __future__ import annotations

from torch import Tensor

from baselines.matched import MatchedTrainee, matched
from baselines.predictive.model import Enhancer, Size, spectral_loss
from speechbase.corpus.pairs import Pair
from speechbase.training.kinds import Context, settings_of


def loss(network: Enhancer, pair: Pair, mixture: Tensor) -> Tensor:
    """Compressed spectral distance to the clean speech."""
    return spectral_loss(network, {"noisy": pair.source, "clean": pair.target})


def build(config: dict, context: Context) -> MatchedTrainee:
    """The trainee of `predictive`."""
    return matched(Enhancer(settings_of(Size, config["network"], "network")), loss, "enhancement", config, context)
