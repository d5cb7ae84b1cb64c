"""The toy study: analytic scores against autograd, estimators against closed forms, and Appendix B's ordering."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toy_gmm import divergence, study
from toy_gmm.__main__ import main
from toy_gmm.compose import Given, strategy
from toy_gmm.mixture import Mixture, Table7
from toy_gmm.sampling import draw_noise, noise_levels, sample

SIGMAS = st.floats(0.005, 80)


def logsnr_of(sigma):
    return -2 * math.log(sigma)


def gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]


@given(SIGMAS, st.floats(-2, 3), st.floats(0.1, 2), st.floats(0.05, 0.95))
@settings(max_examples=40, deadline=None)
def test_the_score_is_the_gradient_of_the_log_density(sigma, mean, std, weight):
    mixture = Mixture((mean, mean + 3), (std, 0.7), (weight, 1 - weight))
    x = torch.linspace(-6, 8, 57, dtype=torch.float64)
    torch.testing.assert_close(
        mixture.score(x, sigma), gradient(lambda z: mixture.log_density(z, sigma), x), rtol=1e-9, atol=1e-11
    )


@given(SIGMAS)
@settings(max_examples=25, deadline=None)
def test_the_guide_is_the_gradient_of_the_log_posterior(sigma):
    setup = Table7()
    x = torch.linspace(-9, 9, 91, dtype=torch.float64)
    guided, unguided = (strategy(setup, method, 1.0)(x, logsnr_of(sigma)) for method in ("tc_cfg", "none"))

    def log_posterior(z):  # log p(y | x): what the guide of Appendix B differentiates
        return setup.tts.log_joint(z, sigma)[setup.y] - setup.tts.log_density(z, sigma)

    expected = gradient(log_posterior, x)
    torch.testing.assert_close(guided - unguided, expected, rtol=1e-8, atol=1e-10 * 80)


def test_the_density_integrates_to_one_at_every_noise_level():
    x = torch.linspace(-400, 400, 800_001, dtype=torch.float64)
    for sigma in (0.0, 1.0, 80.0):
        assert torch.trapezoid(Table7().tts.log_density(x, sigma).exp(), x).item() == pytest.approx(1, abs=1e-5)


def test_the_derived_distributions_are_those_that_table_7_prints():
    setup = Table7()
    assert setup.enhanced.means == (-2.0,)
    assert round(setup.enhanced.stds[0], 4) == 0.225  # printed as 0.23
    assert setup.imperfect.means[0] == pytest.approx(-1.6)
    assert setup.imperfect.stds[0] == pytest.approx(0.405)  # printed as 0.41
    levels = noise_levels(setup)
    assert len(levels) == 201
    assert levels[0].item() == pytest.approx(80, rel=1e-6)
    assert levels[-1].item() == pytest.approx(0.005, rel=1e-6)
    ratios = levels[1:] / levels[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(200))


def test_averaging_by_alpha_zero_is_no_guidance_and_rho_zero_too():
    setup = Table7()
    x = torch.linspace(-5, 5, 11, dtype=torch.float64)
    for logsnr in (9.2, -2.2):
        unguided = setup.imperfect.score(x, math.exp(-logsnr / 2))
        for method in ("none", "tc_avg", "tc_cfg"):
            torch.testing.assert_close(strategy(setup, method, 0.0)(x, logsnr), unguided)


def test_averaging_is_equation_1_written_out():
    setup = Table7()
    x = torch.linspace(-5, 5, 11, dtype=torch.float64)
    by_hand = 0.7 * setup.imperfect.score(x, 0.5) + 0.3 * setup.tts.component(0).score(x, 0.5)
    torch.testing.assert_close(strategy(setup, "tc_avg", 0.3)(x, logsnr_of(0.5)), by_hand)


@pytest.mark.parametrize("name", divergence.ESTIMATORS)
def test_each_estimator_finds_the_closed_form_between_gaussians(name):
    samples = np.random.default_rng(0).normal(-1.6, 0.405, 200_000)
    exact = math.log(0.225 / 0.405) + (0.405**2 + 0.4**2) / (2 * 0.225**2) - 0.5
    assert divergence.ESTIMATORS[name](samples, -2.0, 0.225) == pytest.approx(exact, rel=0.03)
    own = divergence.ESTIMATORS[name](samples, -1.6, 0.405)
    assert -1e-6 < own < 0.01


def test_the_estimators_stay_finite_far_from_the_target():
    samples = np.random.default_rng(1).normal(30, 0.1, 1000)
    for kl in divergence.ESTIMATORS.values():
        assert kl(samples, -2.0, 0.225) == pytest.approx(32**2 / (2 * 0.225**2), rel=0.02)


def test_the_sampler_draws_an_exactly_known_gaussian():
    setup = Table7(samples=20_000, steps=400)
    drawn = sample(Given(setup.enhanced), setup, draw_noise(setup, 1))
    assert drawn.mean().item() == pytest.approx(-2.0, abs=0.01)
    assert drawn.std().item() == pytest.approx(0.225, rel=0.04)


def test_a_seed_draws_the_same_whatever_the_number_of_seeds():
    setup = Table7(samples=7, steps=3)
    assert torch.equal(draw_noise(setup, 1)[:, 0], draw_noise(setup, 3)[:, 0])
    assert not torch.equal(draw_noise(setup, 2)[:, 0], draw_noise(setup, 2)[:, 1])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    arguments = ["--out", "fig4.csv", "--by-seed", "seeds.csv", "--figure", "fig4.png", "--sweeps", "sweeps.png"]
    main([a if a.startswith("--") else str(folder / a) for a in arguments] + ["--seeds", "2"])
    return folder


def test_the_methods_rank_as_in_figure_4_by_every_estimator(outputs):
    table = pd.read_csv(outputs / "fig4.csv")
    figure = table[table["part"] == "figure"].pivot(index="method", columns="quantity", values="value")
    for estimator in divergence.ESTIMATORS:
        kl = figure[f"kl_{estimator}"]
        assert kl["tc_cfg"] == pytest.approx(0.4, abs=0.1)
        assert kl["none"] == pytest.approx(2.25, abs=0.2)
        assert kl["tc_avg"] == pytest.approx(3.2, abs=0.25)
    assert figure["std"]["tc_avg"] > figure["std"]["none"] > figure["std"]["tc_cfg"]
    rho = table[(table["part"] == "rho sweep") & (table["quantity"] == "kl_gaussian")].set_index("strength")["value"]
    assert rho.idxmin() in (1e4, 3e4)
    assert rho[1e5] > 2 * rho[1.0]


def test_the_outputs_are_whole_and_their_intervals_hold_the_mean(outputs):
    table, rows = pd.read_csv(outputs / "fig4.csv"), pd.read_csv(outputs / "seeds.csv")
    plan = 3 + len(study.RHO_SWEEP) + len(study.ALPHA_SWEEP)
    assert len(rows) == 2 * plan
    assert len(table) == plan * 5
    assert table.notna().drop(columns="strength").all().all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    for name in ("fig4.png", "sweeps.png"):
        assert (outputs / name).read_bytes().startswith(b"\x89PNG")


def test_one_seed_is_refused_with_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--out", str(tmp_path / "x.csv"), "--seeds", "1"])
    assert stopped.value.code == 2
    assert "greater than or equal to 2" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
