"""Samplers: SDE-DPM-Solver++(2M) and its ODE forms (Lu et al., 2022), with steps linear in logSNR (Appendix E.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from speechop.schedule import alpha_sigma, x0_from_v
from speechop.settings import Sampling


def logsnrs(sampling: Sampling) -> Tensor:
    """logSNR before each step and after the last one, [steps + 1], rising."""
    return torch.linspace(sampling.logsnr_min, sampling.logsnr_max, sampling.steps + 1, dtype=torch.float64)


class Noise:
    """Gaussian noise with one generator an item, so that an item's sample does not depend on its batch.

    Noise is drawn frame by frame over the item's own length; padding frames get zeros.
    """

    def __init__(self, seeds: Sequence[int], lengths: Sequence[int], channels: int, device="cpu"):
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._lengths, self._channels, self._device = list(lengths), channels, device

    def __call__(self) -> Tensor:
        """[b, max(lengths), channels]"""
        draws = [
            torch.randn(n, self._channels, generator=generator)
            for generator, n in zip(self._generators, self._lengths, strict=True)
        ]
        return torch.nn.utils.rnn.pad_sequence(draws, batch_first=True).to(self._device)


@torch.inference_mode()
def sample(
    velocity: Callable[[Tensor, float], Tensor],
    noise: Callable[[], Tensor],
    sampling: Sampling,
    *,
    progress: str | None = None,
    callback: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Draw x0 [b, n, d] from a composed velocity field.

    Args:
        velocity: v(z, logsnr), an expression of `speechop.guidance` or any function.
        noise: returns fresh standard Gaussian noise, shaped as the sample; called once to start and once a step (SDE).
        sampling: how many steps, of what kind, between which logSNRs; the last step returns x0.
        progress: a label for a progress bar, None for none.
        callback: called with (step, data prediction) after each evaluation.

    In terms of lambda = logSNR / 2 and h = lambda_next - lambda: the exponential integrator of Lu et al. with the
    second-order correction (D_i - D_{i-1}) / (2 r), r = h_{i-1} / h_i. The SDE's noise has standard deviation
    sigma_next sqrt(1 - e^{-2h}).
    """
    grid = logsnrs(sampling)
    stochastic, second_order = sampling.solver.startswith("sde"), sampling.solver.endswith("2m")
    z = noise()
    previous: tuple[Tensor, Tensor] | None = None  # the step before: its data prediction and its h
    for step in tqdm(range(sampling.steps), desc=progress, disable=progress is None, leave=False):
        here, there = grid[step], grid[step + 1]
        data = x0_from_v(z, velocity(z, float(here)), here.to(z))
        if callback:
            callback(step, data)
        if step == sampling.steps - 1:
            return data
        h = (there - here) / 2
        estimate = data
        if second_order and previous is not None:
            before, h_before = previous
            estimate = data + (data - before) * (h / (2 * h_before)).to(z)
        (_, sigma), (alpha_next, sigma_next) = alpha_sigma(here), alpha_sigma(there)
        decay = torch.exp(-h)
        keep = sigma_next / sigma * (decay if stochastic else 1.0)
        pull = alpha_next * (1 - (decay**2 if stochastic else decay))
        z = keep.to(z) * z + pull.to(z) * estimate
        if stochastic:
            z = z + (sigma_next * torch.sqrt(1 - decay**2)).to(z) * noise()
        previous = data, h
    return z
