"""The discard rules at their boundaries, and what participants are paid."""

import pandas as pd

from metrics.listening import rules
from metrics.listening.pay import rates
from metrics.listening.study import load

SETTINGS = load("tts") | {"samples": 4}
SCALES = SETTINGS["scales"]


def submission(
    name: str, *, mismatched=3, identical=(4, 4, 4, 4), trials=4, rated=(3, 4), rater=None
) -> tuple[list, dict]:
    """Ratings of a submission with two rated samples and one test of each kind; `trials` cuts the last ones off."""
    samples = [
        ("rated", dict.fromkeys(SCALES, rated[0])),
        ("mismatched", dict.fromkeys(SCALES, 5) | {"voice_similarity": mismatched}),
    ]
    samples += [("identical", dict(zip(SCALES, identical, strict=True))), ("rated", dict.fromkeys(SCALES, rated[1]))]
    rows = [
        {"session": name, "rater": rater or name, "kind": kind, "scale": scale, "rating": value}
        for kind, values in samples[:trials]
        for scale, value in values.items()
    ]
    return rows, {
        "session": name,
        "rater": rater or name,
        "trials": trials,
        "rating_seconds": 100.0,
        "headphones": "headphones",
    }


GOLDEN = {  # submission -> the applied rules that catch it
    "all-at-the-boundary": (submission("all-at-the-boundary", mismatched=3, identical=(4, 4, 4, 4)), []),
    "mismatched-4": (submission("mismatched-4", mismatched=4), ["hidden test: mismatched"]),
    "identical-quality-3": (submission("identical-quality-3", identical=(3, 5, 5, 5)), ["hidden test: identical"]),
    "identical-style-3": (submission("identical-style-3", identical=(5, 5, 5, 3)), ["hidden test: identical"]),
    "both": (
        submission("both", mismatched=5, identical=(1, 5, 5, 5)),
        ["hidden test: mismatched", "hidden test: identical"],
    ),
    "missing-trial": (submission("missing-trial", trials=3), ["incomplete"]),
    "second": (submission("second", rater="all-at-the-boundary"), ["repeated_participant"]),
}


def golden_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        pd.DataFrame([row for (rows, _), _ in GOLDEN.values() for row in rows]),
        pd.DataFrame([rater for (_, rater), _ in GOLDEN.values()]),
    )


def test_the_papers_rules_at_their_boundaries():
    ratings, raters = golden_tables()
    caught = rules.flagged(SETTINGS, ratings, raters)
    for name, (_, expected) in GOLDEN.items():
        assert [rule for rule, sessions in caught.items() if name in sessions] == expected, name
    assert rules.discarded(SETTINGS, caught) == set(GOLDEN) - {"all-at-the-boundary"}
    counts = {row["rule"]: (row["caught"], row["alone"]) for row in rules.counts(SETTINGS, caught, len(raters))}
    assert counts["hidden test: mismatched"] == (2, 1)
    assert counts["hidden test: identical"] == (3, 2)
    assert counts["incomplete"] == (1, 1) and counts["repeated_participant"] == (1, 1)
    assert counts["any applied rule"] == (6, 6)


def test_further_rules_report_but_do_not_discard():
    rows, rater = submission("straight", mismatched=5, identical=(5, 5, 5, 5), rated=(5, 5))
    rater |= {"headphones": "loudspeakers"}
    quick = [submission(f"s{i}")[1] | {"rating_seconds": 100.0 + i} for i in range(30)] + [
        rater | {"rating_seconds": 2.0}
    ]
    settings = SETTINGS | {"hidden_tests": []}
    caught = rules.flagged(settings, pd.DataFrame(rows), pd.DataFrame(quick))
    assert caught["straight_lining"] == caught["too_fast"] == caught["no_headphones"] == {"straight"}
    assert rules.discarded(settings, caught) == set()
    applied = settings | {"rules": settings["rules"] | {"straight_lining": {"apply": True}}}
    assert rules.discarded(applied, caught) == {"straight"}


def test_processing_tests_have_their_own_thresholds():
    settings = load("enhancement")
    rows = [
        ("a", "clean", 4),
        ("a", "noisy", 3),
        ("b", "clean", 3),
        ("b", "noisy", 1),
        ("c", "clean", 5),
        ("c", "noisy", 4),
    ]
    ratings = pd.DataFrame(rows, columns=["session", "kind", "rating"]).assign(scale="quality")
    raters = pd.DataFrame(
        {"session": list("abc"), "rater": list("abc"), "trials": 30, "rating_seconds": 9.0, "headphones": ""}
    )
    caught = rules.flagged(settings, ratings, raters)
    assert caught["hidden test: clean"] == {"b"} and caught["hidden test: noisy"] == {"c"}


def test_pay_of_the_papers_study():
    settings = load("tts")
    assert rates(settings, 375, [15.0] * 288) | {"currency": "USD"} == {
        "median_minutes": 15.0,
        "reward_cents": 375,
        "per_hour": 15.0,
        "currency": "USD",
        "alerts": [],
        "top_up_cents": 0,
        "top_up_total": 0.0,
    }
    slow = rates(settings, 375, [10.0, 20.0, 30.0])
    assert slow["per_hour"] == 11.25
    assert [alert.split(" of ")[1] for alert in slow["alerts"]] == ["12 USD/h", "15 USD/h"]
    assert slow["top_up_cents"] == 125 and slow["top_up_total"] == 3.75
    assert len(rates(settings, 375, [30.0])["alerts"]) == 3
