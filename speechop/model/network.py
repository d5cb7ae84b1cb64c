"""SpeechOp's network (Figure 3): audio encoder -> framewise mixing -> diffusion transformer with text cross-attention.

Legend: b batch, n latent frames, c latent channels (64), d backbone width, e encoder width, t text tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechbase.files import UserError, did_you_mean
from speechop.model.text import ByT5, PhonemeEmbedding, byte_encoder, phoneme_encoder, tokenize, tokenize_phonemes
from speechop.model.transformer import CrossMemory, Transformer
from speechop.schedule import alpha_sigma
from speechop.settings import NetworkConfig, TextConfig


class Timestep(nn.Module):
    """Embedding of the noise level: alpha * 1000 through a sinusoid and two layers."""

    def __init__(self, dim: int, features: int = 256):
        super().__init__()
        self.features = features
        self.mlp = nn.Sequential(nn.Linear(features, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, logsnr: Tensor) -> Tensor:
        """logSNR [b] -> condition [b, d]."""
        half = self.features // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=logsnr.device) / half)
        phase = alpha_sigma(logsnr)[0][:, None] * 1000 * rates
        return self.mlp(torch.cat([phase.cos(), phase.sin()], -1).to(cast(nn.Linear, self.mlp[0]).weight.dtype))


@dataclass
class Text:
    """Encoded transcripts: cross-attention memory of every layer, its mask [b, 1 + t] and the pooled vector [b, d].

    With `rows`, memory and mask have an entry for each of these rows only; the others have the null transcript.
    """

    memory: list[CrossMemory]
    mask: Tensor | None
    pooled: Tensor | None
    rows: Tensor | None = None

    def among(self, rows: Tensor, batch: int) -> Text:
        """These transcripts as those of `rows` in a larger batch, whose other rows have none: nothing is computed for
        them."""
        pooled = self.pooled
        if pooled is not None:
            pooled = pooled.new_zeros(batch, pooled.shape[1]).index_copy(0, rows, pooled)
        return Text(self.memory, self.mask, pooled, rows)


class SpeechOpNetwork(nn.Module):
    """v-prediction network for all tasks: `forward` returns v [b, n, c]."""

    def __init__(self, config: NetworkConfig, text_encoder: nn.Module | None = None):
        super().__init__()
        self.config = config
        d, e = config.dit.dim, config.encoder.dim
        self.dit = Transformer(config.dit, config.text.dim, config.cross_rotary)
        self.encoder = Transformer(config.encoder)
        self.latent_in = nn.Linear(config.latent_dim, d)
        self.clean = nn.Embedding(2, d)
        self.task = nn.Embedding(len(config.tasks), d)
        self.timestep = Timestep(d)
        self.text_encoder = text_encoder if text_encoder is not None else build_text_encoder(config.text)
        self.text_pool = nn.Linear(config.text.dim, d)
        self.source_in = nn.Linear(config.latent_dim, e)
        self.encoder_condition = nn.Linear(d, e)
        self.source_out = nn.Linear(e, d if config.source_mixing == "framewise" else config.text.dim)
        self.final = nn.Linear(d, 2 * d)
        self.latent_out = nn.Linear(d, config.latent_dim)
        for layer in (self.final, self.latent_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if config.source_mixing == "framewise":  # stage 2 starts as the TTS model
            nn.init.zeros_(self.source_out.weight)
            nn.init.zeros_(self.source_out.bias)
        nn.init.normal_(self.clean.weight, std=0.02)

    def rows(self, tasks: Sequence[str]) -> Tensor:
        """Rows [b] of the task embedding. Raises: UserError: these weights were not trained for a task."""
        known = self.config.tasks
        for name in tasks:
            if name not in known:
                raise UserError(f"these weights were not trained for the task {name!r}{did_you_mean(name, known)}.")
        return torch.tensor([known.index(name) for name in tasks], device=self.task.weight.device)

    def begin_as_tts(self) -> None:
        """Let every task begin as TTS (section 5): the rows of the tasks that stage 1 left at random become the TTS
        row."""
        with torch.no_grad():
            self.task.weight.copy_(self.task.weight[self.config.tasks.index("tts")].expand_as(self.task.weight))

    def tokenize(self, texts: list[str], device="cpu") -> tuple[Tensor, Tensor]:
        """Texts as this network reads them: tokens [b, t] (padded with 0) and lengths [b].

        Raises:
            UserError: a text that cannot be said, or that is too long.
        """
        if self.config.text.alphabet is not None:
            return tokenize_phonemes(texts, self.config.text.alphabet, device)
        return tokenize(texts, device)

    def encode_text(self, tokens: Tensor, lengths: Tensor, keep: Tensor, frames: Tensor) -> Text:
        """Encode transcripts [b, t]; rows where `keep` [b] is false get the null condition.

        `frames` [b] is the number of latent frames that the transcript spans (prompt included).
        """
        hidden = self.text_encoder(tokens, lengths)  # [b, t, text]
        exists = (torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]) & keep[:, None]
        pooled = (hidden * exists[..., None]).sum(1) / lengths[:, None].clamp_min(1)
        embed = getattr(self.text_encoder, "embed", None)
        places = embed.places(tokens) if isinstance(embed, PhonemeEmbedding) else None
        memory = self.dit.remember(hidden, lengths, frames, len(tokens), places)
        return Text(memory, F.pad(exists, (1, 0), value=True), self.text_pool(pooled) * keep[:, None])

    def no_text(self) -> Text:
        """The null transcript for a whole batch: cheaper than masking, the same result."""
        none = torch.zeros(0, dtype=torch.long, device=self.task.weight.device)
        return Text(self.dit.remember(None, None, None, 1), None, None, none)

    def encode_source(self, source: Tensor, task: Tensor, mask: Tensor | None, logsnr: Tensor | None) -> Tensor:
        """Source latents [b, n, c] to what is added to the diffusion latent [b, n, d] (or attended to)."""
        condition = self.task(task)
        if self.config.encoder_time:
            condition = condition + self.timestep(logsnr)
        hidden = self.encoder(self.source_in(source), self.encoder_condition(condition), mask)  # [b, n, e]
        return self.source_out(hidden)

    def source_as_memory(self, encoded: Tensor, mask: Tensor | None, keep: Tensor) -> Text:
        """Appendix F's ablation: the source sequence is cross-attended to, position-aware, in place of a transcript."""
        b, n, _ = encoded.shape
        exists = (torch.ones(b, n, dtype=torch.bool, device=encoded.device) if mask is None else mask) & keep[:, None]
        frames = torch.full((b,), n, device=encoded.device) if mask is None else mask.sum(1)
        return Text(self.dit.remember(encoded, frames, frames, b), F.pad(exists, (1, 0), value=True), None)

    def forward(
        self,
        z: Tensor,
        logsnr: Tensor,
        task: Tensor,
        text: Text,
        mixed: Tensor | None = None,
        clean: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Velocity [b, n, c].

        Args:
            z: noisy latents [b, n, c]; frames marked `clean` hold clean latents (inpainting, prompts).
            logsnr: [b]
            task: [b], rows of the task embedding (`rows`)
            text: encoded transcripts, or `no_text`
            mixed: encoded source to be added framewise [b, n, d], zero where a row has none
            clean: [b, n], true on given frames
            mask: [b, n], true on real frames (false on padding)
        """
        condition = self.timestep(logsnr) + self.task(task)  # [b, d]
        if text.pooled is not None:
            condition = condition + text.pooled
        x = self.latent_in(z)  # [b, n, d]
        if clean is not None:
            x = x + self.clean(clean.long())
        else:
            x = x + self.clean.weight[0]
        if mixed is not None:
            x = x + mixed
        x = x.to(self.latent_in.weight.dtype) if not torch.is_autocast_enabled(x.device.type) else x
        x = self.dit(x, condition, mask, text.memory, text.mask, text.rows)  # [b, n, d]
        shift, scale = self.final(F.silu(condition))[:, None].chunk(2, -1)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-5) * (1 + scale) + shift
        return self.latent_out(x).float()  # [b, n, c]


def build_text_encoder(config: TextConfig) -> nn.Module:
    """The text encoder of a configuration."""
    if config.alphabet is not None:
        return phoneme_encoder(config.dim, config.layers, config.alphabet, config.lengths)
    return byte_encoder(config.dim, config.layers) if config.folder is None else ByT5(config.folder)
