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
from array import array
from collections.abc import Iterable, Sequence
from operator import add
from typing import NamedTuple, Protocol

WORSE = (1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0)
"""Alternative ratios of the test against the canary: dense where changes are small and hard to see."""
POINTS = len(WORSE)
BETTER = tuple(1 / ratio for ratio in WORSE)
"""Alternative ratios of the test for the canary."""

NOTHING_YET = (0.0,) * POINTS
"""A mixture of e-processes that have not begun."""
ONES = (0.0,) * POINTS
"""Products of nothing, as logarithms."""
CEILING = 1e30
"""Evidence ends here, far above any bar, so that it stays finite in float32."""
_CEILING_LOG = math.log(CEILING)
LIMIT = 1e9
_LIMIT_LOG = math.log(LIMIT * POINTS)
"""E-values are reported up to here."""

_EARLY, _LATE, _STAGES = 0.8, 0.1, 0.1
"""How the prior mass on a regression's onset is divided; it sums to 1."""
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


class HasMargin(Protocol):
    """Whatever holds a margin: a Margin, or what a plan says of one."""

    @property
    def ratio(self) -> float:
        """Factor on stable's share."""

    @property
    def absolute(self) -> float:
        """Added to it."""


Logs = tuple[float, ...]
"""One number for each ratio of a grid."""


class Factors(NamedTuple):
    """What an interval's e-values need but for the bad requests: the same for all tests on the same requests."""

    rises: Sequence[float]
    """ln x for each ratio of the grid"""
    drops: Sequence[float]
    """ln y"""
    allowances: Sequence[float] | None
    """n_c·δ·(x−1); None where δ is 0"""


_WORSE_LOGS = tuple(math.log(r) for r in WORSE)
_BETTER_LOGS = tuple(math.log(r) for r in BETTER)


def factors(canary: float, stable: float, margin: Margin, grid: tuple[float, ...]) -> Factors:
    """Prepare the e-values of `canary` against `stable` requests, both above 0."""
    ratio, absolute = margin
    exposure = ratio * canary
    total, log = exposure + stable, math.log
    top, allowed = log(total), canary * absolute
    ends = [r * exposure + stable for r in grid]
    drops = [top - log(end) for end in ends]
    rises = list(map(add, _logs(grid), drops))
    if not allowed:
        return Factors(rises, drops, None)
    return Factors(rises, drops, [allowed * (r * total / end - 1.0) for r, end in zip(grid, ends, strict=True)])


def _logs(grid: tuple[float, ...]) -> Sequence[float]:
    if grid is WORSE:
        return _WORSE_LOGS
    return _BETTER_LOGS if grid is BETTER else [math.log(r) for r in grid]


def values(given: Factors, canary_bad: float, stable_bad: float) -> list[float]:
    """The logarithms of the interval's e-values."""
    rises, drops, allowances = given
    if allowances is None:
        return [canary_bad * rise + stable_bad * drop for rise, drop in zip(rises, drops, strict=True)]
    return [
        canary_bad * rise + stable_bad * drop - allowed
        for rise, drop, allowed in zip(rises, drops, allowances, strict=True)
    ]


def log_e(canary: Counts, stable: Counts, margin: Margin, grid: tuple[float, ...]) -> Logs:
    """The interval's log e-value for each ratio of the grid; zeros when an arm had no requests."""
    if canary.n <= 0 or stable.n <= 0:
        return (0.0,) * len(grid)
    return tuple(values(factors(canary.n, stable.n, margin, grid), canary.k, stable.k))


def onset(judged: int) -> float:
    """Prior mass on a regression that begins at the judged interval with this number (1, 2, …).

    Most of it lies on the first intervals, since most regressions are there from the start; the rest falls as
    1/(t·ln²t), so that onsets a week later stay affordable. All of them sum to 0.9.
    """
    n = judged + 1
    early = 0.5 if judged == 1 else 0.5 / (judged * (judged - 1))
    return _EARLY * early + _LATE / (_SERIES * n * math.log(n) ** 2)


def stage_onset(number: int) -> float:
    """Extra prior mass at the first judged interval of the stage with this number (1, 2, …); they sum to 0.1."""
    return _STAGES * 0.5**number


def against(mixture: Sequence[float], step: Iterable[float], mass: float) -> list[float]:
    """One step of the change-point mixture M_t = e_t·(M_{t−1} + γ_t), rounded to float32; `step` has ln e_t."""
    exp = math.exp
    try:
        grown = [(old + mass) * exp(e) for old, e in zip(mixture, step, strict=True)]
    except OverflowError:
        grown = [(old + mass) * exp(min(e, _CEILING_LOG)) for old, e in zip(mixture, step, strict=True)]
    if max(grown) > CEILING:
        grown = [min(value, CEILING) for value in grown]
    return array("f", grown).tolist()


def product(logs: Sequence[float], step: Iterable[float]) -> list[float]:
    """One step of the plain products, as logarithms rounded to float32."""
    return array("f", map(add, logs, step)).tolist()


def both(
    bad: Sequence[float],
    ok: Sequence[float],
    canary: tuple[float, float],
    stable: tuple[float, float],
    margins: tuple[HasMargin, HasMargin],
    mass: float,
) -> tuple[list[float], list[float]]:
    """One step of `against` and of `product` at once: for a single test at a single alignment, which is the usual case.

    Does what the other functions do one after the other, in less than half of the time. Raises OverflowError where one
    interval alone is proof beyond all bounds.
    """
    (n_c, k_c), (n_s, k_s), (worse, better) = canary, stable, margins
    log, exp, k = math.log, math.exp, k_c + k_s
    exposure = worse.ratio * n_c
    total = exposure + n_s
    top, allowed = log(total), n_c * worse.absolute
    grown = [
        (old + mass) * exp(k_c * rise + k * (top - log(end := r * exposure + n_s)) - allowed * (r * total / end - 1.0))
        for old, r, rise in zip(bad, WORSE, _WORSE_LOGS, strict=True)
    ]
    exposure = better.ratio * n_c
    total = exposure + n_s
    top, allowed = log(total), n_c * better.absolute
    shrunk = [
        old + k_c * rise + k * (top - log(end := r * exposure + n_s)) - allowed * (r * total / end - 1.0)
        for old, r, rise in zip(ok, BETTER, _BETTER_LOGS, strict=True)
    ]
    if max(grown) > CEILING:
        grown = [min(value, CEILING) for value in grown]
    return array("f", grown).tolist(), array("f", shrunk).tolist()


def evidence_against(mixture: Sequence[float], unspent: float) -> float:
    """The e-value of a change-point mixture over the grid; `unspent`: prior mass on onsets still to come."""
    return min(LIMIT, sum(mixture) / len(mixture) + unspent)


def evidence_for(logs: Sequence[float]) -> float:
    """The e-value of the products: their mean over the grid."""
    top = max(logs)
    if top > _LIMIT_LOG:
        return LIMIT
    return min(LIMIT, sum(map(math.exp, logs)) / len(logs))


def rounded(numbers: Sequence[float]) -> list[float]:
    """What is left after a trip through the stored state, so that a restart changes nothing."""
    return array("f", numbers).tolist()
