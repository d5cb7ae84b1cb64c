"""Train SepFormer on SpeechOp's two-speaker mixtures: `python -m baselines.sepformer.train --help`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.matched import command
from baselines.sepformer.model import Size, build, negative_si_snr
from speechbase.corpus.pairs import Pair


def loss(network: nn.Module, pair: Pair, mixture: Tensor) -> Tensor:
    """Permutation-invariant negative SI-SNR against both speakers of the noiseless mixture."""
    sources = torch.stack([pair.target, mixture - pair.target], -1)  # [b, n, 2]
    return negative_si_snr(network, {"mixture": pair.source, "sources": sources})


main = command("sepformer", "separation", lambda model: build(Size.of(model)), loss, __doc__)

if __name__ == "__main__":
    raise SystemExit(main())
