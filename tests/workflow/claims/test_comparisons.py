"""Verdict logic: directions, margins, equivalence, Holm, and what an estimate without an error may say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from metrics.statistics import Bootstrap
from workflow.claims.comparisons import (
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    LESS,
    NOT_RUN,
    OPPOSITE,
    SUPPORTED,
    UNTESTABLE,
    Bare,
    Comparison,
    Evidence,
    Printed,
    Resampled,
    Result,
    Seeded,
    evidence,
    p_values,
    reading,
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


@pytest.mark.parametrize("point", [-0.1, 0.0, 0.1, float("inf")])
def test_a_bare_number_decides_nothing(point):
    bare = Result(compare("lower"), Bare(point, "one training run each"))
    assert verdict([bare], evidence([bare])) == INCONCLUSIVE
    for other, expected in ((-0.5, INCONCLUSIVE), (0.5, OPPOSITE)):
        results = [bare, Result(compare("lower"), Printed(other, 0.1))]
        assert verdict(results, evidence(results)) == expected


def test_printed_numbers_without_errors_hold_or_fail_as_printed_and_equality_is_no_difference():
    for point, expect, bound, expected in (
        (-0.1, "lower", 0, HOLDS), (0.0, "lower", 0, FAILS), (8.1 - 8.1, "not_higher", 0, HOLDS),
        (float("inf"), "fraction", 0.25, FAILS), (0.25, "fraction", 0.25, HOLDS),
    ):  # fmt: skip
        results = [Result(compare(expect, bound), Bare(point, "printed", printed=True))]
        assert reading(results, evidence(results)) == expected
        mixed = [*results, Result(compare("lower"), Printed(-0.5, 0.1))]
        assert reading(mixed, evidence(mixed)) == expected


def test_a_threshold_that_is_missed_in_the_right_direction_is_a_verdict_of_its_own():
    above = compare("above", 100)
    for point, direction, expected in (
        (110, 60, SUPPORTED), (80, 60, LESS), (80, 0, OPPOSITE), (80, -60, OPPOSITE), (99.9, 60, INCONCLUSIVE),
    ):  # fmt: skip
        results = [Result(above, Printed(point, 1.0), direction=Printed(direction, 1.0))]
        assert verdict(results, evidence(results)) == expected, (point, direction)
    for share, expected in ((0.2, SUPPORTED), (0.25, INCONCLUSIVE), (0.6, LESS), (0.99, OPPOSITE), (1.3, OPPOSITE)):
        results = [Result(compare("fraction", 0.25), Printed(share, 0.02))]
        assert verdict(results, evidence(results)) == expected, share
    both = [Result(above, Printed(80, 1.0), direction=Printed(60, 1.0)), Result(compare("lower"), Printed(0.5, 0.1))]
    assert verdict(both, evidence(both)) == OPPOSITE


def test_of_two_judges_each_must_say_it():
    for guide, second, expected in (
        (-0.5, -0.5, SUPPORTED), (-0.5, 0.0, INCONCLUSIVE), (-0.5, 0.5, INCONCLUSIVE), (0.5, 0.5, OPPOSITE),
        (0.5, 0.0, INCONCLUSIVE), (-0.5, None, INCONCLUSIVE), (0.5, None, INCONCLUSIVE),
    ):  # fmt: skip
        heard = None if second is None else Result(compare("lower"), Printed(second, 0.1))
        results = [Result(replace(compare("lower"), second="wer_second"), Printed(guide, 0.1), second=heard)]
        assert verdict(results, evidence(results)) == expected, (guide, second)


def test_what_could_not_come_out_otherwise_is_not_testable_and_keeps_the_rest_from_being_supported():
    untestable = Result(compare("lower"), None, "no phase", untestable=True)
    assert verdict([untestable], evidence([untestable])) == UNTESTABLE
    for other, expected in ((-0.5, INCONCLUSIVE), (0.5, OPPOSITE)):
        results = [untestable, Result(compare("lower"), Printed(other, 0.1))]
        assert verdict(results, evidence(results)) == expected


def test_seeds_are_judged_by_student_s_law():
    """Against scipy's own one-sample t test."""
    from scipy.stats import ttest_1samp

    values = (-0.02, -0.035, -0.01)
    seeds = Seeded(values, "3 training seeds")
    test = ttest_1samp(values, 0.0)
    assert seeds.point == pytest.approx(np.mean(values)) and 2 * seeds.p_below(0.0) == pytest.approx(test.pvalue)
    assert seeds.interval(0.95) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert of(seeds) == INCONCLUSIVE and of(Seeded((-0.02, -0.021, -0.019), "seeds")) == SUPPORTED


def test_shares_of_steps_are_judged_by_their_logarithms():
    found = Seeded((0.2, 0.21, 0.19), "3 training seeds", ratio=True)
    low, high = found.interval(0.95)
    assert found.point == pytest.approx((0.2 * 0.21 * 0.19) ** (1 / 3)) and low < found.point < high < 0.25
    assert of(found, "fraction", 0.25) == SUPPORTED
    assert of(Seeded((0.5, 0.52, 0.48), "seeds", ratio=True), "fraction", 0.25) == LESS
    alike = Seeded((0.125, 0.125, 0.125), "seeds", ratio=True)  # the shortest runs were there already
    assert of(alike, "fraction", 0.25) == SUPPORTED and of(alike, "fraction", 0.125) == SUPPORTED
    assert of(Seeded((1.0, 1.0, 1.0), "seeds", ratio=True), "fraction", 0.25) == OPPOSITE
