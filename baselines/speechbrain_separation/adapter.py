"""SepFormer checkpoints of speechbrain, from a local folder."""

from __future__ import annotations

import numpy as np

from baselines.permutation import remix, target_of
from speechbase import audio
from speechbase.files import UserError
from speechbase.items import Item
from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    """Separates blindly and hands in the output that fits the target."""

    def load(self, device: str) -> None:
        """Load the checkpoint and check its rate and its number of speakers against the card."""
        from speechbrain.inference.separation import SepformerSeparation

        folder = str(self.weights_dir)
        self._model = SepformerSeparation.from_hparams(source=folder, savedir=folder, run_opts={"device": device})
        rate_hz, speakers = self._model.hparams.sample_rate, self._model.hparams.num_spks
        if (rate_hz, speakers) != (self.card.rate_hz, 2):
            raise UserError(
                f"{folder} separates {speakers} speakers at {rate_hz} Hz; the card says 2 at {self.card.rate_hz}."
            )

    def run(self, item: Item) -> tuple[np.ndarray, int]:
        """The target's estimate at the checkpoint's rate, as long as the mixture."""
        import torch

        rate_hz = self.rate_hz
        mixture = audio.resample(item.wave("source"), item.rate_hz, rate_hz)
        with torch.inference_mode():
            estimates = self._model.separate_batch(torch.from_numpy(mixture)[None])[0].T.cpu().numpy()
        return target_of(remix(estimates, mixture), item, rate_hz), rate_hz
