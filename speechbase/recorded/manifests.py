"""Write a test set of the contract: audio beside the manifest, checksums in every row, a fingerprint of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from speechbase import audio
from speechbase.corpus import speech
from speechbase.corpus.testset import COLUMNS
from speechbase.files import UserError, seed_of, sha256
from speechbase.recorded import fingerprint

AUDIO = ("source", "reference", "prompt", "interferer")


def write_set(
    name: str, items: Iterable[tuple[dict, dict[str, np.ndarray]]], folder: Path, published: str | None
) -> str:
    """Write `folder/<name>.csv` and its audio under `folder/<name>/`.

    Args:
        items: (row, audio by column) pairs; a row needs id, task, rate_hz, text and what its task needs. Audio that is
            the same array as an earlier item's is written anew: sharing files would tie items together.
        folder: `data/<scale>/testsets`.
        published: the name of the set's published fingerprint, over the reference's length; None: not compared.

    Returns:
        What the comparison of fingerprints says.

    Raises:
        UserError: no items, or a fingerprint that differs (then no manifest is written).
    """
    rows, lengths = [], []
    for row, waves in tqdm(items, desc=f"test set {name}", unit="item", mininterval=5):
        for part, wave in waves.items():
            row[part] = f"{name}/{row['id']}.{part}.flac"
            audio.write(folder / row[part], wave, row["rate_hz"])
        reference = "reference" if "reference" in waves else "source"
        for part in ("source", "reference"):
            row[f"sha256_{part}"] = sha256(folder / row[part]) if part in waves else ""
        lengths.append((row["id"], len(waves[reference])))
        seconds = round(len(waves[reference]) / row["rate_hz"], 4)
        rows.append({"set": name, "seconds": seconds, "seed": seed_of(name, row["id"]), **row})
    if not rows:
        raise UserError(f"The test set {name} would be empty: check the corpus that it is made from.")
    found = fingerprint.fingerprint(lengths)
    said = fingerprint.check(published or name, found, folder / f"{name}.fingerprint.json")
    speech.write_table(folder / f"{name}.csv", rows, COLUMNS)
    return said


def limited(items: list, size: int | None, seed: int) -> list:
    """All items, or a seeded choice of `size` of them in their order, for a quick look; not comparable with the
    paper."""
    if not size or size >= len(items):
        return items
    chosen = np.random.default_rng(seed).choice(len(items), size, replace=False)
    return [items[place] for place in sorted(chosen)]
