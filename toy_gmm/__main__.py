"""Command line of the toy study: KL table and Figure 4, in seconds."""

from __future__ import annotations

import argparse
from pathlib import Path

from speechbase.files import UserError, atomic, plain_errors
from toy_gmm import figure, study
from toy_gmm.mixture import Table7


@plain_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the study and write the summary, the values by seed, and the figures that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m toy_gmm", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="CSV: means over seeds with 95 %% intervals")
    parser.add_argument("--by-seed", type=Path, help="CSV: one row a method, strength and seed")
    parser.add_argument("--figure", type=Path, help="PNG: Figure 4, four panels")
    parser.add_argument("--sweeps", type=Path, help="PNG: KL against rho and alpha")
    parser.add_argument("--seeds", type=int, default=10, help="sampling seeds, at least 2 (default 10)")
    parser.add_argument("--samples", type=int, default=Table7.samples, help="samples a seed (Table 7: 5000)")
    options = parser.parse_args(arguments)
    if options.seeds < 2 or options.samples < 2:
        raise UserError("An interval needs at least 2 seeds of at least 2 samples: raise --seeds or --samples.")
    study.one_thread()
    setup = Table7(samples=options.samples)
    rows, samples = study.run(setup, options.seeds)
    summary = study.summarise(rows)
    _write(options.out, summary)
    if options.by_seed:
        _write(options.by_seed, rows)
    if options.figure:
        figure.panels(options.figure, setup, samples, summary)
    if options.sweeps:
        figure.sweeps(options.sweeps, setup, summary)


def _write(path: Path, table) -> None:
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
