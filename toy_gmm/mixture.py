"""Gaussian mixtures under variance-exploding noise: exact densities, scores and class posteriors.

Shapes: x is any tensor of float64 positions; sigma is the noise level, a float. All functions return the shape of x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """A 1-D Gaussian mixture; adding N(0, sigma^2) noise adds sigma^2 to each component's variance."""

    means: tuple[float, ...]
    stds: tuple[float, ...]
    weights: tuple[float, ...]

    def component(self, y: int) -> Mixture:
        """The distribution of x given the class y: component y alone."""
        return Mixture((self.means[y],), (self.stds[y],), (1.0,))

    def log_joint(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """log p(x, y) of every class at noise level sigma: [classes, *x.shape]."""
        terms = []
        for mean, std, weight in zip(self.means, self.stds, self.weights):
            variance = std**2 + sigma**2
            terms.append(math.log(weight) - 0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance))
        return torch.stack(terms)

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """log p(x) at noise level sigma."""
        return torch.logsumexp(self.log_joint(x, sigma), dim=0)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """d log p(x) / dx at noise level sigma: the components' scores, weighted by their responsibilities."""
        responsibility = torch.softmax(self.log_joint(x, sigma), dim=0)
        scores = [-(x - mean) / (std**2 + sigma**2) for mean, std in zip(self.means, self.stds)]
        return (responsibility * torch.stack(scores)).sum(0)


@dataclass(frozen=True)
class Table7:
    """The parameters of Table 7; the derived distributions are properties."""

    mu_0: float = -4.0
    mu_1: float = 4.0
    sigma_0: float = 0.9
    weight_0: float = 0.5
    y: int = 0
    mean_shift: float = 2.0
    variance_reduction: float = 4.0
    bias: float = 0.4
    variance_inflation: float = 1.8
    samples: int = 5000
    steps: int = 200
    sigma_max: float = 80.0
    sigma_min: float = 0.005
    rho: float = 1e4
    alpha: float = 0.5

    @property
    def tts(self) -> Mixture:
        """Generic speech: the bimodal TTS prior over the words w0 and w1."""
        return Mixture((self.mu_0, self.mu_1), (self.sigma_0,) * 2, (self.weight_0, 1 - self.weight_0))

    @property
    def enhanced(self) -> Mixture:
        """True enhanced speech, N(-2, 0.225): the factor called a variance reduction divides the standard deviation."""
        return Mixture((self.mu_0 + self.mean_shift,), (self.sigma_0 / self.variance_reduction,), (1.0,))

    @property
    def imperfect(self) -> Mixture:
        """The imperfect enhancement model, N(-1.6, 0.405)."""
        mean = self.mu_0 + self.mean_shift + self.bias
        return Mixture((mean,), (self.variance_inflation * self.sigma_0 / self.variance_reduction,), (1.0,))
