"""Loading the weights of a matched baseline from its model folder."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from speechbase.files import UserError


def load_weights(network: nn.Module, folder: Path) -> nn.Module:
    """Load `folder/model.safetensors` for use. Raises: UserError: weights of another shape."""
    try:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except RuntimeError:
        raise UserError(f"{folder}/model.safetensors does not fit its config.json; train it again.") from None
    return network.eval()
