"""Summaries count what is missing, and pool error counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metrics.summary import contrast, summarise
from speechbase.files import UserError

SPEAKERS = {f"u{k}": f"s{k % 6}" for k in range(12)}


def row(identifier, value, status="ok", metric="pesq", **detail):
    return {"id": identifier, "metric": metric, "value": value, "status": status, "detail": detail, "version": "1"}


def test_missing_and_failed_rows_are_counted_and_left_out_of_the_mean():
    rows = [row(f"u{k}", float(k)) for k in range(10)] + [row("u10", None, "silent_estimate")]
    found = summarise(rows, "pesq", SPEAKERS)
    assert found.value == 4.5 and (found.n_expected, found.n_scored) == (12, 10)
    assert found.statuses == {"ok": 10, "silent_estimate": 1, "missing": 1}
    assert not found.complete and found.low < 4.5 < found.high and found.unit == "speaker"


def test_error_rates_are_pooled_and_never_below_zero():
    rows = [
        row(
            f"u{k}",
            0.0,
            metric="wer_whispernorm_x",
            substitutions=k == 0,
            deletions=0,
            insertions=2 * (k == 1),
            reference_words=3 + k,
        )
        for k in range(12)
    ]
    found = summarise(rows, "wer_whispernorm_x", SPEAKERS)
    assert found.value == pytest.approx(100 * 3 / sum(range(3, 15)))
    assert 0 <= found.low < found.value < found.high
    name = "wer_mean_utt_whispernorm_x"
    mean = summarise([r | {"metric": name, "value": 7.0} for r in rows], name, SPEAKERS)
    assert mean.value == 7.0


def test_nothing_scored_is_not_a_number_rather_than_zero():
    found = summarise([row("u0", None, "failed")], "pesq", {"u0": "s"})
    assert math.isnan(found.value) and math.isnan(found.low) and found.statuses == {"failed": 1}


def test_a_difference_uses_the_pairs_that_both_systems_have():
    a = [row(f"u{k}", k + 1.0) for k in range(12)]
    b = [row(f"u{k}", float(k)) if k != 3 else row("u3", None, "no_estimate") for k in range(12)]
    found = contrast([a, b], "pesq", SPEAKERS)
    assert found.value == pytest.approx(1.0) and (found.n_pairs, found.n_expected) == (11, 12)
    assert found.p < 0.001 and found.bootstrap.p_above(0.5) < 0.001 and found.bootstrap.equivalence(0.5) > 0.5


def test_two_gains_are_compared_on_the_utterances_that_all_four_have():
    rng = np.random.default_rng(0)
    told, untold = rng.normal(3.0, 0.1, 12), rng.normal(2.0, 0.1, 12)  # a gain of one, against one of nothing
    sides = [[row(f"u{k}", float(side[k])) for k in range(12)] for side in (told, untold, untold, untold)]
    sides[3][5] = row("u5", None, "failed")
    found = contrast(sides, "pesq", SPEAKERS)
    kept = [k for k in range(12) if k != 5]
    assert found.value == pytest.approx((told - untold)[kept].mean()) and found.n_pairs == 11
    assert found.low > 0.8 and contrast([sides[2], sides[3], *sides[:2]], "pesq", SPEAKERS).high < -0.8


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("u0", 1.0), row("u0", 2.0)], "two rows"),
        ([row("elsewhere", 1.0)], "not in the test set"),
        ([row("u0", 1.0, metric="mcd")], "mcd"),
    ],
)
def test_rows_that_do_not_belong_are_refused(rows, message):
    with pytest.raises(UserError, match=message):
        summarise(rows, "pesq", SPEAKERS)
