"""Hidden states of self-supervised speech networks from a local folder (transformers format)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from speechbase.files import UserError


class Encoder:
    """WavLM or HuBERT, in evaluation mode, from a local folder of config.json and safetensors weights."""

    def __init__(self, folder: Path, device: str):
        from transformers import AutoModel

        try:
            self.model = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            ).eval()
        except Exception as error:
            # whatever a folder holds that is no model: broken JSON, a hostile header, a missing key
            raise UserError(
                f"{folder} cannot be loaded as a speech encoder ({error}); it needs config.json and model.safetensors."
            ) from None
        self.model.to(device)
        self.device = device

    def layer(self, wave: np.ndarray, layer: int) -> np.ndarray:
        """hidden_states[layer] [frames, width] of audio at 16 kHz; 0 is the input of the first transformer layer."""
        import torch

        with torch.inference_mode():
            samples = torch.from_numpy(wave.astype(np.float32))[None].to(self.device)
            states = self.model(samples, output_hidden_states=True).hidden_states
        return states[layer][0].float().cpu().numpy()


@cache
def load(model: str, path: str | None, device: str) -> Encoder:
    """The encoder, loaded once a process. Raises: UserError: no path is given, or nothing usable lies there."""
    if path is None:
        raise UserError(f'Set where {model} lies: --config \'{{"weights": {{"{model}": "FOLDER"}}}}\'.')
    if not (Path(path) / "config.json").is_file():
        raise UserError(f"{path} holds no config.json; give the folder of {model} in transformers format.")
    return Encoder(Path(path), device)
