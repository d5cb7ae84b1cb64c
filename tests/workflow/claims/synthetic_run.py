"""A run's files as the architecture states them, with known differences between systems, for tests that read them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from speechbase.files import write_jsonl
from workflow.plan import configuration, wanted

SPEAKERS = 6


MEASURES = configuration.resolve({"scale": "nano"})["evaluation"]["metrics"]


def write_manifest(root, test_set, utterances=60):
    ids = [f"{test_set}-{i:03d}" for i in range(utterances)]
    folder = Path(root, "data", "testsets")
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"id": ids, "set": test_set, "speaker": [f"s{i % SPEAKERS}" for i in range(utterances)]})
    table.to_csv(folder / f"{test_set}.csv", index=False)
    return ids


def write_scores(root, test_set, system, metric, ids, shift=0.0, noise=0.05, seed=0, failed=0):
    """Scores around a value shared by all systems, moved by `shift`; a WER row carries counts of 10 words."""
    shared = np.random.default_rng(seed).normal(2.0, 0.5, len(ids))
    values = shared + shift + np.random.default_rng(abs(hash_of(system, metric))).normal(0, noise, len(ids))
    rows = []
    for i, (name, value) in enumerate(zip(ids, values)):
        row = {"id": name, "metric": metric, "value": float(value), "status": "ok", "detail": None, "version": "1"}
        if metric.startswith(("wer", "cer")):
            wrong = int(np.clip(round(value), 0, 10))
            row["detail"] = {
                "hits": 10 - wrong,
                "substitutions": wrong,
                "deletions": 0,
                "insertions": 0,
                "reference_words": 10,
                "reference_characters": 10,
            }
            row["value"] = 10.0 * wrong
        if i < failed:
            row |= {"value": None, "status": "silent estimate", "detail": None}
        rows.append(row)
    write_jsonl(Path(root, "results", "scores", test_set, system, f"{metric}.jsonl"), rows)


def hash_of(*parts):
    return int.from_bytes(json.dumps(parts).encode()[-6:], "big")


def write_run(root, presets, shifts, failed=None, utterances=60):
    """All scores that the tables ask for; `shifts` maps (system, role) to a difference from the other systems, which
    the second judge hears as well unless `wer_second` says otherwise."""
    both = {(system, "wer_second"): shift for (system, role), shift in shifts.items() if role == "wer"} | shifts
    moved = {(system, MEASURES[role]): shift for (system, role), shift in both.items()}
    lost = {(system, MEASURES[role]): count for (system, role), count in (failed or {}).items()}
    tables = [preset for preset in presets.values() if "sweep" not in preset]
    cells = dict.fromkeys(cell for preset in tables for cell in wanted.cells(preset, {}, MEASURES))
    ids = {test_set: write_manifest(root, test_set, utterances) for test_set in {cell[0] for cell in cells}}
    for test_set, system, metric in cells:
        key = (system, metric)
        write_scores(root, test_set, system, metric, ids[test_set], moved.get(key, 0.0), failed=lost.get(key, 0))
