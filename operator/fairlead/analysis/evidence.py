"""Two-sample e-values on counts, and the e-processes made of them.

The margin null is p_canary ≤ ρ·p_stable + δ in every interval, where p_stable may drift as it likes. With
independent requests one interval's e-value for an alternative ratio r is

    m = ρ·n_c    x = r(m+n_s)/(r·m+n_s)    y = (m+n_s)/(r·m+n_s)
    log e(r) = k_c·ln x + k_s·ln y − n_c·δ·(x−1)

E[e] ≤ exp{n_c·p_c·(x−1) + n_s·p_s·(y−1) − n_c·δ·(x−1)} because 1+u ≤ e^u, and that is at most 1 under the null
because y = 1 − m(x−1)/n_s. A ratio r < 1 tests the opposite null (p_canary ≥ ρ·p_stable + δ) by the same
formula. By Ville's inequality a product, or a mixture of products, of such values exceeds 1/α at any time with a
chance of at most α.

Lindon and Malek (arXiv:2011.03567) is the special case δ = 0; Turner, Ly and Grünwald (arXiv:2106.02693) give
the general frame.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

POINTS = 13
WORSE = tuple(1.1 * (50 / 1.1) ** (i / (POINTS - 1)) for i in range(POINTS))
"""Alternative ratios of the test against the canary."""
BETTER = tuple(1 / ratio for ratio in WORSE)
"""Alternative ratios of the test for the canary."""

NOTHING_YET = (-math.inf,) * POINTS
ONES = (0.0,) * POINTS
CEILING = 600.0
"""Logarithms end here, far above any bar, so that exp() and float32 stay finite."""

_FLOATS = struct.Struct(f"<{POINTS}f")
_SERIES = 2.109742800049306
"""Σ 1/(n·ln²n) over n ≥ 2."""


class Counts(NamedTuple):
    """Requests of one arm in one interval, and how many of them were bad."""

    n: float
    k: float


class Margin(NamedTuple):
    """The null's p_canary = ratio·p_stable + absolute, on shares between 0 and 1."""

    ratio: float
    absolute: float


Logs = tuple[float, ...]
"""One logarithm for each ratio of a grid."""


def log_e(canary: Counts, stable: Counts, margin: Margin, grid: Sequence[float]) -> Logs:
    """The interval's log e-value for each ratio of the grid; zeros when an arm had no requests."""
    if canary.n <= 0 or stable.n <= 0:
        return ONES
    exposure = margin.ratio * canary.n
    total = exposure + stable.n
    bad, allowed = canary.k + stable.k, canary.n * margin.absolute
    log = math.log
    out = []
    for r in grid:
        x = r * total / (r * exposure + stable.n)
        # y = x/r, so k_c·ln x + k_s·ln y needs one logarithm of data only.
        out.append(bad * log(x) - stable.k * log(r) - allowed * (x - 1.0))
    return tuple(out)


def aligned(canary: Counts, stable: Sequence[Counts], margin: Margin, grid: Sequence[float], phi: float) -> Logs:
    """The least of the e-values against each of the stable windows, weakened by the dispersion `phi`.

    Pods are scraped at different instants, so during a shared outage the arms' windows cover different
    moments. The minimum over the stable windows shifted by −1, 0 and +1 tick is an e-value when one of
    them is the right one.
    """
    candidates = [log_e(canary, window, margin, grid) for window in stable]
    return tuple(min(values) / phi for values in zip(*candidates, strict=True))


def onset(judged: int) -> float:
    """Prior mass on a regression that begins at the judged interval with this number (1, 2, …).

    Falls as 1/(t·ln²t), so that late onsets stay affordable; all of them sum to 1/2.
    """
    n = judged + 1
    return 0.5 / (_SERIES * n * math.log(n) ** 2)


def stage_onset(number: int) -> float:
    """Extra prior mass at the first judged interval of the stage with this number (1, 2, …); they sum to 1/2."""
    return 0.5 ** (number + 1)


def against(logs: Logs, step: Logs, mass: float) -> Logs:
    """One step of the change-point mixture M_t = e_t·(M_{t−1} + γ_t), as logarithms rounded to float32."""
    start = math.log(mass) if mass > 0 else -math.inf
    return rounded(tuple(min(CEILING, e + _log_add(old, start)) for old, e in zip(logs, step, strict=True)))


def product(logs: Logs, step: Logs) -> Logs:
    """One step of the plain products, as logarithms rounded to float32."""
    return rounded(tuple(min(CEILING, old + e) for old, e in zip(logs, step, strict=True)))


def mixture(logs: Logs) -> float:
    """The mean over the grid."""
    return sum(math.exp(value) for value in logs) / len(logs)


def rounded(logs: Logs) -> Logs:
    """What is left after a trip through the stored state, so that a restart changes nothing."""
    return _FLOATS.unpack(_FLOATS.pack(*logs))


def _log_add(a: float, b: float) -> float:
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
