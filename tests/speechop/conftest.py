"""A tiny network and codec that every test of the method shares."""

import pytest
import torch

from speechbase import voice_activity
from speechbase.codec import MelCodec
from speechbase.codec.settings import MelConfig
from speechbase.training import checkpoint
from speechop.model.network import SpeechOpNetwork
from speechop.settings import NetworkConfig

TINY = NetworkConfig(
    latent_dim=16,
    dit={"dim": 32, "ff_dim": 64, "layers": 4, "heads": 2, "registers": 2, "dropout": 0.0},
    encoder={"dim": 32, "ff_dim": 64, "layers": 2, "heads": 2, "registers": 2, "dropout": 0.0},
    text={"kind": "bytes", "dim": 32, "layers": 1},
    cross_rotary=True,
    encoder_time=False,
)


@pytest.fixture(autouse=True)
def everything_is_speech(monkeypatch):
    """Tests speak in noise, which would stay as it is; test_no_speech.py lets the detector listen."""
    monkeypatch.setattr(voice_activity, "has_speech", lambda wave, rate_hz: True)


def awake(network: SpeechOpNetwork) -> SpeechOpNetwork:
    """Give zero-initialised layers weights, so that every path has an effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return network.eval()


@pytest.fixture(scope="session")
def network() -> SpeechOpNetwork:
    torch.manual_seed(0)
    return awake(SpeechOpNetwork(TINY))


@pytest.fixture(scope="session")
def codec() -> MelCodec:
    torch.manual_seed(0)
    codec = MelCodec(MelConfig(latent_dim=16, decoder_dim=16, decoder_layers=2)).eval()
    codec.fit([torch.randn(16_000) * 0.1])
    return codec


@pytest.fixture(scope="session")
def models(network, codec, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    codec_config = {
        "network": {"kind": "mel", "latent_dim": 16, "decoder_dim": 16, "decoder_layers": 2},
        "kind": "codec",
    }
    checkpoint.save_model(root / "codec", codec.state_dict(), codec_config)
    checkpoint.save_model(
        root / "multitask", network.state_dict(), {"network": TINY.as_dict(), "kind": "multitask", "sampling": {}}
    )
    return root
