"""Fixed-sample tests on all counts so far, looked at after every interval: what a bound on many looks is needed for."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from tests.bench.analysis.rules.limits import Floats, Ints, first, share

CHI2_9 = {0.05: 16.919, 0.01: 21.666}
"""Upper quantiles of χ² with 9 degrees of freedom."""


def z_scores(canary: Ints, stable: Ints) -> Floats:
    """Pooled two-sample z after each interval, positive where the canary is worse. Last axis: (n, k)."""
    c, s = np.cumsum(canary, axis=1), np.cumsum(stable, axis=1)
    n_c, k_c, n_s, k_s = c[..., 0], c[..., 1], s[..., 0], s[..., 1]
    pooled = share(k_c + k_s, n_c + n_s)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n_c, 1) + 1 / np.maximum(n_s, 1)))
    difference = share(k_c, n_c) - share(k_s, n_s)
    return np.divide(difference, spread, out=np.zeros_like(spread), where=spread > 0)


def ks_scores(canary: Ints, stable: Ints) -> Floats:
    """One-sided Kolmogorov–Smirnov on bucket counts after each interval, as −ln of its p-value."""
    c, s = (np.cumsum(arm, axis=1).astype(float) for arm in (canary, stable))
    n, m = (np.maximum(arm.sum(axis=-1), 1.0) for arm in (c, s))
    slower = (np.cumsum(s, axis=-1) / m[..., None] - np.cumsum(c, axis=-1) / n[..., None]).max(axis=-1)
    score: Floats = 2 * slower**2 * n * m / (n + m)
    return score


def chi_square(canary: Ints, stable: Ints) -> Floats:
    """Pearson's χ² of the two count vectors after each interval."""
    both = np.stack([np.cumsum(canary, axis=1), np.cumsum(stable, axis=1)], axis=-2).astype(float)
    expected = both.sum(-1, keepdims=True) * both.sum(-2, keepdims=True) / both.sum((-1, -2), keepdims=True)
    part = np.divide((both - expected) ** 2, expected, out=np.zeros_like(both), where=expected > 0)
    total: Floats = part.sum((-1, -2))
    return total


def peek(scores: Floats, limit: float) -> Ints:
    """The first interval in which the score exceeds the limit."""
    return first(scores > limit)


def z_limit(alpha: float) -> float:
    """The limit of a one-sided fixed-sample z-test."""
    return NormalDist().inv_cdf(1 - alpha)


def recalibrated(null_scores: Floats, alpha: float) -> float:
    """The limit that a share alpha of these null rollouts' largest scores exceed: the fair speed limit.

    It is known only for the very traffic it was simulated with, so nobody could use it.
    """
    return float(np.quantile(null_scores, 1 - alpha))
