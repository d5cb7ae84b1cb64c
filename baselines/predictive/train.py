"""Train the predictive enhancer on SpeechOp's degraded speech: `python -m baselines.predictive.train --help`."""

from __future__ import annotations

from torch import Tensor

from baselines.matched import command
from baselines.predictive.model import Enhancer, Size, spectral_loss
from speechbase.corpus.pairs import Pair


def loss(network: Enhancer, pair: Pair, mixture: Tensor) -> Tensor:
    """Compressed spectral distance to the clean speech."""
    return spectral_loss(network, {"noisy": pair.source, "clean": pair.target})


main = command("predictive", "enhancement", lambda model: Enhancer(Size.of(model)), loss, __doc__)

if __name__ == "__main__":
    raise SystemExit(main())
