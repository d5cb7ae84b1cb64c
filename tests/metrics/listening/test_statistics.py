"""Means with clustered errors: by hand, against statsmodels, and by coverage in simulation."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from metrics.listening import clustered
from metrics.listening.clustered import Ratings


def test_a_three_by_three_example_by_hand():
    """Raters a, b, c on utterances x, y, z: every deviation, sum and square written out."""
    values = np.array([5, 4, 3, 4, 4, 2, 3, 2, 1], float)
    ratings = Ratings(values, np.array(list("aaabbbccc")), np.array(list("xyzxyzxyz")))
    found = clustered.mean(ratings)
    # mean 28/9; rater sums of deviations: 24/9, 6/9, -30/9; utterance sums: 24/9, 6/9, -30/9 (in ninths of a rating).
    by_rater = (24**2 + 6**2 + 30**2) / 9**2 / 9**2 * 3 / 2
    squares = sum((9 * v - 28) ** 2 for v in values) / 9**2
    cells = squares / 9**2 * 9 / 8
    assert found.value == pytest.approx(28 / 9, abs=1e-9)
    assert found.se == pytest.approx(math.sqrt(2 * by_rater - cells), abs=1e-9)
    assert found.se_simple == pytest.approx(math.sqrt(squares / 8 / 9), abs=1e-9)
    low, high = found.interval()
    assert (high - low) / 2 == pytest.approx(4.302652729911275 * found.se, abs=1e-9)  # t with 2 degrees of freedom
    assert (found.n, found.n_raters, found.n_utterances) == (9, 3, 3)


def draw_study(draw, raters=40, utterances=20, per_rater=10, systems=2):
    """Unbalanced ratings of systems; columns value, rater, utterance, system."""
    rows = []
    strict, hard = draw.normal(0, 0.5, raters), draw.normal(0, 0.3, utterances)
    for rater in range(raters):
        for utterance in draw.choice(utterances, per_rater, replace=False):
            system = int(draw.integers(systems))
            rows.append(
                (3.5 + 0.2 * system + strict[rater] + hard[utterance] + draw.normal(0, 0.8), rater, utterance, system)
            )
    return np.array(rows)


def test_mean_and_difference_agree_with_statsmodels():
    rows = draw_study(np.random.default_rng(1))
    one = rows[rows[:, 3] == 0]
    groups = one[:, 1:3].astype(int)
    model = sm.OLS(one[:, 0], np.ones(len(one))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    found = clustered.mean(Ratings(*one[:, :3].T))
    assert found.value == pytest.approx(model.params[0])
    assert found.se == pytest.approx(model.bse[0], rel=1e-9)
    model = sm.OLS(rows[:, 0], sm.add_constant(rows[:, 3])).fit(
        cov_type="cluster", cov_kwds={"groups": rows[:, 1:3].astype(int), "use_correction": False}
    )
    a, b = (Ratings(*rows[rows[:, 3] == system, :3].T) for system in (1, 0))
    found = clustered.difference(a, b)
    assert found.value == pytest.approx(model.params[1])
    assert found.se == pytest.approx(model.bse[1], rel=0.03)  # ours has the G/(G-1) corrections


def test_shared_listeners_make_a_difference_surer_than_two_means():
    draw = np.random.default_rng(3)
    raters, utterances = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)
    strict = draw.normal(0, 1, 30)[raters]
    a, b = (Ratings(3 + strict + draw.normal(0, 0.3, 300), raters, utterances) for _ in range(2))
    apart = math.hypot(clustered.mean(a).se, clustered.mean(b).se)
    assert clustered.difference(a, b).se < 0.3 * apart


def test_the_crossed_bootstrap_agrees_with_the_formula():
    rows = draw_study(np.random.default_rng(5), raters=80, utterances=40, per_rater=20)
    a, b = (Ratings(*rows[rows[:, 3] == system, :3].T) for system in (1, 0))
    draws = clustered.crossed_bootstrap(a, b, draws=1000, seed=2)
    found = clustered.difference(a, b)
    assert draws.mean() == pytest.approx(found.value, abs=0.2 * found.se)
    # It counts the residual three times where a pair of rater and utterance meets once, so it is wider by up to the
    # root of 3.
    assert found.se < draws.std() < 1.05 * math.sqrt(3) * found.se
    assert (
        clustered.crossed_bootstrap(a, b, draws=50, seed=2) == clustered.crossed_bootstrap(a, b, draws=50, seed=2)
    ).all()


def test_coverage_is_nominal_where_the_simple_error_is_far_off():
    """Intervals of 200 simulated studies: the clustered ones hold, those of SD / sqrt(n) do not."""
    draw = np.random.default_rng(11)
    raters, per_rater, utterances = 100, 20, 80
    covered, simple = 0, 0
    for _ in range(200):
        rater = np.repeat(np.arange(raters), per_rater)
        utterance = np.concatenate([draw.choice(utterances, per_rater, replace=False) for _ in range(raters)])
        values = 3.5 + draw.normal(0, 0.5, raters)[rater] + draw.normal(0, 0.32, utterances)[utterance]
        found = clustered.mean(Ratings(values + draw.normal(0, 0.85, len(values)), rater, utterance))
        low, high = found.interval()
        covered += low <= 3.5 <= high
        simple += abs(found.value - 3.5) <= 1.96 * found.se_simple
    assert 0.92 <= covered / 200 <= 0.98
    assert simple / 200 < 0.7


def test_too_few_clusters_give_no_error():
    one = clustered.mean(Ratings(np.array([3.0, 4.0]), np.array(["a", "a"]), np.array(["x", "y"])))
    assert one.value == 3.5 and math.isnan(one.se) and math.isnan(one.interval()[0])
    none = clustered.mean(Ratings(np.array([]), np.array([]), np.array([])))
    assert math.isnan(none.value) and none.n == 0
    with pytest.raises(ValueError, match="differ in length"):
        Ratings(np.ones(2), np.ones(3), np.ones(2))
