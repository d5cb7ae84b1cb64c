"""Sentences of verdicts: every number with its interval, and data that could not have decided says so."""

from dataclasses import replace

import numpy as np
import pytest

from metrics.statistics import Bootstrap
from workflow.claims import comparisons, wording
from workflow.claims.comparisons import Bare, Comparison, Printed, Resampled, Result, Seeded, evidence, verdict

COLUMNS = [{"role": "pesq", "label": "PESQ", "digits": 2}, {"role": "wer", "label": "WER %", "digits": 1}]
LABELS = wording.Labels({"trial": {"metrics": COLUMNS, "rows": [{"label": "Ours", "system": "a"}]}})


def said(*results):
    results = list(results)
    sure = evidence(results)
    return wording.sentence(verdict(results, sure), results, sure, LABELS)


def steps(estimate):
    share = Comparison("trial", "steps", "a", "b", "fraction", 0.25)
    return said(Result(share, estimate, cells=(estimate.point * 800, 800.0)))


def test_fewer_steps_are_said_with_the_interval_of_the_seeds():
    seeds = Seeded((0.20, 0.21, 0.19), "3 training seeds", ratio=True)
    low, high = seeds.interval(0.95)
    assert steps(seeds) == (
        "Reproduced: training steps of Ours against b: reached after 160 of 800 steps (a share of 0.200, "
        f"95 % interval {low:.3f} to {high:.3f}; at most 0.25 of them was claimed; 3 training seeds)."
    )


def test_steps_without_an_error_have_no_interval_and_seeds_that_agree_say_that_they_do():
    assert "interval" not in steps(Bare(0.2, "one training run each"))
    alike = steps(Seeded((0.125,) * 3, "3 training seeds", ratio=True))
    assert "a share of 0.125, in every seed; at most" in alike and "interval" not in alike


def margin(expect, bound, estimate, role="pesq"):
    return Result(Comparison("trial", role, "a", "b", expect, bound), estimate, cells=(2.0, 2.0))


def resampled(point, error, count=40):
    draws = np.random.default_rng(0).normal(point, error, 10_000)
    return Resampled(point, Bootstrap(point, draws, count, "utterance"), f"{count} utterances")


@pytest.mark.parametrize("expect", ["within", "not_higher", "not_lower"])
def test_an_interval_wider_than_the_margin_says_that_the_data_is_too_small_for_it(expect):
    result = margin(expect, 0.1, resampled(0.0, 0.1))
    low, high = result.estimate.interval(0.90 if expect == "within" else 0.95)
    told = f"; too few utterances for this margin: the interval is ±{(high - low) / 2:.3f} wide, the margin 0.1."
    assert said(result).endswith(told), said(result)
    assert "too few" not in said(margin(expect, 0.1, resampled(0.0, 0.03)))


def test_it_is_the_interval_that_the_verdict_answers_to():
    half = 1.80  # of an error: between the half-widths at 90 and at 95 %
    assert "too large errors" not in said(margin("within", half, Printed(0.5, 1.0)))
    assert "too large errors for this margin" in said(margin("not_higher", half, Printed(0.5, 1.0)))


def test_the_comparison_that_lacks_most_is_named_though_another_one_decides():
    small = margin("not_lower", 0.01, resampled(0.1, 0.5))
    decides = margin("not_higher", 1.0, resampled(5.0, 0.4), "wer")
    told = said(decides, small, margin("within", 0.5, resampled(0.0, 0.5)))
    assert "the one that decides is WER %" in told
    assert "; too few utterances for the margin of PESQ of Ours against b (and of 1 more): the interval is ±" in told
    assert told.endswith("the margin 0.01.")


def test_the_second_judge_s_interval_counts_too():
    first = margin("not_higher", 0.5, resampled(0.0, 0.1), "wer")
    both = replace(first, comparison=replace(first.comparison, second="wer_second"))
    assert "too few" not in said(replace(both, second=first))
    assert "too few utterances" in said(replace(both, second=replace(first, estimate=resampled(0.0, 1.0))))


def test_one_utterance_has_no_interval_that_a_margin_could_be_held_against():
    told = said(margin("within", 0.1, resampled(0.0, 0.1, 1)))
    assert told.endswith("too few utterances for this margin: the interval is not to be had, the margin 0.1.")


@pytest.mark.parametrize(
    "result",
    [
        margin("not_higher", 0.1, resampled(-2.0, 0.2)),  # supported all the same
        margin("within", 0.1, resampled(2.0, 0.2)),  # the opposite all the same
        margin("not_higher", 0.0, resampled(0.0, 0.2)),
        margin("within", 0.1, Bare(0.0, "one training run each")),
        margin("lower", 0.0, resampled(0.0, 0.2)),
        margin("below", -1.0, resampled(-1.0, 0.2)),
    ],
)
def test_what_was_decided_and_what_has_no_margin_or_no_error_says_nothing_of_it(result):
    assert "too few" not in said(result) and "too large" not in said(result)


def test_seeds_and_ratings_are_called_what_they_are():
    assert "too few seeds" in said(margin("within", 0.01, Seeded((0.1, 0.2, 0.3), "3 training seeds")))
    assert "too few ratings" in said(margin("within", 0.01, Printed(0.0, 0.1, "80 and 90 ratings")))


@pytest.mark.parametrize(("point", "told"), [(-1.0, "it would hold"), (1.0, "that speaks against it")])
def test_what_only_the_correction_over_the_table_leaves_undecided_says_so(point, told):
    def undecided(result):
        return wording.sentence(comparisons.INCONCLUSIVE, [result], comparisons.Evidence(0.15, 0.15), LABELS)

    correction = f"; by itself {told}, but not after Holm's correction over its table (p = 0.150)."
    assert undecided(margin("lower", 0.0, resampled(point, 0.4))).endswith(correction)
    assert "Holm" not in undecided(margin("lower", 0.0, resampled(0.0, 0.4)))


def test_a_row_on_the_table_s_own_set_is_called_by_its_label_too():
    rows = [{"label": "Ours", "system": "a"}, {"label": "Ours, elsewhere", "system": "a", "set": "far"}]
    labels = wording.Labels({"trial": {"set": "near", "metrics": COLUMNS, "rows": rows}})
    asked = Comparison("trial", "pesq", "a@near", "a@far", "higher", 0.0)
    assert [labels.row(asked, name) for name in ("a@near", "a@far", "b@far")] == ["Ours", "Ours, elsewhere", "b@far"]
