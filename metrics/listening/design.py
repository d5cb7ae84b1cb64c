"""Who hears what: balanced lists with hidden tests, and the audit that shows the balance.

The paper's numbers (7488 ratings of 560 stimuli, 3926 of 400, 6136 of 576) allow no exactly equal exposure, only one
apart.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from metrics.listening.stimuli import Stimulus
from speechbase.files import UserError, seed_of

FIRST_HIDDEN = 3  # no hidden test among the first three samples


def assign(rated: Sequence[Stimulus], lists: int, length: int, seed: int) -> list[list[int]]:
    """Deal stimuli into lists; no list repeats an utterance.

    Systems: each list takes every system equally often, up to one; the systems that get one more are those with the
    fewest so far, then those that met least often. Utterances: the least-exposed ones that fit together, by an optimal
    assignment of the list's systems to different utterances.

    Returns:
        For each list, `length` indices into `rated` in the order of presentation.

    Raises:
        UserError: fewer utterances than a list needs.
    """
    systems = list(dict.fromkeys(stimulus.system for stimulus in rated))
    utterances = sorted({next(iter(stimulus.touches)) for stimulus in rated})
    if len(utterances) < length:
        raise UserError(
            f"A participant hears {length} rated samples of different utterances, but there are {len(utterances)} "
            "utterances: lower `samples` or take more utterances."
        )
    cells = _cells(rated, systems, utterances)
    draw, noise = random.Random(seed_of(seed, "lists")), np.random.default_rng(seed_of(seed, "ties"))
    exposures = np.zeros(len(rated), int)
    totals: Counter[str] = Counter()
    met: Counter[frozenset] = Counter()
    dealt = []
    for _ in range(lists):
        slots = _systems_of_list(systems, length, totals, met, draw)
        chosen = _least_exposed([cells[system] for system in slots], exposures, noise)
        exposures[chosen] += 1
        dealt.append(_ordered(chosen, rated, draw))
    return dealt


def _cells(rated: Sequence[Stimulus], systems: list[str], utterances: list[str]) -> dict[str, list[list[int]]]:
    """For each system, by utterance: the indices of its stimuli (several where test sets share an utterance)."""
    place = {utterance: i for i, utterance in enumerate(utterances)}
    cells: dict[str, list[list[int]]] = {system: [[] for _ in utterances] for system in systems}
    for i, stimulus in enumerate(rated):
        cells[stimulus.system][place[next(iter(stimulus.touches))]].append(i)
    return cells


def _least_exposed(slots: list[list[list[int]]], exposures: np.ndarray, noise: np.random.Generator) -> list[int]:
    """One stimulus for each slot, all of different utterances, with the fewest exposures; ties fall at random."""
    lowest = exposures.min()
    best: dict[int, list[int]] = {}
    for cells in slots:  # slots of one system share their cells
        if id(cells) not in best:
            best[id(cells)] = [min(cell, key=lambda i: exposures[i]) if cell else -1 for cell in cells]
    candidates = np.array([best[id(cells)] for cells in slots])
    ahead = exposures[candidates] - lowest
    # Being two ahead costs more than any number of stimuli that are one ahead; a missing stimulus is out of the
    # question.
    cost = np.where(ahead == 0, 0.0, 1000.0 ** (ahead - 1.0)) + noise.uniform(0, 1e-3, ahead.shape)
    cost[candidates < 0] = 1e15
    rows, columns = linear_sum_assignment(cost)
    return [int(candidates[row, column]) for row, column in zip(rows, columns, strict=True)]


def _systems_of_list(systems: list[str], length: int, totals: Counter, met: Counter, draw: random.Random) -> list[str]:
    every, extra = divmod(length, len(systems))
    favoured: list[str] = []
    for _ in range(extra):
        rest = [system for system in systems if system not in favoured]
        draw.shuffle(rest)
        favoured.append(
            min(rest, key=lambda system: (totals[system], sum(met[frozenset((system, other))] for other in favoured)))
        )
    totals.update(favoured)
    met.update(frozenset(pair) for pair in combinations(favoured, 2))
    slots = systems * every + favoured
    draw.shuffle(slots)
    return slots


def _ordered(chosen: list[int], rated: Sequence[Stimulus], draw: random.Random) -> list[int]:
    """Shuffle, preferring a change of system from one sample to the next."""
    rest = draw.sample(chosen, len(chosen))
    ordered = [rest.pop()]
    while rest:
        counts = Counter(rated[index].system for index in rest)
        changes = [index for index in rest if rated[index].system != rated[ordered[-1]].system] or rest
        most = max(counts[rated[index].system] for index in changes)
        # Once a system fills half of what is left, it has to come now or it will follow itself later.
        pool = [index for index in changes if counts[rated[index].system] == most] if 2 * most > len(rest) else changes
        ordered.append(pool[0])
        rest.remove(pool[0])
    return ordered


def hide(
    lists: list[list[int]], rated: Sequence[Stimulus], hidden: Sequence[Stimulus], tests: list[dict], seed: int
) -> list[list[Stimulus]]:
    """Put the hidden tests into the lists: spaced, never adjacent, never among the first three, least-used pairs
    first."""
    draw = random.Random(seed_of(seed, "hidden"))
    used: Counter = Counter()
    full = []
    for chosen in lists:
        stimuli = [rated[index] for index in chosen]
        heard = frozenset().union(*(stimulus.touches for stimulus in stimuli))
        picked = _tests_of_list(hidden, tests, heard, used, draw)
        used.update(stimulus.name for stimulus in picked)
        for place, stimulus in zip(_places(len(stimuli) + len(picked), len(picked), draw), picked, strict=True):
            stimuli.insert(place, stimulus)
        full.append(stimuli)
    return full


def _tests_of_list(
    hidden: Sequence[Stimulus], tests: list[dict], heard: frozenset, used: Counter, draw: random.Random
) -> list[Stimulus]:
    """Pairs that share no utterance with the list or each other, the least used that go together, in random order."""
    kinds = [test["kind"] for test in tests for _ in range(test["count"])]
    free = [stimulus for stimulus in hidden if not stimulus.touches & heard]
    ranked = sorted(draw.sample(free, len(free)), key=lambda stimulus: used[stimulus.name])

    def search(kinds: list[str], taken: frozenset) -> list[Stimulus] | None:
        if not kinds:
            return []
        for stimulus in ranked:
            if stimulus.kind == kinds[0] and not stimulus.touches & taken:
                rest = search(kinds[1:], taken | stimulus.touches)
                if rest is not None:
                    return [stimulus, *rest]
        return None

    picked = search(kinds, frozenset())
    if picked is None:
        raise UserError(
            f"A list found no {' and '.join(dict.fromkeys(kinds))} tests whose utterances its rated samples leave "
            "free: lower `samples`, or take fewer `utterances`, so that some of the test set stay for the hidden "
            "tests."
        )
    return draw.sample(picked, len(picked))


def _places(length: int, count: int, draw: random.Random) -> list[int]:
    """Positions in the finished list, ascending; one in each of `count` equal stretches, whose last place stays
    free."""
    edges = np.linspace(min(FIRST_HIDDEN, max(length - 2 * count, 0)), length, count + 1).astype(int)
    return [draw.randrange(low, max(high - 1, low + 1)) for low, high in pairwise(edges)]


def audit(lists: list[list[Stimulus]], rated: Sequence[Stimulus]) -> dict:
    """Count what balance means: exposures, systems, repeats, who meets whom, positions and hidden tests."""
    exposures = Counter(stimulus.name for chosen in lists for stimulus in chosen if stimulus.kind == "rated")
    counts = [exposures[stimulus.name] for stimulus in rated]
    systems = list(dict.fromkeys(stimulus.system for stimulus in rated))
    per_list = np.array([[sum(s.system == system for s in chosen) for system in systems] for chosen in lists])
    met = per_list.T @ per_list
    pairs = [int(met[i, j]) for i, j in combinations(range(len(systems)), 2)]
    touched = [[touch for stimulus in chosen for touch in stimulus.touches] for chosen in lists]
    places: dict[str, list[int]] = {system: [] for system in systems}
    for chosen in lists:
        for place, stimulus in enumerate(chosen):
            places.setdefault(stimulus.system, []).append(place)
    return {
        "lists": len(lists),
        "stimuli": len(rated),
        "ratings_per_scale": sum(counts),
        "exposures": dict(sorted(Counter(counts).items())),
        "ratings_per_system": {system: int(total) for system, total in zip(systems, per_list.sum(0))},
        "samples_of_a_system_in_a_list": [int(per_list.min()), int(per_list.max())],
        "utterances_repeated_in_a_list": sum(len(chosen) - len(set(chosen)) for chosen in touched),
        "pairs_of_systems_deviation_percent": round(float(100 * (max(pairs) - min(pairs)) / (2 * np.mean(pairs))), 3)
        if any(pairs)
        else 0.0,
        "same_system_in_a_row": sum(a.system == b.system for chosen in lists for a, b in pairwise(chosen)),
        "mean_position": {system: round(float(np.mean(place)), 2) for system, place in places.items()},
        "hidden": _audit_hidden(lists),
    }


def _audit_hidden(lists: list[list[Stimulus]]) -> dict:
    places = [[place for place, stimulus in enumerate(chosen) if stimulus.kind != "rated"] for chosen in lists]
    uses = Counter(stimulus.name for chosen in lists for stimulus in chosen if stimulus.kind != "rated")
    return {
        "per_list": dict(Counter(len(place) for place in places)),
        "earliest_position": min((place[0] for place in places if place), default=None),
        "smallest_gap": min((b - a for place in places for a, b in pairwise(place)), default=None),
        "uses_of_a_pair": [min(uses.values()), max(uses.values())] if uses else [0, 0],
    }
