"""Balanced lists: the paper's three designs, to the numbers."""

from collections import Counter
from pathlib import Path

import pytest

from metrics.listening import design
from metrics.listening.stimuli import Stimulus
from speechbase.files import UserError


def stimuli(systems: int, utterances: int) -> list[Stimulus]:
    return [
        Stimulus("rated", f"s{s}", "set", f"u{u}", Path("a"), None, frozenset({f"u{u}"}))
        for u in range(utterances)
        for s in range(systems)
    ]


def hidden(kinds=("clean", "noisy"), pool: int = 12) -> list[Stimulus]:
    return [
        Stimulus(k, f"hidden_{k}", "set", f"h{i}", Path("a"), None, frozenset({f"{k}{i}"}))
        for k in kinds
        for i in range(pool)
    ]


TESTS = [{"kind": "clean", "count": 2}, {"kind": "noisy", "count": 2}]


@pytest.mark.parametrize(
    ("systems", "utterances", "workers", "exposures"),
    [(7, 80, 288, {13, 14}), (4, 100, 151, {9, 10}), (6, 96, 236, {10, 11})],
    ids=["tts", "editing", "enhancement"],
)
def test_the_papers_designs_are_balanced(systems, utterances, workers, exposures):
    rated = stimuli(systems, utterances)
    lists = design.hide(design.assign(rated, workers, 26, 1), rated, hidden(), TESTS, 1)
    audit = design.audit(lists, rated)
    assert set(audit["exposures"]) == exposures
    assert audit["ratings_per_scale"] == workers * 26
    totals = audit["ratings_per_system"].values()
    assert max(totals) - min(totals) <= 1
    assert audit["utterances_repeated_in_a_list"] == 0
    assert audit["pairs_of_systems_deviation_percent"] <= 0.5
    assert audit["samples_of_a_system_in_a_list"][1] - audit["samples_of_a_system_in_a_list"][0] <= 1
    assert audit["hidden"]["per_list"] == {4: workers}
    assert audit["hidden"]["earliest_position"] >= 3 and audit["hidden"]["smallest_gap"] >= 2
    assert audit["hidden"]["uses_of_a_pair"][1] - audit["hidden"]["uses_of_a_pair"][0] <= 1
    assert {len(chosen) for chosen in lists} == {30}
    places = audit["mean_position"].values()
    assert max(places) - min(places) < 2.5


def test_the_audit_counts_what_it_says():
    """The audit of a deliberately bad design finds its faults."""
    rated = stimuli(2, 3)
    lists = [[rated[0], rated[1], rated[2]], [rated[0], rated[2], rated[4]]]
    audit = design.audit(lists, rated)
    assert audit["utterances_repeated_in_a_list"] == 1  # s0 and s1 of u0
    assert audit["exposures"] == {0: 2, 1: 2, 2: 2}
    assert audit["ratings_per_system"] == {"s0": 5, "s1": 1}
    assert audit["same_system_in_a_row"] == 2


def test_the_seed_decides_the_lists():
    rated = stimuli(3, 40)
    assert design.assign(rated, 20, 26, 5) == design.assign(rated, 20, 26, 5)
    assert design.assign(rated, 20, 26, 5) != design.assign(rated, 20, 26, 6)


def test_lists_without_repeats_even_where_they_hear_every_utterance():
    rated = stimuli(4, 10)
    lists = design.assign(rated, 30, 10, 1)
    assert all(len({rated[i].utterance for i in chosen}) == 10 for chosen in lists)
    uses = Counter(i for chosen in lists for i in chosen)
    assert max(uses.values()) - min(uses.values()) <= 1


def test_too_few_utterances_are_an_error_that_says_what_to_change():
    with pytest.raises(UserError, match="lower `samples`"):
        design.assign(stimuli(3, 20), 5, 26, 1)
    rated = stimuli(2, 8)
    blocked = [Stimulus("clean", "hidden", "set", "x", Path("a"), None, frozenset({"u0", "u1", "u2", "u3"}))]
    with pytest.raises(UserError, match=r"no clean tests.*fewer `utterances`"):
        design.hide(design.assign(rated, 2, 8, 1), rated, blocked, [{"kind": "clean", "count": 1}], 1)
