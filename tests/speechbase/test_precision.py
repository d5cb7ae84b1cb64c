"""bfloat16 is used where it is faster than float32, and nowhere else."""

import pytest
import torch

from speechbase import precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def processor(monkeypatch, *, onednn, avx512_bf16=False, amx=False, machine="x86_64"):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)
    precision.processor_has_bf16.cache_clear()


@pytest.fixture(autouse=True)
def _ask_this_processor_again():
    yield
    precision.processor_has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"onednn": False}, False),  # AVX2
        ({"onednn": True}, False),  # AVX-512 without bfloat16
        ({"onednn": True, "avx512_bf16": True}, True),
        ({"onednn": True, "amx": True}, True),
        ({"onednn": False, "avx512_bf16": True}, False),  # held to a smaller instruction set
        ({"onednn": True, "machine": "aarch64"}, True),
    ],
)
def test_a_processor_computes_in_bf16_where_it_has_units_for_it(monkeypatch, units, expected):
    processor(monkeypatch, **units)
    assert precision.in_bf16(CPU, "bf16") is expected
    assert not precision.in_bf16(CPU, "fp32")


def test_a_gpu_computes_in_bf16_whatever_the_processor_has(monkeypatch):
    processor(monkeypatch, onednn=False)
    assert precision.in_bf16(GPU, "bf16")
    assert not precision.in_bf16(GPU, "fp32")
