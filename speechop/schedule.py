"""Noise schedule and loss weighting (section 2; "Diffusion Training" in section 5).

Convention: t in [0, 1], t = 0 is data and t = 1 is noise; z_t = alpha_t x + sigma_t eps, variance preserving, so that
alpha^2 = sigmoid(logsnr) and sigma^2 = sigmoid(-logsnr). The network predicts v = alpha eps - sigma x (Salimans & Ho,
2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from speechop.settings import DiffusionConfig

PAPER = DiffusionConfig()


def alpha_sigma(logsnr: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise levels (alpha, sigma) of the variance-preserving process at a logSNR; shapes as `logsnr`."""
    return torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()


def x0_from_v(z: Tensor, v: Tensor, logsnr: Tensor) -> Tensor:
    """Data prediction x0 = alpha z - sigma v. `logsnr` broadcasts against `z`."""
    alpha, sigma = alpha_sigma(logsnr)
    return alpha * z - sigma * v


def v_target(x: Tensor, eps: Tensor, logsnr: Tensor) -> Tensor:
    """Velocity v = alpha eps - sigma x."""
    alpha, sigma = alpha_sigma(logsnr)
    return alpha * eps - sigma * x


@dataclass(frozen=True)
class ShiftedCosine:
    """Shifted cosine schedule (Hoogeboom et al., 2023): logsnr(t) = -2 ln tan(pi t / 2) + 2 ln scale.

    The unshifted logSNR is clamped to [-20, 20], as in the first author's earlier code.
    """

    scale: float = PAPER.schedule_scale
    limit: float = 20.0

    def logsnr(self, t: Tensor) -> Tensor:
        """logSNR at time t in [0, 1]."""
        edge = 2 / math.pi * math.atan(math.exp(-self.limit / 2))
        angle = math.pi / 2 * t.clamp(edge, 1 - edge)
        return -2 * torch.log(torch.tan(angle)) + 2 * math.log(self.scale)

    def time(self, logsnr: Tensor) -> Tensor:
        """The inverse of `logsnr` inside its limits."""
        return 2 / math.pi * torch.atan(torch.exp(-(logsnr - 2 * math.log(self.scale)) / 2))

    def slope(self, logsnr: Tensor) -> Tensor:
        """-d logSNR / dt > 0, as a function of logSNR: 2 pi / sin(pi t)."""
        return 2 * math.pi / torch.sin(math.pi * self.time(logsnr))


@dataclass(frozen=True)
class SigmoidWeight:
    """Sigmoid loss weighting (Hoogeboom et al., 2024): the eps-loss at logSNR l weighs sigmoid(bias - l).

    With `elbo_jacobian` (the reading of Kingma & Gao, 2023: L = integral of w(l) |eps error|^2 dl) the weight on the
    v-loss as a density over logSNR is sigmoid(bias - l) sigmoid(l); the factor sigmoid(l) = alpha^2 turns v-errors into
    eps-errors.
    Without it t is uniform and that product is divided by the schedule's slope.

    Drawing logSNR from this density and weighing every draw alike has the same expectation as drawing t uniformly and
    weighing by the density ratio, with far less variance.
    """

    bias: float = PAPER.bias
    elbo_jacobian: bool = PAPER.elbo_jacobian
    schedule: ShiftedCosine = ShiftedCosine()

    def density(self, logsnr: Tensor) -> Tensor:
        """Unnormalised weight of the squared v-error per unit of logSNR."""
        weight = torch.sigmoid(self.bias - logsnr) * torch.sigmoid(logsnr)
        return weight if self.elbo_jacobian else weight / self.schedule.slope(logsnr)

    @cached_property
    def _table(self) -> tuple[Tensor, Tensor]:
        shift = 2 * math.log(self.schedule.scale)
        grid = torch.linspace(shift - self.schedule.limit, shift + self.schedule.limit, 8193, dtype=torch.float64)
        mass = self.density(grid)
        cumulative = torch.cat([mass.new_zeros(1), ((mass[1:] + mass[:-1]) / 2).cumsum(0)])
        return grid, cumulative / cumulative[-1]

    def draw(self, uniform: Tensor) -> Tensor:
        """Turn uniform numbers in [0, 1) into logSNRs distributed as `density` (inverse of its cumulative sum)."""
        grid, cumulative = self._table
        u = uniform.double().cpu()
        right = torch.searchsorted(cumulative, u).clamp(1, len(grid) - 1)
        low, high = cumulative[right - 1], cumulative[right]
        fraction = (u - low) / (high - low).clamp_min(1e-30)
        return (grid[right - 1] + fraction.clamp(0, 1) * (grid[right] - grid[right - 1])).to(uniform)
