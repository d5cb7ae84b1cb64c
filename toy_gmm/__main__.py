"""Command line of the toy study: KL table and Figure 4, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line
from speechbase.files import atomic
from toy_gmm import figure as figures
from toy_gmm import study
from toy_gmm.mixture import Table7


def run(
    out: Annotated[Path, typer.Option(help="CSV: means over seeds with 95 % intervals")],
    by_seed: Annotated[Path | None, typer.Option(help="CSV: one row a method, strength and seed")] = None,
    figure: Annotated[Path | None, typer.Option(help="PNG: Figure 4, four panels")] = None,
    sweeps: Annotated[Path | None, typer.Option(help="PNG: KL against rho and alpha")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="sampling seeds")] = 10,
    samples: Annotated[int, typer.Option(min=2, help="samples a seed (Table 7: 5000)")] = Table7.samples,
) -> None:
    """Run the toy study: the KL table, the values by seed, and the figures that are asked for, in seconds."""
    study.one_thread()
    setup = Table7(samples=samples)
    rows, drawn = study.run(setup, seeds)
    summary = study.summarise(rows)
    _write(out, summary)
    if by_seed:
        _write(by_seed, rows)
    if figure:
        figures.panels(figure, setup, drawn, summary)
    if sweeps:
        figures.sweeps(sweeps, setup, summary)


def _write(path: Path, table) -> None:
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


main = command_line(run)


if __name__ == "__main__":
    raise SystemExit(main())
