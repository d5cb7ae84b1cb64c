"""How far word errors move from one instruction set to another, and whether recognition or sampling moves them.

python -m workflow.experiments.processors --manifest data/nano/testsets/se_words.csv --models speechbase/pretrained/nano
    --count 40 --out .state/processors

The same utterances are enhanced and transcribed in two processes, one of them held to AVX2: sampling in bfloat16 and
in float32, recognition in int8 and in float32.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from metrics.text import whisper_english
from metrics.transcripts import read_index, transcribe_index
from speechbase import audio
from speechbase.commands import command_line
from speechbase.files import UserError, atomic, read_jsonl
from speechbase.systems.runner import run_manifest
from workflow.report.words import align, errors
from workflow.tables.build import read_manifest

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "CT2_FORCE_CPU_ISA": "AVX2",
}
PRECISIONS, COMPUTED = ("bf16", "fp32"), ("int8", "float32")


def subset(manifest: Path, count: int, out: Path) -> Path:
    """A test set's first `count` items as a test set of their own, whose audio stays where it is."""
    items = read_manifest(manifest).head(count).copy()
    for part in ("source", "reference", "prompt"):
        items[part] = [str((manifest.parent / path).resolve()) if path else "" for path in items[part]]
    path = out / "items.csv"
    with atomic(path) as temporary:
        items.to_csv(temporary, index=False)
    return path


def work(manifest: Path, models: Path, out: Path, asr: str, others: Path | None) -> None:
    """Enhance and transcribe under the instruction set of this process; also transcribe what another one enhanced."""
    from speechop.system import ComposedSpeechOp

    for precision in PRECISIONS:
        entry = {"model": "multitask", "transcript": "none", "composition": "none", "precision": precision}
        run_manifest(ComposedSpeechOp(precision, entry, models), manifest, out / precision)
        for computed, folder in product(COMPUTED, filter(None, (out, others))):
            name = f"{precision}_{computed}{'' if folder == out else '_others'}.jsonl"
            transcribe_index(folder / precision / "index.csv", {"model": asr, "compute_type": computed}, out / name)


def word_errors(items: pd.DataFrame, path: Path) -> tuple[int, int, dict[str, str]]:
    """(errors, words, text by item) of a transcript file. Raises: UserError: an item without transcript."""
    heard = {row["id"]: row for row in read_jsonl(path)}
    if lost := [row["status"] for row in heard.values() if row["status"] != "ok"]:
        raise UserError(f"{path}: not every item has a transcript ({lost[0]}).")
    texts = {name: whisper_english(heard[name]["text"]) for name in items["id"]}
    wrong = sum(errors(align(text, texts[name])) for name, text in zip(items["id"], items["text"]))
    return wrong, sum(len(text.split()) for text in items["text"]), texts


def compare(items: pd.DataFrame, native: Path, avx2: Path) -> pd.DataFrame:
    """A row a setting: both word error rates, how far they lie apart, and how many transcripts differ.

    `heard`: `own`, each process its own audio; `same`, both that of the native one: what recognition alone moves.
    """
    rows = []
    for precision, computed, heard in product(PRECISIONS, COMPUTED, ("own", "same")):
        name = f"{precision}_{computed}"
        sides = native / f"{name}.jsonl", avx2 / f"{name}{'_others' if heard == 'same' else ''}.jsonl"
        (wrong, words, texts), (other, _, others) = (word_errors(items, path) for path in sides)
        rates = 100 * wrong / words, 100 * other / words
        differing = sum(texts[key] != others[key] for key in texts)
        rows.append(
            [precision, computed, heard, *rates, abs(rates[0] - rates[1]), differing, _apart(native, avx2, precision)]
        )
    return pd.DataFrame(
        rows, columns=["sampling", "recognition", "heard", "native", "avx2", "moves", "differing", "audio"]
    )


def _apart(native: Path, avx2: Path, precision: str) -> float:
    """The largest difference of the two processes' samples, against the largest sample."""
    found = 0.0
    for one, other in zip(*(read_index(folder / precision / "index.csv") for folder in (native, avx2)), strict=True):
        waves = [audio.read(Path(row["path"]))[0] for row in (one, other)]
        found = max(found, float(np.abs(waves[0] - waves[1]).max() / np.abs(waves[0]).max()))
    return found


def write(
    manifest: Annotated[Path, typer.Option(help="a test set of enhancement")],
    models: Annotated[Path, typer.Option(help="folder that holds codec/ and multitask/")],
    out: Annotated[Path, typer.Option(help="folder for audio, transcripts and processors.csv")],
    count: Annotated[int, typer.Option(min=1, help="utterances, the set's first")] = 8,
    asr: Annotated[str, typer.Option(help="a packaged Whisper")] = "whisper_base",
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure how far word errors move between this machine's instruction set and AVX2."""
    native, avx2 = out / "native", out / "avx2"
    if only:
        work(manifest, models, out / only, asr, native if only == "avx2" else None)
        return
    items = subset(manifest, count, out)
    for name, environment in (("native", {}), ("avx2", AVX2)):
        told = ["--manifest", items, "--models", models, "--out", out, "--asr", asr, "--only", name]
        command = [sys.executable, "-m", "workflow.experiments.processors", *map(str, told)]
        if subprocess.run(command, env=os.environ | environment, check=False).returncode:
            raise UserError(f"The process under {name} instructions failed; what it said stands above.")
    table = compare(read_manifest(items), native, avx2)
    with atomic(out / "processors.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    typer.echo(f"{count} utterances; word error rates in %, moves in points:\n{table.to_string(index=False)}")


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
