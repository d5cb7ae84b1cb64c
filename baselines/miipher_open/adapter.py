"""An open reimplementation of Miipher (Koizumi et al. 2023)."""

from __future__ import annotations

import numpy as np

from speechbase import audio
from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline, fit_length


class Adapter(Baseline):
    """Feature cleaner and vocoder of the reimplementation, in the order of its demonstration script."""

    def load(self, device: str) -> None:
        """Load cleaner, vocoder and speaker encoder; they compute on the CPU, as their authors run them, but without
        dropout."""
        import hydra
        from lightning_vocoders.models.hifigan.xvector_lightning_module import HiFiGANXvectorLightningModule
        from miipher.dataset.preprocess_for_infer import PreprocessForInfer
        from miipher.lightning_module import MiipherLightningModule

        folder = self.weights_dir
        self._cleaner = MiipherLightningModule.load_from_checkpoint(folder / "miipher.ckpt", map_location="cpu")
        vocoder = folder / "vocoder_finetuned.ckpt"
        self._vocoder = HiFiGANXvectorLightningModule.load_from_checkpoint(vocoder, map_location="cpu")
        self._cleaner.eval()
        self._vocoder.eval()
        self._speaker = hydra.utils.instantiate(self._vocoder.cfg.data.xvector.model).to("cpu")
        self._prepare = PreprocessForInfer(self._cleaner.cfg)

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """Restored speech at 22.05 kHz, as long as the source."""
        import torch

        if not item.text:
            raise UserError(f"{item.id} has no text, which Miipher needs.")
        noisy = audio.resample(item.wave("source"), item.rate_hz, 16000)
        with torch.inference_mode():
            heard = (torch.from_numpy(noisy)[None], 16000)
            batch = self._prepare.process(
                item.id, heard, word_segmented_text=item.text, lang_code=self.settings["language"]
            )
            phones, speaker, degraded, _ = self._cleaner.feature_extractor(batch)
            cleaned, _ = self._cleaner(phones, speaker, degraded)
            voice = self._speaker.encode_batch(batch["degraded_wav_16k"].view(1, -1)).squeeze(1)
            wave = self._vocoder.generator_forward({"input_feature": cleaned, "xvector": voice})[0].flatten().numpy()
        rate_hz = self.rate_hz
        return fit_length(wave, round(len(noisy) * rate_hz / 16000), rate_hz), rate_hz
