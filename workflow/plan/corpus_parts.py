"""The parts of the corpus that a scale has, and what each depends on."""

from __future__ import annotations

import os
from collections.abc import Mapping

RECORDINGS = {"recorded": "real_tests", "debian": "debian"}  # how a test set's split begins -> the key of `corpus`
RECORDED_TASKS = {"librispeech": "tts", "realedit": "edit", "daps": "enhancement"}


def test_sets(config: dict) -> dict[str, str]:
    """The scale's test sets with their tasks; those of recorded corpora are what these are made for."""
    corpus = config.get("corpus", {})
    if "recorded" in corpus:
        sets = corpus["recorded"]["testsets"]
        return {name: RECORDED_TASKS.get(entry["from"], "separation") for name, entry in sets.items()}
    return {name: entry.get("task", "") for name, entry in corpus.get("testsets", {}).items() if entry}


def sets_without_recordings(config: dict, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The test sets of recordings that the user has not got -> the key of `corpus` that would name them."""
    corpus = config.get("corpus", {})
    splits = {name: entry.get("split", "") for name, entry in corpus.get("testsets", {}).items() if entry}
    wanted = {name: RECORDINGS.get(split.partition("_")[0]) for name, split in splits.items()}
    return {name: kind for name, kind in wanted.items() if kind and not has_recordings(corpus, kind, environment)}


def has_recordings(corpus: dict, kind: str, environment: Mapping[str, str]) -> bool:
    """Whether the user has the recordings of `corpus.real_voices`, `corpus.real_tests` or `corpus.debian`."""
    settings = corpus.get(kind) or {}
    return bool(settings.get("have") or environment.get(settings.get("variable", "")))


def corpus_part(corpus: dict, part: str, name: str = "") -> dict:
    """What one part of the corpus depends on, so that a change elsewhere does not make it again.

    Args:
        corpus: the `corpus` sub-tree.
        part: speech, noise, rir or testset.
        name: of the split or the test set.
    """
    others = {"noise", "rir", "degradation", "testsets", "real", "real_voices", "real_tests", "debian"} - {part, name}
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
    first = config["corpus"]["testsets"][test_set]["split"].removeprefix("languages_").partition("_")[0]
    return "_test" if first in ("real", "debian") else f"_{first}"


def sounds_parts(config: dict, kind: str) -> list[str]:
    """What the tables of single splits of noise or rir end in."""
    corpus = config["corpus"]
    return [f"_{split}" for split in (corpus["noise"]["clips"] if kind == "noise" else corpus["rir"]["count"])]
