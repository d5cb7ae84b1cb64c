"""Training of tokens, kind `sset`: reconstruct semantic embeddings through a codebook."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.polyspeech import weights
from baselines.polyspeech.crops import ALONE, Crops
from baselines.polyspeech.hubert import Semantic
from baselines.polyspeech.settings import CropConfig, SsetConfig, SsetFit, SsetLosses, SsetModel
from baselines.polyspeech.sset import Sset
from speechbase.codec import Codec
from speechbase.codec.loading import load_codec
from speechbase.codec.quantiser import ResidualQuantiser
from speechbase.settings import checked, value_of
from speechbase.training.kinds import Context


class SsetTrainee:
    """What the training loop needs; `share` is as of `Crops.draw`."""

    rivals: nn.Module | None = None

    def __init__(
        self,
        network: Sset,
        embed: Embed,
        train: Crops,
        valid: Crops,
        how: CropConfig,
        losses: SsetLosses,
        record: dict,
        share: tuple[int, int] = ALONE,
    ):
        self.network, self.embed, self.train, self.how, self.cost = network, embed, train, how, losses
        self.record, self.share = record, share
        count = -(-how.valid_items // how.size)
        self.held_out = [embed(valid, how, "valid", number) for number in range(count)]

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """The loss of a micro-batch; the codebook follows.

        `network` may be a wrapper that shares gradients among processes: all but its pass is asked of `self.network`.
        """
        wanted = self.embed(self.train, self.how, "train", step, micro, share=self.share)
        made, inner, tokens = network(wanted)
        loss = F.mse_loss(made.float(), wanted)
        if not self.network.learned:
            return {"loss": loss}
        commitment = F.mse_loss(inner.float(), self.network.summed(tokens))
        self.network.follow(inner)
        return {"loss": loss + self.cost.commitment * commitment, "error": loss, "commitment": commitment}

    def validate(self, network: Sset) -> dict[str, float]:  # type: ignore[override]
        """Share of the embeddings' variance that is lost, and the perplexity of the first level, on held-out speech."""
        errors, counts = [], torch.zeros(network.codewords.shape[1])
        for embeddings in self.held_out:
            made, _, tokens = network(embeddings)
            errors.append(float(F.mse_loss(made.float(), embeddings) / embeddings.var()))
            counts += torch.bincount(tokens[..., 0].flatten().cpu(), minlength=len(counts))
        used = counts[counts > 0] / counts.sum()
        return {"loss": sum(errors) / len(errors), "perplexity": float((-(used * used.log()).sum()).exp())}

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network."""
        return averaged.state_dict()

    def resolved(self) -> dict:
        """Sizes, and the encoder whose embeddings these tokens are of."""
        return self.record


class Embed:
    """Crops of speech as semantic embeddings [b, n, d]."""

    def __init__(self, codec: Codec, semantic: Semantic, seed: int):
        self.codec, self.semantic, self.seed = codec, semantic, seed

    @torch.no_grad()
    def __call__(self, crops: Crops, how: CropConfig, *stream, share: tuple[int, int] = ALONE) -> Tensor:
        """Of the micro-batch of a stream."""
        crop = crops.draw(how, self.codec.hop, self.seed, *stream, share=share)
        return self.semantic(self.codec.encode(crop.heard))

    def frames(self, crops: Crops, how: CropConfig, count: int) -> Tensor:
        """So many frames [n, d] of clean training speech."""
        found: list[Tensor] = []
        while sum(map(len, found)) < count:
            found.append(self(crops, how.model_copy(update={"noisy": 0.0}), "fit", len(found)).flatten(0, 1).cpu())
        return torch.cat(found)[:count]


def build(config: dict, context: Context) -> SsetTrainee:
    """The trainee of tokens of an encoder's embeddings (`semantic`).

    Raises:
        UserError: an unknown key, or no trained codec and encoder.
    """
    device = context.accelerator.device
    codec = load_codec(context.models / value_of(SsetModel, config, "codec")).to(device)
    semantic = Semantic(context.models / config["semantic"], device)
    how = checked(CropConfig, config.get("batches", {}), "batches")
    fit = checked(SsetFit, config.get("fit", {}), "fit")
    train, valid = Crops.of(context.data, config, codec.rate_hz, device)
    torch.manual_seed(config["seed"])
    sizes = checked(SsetConfig, config["network"], "network")
    network = Sset(semantic.dim, sizes).to(device)
    embed = Embed(codec, semantic, config["seed"])
    weights.begin(network, context.init, "sset", semantic=semantic.record)
    if context.init is None:
        frames = embed.frames(train, how, fit.frames).to(device)
        with torch.no_grad():
            inner = network.encoder(frames[None])[0]
        clusters = ResidualQuantiser(sizes.levels, sizes.codes, inner.shape[-1])
        left = clusters.fit(inner, config["seed"], fit.iterations)
        context.accelerator.print(f"variance that is left over after k-means: {left[-1]:.3f}")
        network.begin(clusters.codewords.to(device))
    losses = checked(SsetLosses, config.get("losses", {}), "losses")
    record = {"network": sizes.model_dump() | {"width": semantic.dim}, "semantic": semantic.record}
    return SsetTrainee(network, embed, train, valid, how, losses, record, context.share())
