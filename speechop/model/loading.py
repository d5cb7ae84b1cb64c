"""Released networks, in evaluation mode."""

from __future__ import annotations

from pathlib import Path

from speechbase.files import UserError
from speechbase.settings import checked
from speechbase.training import checkpoint
from speechop.model.network import SpeechOpNetwork
from speechop.settings import NetworkConfig

KINDS = ("tts", "multitask", "s2s")
# Parts that stage 1 does not have: stage 2 attaches the audio encoder (Appendix E.2).
ENCODER = ("encoder.", "source_in.", "source_out.", "encoder_condition.")
FROZEN_TEXT = "text_encoder.model."
# What a stage never trains and its weights therefore leave out: single speech-to-speech tasks hear no text.
UNTRAINED = {"tts": ENCODER, "s2s": ("text_encoder.",)}


def load_network(folder: Path) -> tuple[SpeechOpNetwork, dict]:
    """A released diffusion network and its configuration; errors as `speechbase.codec.loading.load_codec`."""
    tensors, config = checkpoint.read_model(folder)
    check_current(config, folder)
    with checkpoint.building(folder):
        network = SpeechOpNetwork(checked(NetworkConfig, config["network"], "the network"))
        may_lack = (*UNTRAINED.get(config["kind"], ()), FROZEN_TEXT)
    checkpoint.load_into(network, tensors, folder, may_lack=may_lack)
    return network.eval().requires_grad_(False), config


def check_current(config: dict, folder: Path) -> None:
    """Raises: UserError: another kind of model, or a network's configuration of an earlier version, which said less."""
    network, kind = config.get("network"), config.get("kind", KINDS[0])
    if kind not in KINDS:
        raise UserError(f"{folder}/config.json is of the kind {kind!r}: one of {', '.join(KINDS)} is needed here.")
    for what, where in (("tasks", network), ("sampling", config), ("kind", config)):
        if not isinstance(where, dict) or what not in where:
            raise UserError(f"{folder}/config.json lacks {what!r}: an earlier version wrote it; train the model again.")
