"""KL(samples || true) of 1-D samples against a known Gaussian, by three estimators (Appendix B.3 names none)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import log_ndtr
from scipy.stats import gaussian_kde, norm

HISTOGRAM_BINS = 200
KDE_POINTS_PER_BANDWIDTH = 4


def gaussian_fit(samples: np.ndarray, mean: float, std: float) -> float:
    """Closed form between the Gaussian fitted to the samples and N(mean, std^2), in nats."""
    fitted_mean, fitted_std = samples.mean(), samples.std()
    return float(math.log(std / fitted_std) + (fitted_std**2 + (fitted_mean - mean) ** 2) / (2 * std**2) - 0.5)


def histogram(samples: np.ndarray, mean: float, std: float) -> float:
    """Sum over the bins that hold samples of p log(p / q), q the true mass of the bin, in nats.

    The true mass is kept as a logarithm, so that a bin thirty standard deviations out is large, not infinite.
    """
    counts, edges = np.histogram(samples, bins=HISTOGRAM_BINS)
    p = counts / counts.sum()
    log_q = _log_mass((edges[:-1] - mean) / std, (edges[1:] - mean) / std)
    held = p > 0
    return float(np.sum(p[held] * (np.log(p[held]) - log_q[held])))


def _log_mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """log P(low < z < high) of a standard normal; the upper tail is mirrored so that nothing cancels."""
    mirrored = low + high > 0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_high, log_low = log_ndtr(high), log_ndtr(low)
    return log_high + np.log(-np.expm1(log_low - log_high))


def kernel_density(samples: np.ndarray, mean: float, std: float) -> float:
    """Integral of p log(p / q) on a grid, p a Gaussian kernel density estimate (Scott's bandwidth), in nats."""
    density = gaussian_kde(samples)
    bandwidth = float(np.sqrt(density.covariance[0, 0]))
    low, high = samples.min() - 4 * bandwidth, samples.max() + 4 * bandwidth
    grid = np.linspace(low, high, math.ceil((high - low) / bandwidth * KDE_POINTS_PER_BANDWIDTH))
    p = np.maximum(density(grid), np.finfo(float).tiny)
    return float(np.trapezoid(p * (np.log(p) - norm.logpdf(grid, mean, std)), grid))


ESTIMATORS = {"gaussian": gaussian_fit, "histogram": histogram, "kde": kernel_density}
