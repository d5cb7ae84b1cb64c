"""Model folders (weights as safetensors beside a resolved configuration) and resume states; nothing is ever
unpickled."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from speechbase.files import UserError, atomic, package_version, read_json, sha256, write_json

WEIGHTS, CONFIG = "model.safetensors", "config.json"
Module = TypeVar("Module", bound=nn.Module)


def folder_of(models: Path, name: str) -> Path:
    """A model's folder; `tts@1` is what the model `tts` was after the first of its runs, kept while it is trained."""
    model, _, run = name.partition("@")
    return models / model / "runs" / run if run else models / model


def exists(folder: Path) -> bool:
    """Whether a model was released there."""
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def save_model(folder: str | Path, tensors: dict[str, Tensor], config: dict, dtype: torch.dtype | None = None) -> None:
    """Write a model folder: `model.safetensors` (optionally in half precision) and `config.json` with its checksum."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, {name: _stored(tensor, dtype) for name, tensor in tensors.items()})
    write_json(folder / CONFIG, config | {"sha256": sha256(folder / WEIGHTS), "version": package_version()})


def _stored(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.detach().cpu()
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def read_model(folder: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Weights (float32) and configuration of a model folder.

    Raises:
        UserError: missing or truncated files, or weights that are not those the configuration was written with.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} holds no model ({folder / CONFIG} does not exist): train it, or name its folder.")
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} does not describe a model; copy or train the model again.")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder / WEIGHTS} does not exist; train the model or copy its weights there.")
    if config.get("sha256") != sha256(folder / WEIGHTS):
        raise UserError(
            f"{folder / WEIGHTS} is not the file that {CONFIG} beside it was written with (its checksum differs); "
            "copy or train the model again."
        )
    tensors = read_tensors(folder / WEIGHTS)
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, config


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write safetensors, whole or not at all; a full disk is the OSError that other writers raise."""
    with atomic(path) as temporary:
        try:
            save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, temporary)
        except SafetensorError as error:
            if f"os error {errno.ENOSPC}" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; a truncated or foreign file is a UserError that names it."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or not a safetensors file ({error}); make or copy it again.") from None


@contextmanager
def building(folder: str | Path) -> Iterator[None]:
    """What a folder's configuration lacks or asks for in vain, while the block builds its model, is a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{Path(folder) / CONFIG}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        what = f"{type(error).__name__}: {str(error)[:120]}"
        raise UserError(
            f"{Path(folder) / CONFIG} describes no model that this version can build ({what}); copy or train it again."
        ) from None


def load_into(
    module: Module, tensors: dict[str, Tensor], where: str | Path, *, may_lack: tuple[str, ...] = ()
) -> Module:
    """Load weights strictly, and return the module.

    Args:
        may_lack: prefixes of parameters that may be missing and then keep their fresh values.

    Raises:
        UserError: parameters missing, left over or of other shapes: a checkpoint of another model or scale.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in tensors and not name.startswith(may_lack or ("\0",))]
    unknown = [name for name in tensors if name not in own]
    shapes = [name for name in tensors if name in own and tensors[name].shape != own[name].shape]
    if missing or unknown or shapes:
        first = (shapes or missing or unknown)[0]
        raise UserError(
            f"{where} does not fit this model: {len(missing)} parameters are missing, {len(unknown)} unknown and "
            f"{len(shapes)} of another shape (first: {first}); it is a checkpoint of another model or scale."
        )
    module.load_state_dict(tensors, strict=False)
    return module
