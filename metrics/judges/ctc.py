"""A CTC recogniser, the second judge at paper scale: HuBERT-large fine-tuned on LibriSpeech, decoded greedily."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from speechbase.files import UserError

MIN_SAMPLES = 400  # the convolutional front end's receptive field


class Ctc:
    """A CTC model and its processor from a local folder in transformers format."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch
        from transformers import AutoModelForCTC, Wav2Vec2Processor

        try:
            self.processor = Wav2Vec2Processor.from_pretrained(folder, local_files_only=True)
            self.model = AutoModelForCTC.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
        except Exception as error:
            # whatever a folder holds that is no model: broken JSON, a hostile header, a missing key
            raise UserError(
                f"{folder} cannot be loaded as a CTC model ({error}); it needs config.json, model.safetensors, "
                "vocab.json, tokenizer_config.json and preprocessor_config.json."
            ) from None
        self.model.to(device)
        self.device = device
        torch.set_num_threads(threads)

    def transcribe(self, wave: np.ndarray) -> str:
        """Lower-case text of audio [n] at 16 kHz: the processor's normalisation, best path, repeats and blanks
        removed."""
        import torch

        if len(wave) < MIN_SAMPLES:
            return ""
        inputs = self.processor(wave, sampling_rate=16000, return_tensors="pt")
        with torch.inference_mode():
            logits = self.model(**{key: value.to(self.device) for key, value in inputs.items()}).logits
        return self.processor.batch_decode(logits.argmax(-1).cpu())[0].lower().strip()


@cache
def load(path: str, device: str, threads: int) -> Ctc:
    """The recogniser, loaded once a process. Raises: UserError: nothing usable lies at `path`."""
    if not (Path(path) / "config.json").is_file():
        raise UserError(f"{path} holds no config.json; give the model's folder in transformers format.")
    return Ctc(Path(path), device, threads)
