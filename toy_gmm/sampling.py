"""The sampler of Appendix B.2: log-linear noise levels and a variance-exploding ancestral update."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from speechbase.files import seed_of
from toy_gmm.mixture import Table7

Score = Callable[[Tensor, float], Tensor]  # (x, logSNR = -2 ln sigma) -> d log p / dx, such as a composed expression


def noise_levels(setup: Table7) -> Tensor:
    """sigma_t for t = 0..T, from sigma_max down to sigma_min, linear in log sigma: [steps + 1]."""
    t = torch.linspace(0, 1, setup.steps + 1, dtype=torch.float64)
    return torch.exp(t * torch.log(torch.tensor(setup.sigma_min)) + (1 - t) * torch.log(torch.tensor(setup.sigma_max)))


def draw_noise(setup: Table7, seeds: int) -> Tensor:
    """Standard normal noise for the start and each step: [steps + 1, seeds, samples].

    A seed's draws don't depend on how many seeds there are; all methods share them, so that KLs are paired by seed.
    """
    draws = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed_of("toy_gmm", seed))
        draws.append(torch.randn(setup.steps + 1, setup.samples, generator=generator, dtype=torch.float64))
    return torch.stack(draws, dim=1)


def sample(score: Score, setup: Table7, noise: Tensor) -> Tensor:
    """Samples of the distribution that `score(x, logsnr)` leads to: [seeds, samples].

    x_{t+1} = x_t + (sigma_t^2 - sigma_{t+1}^2) score + sqrt(sigma_t^2 - sigma_{t+1}^2) eps (Appendix B.2).
    """
    sigmas = noise_levels(setup).tolist()
    x = sigmas[0] * noise[0]
    for eps, sigma, after in zip(noise[1:], sigmas[:-1], sigmas[1:]):
        variance = sigma**2 - after**2
        x = x + variance * score(x, -2 * math.log(sigma)) + variance**0.5 * eps
    return x
