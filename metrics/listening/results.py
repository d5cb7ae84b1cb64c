"""What the tables may read: MOS of an imported study, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from speechbase.files import read_json, sha256


@dataclass(frozen=True)
class Mos:
    """`status` is `ok` or `not run`; `cells` maps (system, scale, set) to mos, se, low, high, n_ratings and
    n_raters."""

    status: str
    reason: str = ""
    cells: dict[tuple[str, str, str], dict] = field(default_factory=dict)


def read_mos(out: Path, *, filtered: bool = True) -> Mos:
    """MOS of the study in `out`. Simulated ratings are never returned, wherever their file lies."""
    path, sidecar = out / "mos.csv", out / "mos.json"
    if not path.is_file():
        return Mos("not run", "no listening study was imported")
    record = read_json(sidecar) if sidecar.is_file() else {}
    if record.get("source") != "prolific" or record.get("mos_sha256") != sha256(path):
        return Mos("not run", f"{path} is not the result of an import; import and analyse the study again")
    table = pd.read_csv(path)
    wanted = table[(table["filtered"] == filtered) & table["mos"].notna()]
    fields = ("mos", "se", "low", "high", "n_ratings", "n_raters")
    cells = {
        (row["system"], row["scale"], row["set"]): {name: row[name] for name in fields}
        for row in wanted.to_dict("records")
    }
    return Mos("ok", cells=cells)
