"""Folders of PolySpeech's models: each is of one kind, and knows which others it was trained with."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from speechbase.files import UserError
from speechbase.training import checkpoint

MEANS = {
    "hubert": "semantic encoder",
    "sset": "tokeniser of semantic embeddings",
    "polyspeech_decoder": "decoder of semantic tokens",
    "polyspeech": "language model of PolySpeech",
}


def read(folder: Path, kind: str) -> tuple[dict[str, Tensor], dict]:
    """Weights and configuration of a model of one kind. Raises: UserError: missing, broken, or of another kind."""
    tensors, config = checkpoint.read_model(folder)
    if config.get("kind") != kind:
        raise UserError(f"{folder} is no {MEANS[kind]} (kind {kind}); train one, or name its folder.")
    return tensors, config


def begin(network: nn.Module, folder: Path | None, kind: str, **records: dict) -> None:
    """Give a network the weights of a model of its kind, where one is named.

    Args:
        records: of the models that both must belong to, by the key under which configurations note them.

    Raises:
        UserError: as `read`, trained with others than those of the records, or of another size.
    """
    if folder is None:
        return
    tensors, config = read(folder, kind)
    for key, of in records.items():
        check(config, key, of, folder)
    checkpoint.load_into(network, tensors, folder)


def record(folder: Path, config: dict) -> dict:
    """What models that are trained with a model's outputs note of it."""
    return {"model": folder.name, "sha256": config["sha256"]}


def check(config: dict, key: str, of: dict, where: Path) -> None:
    """Raises: UserError: a model that was trained with other weights than those whose record is given."""
    noted = config.get(key)
    if not isinstance(noted, dict) or noted.get("sha256") != of["sha256"]:
        raise UserError(
            f"{where} was trained with other weights than those of {of['model']} (its digest differs): put the weights "
            "together that were trained together, or train it again."
        )
