"""StoRM's adapter, on a checkpoint of the published form with small random networks, through a clone of the authors'
code."""

SIZE = {"nf": 8, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [0], "image_size": 256}
PROCESS = {"sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5, "N": 50, "t_eps": 0.03}
SPECTRUM = {
    "n_fft": 510,
    "hop_length": 128,
    "spec_factor": 0.15,
    "spec_abs_exponent": 0.5,
    "transform_type": "exponent",
}


def write_checkpoint(path):
    """A checkpoint as training leaves it; the averaged weights differ from the last ones by 0.001."""
    import pytorch_lightning as pl
    import torch
    from sgmse.data_module import SpecsDataModule
    from sgmse.model import StochasticRegenerationModel

    torch.manual_seed(0)
    data = {"base_dir": "corpus", "format": "wsj0", "batch_size": 8, "num_workers": 4, "gpus": 0}
    networks = {
        "backbone_denoiser": "ncsnpp",
        "backbone_score": "ncsnpp",
        "mode": "regen-joint-training",
        "condition": "both",
    }
    model = StochasticRegenerationModel(
        **networks, **SIZE, **PROCESS, **SPECTRUM, **data, data_module_cls=SpecsDataModule
    )
    model.ema.shadow_params = [weights + 0.001 for weights in model.ema.shadow_params]
    trainer = pl.Trainer(accelerator="cpu", logger=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return model


def test_rate_length_level_and_averaged_weights(published, enhanced, monkeypatch):
    """Where there is no GPU, the CUDA extension that the code compiles when imported is left out; its CPU path does
    without."""
    import torch

    baseline = published("storm", N=2)
    if not torch.cuda.is_available():
        monkeypatch.setattr("torch.utils.cpp_extension.load", lambda *_, **__: None)
    baseline.import_clone()
    model = write_checkpoint(baseline.weights_dir / "checkpoint.ckpt")
    enhanced(baseline)
    loaded = dict(baseline._model.named_parameters())
    for key, value in model.named_parameters():
        assert not loaded[key].requires_grad or (loaded[key] - value - 0.001).abs().max() < 1e-6
