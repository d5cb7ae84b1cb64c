"""The trainees of SpeechOp: stage 1 (`tts`), stage 2 (`multitask`) and single speech-to-speech tasks (`s2s`)."""

from __future__ import annotations

import torch

from speechbase.codec import Codec
from speechbase.codec.loading import load_codec
from speechbase.corpus import latents
from speechbase.corpus.pairs import Pairs
from speechbase.corpus.shards import open_speech, tts_split
from speechbase.settings import checked, value_of
from speechbase.training import checkpoint
from speechbase.training.kinds import Context
from speechbase.training.settings import TrainingConfig
from speechop.model.loading import ENCODER, FROZEN_TEXT, UNTRAINED
from speechop.model.network import SpeechOpNetwork
from speechop.schedule import ShiftedCosine, SigmoidWeight
from speechop.settings import BatchConfig, DiffusionConfig, DiffusionLossConfig, DiffusionModel, NetworkConfig
from speechop.stages.batches import Drawer
from speechop.stages.diffusion import DiffusionTrainee
from speechop.stages.resident import Resident

BATCHES = {"tts": ("tts",), "multitask": ("tts", "s2s"), "s2s": ("s2s",)}


def build(config: dict, context: Context) -> DiffusionTrainee:
    """The trainee of a diffusion stage.

    Raises:
        UserError: an unknown key, weights of another model, or a corpus that does not fit the codec.
    """
    accelerator, kinds = context.accelerator, BATCHES[context.kind]
    folder = context.models / value_of(DiffusionModel, config, "codec")
    codec = load_codec(folder).to(accelerator.device)
    torch.manual_seed(config["seed"])
    network = _network(config, context)
    drawer, valid = (_drawer(config, context, split, codec, network.config) for split in ("train", "valid"))
    losses = checked(DiffusionLossConfig, config.get("losses", {}), "losses")
    accumulate = checked(TrainingConfig, config["training"], "training").accumulate
    return DiffusionTrainee(
        network.to(accelerator.device), drawer, valid, kinds, losses, context.kind, accumulate, codec
    )


def _drawer(config: dict, context: Context, split: str, codec: Codec, network: NetworkConfig) -> Drawer:
    """What draws the batches of a split: latents that lie on the device where the data has such, else audio."""
    accelerator, kinds, training = context.accelerator, BATCHES[context.kind], split == "train"
    drawn = checked(BatchConfig, config.get("batches", {}), "batches")
    if not training:
        drawn = drawn.model_copy(update={"speed": (1.0, 1.0), "drop": 0.0})
    diffusion = checked(DiffusionConfig, config.get("diffusion", {}), "diffusion")
    weight = SigmoidWeight(diffusion.bias, diffusion.elbo_jacobian, ShiftedCosine(diffusion.schedule_scale))
    stored = latents.folder_of(context.data, split)
    rank, ranks = context.share(split)
    seed = config["seed"] if training else config.get("valid_seed", config["seed"])
    resident = heard = spoken = degrader = None
    if "tts" in kinds and stored.is_dir():
        frame_rate_hz = codec.rate_hz / codec.hop
        read = latents.read(stored)
        resident = Resident(read, drawn, weight, seed, accelerator.device, network, frame_rate_hz, rank)
    elif "tts" in kinds:
        spoken = open_speech(context.data, tts_split(context.data, split), codec.rate_hz, ahead=bool(drawn.workers))
    # Processes that draw ahead share no GPU: pairs are simulated and encoded on the CPU.
    encoder = load_codec(context.models / value_of(DiffusionModel, config, "codec")) if drawn.workers else codec
    if "s2s" in kinds:
        same = spoken is not None and tts_split(context.data, split) == split
        heard = spoken if same else open_speech(context.data, split, codec.rate_hz, ahead=bool(drawn.workers))
        if heard is not None and training and drawn.s2s_voices is not None:
            heard = heard.of_voices(drawn.s2s_voices)
        degrader = Pairs.load(
            context.data, split, config["degradation"], codec.rate_hz, encoder.mean.device, drawn.recorded, heard
        )
    speech = heard if spoken is None else spoken
    return Drawer(speech, encoder, drawn, weight, seed, degrader, rank, ranks, network.tasks, resident)


def _network(config: dict, context: Context) -> SpeechOpNetwork:
    """The network to train; from stage 1's weights, every task begins as TTS."""
    network = SpeechOpNetwork(checked(NetworkConfig, config["network"], "network"))
    if context.init is not None:
        tensors, before = checkpoint.read_model(context.init)
        lacking = (*ENCODER, FROZEN_TEXT, *UNTRAINED.get(context.kind, ()))
        checkpoint.load_into(network, tensors, context.init, may_lack=lacking)
        if before["kind"] == "tts" and context.kind != "tts":
            network.begin_as_tts()
    return network
