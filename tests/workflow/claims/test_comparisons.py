"""Verdict logic: directions, margins, equivalence, Holm, and what an estimate without an error may say."""

import numpy as np
import pytest
from scipy.stats import norm

from metrics.statistics import Bootstrap
from workflow.claims.comparisons import (
    INCONCLUSIVE,
    NOT_RUN,
    OPPOSITE,
    SUPPORTED,
    Bare,
    Comparison,
    Evidence,
    Printed,
    Resampled,
    Result,
    evidence,
    p_values,
    verdict,
)


def compare(expect, bound=0.0):
    return Comparison("table3", "pesq", "a", "b", expect, bound)


def of(estimate, expect="lower", bound=0.0):
    results = [Result(compare(expect, bound), estimate)]
    return verdict(results, evidence(results))


@pytest.mark.parametrize(
    ("point", "expect", "bound", "expected"),
    [
        (-0.3, "lower", 0, SUPPORTED),
        (0.3, "lower", 0, OPPOSITE),
        (-0.1, "lower", 0, INCONCLUSIVE),
        (0.3, "higher", 0, SUPPORTED),
        (-0.3, "higher", 0, OPPOSITE),
        (0.1, "not_higher", 0.5, SUPPORTED),
        (0.4, "not_higher", 0.5, INCONCLUSIVE),
        (0.8, "not_higher", 0.5, OPPOSITE),
        (-0.1, "not_lower", 0.5, SUPPORTED),
        (-0.8, "not_lower", 0.5, OPPOSITE),
        (0.05, "within", 0.3, SUPPORTED),
        (0.2, "within", 0.3, INCONCLUSIVE),
        (0.6, "within", 0.3, OPPOSITE),
        (-0.6, "within", 0.3, OPPOSITE),
        (100.3, "above", 100, SUPPORTED),
        (99.7, "above", 100, OPPOSITE),
        (99.7, "below", 100, SUPPORTED),
    ],
)
def test_one_comparison_with_an_error_of_a_tenth(point, expect, bound, expected):
    assert of(Printed(point, 0.1), expect, bound) == expected
    draws = norm.ppf((np.arange(10_000) + 0.5) / 10_000, point, 0.1)
    assert of(Resampled(point, Bootstrap(point, draws, 500, "utterance"), "500"), expect, bound) == expected


def test_the_interval_and_the_p_value_say_the_same_at_the_edge():
    for estimate in (Printed(-1.0, 0.51), Printed(-1.0, 0.511)):
        supports, _ = p_values(compare("lower"), estimate)
        assert (supports < 0.05) == (estimate.interval(0.95)[1] < 0)


def test_equivalence_is_two_one_sided_tests_at_the_90_percent_interval():
    estimate = Printed(-0.01, 0.0566)
    for margin, inside in ((0.104, True), (0.102, False), (0.2, True)):
        supports, _ = p_values(compare("within", margin), estimate)
        low, high = estimate.interval(0.90)
        assert (supports < 0.05) == inside == (-margin < low and high < margin)


def test_a_claim_is_as_sure_as_its_least_sure_comparison_and_one_opposite_is_enough():
    results = [Result(compare("lower"), Printed(-0.5, 0.1)), Result(compare("lower"), Printed(-0.1, 0.1))]
    assert verdict(results, evidence(results)) == INCONCLUSIVE
    results.append(Result(compare("lower"), Printed(0.5, 0.1)))
    assert verdict(results, evidence(results)) == OPPOSITE


def test_the_correction_can_take_a_verdict_away():
    results = [Result(compare("lower"), Printed(-0.2, 0.1))]
    assert verdict(results, evidence(results)) == SUPPORTED
    assert verdict(results, Evidence(0.09, 1.0)) == INCONCLUSIVE


def test_a_part_that_was_not_run_keeps_a_claim_from_being_supported():
    missing = Result(compare("lower"), None, "no weights")
    assert verdict([missing], None) == NOT_RUN
    results = [Result(compare("lower"), Printed(-0.5, 0.1)), missing]
    assert verdict(results, evidence(results)) == INCONCLUSIVE
    results = [Result(compare("lower"), Printed(0.5, 0.1)), missing]
    assert verdict(results, evidence(results)) == OPPOSITE


def test_bare_numbers_count_by_their_side_and_equality_is_no_difference():
    assert of(Bare(-0.1, "one run"), "lower") == SUPPORTED
    assert of(Bare(0.0, "one run"), "lower") == OPPOSITE
    assert of(Bare(8.1 - 8.1, "one run"), "not_higher", 0.0) == SUPPORTED
    assert of(Bare(float("inf"), "one run"), "fraction", 0.25) == OPPOSITE
    assert of(Bare(0.25, "one run"), "fraction", 0.25) == SUPPORTED
