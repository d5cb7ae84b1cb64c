"""The parts of the corpus that a scale has, and what each depends on."""

from __future__ import annotations

import os
from collections.abc import Mapping

RECORDED_TASKS = {"librispeech": "tts", "realedit": "edit", "daps": "enhancement"}


def test_sets(config: dict) -> dict[str, str]:
    """The scale's test sets with their tasks; those of recorded corpora are what these are made for."""
    corpus = config.get("corpus", {})
    if "recorded" in corpus:
        sets = corpus["recorded"]["testsets"]
        return {name: RECORDED_TASKS.get(entry["from"], "separation") for name, entry in sets.items()}
    return {name: entry.get("task", "") for name, entry in corpus.get("testsets", {}).items() if entry}


def sets_without_recordings(config: dict, environment: Mapping[str, str] = os.environ) -> set[str]:
    """The test sets of the split `recorded`, where the user has not got the recordings."""
    corpus = config.get("corpus", {})
    if has_recordings(corpus, "real_tests", environment):
        return set()
    return {name for name, entry in corpus.get("testsets", {}).items() if entry and entry.get("split") == "recorded"}


def has_recordings(corpus: dict, kind: str, environment: Mapping[str, str]) -> bool:
    """Whether the user has the recordings of `corpus.real_voices` or `corpus.real_tests`."""
    settings = corpus.get(kind) or {}
    return bool(settings.get("have") or environment.get(settings.get("variable", "")))


def corpus_part(corpus: dict, part: str, name: str = "") -> dict:
    """What one part of the corpus depends on, so that a change elsewhere does not make it again.

    Args:
        corpus: the `corpus` sub-tree.
        part: speech, noise, rir or testset.
        name: of the split or the test set.
    """
    others = {"noise", "rir", "degradation", "testsets", "real", "real_voices", "real_tests"} - {part, name}
    others |= set() if name.startswith("languages_") else {"languages"}
    kept = {key: value for key, value in corpus.items() if key not in others}
    if part == "testset":
        kept["testsets"] = {name: corpus["testsets"][name]}
    # A test set reads the speech as it lies there; only that table's own rule depends on how much there is, and on the
    # sizes of the splits before it whose sentences it follows: `test` before `test_more`.
    sizes = corpus["speech"]["utterances"]
    before = list(sizes)[: list(sizes).index(name) + 1] if part == "speech" and name in sizes else []
    counts = {split: sizes[split] for split in before if split.partition("_")[0] == name.partition("_")[0]}
    kept["speech"] = corpus["speech"] | {"utterances": counts}
    return kept


def speech_splits(corpus: dict) -> list[str]:
    """The speech tables that packaged voices are made for."""
    languages = [f"languages_{base}" for base in corpus.get("languages", {}).get("utterances", {})]
    return [*corpus["speech"]["utterances"], *languages, "real"]


def sounds_of(config: dict, test_set: str) -> str:
    """What the noise and room tables of a test set end in: those of its split alone; recorded speech has its own."""
    split = config["corpus"]["testsets"][test_set]["split"]
    return "_test" if split == "real" else f"_{split.removeprefix('languages_').partition('_')[0]}"


def sounds_parts(config: dict, kind: str) -> list[str]:
    """What the tables of single splits of noise or rir end in."""
    corpus = config["corpus"]
    return [f"_{split}" for split in (corpus["noise"]["clips"] if kind == "noise" else corpus["rir"]["count"])]
