"""Training of SepFormer on SpeechOp's two-speaker mixtures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.matched import MatchedTrainee, matched
from baselines.sepformer.model import Size, negative_si_snr
from baselines.sepformer.model import build as build_network
from speechbase.corpus.pairs import Pair
from speechbase.training.kinds import Context, settings_of


def loss(network: nn.Module, pair: Pair, mixture: Tensor) -> Tensor:
    """Permutation-invariant negative SI-SNR against both speakers of the noiseless mixture."""
    sources = torch.stack([pair.target, mixture - pair.target], -1)  # [b, n, 2]
    return negative_si_snr(network, {"mixture": pair.source, "sources": sources})


def build(config: dict, context: Context) -> MatchedTrainee:
    """The trainee of `sepformer`."""
    return matched(build_network(settings_of(Size, config["network"], "network")), loss, "separation", config, context)
