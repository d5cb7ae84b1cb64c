"""Training of the predictive enhancer on SpeechOp's degraded speech."""

from __future__ import annotations

from torch import Tensor

from baselines.matched import MatchedTrainee, matched
from baselines.predictive.model import Enhancer, spectral_loss
from baselines.predictive.settings import Size
from speechbase.corpus.pairs import Pair
from speechbase.settings import checked
from speechbase.training.kinds import Context


def loss(network: Enhancer, pair: Pair, mixture: Tensor) -> Tensor:
    """Compressed spectral distance to the clean speech."""
    return spectral_loss(network, {"noisy": pair.source, "clean": pair.target})


def build(config: dict, context: Context) -> MatchedTrainee:
    """The trainee of `predictive`."""
    return matched(Enhancer(checked(Size, config["network"], "network")), loss, "enhancement", config, context)
