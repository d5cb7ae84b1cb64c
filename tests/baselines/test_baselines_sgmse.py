"""The adapter of the SGMSE+ checkpoints, on checkpoints of the published form with small random networks."""

import pytest

NETWORKS = {  # the published checkpoints' transforms and samplers; their networks, made small
    "voicebank": {"backbone": "ncsnpp", "n_fft": 510, "hop_length": 128, "spec_factor": 0.15},
    "ears": {
        "backbone": "ncsnpp_48k",
        "n_fft": 1534,
        "hop_length": 384,
        "spec_factor": 0.065,
        "spec_abs_exponent": 0.667,
    },
}
SIZE = {"nf": 8, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [], "image_size": 256}
PROCESS = {"sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5}


def write_checkpoint(path, rate_hz, network):
    """A checkpoint as training leaves it; the averaged weights differ from the last ones by 0.001."""
    import pytorch_lightning as pl
    import torch
    from sgmse.data_module import SpecsDataModule
    from sgmse.model import ScoreModel

    torch.manual_seed(0)
    data = {"base_dir": "corpus", "batch_size": 8, "num_workers": 4, "gpus": 0}
    model = ScoreModel(**network, **SIZE, **PROCESS, **data, sr=rate_hz, data_module_cls=SpecsDataModule)
    model.ema.shadow_params = [weights + 0.001 for weights in model.ema.shadow_params]
    trainer = pl.Trainer(accelerator="cpu", logger=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return model


@pytest.mark.parametrize("checkpoint", sorted(NETWORKS))
def test_rate_length_level_and_averaged_weights(checkpoint, published, enhanced):
    baseline = published("sgmse", checkpoint, N=2)
    model = write_checkpoint(baseline.weights_dir / "checkpoint.ckpt", baseline.card.rate_hz, NETWORKS[checkpoint])
    enhanced(baseline)
    loaded = dict(baseline._model.dnn.named_parameters())
    trained = [key for key, value in loaded.items() if value.requires_grad]
    for key, value in model.dnn.named_parameters():
        assert key not in trained or (loaded[key] - value - 0.001).abs().max() < 1e-6
