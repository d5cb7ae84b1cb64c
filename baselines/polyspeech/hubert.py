"""The semantic encoder: a transformer over codec latents that learns to name what is masked (Hsu et al. 2021, HuBERT).

Legend: b batch, n latent frames, c latent channels, d width, l layers, k clusters.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.polyspeech import weights
from speechbase.codec import Codec
from speechbase.settings import checked
from speechbase.tokens.lm import TokenLM
from speechbase.tokens.settings import LMConfig
from speechbase.training import checkpoint


class Hubert(nn.Module):
    """Latents [b, n, c] -> what each layer makes of them, and the clusters of what is masked.

    `mean` and `std` [l + 1, d] are those of each layer's output over training speech, set at the weights' release.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, sizes: LMConfig, clusters: int):
        super().__init__()
        self.enter, self.head = nn.Linear(channels, sizes.dim), nn.Linear(sizes.dim, clusters)
        self.masked = nn.Parameter(torch.randn(sizes.dim) * 0.1)
        self.lm = TokenLM(sizes)
        self.register_buffer("mean", torch.zeros(sizes.layers + 1, sizes.dim))
        self.register_buffer("std", torch.ones(sizes.layers + 1, sizes.dim))

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Logits [b, n, k] of latents of which the frames `mask` [b, n] are hidden."""
        vectors = torch.where(mask[..., None], self.masked.to(latents.dtype), self.enter(latents))
        places, visible = everything(latents)
        return self.head(self.lm(vectors, places, visible))

    def layers(self, latents: Tensor, real: Tensor | None = None) -> list[Tensor]:
        """What each layer makes of latents, [b, n, d] each, the embedding first; only `real` [b, n] frames are seen."""
        places, visible = everything(latents, real)
        return list(self.lm.layers(self.enter(latents), places, visible))

    def embeddings(self, latents: Tensor, layer: int, real: Tensor | None = None) -> Tensor:
        """The output [b, n, d] of one layer, each channel at zero mean and unit variance over training speech."""
        return (self.layers(latents, real)[layer] - self.mean[layer]) / self.std[layer]


def everything(latents: Tensor, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Places [b, n], and which positions each one sees: all that are real, and itself."""
    b, n = latents.shape[:2]
    places = torch.arange(n, device=latents.device).expand(b, n)
    seen = torch.ones(b, n, dtype=torch.bool, device=latents.device) if real is None else real
    itself = torch.eye(n, dtype=torch.bool, device=latents.device)
    return places, (seen[:, None, :] | itself)[:, None]


class Semantic:
    """A trained encoder with its layer: audio latents to semantic embeddings.

    Raises:
        UserError: missing or foreign weights, or a model of another kind.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu"):
        tensors, config = weights.read(folder, "hubert")
        with checkpoint.building(folder):
            network = dict(config["network"])
            channels, clusters = network.pop("channels"), network.pop("clusters")
            self.network = Hubert(channels, checked(LMConfig, network, "network"), clusters)
        checkpoint.load_into(self.network, tensors, folder)
        self.network.to(device).eval().requires_grad_(False)
        self.layer, self.dim = int(config["layer"]), int(config["network"]["dim"])
        self.record = weights.record(folder, config)

    @torch.no_grad()
    def __call__(self, latents: Tensor, real: Tensor | None = None) -> Tensor:
        """Embeddings [b, n, d] of latents [b, n, c]; in full precision wherever it is called."""
        with torch.autocast(latents.device.type, enabled=False):
            return self.network.embeddings(latents.float(), self.layer, real)


def frames_of(codec: Codec, lengths: list[int], frames: int) -> Tensor:
    """Which frames [b, frames] hold audio of so many samples."""
    counts = torch.tensor([-(-length // codec.hop) for length in lengths])
    return torch.arange(frames) < counts[:, None]
