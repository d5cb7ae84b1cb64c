"""The loss of both diffusion stages, and its optional term of decoded audio (E6)."""

import copy

import pytest
import torch

from metrics.si_sdr import si_sdr_db
from speechop.schedule import alpha_sigma
from speechop.settings import DiffusionLossConfig
from speechop.stages.batches import Batch
from speechop.stages.diffusion import DiffusionLoss


@pytest.fixture
def batch():
    """Two items of 12 frames to be enhanced, the first with three given frames, at two noise levels."""
    draw = torch.Generator().manual_seed(0)
    target, source, eps = (torch.randn(2, 12, 16, generator=draw) for _ in range(3))
    clean = torch.zeros(2, 12, dtype=torch.bool)
    clean[0, :3] = True
    whole = torch.ones(2, 12, dtype=torch.bool)
    return Batch(
        target, whole, clean, torch.ones(2, dtype=torch.long), whole[:, 0], torch.tensor([1.0, -2.0]), eps, source
    )


def test_the_term_is_si_sdr_of_what_is_heard_weighed_by_the_share_of_signal(network, codec, batch):
    net, seen = copy.deepcopy(network), []
    net.register_forward_hook(lambda module, given, made: seen.append(made))
    plain = DiffusionLoss(net)(batch)
    taken = (plain - DiffusionLoss(net, codec, DiffusionLossConfig(si_sdr=0.01)).train()(batch)) / 0.01
    alpha, sigma = (level[:, None, None] for level in alpha_sigma(batch.logsnr))
    estimate = alpha * (alpha * batch.target + sigma * batch.eps) - sigma * seen[0]
    estimate[0, :3] = batch.target[0, :3]
    for row, given in enumerate((3, 0)):
        made, wanted = (codec.decode(x)[row, given * codec.hop :].numpy() for x in (estimate, batch.target))
        share = float(alpha[row] ** 2)
        assert float(taken[row].detach()) == pytest.approx(share * si_sdr_db(reference=wanted, estimate=made), abs=0.02)


def test_the_term_moves_the_network_but_neither_validation_nor_what_is_stored(network, codec, batch):
    plain, heard = (
        DiffusionLoss(copy.deepcopy(network), codec, DiffusionLossConfig(si_sdr=weight)).requires_grad_(True)
        for weight in (0.0, 0.01)
    )
    assert torch.equal(heard.eval()(batch), plain.eval()(batch))
    assert heard.state_dict().keys() == plain.state_dict().keys()
    for loss in (plain, heard):
        loss.train()(batch).sum().backward()
    last = [list(loss.parameters())[-1].grad for loss in (plain, heard)]
    assert not torch.equal(*last) and all(grad.isfinite().all() for grad in last)
