"""Training of SepFormer on SpeechOp's two-speaker mixtures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.matched import MatchedTrainee, matched
from baselines.sepformer.model import build as build_network
from baselines.sepformer.model import negative_si_snr
from baselines.sepformer.settings import Size
from speechbase.corpus.pairs import Pair
from speechbase.settings import checked
from speechbase.training.kinds import Context


def loss(network: nn.Module, pair: Pair, mixture: Tensor) -> Tensor:
    """Permutation-invariant negative SI-SNR against both speakers of the noiseless mixture."""
    sources = torch.stack([pair.target, mixture - pair.target], -1)  # [b, n, 2]
    return negative_si_snr(network, {"mixture": pair.source, "sources": sources})


def build(config: dict, context: Context) -> MatchedTrainee:
    """The trainee of `sepformer`."""
    return matched(build_network(checked(Size, config["network"], "network")), loss, "separation", config, context)
