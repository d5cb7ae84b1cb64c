"""Coverage by simulation, and the tests' agreement with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metrics import statistics
from metrics.statistics import bootstrap, holm

SIMULATIONS = 1500


def coverage(draw, truth: float) -> float:
    """Share of simulated data sets whose 95 % interval holds the truth."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(SIMULATIONS):
        low, high = bootstrap(**draw(rng), draws=400, seed=seed).interval()
        hits += low <= truth <= high
    return hits / SIMULATIONS


def speakers(rng, count: int, each: int, between: float, skewed: bool):
    effects = between * np.repeat(rng.standard_normal(count), each)
    errors = rng.exponential(size=count * each) - 1 if skewed else rng.standard_normal(count * each)
    return effects + errors, np.repeat(np.arange(count), each)


# 93 to 97 %; the simulation's own standard error is 0.6 points
@pytest.mark.parametrize(
    ("count", "each", "between", "skewed"), [(6, 10, 0.5, False), (12, 8, 0.5, True), (40, 2, 0.3, True)]
)
def test_interval_of_a_mean_covers_with_few_and_many_speakers(count, each, between, skewed):
    def draw(rng):
        values, clusters = speakers(rng, count, each, between, skewed)
        return {"numerators": values, "clusters": clusters}

    assert 0.93 <= coverage(draw, 0.0) <= 0.97


def test_interval_of_a_corpus_error_rate_covers():
    def draw(rng):
        words = rng.integers(4, 15, size=60)
        rates = np.clip(rng.beta(1, 9, size=60), 0, 1)
        return {"numerators": rng.binomial(words, rates), "denominators": words}

    assert 0.93 <= coverage(draw, 0.1) <= 0.97


def test_interval_of_a_paired_difference_covers_and_is_narrower_than_unpaired():
    def draw(rng):
        a, clusters = speakers(rng, 10, 6, 1.0, False)
        b = a + 0.3 * rng.standard_normal(len(a)) - 0.5
        return {"numerators": np.stack([a, b], 1), "clusters": clusters}

    assert 0.93 <= coverage(draw, 0.5) <= 0.97
    data = draw(np.random.default_rng(1))
    low, high = bootstrap(**data).interval()
    alone = bootstrap(data["numerators"][:, 0], clusters=data["clusters"]).interval()
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_ignoring_the_speakers_covers_too_rarely():
    """What clustering is for: with strong speaker effects an interval over utterances is far too narrow."""

    def draw(rng):
        return {"numerators": speakers(rng, 10, 10, 1.0, False)[0]}

    assert coverage(draw, 0.0) < 0.6


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = [bootstrap(rng.standard_normal(40), draws=1000, seed=k).p_zero() for k in range(2000)]
    assert 0.035 <= np.mean(np.array(p) < 0.05) <= 0.065
    assert 0.46 <= np.mean(np.array(p) < 0.5) <= 0.54


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25, 0.6])
def test_tests_and_intervals_agree(shift):
    found = bootstrap(np.random.default_rng(3).standard_normal(50) + shift, draws=4000)
    for bound in (-0.4, -0.1, 0.0, 0.15, 0.3, 0.5):
        low, high = found.interval(0.90)
        assert (found.p_above(bound) < 0.05) == (low > bound)
        assert (found.p_below(bound) < 0.05) == (high < bound)
    low, high = found.interval(0.90)
    for margin in (0.05, 0.2, 0.5, 1.0):
        assert (found.equivalence(margin) < 0.05) == (-margin < low and high < margin)


def test_equivalence_is_rarely_claimed_at_the_margin():
    rng = np.random.default_rng(0)
    claims = [bootstrap(rng.standard_normal(60) + 0.8, draws=400, seed=k).equivalence(0.8) < 0.05 for k in range(1000)]
    assert 0.03 <= np.mean(claims) <= 0.07


def test_few_speakers_fall_back_to_utterances_and_say_so():
    values = np.arange(20.0)
    assert bootstrap(values, clusters=["a", "b"] * 10).unit == "utterance"
    assert bootstrap(values, clusters=list("abcde") * 4).unit == "speaker"


def test_degenerate_samples():
    one = bootstrap(np.array([1.0]))
    assert one.value == 1.0 and np.isnan(one.interval()).all() and one.p_zero() == 1.0
    none = bootstrap(np.array([]))
    assert np.isnan(none.value) and none.units == 0
    equal = bootstrap(np.zeros(30))
    assert equal.interval() == (0.0, 0.0) and equal.p_zero() == 1.0
    assert bootstrap(np.ones(30)).p_zero() < 0.001


def test_draws_depend_only_on_the_seed():
    values = np.random.default_rng(0).standard_normal(30)
    assert np.array_equal(bootstrap(values, draws=1500).draws, bootstrap(values, draws=1500).draws)
    assert not np.array_equal(bootstrap(values, seed=1).draws, bootstrap(values, seed=2).draws)


def test_holm_by_hand():
    # sorted .01 .02 .03 .5 times 4, 3, 2, 1, never falling
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.01, 0.04, 0.03, math.nan]) == pytest.approx([0.03, 0.06, 0.06, math.nan], nan_ok=True)
    assert holm([math.nan]) == pytest.approx([math.nan], nan_ok=True) and holm([]) == []


def test_resampling_in_chunks_is_complete():
    assert len(bootstrap(np.arange(5.0), draws=statistics.CHUNK + 7).draws) == statistics.CHUNK + 7
