"""The adapter of speechbrain's SepFormer checkpoints, on a checkpoint of the published form with random weights."""

import pytest
import torch

from baselines import registry
from speechbase import audio
from speechbase.files import UserError
from speechbase.systems.runner import run_manifest

HYPERPARAMETERS = """
sample_rate: {rate_hz}
num_spks: {speakers}
Encoder: !new:speechbrain.lobes.models.dual_path.Encoder
    kernel_size: 16
    out_channels: 16
Block: !new:speechbrain.lobes.models.dual_path.SBTransformerBlock
    num_layers: 1
    d_model: 16
    nhead: 2
    d_ffn: 32
MaskNet: !new:speechbrain.lobes.models.dual_path.Dual_Path_Model
    num_spks: {speakers}
    in_channels: 16
    out_channels: 16
    num_layers: 1
    K: 50
    intra_model: !ref <Block>
    inter_model: !ref <Block>
Decoder: !new:speechbrain.lobes.models.dual_path.Decoder
    in_channels: 16
    out_channels: 1
    kernel_size: 16
    stride: 8
    bias: false
modules:
    encoder: !ref <Encoder>
    masknet: !ref <MaskNet>
    decoder: !ref <Decoder>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <Encoder>
        masknet: !ref <MaskNet>
        decoder: !ref <Decoder>
"""


def write_checkpoint(folder, rate_hz=8000, speakers=2):
    from hyperpyyaml import load_hyperpyyaml

    folder.mkdir(parents=True)
    text = HYPERPARAMETERS.format(rate_hz=rate_hz, speakers=speakers)
    (folder / "hyperparams.yaml").write_text(text)
    torch.manual_seed(0)
    for name, module in load_hyperpyyaml(text)["modules"].items():
        torch.save(module.state_dict(), folder / f"{name}.ckpt")


def test_rate_length_and_level_of_an_8_khz_checkpoint(manifest, tmp_path):
    baseline = registry.create("speechbrain_separation", {"weights_dir": str(tmp_path / "weights")}, "wsj02mix")
    assert "hyperparams.yaml are missing" in baseline.skip()
    write_checkpoint(tmp_path / "weights" / "speechbrain_separation_wsj02mix")
    index = run_manifest(baseline, manifest("separation", count=2), tmp_path / "out")
    assert list(index["status"]) == ["ok", "ok"], list(index["detail"])
    assert set(index["rate_hz"]) == {8000}
    for identifier in index["id"]:
        source, _ = audio.read(tmp_path / f"{identifier}-source.wav")
        estimate, _ = audio.read(tmp_path / "out" / f"{identifier}.wav")
        assert len(estimate) == len(source) // 2 and 0 < abs(estimate).max() < 4 * abs(source).max()


@pytest.mark.parametrize(
    ("found", "message"), [({"rate_hz": 8000}, "card says"), ({"rate_hz": 16000, "speakers": 3}, "separates 3")]
)
def test_a_checkpoint_of_another_rate_or_kind_is_refused(found, message, tmp_path):
    baseline = registry.create("speechbrain_separation", {"weights_dir": str(tmp_path)}, "whamr16k")
    write_checkpoint(baseline.weights_dir, **found)
    with pytest.raises(UserError, match=message):
        baseline.load("cpu")
