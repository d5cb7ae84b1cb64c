"""Resemble Enhance's adapter, on weights of the published form: the package's network, random, with few channels."""


def write_weights(folder):
    """A run's folder as the package's training leaves it: hparams.yaml and DeepSpeed's state of the model."""
    import torch
    from resemble_enhance.enhancer.enhancer import Enhancer
    from resemble_enhance.enhancer.hparams import HParams

    hparams = HParams(univnet_nc=4, lcfm_training_mode="cfm")
    hparams.save_if_not_exists(folder)
    torch.manual_seed(0)
    path = folder / "ds" / "G" / "default" / "mp_rank_00_model_states.pt"
    path.parent.mkdir(parents=True)
    torch.save({"module": Enhancer(hparams).state_dict()}, path)


def test_rate_length_and_level(published, enhanced):
    baseline = published("resemble_enhance", nfe=2)
    write_weights(baseline.weights_dir / "enhancer_stage2")
    enhanced(baseline)
