from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from speechop.sampler import Noise, logsnrs, sample
from speechop.schedule import alpha_sigma
from speechop.settings import Sampling, Solver

MEAN, STD = 0.7, 0.4


def gaussian_velocity(z, logsnr):
    """The exact velocity where data are N(MEAN, STD^2): v = alpha eps - sigma x in expectation."""
    alpha, sigma = (float(level) for level in alpha_sigma(torch.tensor(logsnr, dtype=torch.float64)))
    variance = alpha**2 * STD**2 + sigma**2
    x0 = MEAN + alpha * STD**2 / variance * (z - alpha * MEAN)
    return (alpha * z - x0) / sigma


class Fixed:
    """The same noise sequence for two samplers."""

    def __init__(self, shape, seed=0):
        self.generator, self.shape = torch.Generator().manual_seed(seed), shape

    def __call__(self):
        return torch.randn(self.shape, generator=self.generator, dtype=torch.float64)


@pytest.mark.parametrize("solver", get_args(Solver))
def test_gaussian_data_come_out_with_their_mean_and_variance(solver):
    steps = 400 if solver.endswith("1") else 100
    draws = sample(gaussian_velocity, Fixed((1, 200_000, 1)), Sampling(steps=steps, solver=solver))
    assert float(draws.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(draws.std()) == pytest.approx(STD, rel=0.03)


@pytest.mark.parametrize("solver", ["sde-2m", "ode-2m"])
def test_second_order_converges_faster_than_first(solver):
    exact = sample(gaussian_velocity, Fixed((1, 50, 1)), Sampling(steps=3000, solver="ode-2m"))
    first, second = (
        sample(gaussian_velocity, Fixed((1, 50, 1)), Sampling(steps=24, solver=f"ode-{order}")) for order in ("1", "2m")
    )
    assert (second - exact).abs().max() < 0.3 * (first - exact).abs().max()


@pytest.mark.parametrize("solver,algorithm", [("sde-2m", "sde-dpmsolver++"), ("ode-2m", "dpmsolver++")])
def test_steps_equal_those_of_diffusers(solver, algorithm, monkeypatch):
    """The same grid, velocities and noise through diffusers' independent implementation."""
    steps = 12
    sampling = Sampling(steps=steps, solver=solver, logsnr_min=-8.0, logsnr_max=8.0)
    grid = logsnrs(sampling)
    theirs = DPMSolverMultistepScheduler(
        num_train_timesteps=1000, algorithm_type=algorithm, solver_type="midpoint", prediction_type="v_prediction",
        lower_order_final=False, final_sigmas_type="sigma_min",
    )  # fmt: skip
    theirs.set_timesteps(steps)
    alpha, sigma = alpha_sigma(grid)
    theirs.sigmas = sigma / alpha  # diffusers carries sigma / alpha of a variance-preserving process
    noise = Fixed((2, 5, 3))
    z = noise()
    states = []
    for step in range(steps - 1):
        v = gaussian_velocity(z, float(grid[step]))
        variance_noise = noise() if solver.startswith("sde") else None
        z = theirs.step(v, theirs.timesteps[step], z, variance_noise=variance_noise, return_dict=False)[0]
        states.append(z)
    ours = []

    def watching(z, logsnr):
        ours.append(z)
        return gaussian_velocity(z, logsnr)

    sample(watching, Fixed((2, 5, 3)), sampling)
    for mine, other in zip(ours[1:], states, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)


def test_noise_of_an_item_does_not_depend_on_its_batch():
    together, alone = Noise([3, 8], [5, 9], 4), Noise([8], [9], 4)
    for _ in range(3):
        torch.testing.assert_close(together()[1], alone()[0], rtol=0, atol=0)
    assert not together()[0, 5:].any()


def test_unknown_solver_and_no_steps_are_refused():
    with pytest.raises(ValueError, match="sde-2m"):
        Sampling(steps=8, solver="euler")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Sampling(steps=0)


def test_one_step_returns_the_data_prediction():
    z = Fixed((1, 4, 2))()
    out = sample(gaussian_velocity, Fixed((1, 4, 2)), Sampling(steps=1))
    x0 = alpha_sigma(torch.tensor(-15.0, dtype=torch.float64))
    expected = x0[0] * z - x0[1] * gaussian_velocity(z, -15.0)
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-9)
