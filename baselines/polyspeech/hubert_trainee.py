"""Training of the semantic encoder, kind `hubert`: masked prediction of clusters of latents, or of an earlier one's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import broadcast
from torch import Tensor, nn

from baselines.polyspeech import probe
from baselines.polyspeech.crops import ALONE, Crop, Crops
from baselines.polyspeech.hubert import Hubert, Semantic
from baselines.polyspeech.settings import HubertBatches, HubertModel, TargetConfig
from speechbase.codec import Codec
from speechbase.codec.loading import load_codec
from speechbase.codec.quantiser import ResidualQuantiser
from speechbase.corpus.shards import open_speech
from speechbase.corpus.speech import SpeechTable
from speechbase.files import UserError, seed_of
from speechbase.settings import checked, value_of
from speechbase.tokens.settings import LMConfig
from speechbase.training.kinds import Context

LATENTS = "latents"  # as targets: the first iteration's


class Targets:
    """Clusters [b, n] of clean latents [b, n, c]."""

    def __init__(self, config: TargetConfig, encoder: Semantic | None, channels: int):
        self.config, self.encoder = config, encoder
        self.clusters = ResidualQuantiser(1, config.clusters, encoder.dim if encoder else channels)

    def of(self, latents: Tensor) -> Tensor:
        """What is clustered, [b, n, d]."""
        return self.encoder(latents) if self.encoder else latents - latents.mean(1, keepdim=True)

    def __call__(self, latents: Tensor) -> Tensor:
        """Cluster [b, n] of each frame."""
        return self.clusters.encode(self.of(latents))[..., 0]


class HubertTrainee:
    """What the training loop needs; released with the layer that a linear probe chose on validation speech.

    `english` opens the speech of training and of validation whose words the probe reads; `share` is as of `Crops.draw`.
    """

    rivals: nn.Module | None = None

    def __init__(
        self,
        network: Hubert,
        codec: Codec,
        train: Crops,
        valid: Crops,
        how: HubertBatches,
        targets: Targets,
        seed: int,
        english: Callable[[], tuple[SpeechTable, SpeechTable]],
        share: tuple[int, int] = ALONE,
    ):
        self.english, self.share = english, share
        self.network, self.codec, self.train, self.how, self.seed = network, codec, train, how, seed
        self.targets = targets
        self.chosen: tuple[int, dict[str, float]] = (0, {})
        crops = -(-how.valid_items // how.size)
        self.held_out = [
            self._batch(
                valid.draw(how.model_copy(update={"noisy": 0.0}), codec.hop, seed, "valid", number), "valid", number
            )
            for number in range(crops)
        ]

    def _batch(self, crop: Crop, *stream, share: tuple[int, int] = ALONE) -> tuple[Tensor, Tensor, Tensor]:
        """Latents of what is heard [b, n, c], the clusters of what is clean [b, n], and the mask [b, n]."""
        rank, ranks = share
        with torch.no_grad(), torch.autocast(crop.clean.device.type, enabled=False):
            clean = self.codec.encode(crop.clean)
            heard = clean if crop.heard is crop.clean else self.codec.encode(crop.heard)
            labels = self.targets(clean)
        rng = np.random.default_rng(seed_of(self.seed, "mask", *stream))
        chances = rng.random((len(labels) * ranks, labels.shape[1]))[rank::ranks]  # this rank's of the global batch's
        starts = chances < 1 - (1 - self.how.mask) ** (1 / self.how.span)
        begun = np.cumsum(np.pad(starts, ((0, 0), (self.how.span, 0))), 1)
        mask = begun[:, self.how.span :] > begun[:, : -self.how.span]
        return heard, labels, torch.from_numpy(mask).to(heard.device)

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Cross-entropy and accuracy over the masked frames of a micro-batch."""
        stream = ("train", step, micro)
        crop = self.train.draw(self.how, self.codec.hop, self.seed, *stream, share=self.share)
        return self._scores(network, *self._batch(crop, *stream, share=self.share))

    def _scores(self, network: nn.Module, heard: Tensor, labels: Tensor, mask: Tensor) -> dict[str, Tensor]:
        logits, wanted = network(heard, mask)[mask].float(), labels[mask]
        return {
            "loss": F.cross_entropy(logits, wanted),
            "accuracy": (logits.argmax(-1) == wanted).float().mean(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The same on held-out speech."""
        scores = [self._scores(network, *batch) for batch in self.held_out]
        return {name: float(torch.stack([one[name] for one in scores]).mean()) for name in scores[0]}

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network, with the statistics of its layers."""
        english = self.english()
        layer, errors, mean, std = probe.choose(averaged, self.codec, *english, self.seed)  # type: ignore[arg-type]
        self.chosen = (layer, errors)
        return averaged.state_dict() | {"mean": mean, "std": std}

    def resolved(self) -> dict:
        """The network's sizes, the chosen layer, and the character errors (%) of a probe of each layer."""
        sizes = self.network.lm.config.model_dump()
        more = {"channels": self.codec.latent_dim, "clusters": self.targets.config.clusters}
        return {"network": sizes | more, "layer": self.chosen[0], "probe_cer": self.chosen[1]}


def build(config: dict, context: Context) -> HubertTrainee:
    """The trainee of a semantic encoder.

    Raises:
        UserError: an unknown key, no codec, or targets of a model that is none.
    """
    if context.init is not None:
        raise UserError("A semantic encoder starts from random weights: leave out `init` (targets.of names another).")
    device = context.accelerator.device
    codec = load_codec(context.models / value_of(HubertModel, config, "codec")).to(device)
    how = checked(HubertBatches, config.get("batches", {}), "batches")
    wanted = checked(TargetConfig, config.get("targets", {}), "targets")
    train, valid = Crops.of(context.data, config, codec.rate_hz, device)
    encoder = None if wanted.of == LATENTS else Semantic(context.models / wanted.of, device)
    targets = Targets(wanted, encoder, codec.latent_dim)
    left = targets.clusters.fit(_frames(codec, train, how, targets, config["seed"]), config["seed"], wanted.iterations)
    context.accelerator.print(f"variance that is left over after the clusters: {left[0]:.3f}")
    targets.clusters.to(device)
    # Sums of floats differ between machines, clusters then too, and all processes must call a frame alike.
    targets.clusters.codewords = broadcast(targets.clusters.codewords)
    torch.manual_seed(config["seed"])
    sizes = checked(LMConfig, config["network"], "network")
    network = Hubert(codec.latent_dim, sizes, wanted.clusters).to(device)

    def english() -> tuple[SpeechTable, SpeechTable]:
        names = (value_of(HubertModel, config, "speech"), "valid")
        fitted, scored = (open_speech(context.data, name, codec.rate_hz, eager=False).with_text() for name in names)
        return fitted, scored

    return HubertTrainee(network, codec, train, valid, how, targets, config["seed"], english, context.share())


def _frames(codec: Codec, crops: Crops, how: HubertBatches, targets: Targets, seed: int) -> Tensor:
    """What the clusters are fitted to: frames [n, d] of clean training speech."""
    found: list[Tensor] = []
    clean = how.model_copy(update={"noisy": 0.0})
    while sum(map(len, found)) < targets.config.frames:
        crop = crops.draw(clean, codec.hop, seed, "clusters", len(found))
        found.append(targets.of(codec.encode(crop.clean)).flatten(0, 1).cpu())
    return torch.cat(found)[: targets.config.frames]
