"""Training of the decoder, kind `polyspeech_decoder`: the codec's latents from tokens and another utterance's voice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.polyspeech import weights
from baselines.polyspeech.crops import ALONE, Crops
from baselines.polyspeech.decoder import LatentDecoder
from baselines.polyspeech.hubert import Semantic
from baselines.polyspeech.settings import CropConfig, PolySpeechDecoderModel
from baselines.polyspeech.sset import Sset, load_sset
from speechbase.codec import Codec
from speechbase.codec.loading import load_codec
from speechbase.settings import checked, value_of
from speechbase.tokens.settings import LMConfig
from speechbase.training.kinds import Context


class DecoderTrainee:
    """What the training loop needs; `share` is as of `Crops.draw`."""

    rivals: nn.Module | None = None

    def __init__(
        self,
        network: LatentDecoder,
        codec: Codec,
        semantic: Semantic,
        sset: Sset,
        train: Crops,
        valid: Crops,
        how: CropConfig,
        seed: int,
        record: dict,
        share: tuple[int, int] = ALONE,
    ):
        self.network, self.codec, self.semantic, self.sset = network, codec, semantic, sset
        self.train, self.how, self.seed, self.record, self.share = train, how, seed, record, share
        self.held_out = [self._batch(valid, "valid", number) for number in range(-(-how.valid_items // how.size))]

    @torch.no_grad()
    def _batch(self, crops: Crops, *stream, share: tuple[int, int] = ALONE) -> tuple[Tensor, Tensor, Tensor]:
        """What the tokens say [b, n, e], latents of the prompt [b, p, c] and the latents wanted [b, n, c]."""
        crop = crops.draw(self.how, self.codec.hop, self.seed, *stream, share=share)
        with torch.autocast(crop.clean.device.type, enabled=False):
            wanted, prompt = self.codec.encode(crop.clean), self.codec.encode(crop.prompt)
            said = self.sset.decode(self.sset.encode(self.semantic(wanted)))
        return said, prompt, wanted

    def losses(self, network: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        """Mean absolute error of the latents of a micro-batch."""
        batch = self._batch(self.train, "train", step, micro, share=self.share)
        return {"loss": self._error(network, *batch)}

    @staticmethod
    def _error(network: nn.Module, said: Tensor, prompt: Tensor, wanted: Tensor) -> Tensor:
        return F.l1_loss(network(said, prompt).float(), wanted)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The same on held-out speech, and with other items' voices: a decoder that hears its prompt does worse."""
        right = torch.stack([self._error(network, *batch) for batch in self.held_out]).mean()
        wrong = [self._error(network, said, prompt.roll(1, 0), wanted) for said, prompt, wanted in self.held_out]
        return {"loss": float(right), "other_voice": float(torch.stack(wrong).mean())}

    def weights(self, averaged: nn.Module) -> dict[str, Tensor]:
        """All of the averaged network."""
        return averaged.state_dict()

    def resolved(self) -> dict:
        """Sizes, and the tokens that it decodes."""
        return self.record


def build(config: dict, context: Context) -> DecoderTrainee:
    """The trainee of a decoder of the tokens of `sset` over the embeddings of `semantic`.

    Raises:
        UserError: an unknown key, missing models, or models that do not belong together.
    """
    device = context.accelerator.device
    codec = load_codec(context.models / value_of(PolySpeechDecoderModel, config, "codec")).to(device)
    semantic = Semantic(context.models / config["semantic"], device)
    sset, tokens = load_sset(context.models / config["tokens"], semantic.record, device)
    how = checked(CropConfig, config.get("batches", {}), "batches")
    train, valid = Crops.of(context.data, config, codec.rate_hz, device)
    torch.manual_seed(config["seed"])
    sizes = checked(LMConfig, config["network"], "network")
    network = LatentDecoder(semantic.dim, codec.latent_dim, sizes)
    weights.begin(network, context.init, "polyspeech_decoder", tokens=tokens)
    record = {"network": sizes.model_dump() | {"width": semantic.dim}, "tokens": tokens}
    return DecoderTrainee(
        network.to(device), codec, semantic, sset, train, valid, how, config["seed"], record, context.share()
    )
