"""StoRM (Lemercier et al. 2023) through a clone of the authors' code."""

from __future__ import annotations

from baselines.sgmse.adapter import Adapter as Sgmse


class Adapter(Sgmse):
    """SGMSE+'s calls on the stochastic regeneration model: a predictive estimate, then diffusion from it."""

    def load(self, device: str) -> None:
        """Load the checkpoint with its EMA weights from the clone (its package is called sgmse, too)."""
        self.import_clone()
        from sgmse.model import StochasticRegenerationModel

        self._model = StochasticRegenerationModel.load_from_checkpoint(
            str(self.weights_dir / "checkpoint.ckpt"),
            base_dir="",
            batch_size=1,
            num_workers=0,
            kwargs={"gpu": False},
            map_location=device,
        )
        self._model.to(device).eval(no_ema=False)
