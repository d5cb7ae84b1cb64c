"""WavLM-TDCNN: speaker embeddings by an ECAPA-TDNN over a learned mix of WavLM-large's hidden states.

Reads the published speaker-verification checkpoint (`wavlm_large_finetune.pth`, or the same tensors as safetensors)
from a local file. The network is built here, the backbone is transformers' WavLM; every tensor of the checkpoint must
find its place.
Shapes: b batch, c channels, t frames.
"""

from __future__ import annotations

import pickle
import re
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import WavLMConfig, WavLMModel

from speechbase.files import UserError

BACKBONE = "feature_extract.model."
# Tensors that training needed and embedding does not.
UNUSED = ("loss_calculator.", f"{BACKBONE}final_proj", f"{BACKBONE}label_embs_concat")
# The checkpoint's names -> those of transformers' WavLM
RENAMES = (
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.2\.(?:1\.)?", r"\1.layer_norm."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
    (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
    (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
    (r"\.self_attn\.", ".attention."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)
LARGE = WavLMConfig(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_bias=False,
)


class ConvReluNorm(nn.Module):
    """Convolution, ReLU, batch norm: [b, c, t] -> [b, c', t]."""

    def __init__(self, inside: int, outside: int, kernel: int = 1, padding: int = 0):
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, kernel, padding=padding)
        self.bn = nn.BatchNorm1d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """Features [b, c, t] -> [b, c', t]."""
        return self.bn(F.relu(self.conv(x)))


class Res2(nn.Module):
    """Res2Net convolution: each of `scale` channel groups but the last also hears the one before it."""

    def __init__(self, channels: int, dilation: int, scale: int = 8):
        super().__init__()
        self.width = channels // scale
        groups = range(scale - 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, padding=dilation, dilation=dilation) for _ in groups
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in groups)

    def forward(self, x: Tensor) -> Tensor:
        """Features [b, c, t] -> the same shape."""
        *groups, last = x.split(self.width, dim=1)
        out, carried = [], torch.zeros_like(groups[0])
        for group, conv, norm in zip(groups, self.convs, self.bns, strict=True):
            carried = norm(F.relu(conv(carried + group)))
            out.append(carried)
        return torch.cat([*out, last], dim=1)


class SqueezeExcite(nn.Module):
    """Channel gates from the mean over time."""

    def __init__(self, channels: int, bottleneck: int):
        super().__init__()
        self.linear1 = nn.Linear(channels, bottleneck)
        self.linear2 = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features [b, c, t], their channels weighed."""
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(2))))).unsqueeze(2)


class Block(nn.Module):
    """SE-Res2Block of ECAPA-TDNN; its attributes carry the checkpoint's names."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.Conv1dReluBn1 = ConvReluNorm(channels, channels)
        self.Res2Conv1dReluBn = Res2(channels, dilation)
        self.Conv1dReluBn2 = ConvReluNorm(channels, channels)
        self.SE_Connect = SqueezeExcite(channels, 128)

    def forward(self, x: Tensor) -> Tensor:
        """Features [b, c, t] -> the same shape."""
        return x + self.SE_Connect(self.Conv1dReluBn2(self.Res2Conv1dReluBn(self.Conv1dReluBn1(x))))


class AttentivePooling(nn.Module):
    """Attention-weighted mean and standard deviation over time: [b, c, t] -> [b, 2 c]."""

    def __init__(self, channels: int):
        super().__init__()
        self.linear1 = nn.Conv1d(channels, 128, 1)
        self.linear2 = nn.Conv1d(128, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features [b, c, t] -> [b, 2 c]."""
        weights = torch.softmax(self.linear2(torch.tanh(self.linear1(x))), dim=2)
        mean = (weights * x).sum(2)
        variance = (weights * x**2).sum(2) - mean**2
        return torch.cat([mean, variance.clamp(min=1e-9).sqrt()], dim=1)


class WavLMTdcnn(nn.Module):
    """Waveform at 16 kHz [b, samples] -> embedding [b, 256] (not normalised)."""

    def __init__(self, config: WavLMConfig = LARGE, channels: int = 512, pooled: int = 1536, width: int = 256):
        super().__init__()
        self.backbone = WavLMModel(config)
        self.feature_weight = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.instance_norm = nn.InstanceNorm1d(config.hidden_size)
        self.layer1 = ConvReluNorm(config.hidden_size, channels, kernel=5, padding=2)
        self.layer2, self.layer3, self.layer4 = (Block(channels, dilation) for dilation in (2, 3, 4))
        self.conv = nn.Conv1d(3 * channels, pooled, 1)
        self.pooling = AttentivePooling(pooled)
        self.bn = nn.BatchNorm1d(2 * pooled)
        self.linear = nn.Linear(2 * pooled, width)

    def forward(self, wave: Tensor) -> Tensor:
        """Audio at 16 kHz [b, samples] -> embedding [b, 256]."""
        wave = F.layer_norm(wave, wave.shape[1:])  # as WavLM-large was trained
        states = torch.stack(self.backbone(wave, output_hidden_states=True).hidden_states)  # layers b t c
        x = torch.einsum("l,lbtc->bct", self.feature_weight.softmax(0), states)
        return self.head(x)

    def head(self, x: Tensor) -> Tensor:
        """ECAPA-TDNN: mixed hidden states [b, c, t] -> embedding [b, 256]."""
        first = self.layer1(self.instance_norm(x + 1e-6))
        second = self.layer2(first)
        third = self.layer3(second)
        fourth = self.layer4(third)
        x = F.relu(self.conv(torch.cat([second, third, fourth], dim=1)))
        return self.linear(self.bn(self.pooling(x)))

    @torch.inference_mode()
    def embed(self, wave: np.ndarray) -> np.ndarray:
        """Embedding [256] of audio [n] at 16 kHz."""
        samples = torch.from_numpy(wave.astype(np.float32))[None].to(self.feature_weight.device)
        return self(samples)[0].float().cpu().numpy()


def rename(key: str) -> str:
    """A tensor's name in this module, from its name in the checkpoint."""
    if not key.startswith(BACKBONE):
        return key
    key = key.removeprefix(BACKBONE)
    for pattern, replacement in RENAMES:
        key = re.sub(pattern, replacement, key)
    return f"backbone.{key}"


def load_checkpoint(model: WavLMTdcnn, path: Path) -> WavLMTdcnn:
    """Fill `model` from a checkpoint file and set it to evaluation.

    Raises:
        UserError: no such file, not a plain tensor file, or tensors that are missing, unknown or of another shape.
    """
    state = {rename(key): value for key, value in _tensors(path).items() if not key.startswith(UNUSED)}
    expected = model.state_dict()
    # SpecAugment's mask is never applied here, and batch counters are not always stored.
    optional = {key for key in expected if key.endswith(("masked_spec_embed", "num_batches_tracked"))}
    missing, unknown = set(expected) - set(state) - optional, set(state) - set(expected)
    reshaped = {key for key in set(state) & set(expected) if state[key].shape != expected[key].shape}
    if wrong := sorted(missing) or sorted(unknown) or sorted(reshaped):
        raise UserError(
            f"{path} is not a WavLM-TDCNN checkpoint: {len(missing)} tensors missing, {len(unknown)} unknown, "
            f"{len(reshaped)} of another shape, such as {wrong[0]}; give the speaker-verification checkpoint "
            "wavlm_large_finetune.pth."
        )
    model.load_state_dict({**expected, **state})
    return model.eval()


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path} does not exist; set where the WavLM-TDCNN checkpoint lies in `weights.wavlm_tdcnn`.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(
            f"{path} is no plain tensor file ({str(error).splitlines()[0]}); pickled code is never run here: convert "
            "its tensors to safetensors."
        ) from None
    return state.get("model", state)


@cache
def load(path: str | None, device: str) -> WavLMTdcnn:
    """The network with its weights, loaded once a process. Raises: UserError: as `load_checkpoint`, or no path is
    given."""
    if path is None:
        raise UserError(
            'Set where WavLM-TDCNN lies: --config \'{"weights": {"wavlm_tdcnn": "wavlm_large_finetune.pth"}}\'.'
        )
    return load_checkpoint(WavLMTdcnn(), Path(path)).to(device)
