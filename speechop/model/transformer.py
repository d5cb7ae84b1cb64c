"""The transformer that both the diffusion backbone and the audio encoder are built of (Table 8, Appendix E.1).

Legend: b batch, n latent frames, r registers, t text tokens, d model width, h heads, k = d / h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechop.settings import TransformerConfig


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Softmax attention of [b, h, n, k] over [b, h, m, k]; `mask` [b, m] is true where a key exists.

    On CPU two batched products: the backward of scaled_dot_product_attention in bfloat16 costs twice as much there.
    """
    bias = None if mask is None else torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -1e4)[:, None, None]
    if q.is_cuda:
        if bias is not None:  # a fused kernel wants rows of whole 16 keys, else it copies the bias of every query
            more = -k.shape[2] % 16
            k, v = F.pad(k, (0, 0, 0, more)), F.pad(v, (0, 0, 0, more))
            bias = F.pad(bias, (0, more), value=-1e4).expand(-1, -1, q.shape[2], -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return F.dropout(scores.softmax(-1), dropout) @ v


def rotary_angles(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """cos and sin [..., width / 2] of rotary position encoding at (possibly fractional) positions [...]."""
    rates = 10_000 ** (-torch.arange(0, width, 2, device=positions.device, dtype=torch.float32) / width)
    angles = positions.float()[..., None] * rates
    return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs (first half, second half) of x [b, h, n, k] by angles [b or 1, n, k / 2]."""
    cos, sin = (part[:, None].to(x.dtype) for part in angles)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """AdaLN: parameter-free layer norm of x [b, n, d], then scale and shift [b, 1, d]."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-5) * (1 + scale) + shift


class QKNorm(nn.Module):
    """Layer normalisation of queries or keys over the head's width, with a learned gain.

    The paper does not say whether it normalises them; its first author's earlier code does, by RMS. Layer norm is one
    fused operation on CPU where RMS norm is five.
    """

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Queries or keys [b, h, n, k], normalised."""
        return F.layer_norm(x, x.shape[-1:], self.gain.to(x.dtype), eps=1e-6)


class SelfAttention(nn.Module):
    """Multi-head self-attention with rotary positions and normalised queries and keys."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.norm_q, self.norm_k = (QKNorm(config.dim // config.heads) for _ in range(2))

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """x [b, n, d] with the angles of its positions and a mask of its frames -> [b, n, d]."""
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each [b, h, n, k]
        q, k = rotate(self.norm_q(q), angles), rotate(self.norm_k(k), angles)
        y = attention(q, k, v, mask, self.dropout if self.training else 0.0)  # [b, h, n, k]
        return self.out(y.transpose(1, 2).reshape(b, n, d))


@dataclass
class CrossMemory:
    """What one cross-attention layer attends to: keys and values [b, h, 1 + t, k]; entry 0 is the learned null
    token."""

    k: Tensor
    v: Tensor


class CrossAttention(nn.Module):
    """Position-aware cross-attention (Lovelace et al., 2024b).

    Keys receive an embedding of the relative position i / t; a learned null key and value stands for "no condition".
    Where it is `rotary`, queries and keys are rotated as well, text positions being stretched over the audio's length,
    which gives a small model a monotonic start.
    """

    def __init__(self, config: TransformerConfig, cross_dim: int, rotary: bool):
        super().__init__()
        self.heads, self.dropout, self.rotary = config.heads, config.dropout, rotary
        width = config.dim // config.heads
        self.q = nn.Linear(config.dim, config.dim, bias=False)
        self.kv = nn.Linear(cross_dim, 2 * config.dim, bias=False)
        self.position = nn.Linear(config.dim // 4, config.dim, bias=False)
        self.null = nn.Parameter(torch.randn(2, config.heads, width) * 0.02)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        self.norm_q, self.norm_k = QKNorm(width), QKNorm(width)

    def remember(self, memory: Tensor | None, positions: Tensor | None, angles, batch: int) -> CrossMemory:
        """Keys and values of a memory [b, t, c] with position features [b, t, d / 4]; only the null token if None."""
        null = self.null.to(memory.dtype if memory is not None else self.null.dtype)
        null_k, null_v = null[:, None, :, None].expand(2, batch, -1, 1, -1)  # each [b, h, 1, k]
        if memory is None:
            return CrossMemory(self.norm_k(null_k), null_v)
        b, t, _ = memory.shape
        k, v = self.kv(memory).view(b, t, 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # each [b, h, t, k]
        k = self.norm_k(k + self.position(positions).view(b, t, self.heads, -1).transpose(1, 2))
        if self.rotary:
            k = rotate(k, angles)
        null_k = self.norm_k(null_k).to(k.dtype)
        return CrossMemory(torch.cat([null_k, k], 2), torch.cat([null_v.to(v.dtype), v], 2))  # [b, h, 1 + t, k]

    def unconditioned(self, memory: CrossMemory, dtype: torch.dtype) -> Tensor:
        """What a row without condition gets [1, 1, d]: attention over one key returns its value, whatever the query."""
        return self.out(memory.v[:1, :, :1].transpose(1, 2).reshape(1, 1, -1).to(dtype))

    def forward(self, x: Tensor, memory: CrossMemory, angles: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """What x [b, n, d] hears in the memory -> [b, n, d]."""
        b, n, d = x.shape
        q = self.norm_q(self.q(x).view(b, n, self.heads, -1).transpose(1, 2))  # [b, h, n, k]
        if self.rotary:
            q = rotate(q, angles)
        y = attention(q, memory.k.to(q.dtype), memory.v.to(q.dtype), mask, self.dropout if self.training else 0.0)
        return self.out(y.transpose(1, 2).reshape(b, n, d))


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Table 8: activation SwiGLU)."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.up = nn.Linear(config.dim, 2 * config.ff_dim, bias=False)
        self.down = nn.Linear(config.ff_dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x [b, n, d] -> the same shape."""
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(self.dropout(F.silu(gate) * value))


class Block(nn.Module):
    """Self-attention, cross-attention (if any) and feed-forward, each modulated and gated by AdaLN."""

    def __init__(self, config: TransformerConfig, cross_dim: int, cross_rotary: bool):
        super().__init__()
        self.self_attention = SelfAttention(config)
        self.cross_attention = CrossAttention(config, cross_dim, cross_rotary) if cross_dim else None
        self.ff = SwiGLU(config)
        self.offset = nn.Parameter(torch.zeros(9 if cross_dim else 6, config.dim))

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        memory: CrossMemory | None,
        memory_mask: Tensor | None,
        memory_rows: Tensor | None,
    ) -> Tensor:
        """x [b, n, d] under a modulation [b, 6 or 9, d] -> [b, n, d]; `memory_rows` have a memory (None: all)."""
        m = (modulation + self.offset.to(modulation.dtype))[:, :, None].unbind(1)  # 6 or 9 of [b, 1, d]
        x = x + m[2] * self.self_attention(modulate(x, m[0], m[1]), angles, mask)
        if self.cross_attention is not None:
            x = x + m[8] * self._attend(x, m[6], m[7], angles, memory, memory_mask, memory_rows)
        return x + m[5] * self.ff(modulate(x, m[3], m[4]))

    def _attend(self, x, shift, scale, angles, memory, memory_mask, rows):
        if rows is None:
            return self.cross_attention(modulate(x, shift, scale), memory, angles, memory_mask)
        y = self.cross_attention.unconditioned(memory, x.dtype).expand(x.shape)
        if not len(rows):
            return y
        attended = self.cross_attention(modulate(x[rows], shift[rows], scale[rows]), memory, angles, memory_mask)
        return y.to(attended.dtype).index_copy(0, rows, attended)


class Transformer(nn.Module):
    """Transformer over latent frames with global AdaLN, dense (long-skip) connections and register tokens.

    Global AdaLN: one projection of the condition serves all layers, with a learned offset a layer. Dense connections
    (Lee et al., 2024): the first half of the layers' outputs are concatenated into the second half and projected back.

    `cross_dim` is the width of what it cross-attends to, 0 for no cross-attention.
    """

    def __init__(self, config: TransformerConfig, cross_dim: int = 0, cross_rotary: bool = False):
        super().__init__()
        self.config = config
        self.registers = nn.Parameter(torch.randn(config.registers, config.dim) * 0.02)
        self.blocks = nn.ModuleList(Block(config, cross_dim, cross_rotary) for _ in range(config.layers))
        self.merge = nn.ModuleList(nn.Linear(2 * config.dim, config.dim, bias=False) for _ in range(config.layers // 2))
        self.adaln = nn.Linear(config.dim, (9 if cross_dim else 6) * config.dim)
        if cross_dim:
            hidden = config.dim // 4
            self.position_mlp = nn.Sequential(
                nn.Linear(14, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
            )
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """AdaLN-zero: modulation starts at zero (gates closed); merging starts as the identity on the main path."""
        nn.init.zeros_(self.adaln.weight)
        nn.init.zeros_(self.adaln.bias)
        for merge in self.merge:
            assert isinstance(merge, nn.Linear)
            with torch.no_grad():
                merge.weight.normal_(std=0.02)
                merge.weight[:, : self.config.dim] += torch.eye(self.config.dim)

    def remember(
        self,
        memory: Tensor | None,
        lengths: Tensor | None,
        frames: Tensor | None,
        batch: int,
        places: Tensor | None = None,
    ) -> list[CrossMemory]:
        """Keys and values of every layer; they do not depend on the diffusion step.

        Args:
            memory: [b, t, c], or None for the null token alone.
            lengths: [b] tokens of each row.
            frames: [b] latent frames of each row, over which text positions are stretched (`cross_rotary`).
            places: [b, t] where each token lies in its row, 0..1; without them i / t.
        """
        positions = angles = None
        if memory is not None and lengths is not None and frames is not None:
            index = torch.arange(memory.shape[1], device=memory.device)
            relative = index / lengths.clamp_min(1)[:, None] if places is None else places  # [b, t]
            phase = relative[..., None] * (2 * math.pi * 2.0 ** torch.arange(7, device=memory.device))
            positions = self.position_mlp(torch.cat([phase.sin(), phase.cos()], -1).to(memory.dtype))  # [b, t, d / 4]
            angles = rotary_angles(relative * frames[:, None], self.config.dim // self.config.heads)
        heard = (cast(CrossAttention, block.cross_attention) for block in self.blocks)
        return [attention.remember(memory, positions, angles, batch) for attention in heard]

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        mask: Tensor | None = None,
        memory: list[CrossMemory] | None = None,
        memory_mask: Tensor | None = None,
        memory_rows: Tensor | None = None,
    ) -> Tensor:
        """x [b, n, d] under a condition [b, d]; `mask` [b, n] is true on real frames, `memory_mask` [b, 1 + t]
        likewise.

        `memory_rows` are the rows that `memory` and its mask stand for, in order, where the others have no condition.
        """
        b, n, _ = x.shape
        r = len(self.registers)
        modulation = self.adaln(F.silu(condition)).view(b, -1, self.config.dim)  # [b, 6 or 9, d]
        x = torch.cat([self.registers.to(x.dtype).expand(b, -1, -1), x], 1)  # [b, r + n, d]
        # Registers sit at position 0 (no rotation).
        positions = torch.cat([torch.zeros(r, device=x.device), torch.arange(n, device=x.device)])
        angles = rotary_angles(positions[None], self.config.dim // self.config.heads)
        if mask is not None:
            mask = F.pad(mask, (r, 0), value=True)  # [b, r + n]
        skips: list[Tensor] = []
        half = len(self.merge)
        for index, block in enumerate(self.blocks):
            if index >= len(self.blocks) - half:
                x = self.merge[index - len(self.blocks) + half](torch.cat([x, skips.pop()], -1))
            x = block(x, modulation, angles, mask, memory[index] if memory else None, memory_mask, memory_rows)
            if index < half:
                skips.append(x)
        return x[:, r:]  # [b, n, d]
