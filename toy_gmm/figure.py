"""Figure 4 as four panels (set-up, no guidance, averaging, TC-CFG), and the sweeps as a second figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from speechbase.files import atomic
from toy_gmm.mixture import Mixture, Table7

PRIOR, TARGET, MODEL, SAMPLES = "#8a8f98", "#1b7f4d", "#c2571a", "#2f6fb2"
TITLES = {
    "none": "(b) no guidance",
    "tc_avg": r"(c) score averaging, $\alpha$ = {:g}",
    "tc_cfg": r"(d) TC-CFG, $\rho$ = {:g}",
}


def panels(path: Path, setup: Table7, samples: dict[str, np.ndarray], summary: pd.DataFrame) -> None:
    """Draw Figure 4: the set-up, and for each method its samples over the true density with its KL (Gaussian fit)."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, constrained_layout=True)
    _setup_panel(axes.flat[0], setup)
    for axis, (method, title) in zip(axes.flat[1:], TITLES.items()):
        axis.hist(samples[method], bins=120, range=(-7, 7), density=True, color=SAMPLES, alpha=0.6, label="samples")
        _density(axis, setup.enhanced, color=TARGET, label=r"$p_{Enh}$ (true)")
        kl = _cell(summary, method)
        axis.set_title(f"{title.format(kl['strength'])}: KL {kl['value']:.2f} [{kl['low']:.2f}, {kl['high']:.2f}]")
        axis.legend(frameon=False)
    for axis in axes.flat:
        axis.set(xlim=(-7, 7), ylim=(0, 1.9), yticks=[])
        axis.spines[["top", "right", "left"]].set_visible(False)
    _save(figure, path)


def _setup_panel(axis, setup: Table7) -> None:
    for y, name in ((0, "$w_0$, the target"), (1, "$w_1$")):
        weight = setup.tts.weights[y]
        _density(
            axis,
            setup.tts.component(y),
            scale=weight,
            color=PRIOR,
            ls="-" if y == 0 else ":",
            label=f"TTS prior, {name}",
        )
    _density(axis, setup.enhanced, color=TARGET, label=r"$p_{Enh}$ (true)")
    _density(axis, setup.imperfect, color=MODEL, label=r"$\hat{p}_{Enh}$ (biased model)")
    axis.set_title("(a) set-up")
    axis.legend(frameon=False)


def _density(axis, mixture: Mixture, scale: float = 1.0, **style) -> None:
    x = torch.linspace(-7, 7, 1401, dtype=torch.float64)
    axis.plot(x.numpy(), scale * mixture.log_density(x).exp().numpy(), lw=1.8, **style)


def _cell(summary: pd.DataFrame, method: str) -> pd.Series:
    wanted = (summary["part"] == "figure") & (summary["method"] == method) & (summary["quantity"] == "kl_gaussian")
    return summary[wanted].iloc[0]


def sweeps(path: Path, setup: Table7, summary: pd.DataFrame) -> None:
    """Draw KL against rho and against alpha, each with its interval, the unguided KL as a line."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, constrained_layout=True)
    for axis, part, name, used in zip(
        axes, ("rho sweep", "alpha sweep"), (r"$\rho$", r"$\alpha$"), (setup.rho, setup.alpha)
    ):
        rows = summary[(summary["part"] == part) & (summary["quantity"] == "kl_gaussian")]
        axis.plot(rows["strength"], rows["value"], "o-", color=SAMPLES, label="samples")
        axis.fill_between(rows["strength"], rows["low"], rows["high"], color=SAMPLES, alpha=0.25)
        axis.axhline(_cell(summary, "none")["value"], color=MODEL, ls="--", label="no guidance")
        axis.axvline(used, color=PRIOR, ls=":", label="the paper's value")
        axis.set(xlabel=name, ylim=(0, 8))
        axis.legend(frameon=False)
    axes[0].set(xscale="log", ylabel="KL(samples || true), nats")
    _save(figure, path)


def _save(figure, path: Path) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150)
    plt.close(figure)
