"""SepFormer (Subakan et al. 2021, speechbrain's implementation) of a size from the configuration.

Shapes: b batch, n samples, s speakers.
"""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from baselines.sepformer.settings import Size


def build(size: Size) -> nn.Module:
    """A SepFormer with random weights: float [b, n] -> float [b, n, s=2]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from speechbrain.lobes.models.dual_path import SepformerWrapper

    model = SepformerWrapper(
        encoder_kernel_size=size.kernel,
        encoder_out_nchannels=size.channels,
        masknet_chunksize=size.chunk,
        masknet_numlayers=size.blocks,
        intra_numlayers=size.layers,
        inter_numlayers=size.layers,
        intra_nhead=size.heads,
        inter_nhead=size.heads,
        intra_dffn=size.feedforward,
        inter_dffn=size.feedforward,
    )
    for module in model.modules():
        if "pe" in module._buffers:  # sinusoids: three quarters of the weights' file, and the same in every SepFormer
            module.register_buffer("pe", module.pe, persistent=False)
    return model


def negative_si_snr(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Permutation-invariant negative SI-SNR in dB, at most 30 dB an item, as SepFormer's authors train it.

    Args:
        batch: `mixture` [b, n] and `sources` [b, n, s].
    """
    from speechbrain.nnet.losses import get_si_snr_with_pitwrapper

    loss = get_si_snr_with_pitwrapper(batch["sources"], model(batch["mixture"]))  # [b]
    return loss.clamp(min=-30).mean()
