"""Runs the three strategies and the sweeps of their strengths over several seeds, and tabulates the KL."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student_t

from toy_gmm.compose import strategy
from toy_gmm.divergence import ESTIMATORS
from toy_gmm.mixture import Table7
from toy_gmm.sampling import draw_noise, sample

RHO_SWEEP = (1.0, 1e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5)
ALPHA_SWEEP = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def run(setup: Table7, seeds: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Run Figure 4 and both sweeps.

    Returns:
        (rows, samples): one row for each part, method, strength and seed, with the KL by each estimator (nats) and the
        samples' mean and standard deviation; and Figure 4's samples of seed 0, by method.
    """
    noise = draw_noise(setup, seeds)
    plan = [("figure", "none", np.nan), ("figure", "tc_avg", setup.alpha), ("figure", "tc_cfg", setup.rho)]
    plan += [("rho sweep", "tc_cfg", rho) for rho in RHO_SWEEP] + [("alpha sweep", "tc_avg", a) for a in ALPHA_SWEEP]
    rows, shown = [], {}
    for part, method, strength in plan:
        drawn = sample(strategy(setup, method, strength), setup, noise).numpy()
        rows += [_row(setup, part, method, strength, seed, values) for seed, values in enumerate(drawn)]
        if part == "figure":
            shown[method] = drawn[0]
    return pd.DataFrame(rows), shown


def _row(setup: Table7, part: str, method: str, strength: float, seed: int, values: np.ndarray) -> dict:
    true = setup.enhanced
    row = {"part": part, "method": method, "strength": strength, "seed": seed}
    row |= {f"kl_{name}": kl(values, true.means[0], true.stds[0]) for name, kl in ESTIMATORS.items()}
    return row | {"mean": float(values.mean()), "std": float(values.std())}


def summarise(rows: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Mean over seeds of every quantity with Student's interval: columns quantity, value, low, high, seeds."""
    tidy = rows.melt(["part", "method", "strength", "seed"], var_name="quantity")
    grouped = tidy.groupby(["part", "method", "strength", "quantity"], sort=False, dropna=False)["value"]
    table = grouped.agg(value="mean", spread="std", seeds="size").reset_index()
    half = student_t.ppf((1 + confidence) / 2, table["seeds"] - 1) * table.pop("spread") / np.sqrt(table["seeds"])
    table["low"], table["high"] = table["value"] - half, table["value"] + half
    return table


def one_thread() -> None:
    """Tensors of 50,000 numbers gain nothing from threads, and threads would make other jobs wait."""
    torch.set_num_threads(1)
