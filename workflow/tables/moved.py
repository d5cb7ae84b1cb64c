"""How far word errors of the same weights move on another processor: the one measured figure that tables print.

python -m workflow.tables.moved --measured .state/processors

`workflow.experiments.processors` measures; this puts its figure into RECORD, with the digest of the code that it is a
figure of. Of other code nothing is known: what samples or recognises in another way rounds in another way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from speechbase.commands import command_line
from speechbase.files import UserError, read_json, write_json
from workflow.plan.places import ROOT
from workflow.plan.sources import code_of

RECORD = ROOT / "config" / "processors.json"
CODE = ("speechop.system", "metrics.transcripts")  # what samples and what recognises
WORDS = ("wer", "cer")  # how the names of metrics that count a recogniser's errors begin


def notes(ours: pd.DataFrame, path: Path = RECORD) -> list[str]:
    """The sentence that belongs under a table with word errors; none under one that has none.

    Args:
        ours: the table's measured cells (`metric`, `value`).
        path: the record: points, utterances, code.
    """
    counted = ours["metric"].astype(str).str.startswith(WORDS) & ours["value"].notna()
    if not counted.any():
        return []
    known = read_json(path)
    if known["code"] != code_of(*CODE):
        return [
            "How far word errors of the same weights move between two instruction sets has not been measured with this "
            "code (docs/reproducibility.md says how): compare figures of one machine."
        ]
    return [
        f"Word errors of the same weights moved by up to {known['points']:.1f} points between two instruction sets on "
        f"{known['utterances']} utterances (SpeechOp, no transcript)."
    ]


def write(
    measured: Annotated[Path, typer.Option(help="the folder that workflow.experiments.processors wrote")],
    out: Annotated[Path, typer.Option(help="the record")] = RECORD,
) -> None:
    """Record what was measured with the code as it is: the largest move of any of its settings."""
    if not (measured / "processors.csv").is_file():
        raise UserError(f"{measured} has no processors.csv: run python -m workflow.experiments.processors first.")
    table, items = (pd.read_csv(measured / name) for name in ("processors.csv", "items.csv"))
    points = float(table.loc[table["heard"] == "own", "moves"].max())
    write_json(out, {"points": points, "utterances": len(items), "code": code_of(*CODE)})


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
