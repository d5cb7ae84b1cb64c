"""Where bfloat16 is worth asking for: what has no units for it multiplies it ten times slower than float32."""

from __future__ import annotations

import functools
import platform

import torch

X86 = {"x86_64", "AMD64", "i386", "i686"}


def in_bf16(device: torch.device, wanted: str) -> bool:
    """Whether `device` computes in bfloat16 (autocast) where `wanted`, a setting `precision`, is bf16; else float32."""
    if wanted != "bf16":
        return False
    return processor_has_bf16() if device.type == "cpu" else True


@functools.cache
def processor_has_bf16() -> bool:
    """Whether this processor has instructions for products of bfloat16, and oneDNN may use them.

    oneDNN calls x86 with AVX-512 alone able: it is, by way of float32, and slower than float32 itself.
    """
    able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if platform.machine() not in X86:
        return able
    return able and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
