"""Released codecs, in evaluation mode."""

from __future__ import annotations

from pathlib import Path

from speechbase.codec import Codec, build_codec
from speechbase.codec.quantiser import TokenCodec
from speechbase.files import UserError
from speechbase.training import checkpoint


def load_codec(folder: Path) -> Codec:
    """A released codec.

    Raises:
        UserError: missing, truncated or foreign weights.
    """
    tensors, config = checkpoint.read_model(folder)
    with checkpoint.building(folder):
        codec = build_codec(config["network"])
    checkpoint.load_into(codec, tensors, folder)
    return codec.eval().requires_grad_(False)


def load_token_codec(folder: Path) -> TokenCodec:
    """A released codec with its residual quantiser (kind `quantiser`); errors as `load_codec`."""
    tensors, config = checkpoint.read_model(folder)
    if config.get("kind") != "quantiser":
        raise UserError(
            f"{folder / checkpoint.CONFIG} describes no codec with a quantiser (kind {config.get('kind')!r}): train "
            "one, or name its folder."
        )
    with checkpoint.building(folder):
        sizes = config["network"]
        codec = TokenCodec(build_codec(sizes["codec"]), sizes["levels"], sizes["codes"])
    checkpoint.load_into(codec, tensors, folder)
    return codec.eval().requires_grad_(False)
