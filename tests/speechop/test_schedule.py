import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechop.schedule import ShiftedCosine, SigmoidWeight, alpha_sigma, v_target, x0_from_v

levels = st.floats(-12, 12)


@given(levels)
def test_variance_is_preserved_and_conversions_invert(level):
    logsnr = torch.tensor(level, dtype=torch.float64)
    alpha, sigma = alpha_sigma(logsnr)
    assert float(alpha**2 + sigma**2) == pytest.approx(1, abs=1e-12)
    assert float(2 * torch.log(alpha / sigma)) == pytest.approx(level, abs=1e-6)
    x, eps = torch.tensor([0.3, -2.0], dtype=torch.float64), torch.tensor([1.1, 0.4], dtype=torch.float64)
    z, v = alpha * x + sigma * eps, v_target(x, eps, logsnr)
    torch.testing.assert_close(x0_from_v(z, v, logsnr), x)


def test_schedule_is_simple_diffusions_shifted_cosine():
    schedule, t = ShiftedCosine(0.5), torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    logsnr = schedule.logsnr(t)
    torch.testing.assert_close(logsnr, -2 * torch.log(torch.tan(math.pi * t / 2)) - 2 * math.log(2))
    torch.testing.assert_close(schedule.time(logsnr), t)
    assert (logsnr.diff() < 0).all()
    numeric = -(schedule.logsnr(t + 1e-6) - schedule.logsnr(t - 1e-6)) / 2e-6
    torch.testing.assert_close(schedule.slope(logsnr), numeric, rtol=1e-5, atol=1e-5)


def test_schedule_stays_finite_at_both_ends():
    ends = ShiftedCosine(0.5).logsnr(torch.tensor([0.0, 1.0]))
    assert ends.isfinite().all() and ends[0] > 18 and ends[1] < -21


def test_weight_peaks_where_the_paper_wants_detail():
    grid = torch.linspace(-15, 15, 30_001)
    weight = SigmoidWeight(-2.5)
    assert float(grid[weight.density(grid).argmax()]) == pytest.approx(-1.25, abs=0.01)  # half the bias
    plain = SigmoidWeight(-2.5, elbo_jacobian=False)
    assert abs(float(grid[plain.density(grid).argmax()]) + 1.3) < 0.2


@pytest.mark.parametrize("jacobian", [True, False])
def test_drawing_from_the_weight_equals_weighing_uniform_times(jacobian):
    """E over draws of f = integral of density * f / integral of density, for a test function f."""
    weight = SigmoidWeight(-2.5, elbo_jacobian=jacobian)
    draws = weight.draw((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)
    grid = torch.linspace(-20, 17, 400_001, dtype=torch.float64)
    density = weight.density(grid)
    for f in (torch.sigmoid, torch.tanh, lambda x: torch.exp(-(x**2))):
        exact = float((density * f(grid)).sum() / density.sum())
        assert float(f(draws).mean()) == pytest.approx(exact, abs=1e-3)


def test_weighting_the_v_loss_directly_would_favour_pure_noise():
    """The sigmoid weight belongs to the eps-loss: without the factor alpha^2 low logSNR would dominate."""
    grid = torch.tensor([-10.0, -1.25])
    right, wrong = SigmoidWeight(-2.5).density(grid), torch.sigmoid(-2.5 - grid)
    assert right[0] < right[1] / 50 and wrong[0] > wrong[1]
