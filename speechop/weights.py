"""Where weights are: shipped with the package, in a folder, or in the hub's cache; never pickled."""

from __future__ import annotations

import re
from pathlib import Path

from speechbase.files import UserError
from speechbase.shipped import find, scales

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
HUB_FILES = ["config.json", "README.md", "*/config.json", "*/model.safetensors"]
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def names_shipped() -> str:
    """Names of the scales whose weights ship, for a message."""
    return ", ".join(scales()) or "none"


def find_weights(name: str, revision=None, cache_dir=None, local_files_only: bool = True, token=None) -> Path:
    """The folder of a scale, of itself, or of a hub id's snapshot; see `SpeechOp.from_pretrained`."""
    if name in scales():
        return find(name)
    if Path(name).is_dir() or not HUB_ID.fullmatch(name):
        return _unpickled(Path(name))
    from huggingface_hub import constants, errors, snapshot_download

    offline = local_files_only or constants.HF_HUB_OFFLINE
    try:
        folder = snapshot_download(
            name,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=offline,
            allow_patterns=HUB_FILES,
        )
    except errors.LocalEntryNotFoundError:
        remedy = (
            "allow the download (--download, local_files_only=False)" if not constants.HF_HUB_OFFLINE else
            "unset HF_HUB_OFFLINE"
        )  # fmt: skip
        raise UserError(
            f"{name} is no folder, and not in the hub's local cache: {remedy}, or name a folder or one of "
            f"{names_shipped()}."
        ) from None
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise UserError(f"{name} cannot be taken from the hub ({' '.join(str(error).split())[:200]}).") from None
    return _unpickled(Path(folder))


def _unpickled(folder: Path) -> Path:
    for path in sorted(folder.glob("*/*")) + sorted(folder.glob("*")):
        if path.suffix in PICKLES and not path.with_name("model.safetensors").is_file():
            raise UserError(f"{path} is pickled and could run code: only weights in safetensors are loaded.")
    return folder
