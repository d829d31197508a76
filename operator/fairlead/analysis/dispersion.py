"""How far the stable pods are from independent requests at equal rates: dispersion φ and noise floor σ.

Requests of one connection, of one client or of one slow moment are bad together, and a test that takes them for
independent fires far too often. φ is estimated from how the bad requests of one interval fall on the stable pods
(Pearson's χ² over its degrees of freedom): for single intervals, and for longer blocks, since a connection outlives
an interval. Every log e is divided by its 90 % upper bound. Given the totals none of this says how stable and canary
compare, so looking at it costs no validity.

Pods that are unlike for good (another node, another neighbour) do not average out. How unlike is estimated from all
that the stable pods have counted so far: σ is the standard deviation of the logarithm of a pod's odds, bad requests to
good ones, beyond what chance explains. The odds of a canary of m pods may then be worse by a factor of
e^(z·σ·√(1/m + 1/m_stable)) through no fault of its own, and its margin is widened by that (the noise floor). It is a
factor on the odds and not on the share, because odds have no end: 20 times a share of 8 % would be more than all
requests, and no canary could ever be worse. For φ each pod is compared with its own usual rate, so that the same
unlikeness is not paid for twice.

Three pods have two degrees of freedom, and by themselves they bound σ at four times what they show. So σ's bound is the
lower of two: the pods' own, and that of a moderated variance, in which USUAL_SPREAD counts as SPREAD_PRIOR further
degrees of freedom (Smyth 2004, doi:10.2202/1544-6115.1027; here the prior is stated, not fitted). Nothing is taken for
unlike before it is seen. The price is known: by simulation a good canary beside three unlike pods exceeds the floor in
0.6 % of all cases at σ ≤ 0.5, as by the pods' own bound; at σ = 0.7 in 0.8 % and at 1 in 1.9 %, not 0.6 and 1.0 %.
Where slow requests past one latency edge show no spread yet, that edge takes the largest floor of the others
(`clumping.py`): at the last edges unlike pods are seen last.

What a short rollout can tell is little: three stable pods give two degrees of freedom an interval and hardly ten
over all blocks, and without bad requests none. So three choices were made:

- An interval with K bad requests (or K good ones, if fewer) counts with weight (K−1)/K. One bad request always gives
  χ² = df, whatever the truth; only pairs show clumping.
- Each upper bound starts as if PRIOR degrees of freedom had been seen: at φ = 1 for single intervals, at the shorter
  spans' own estimate for the longer ones. Without data the bound is then 2.1, which costs a clear regression a few
  more errors and does not forbid a verdict; real data soon outweigh it.
- A lone stable pod shows nothing of how requests fall on pods: before the rollout it had them all. Where connections
  are balanced, all requests of a connection are then taken to be bad together, and φ is at least their mean number
  (`engine.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fairlead.analysis.evidence import Counts, HasMargin, Margin

PRIOR = 10.0
_Z10 = -1.2815515655446004
"""The normal distribution's 10 % quantile."""
_Z07 = -1.475791028179171
"""Its 7 % quantile: few pods tell little of their spread."""
ENOUGH_PODS = 8
"""Stable pods that tell their own spread well enough for the noise floor to be relied on."""
_Z01 = 2.33
"""Its 99 % quantile: how unlucky a good canary's pods may be."""
USUAL_SPREAD = 0.5
"""σ of the pods of one version as it is before anything is seen: two in three differ from the middle by less than a
factor of 1.65 in odds, one in twenty by more than 2.7."""
SPREAD_PRIOR = 4.0
"""Degrees of freedom that this is worth."""
_MOST = 3.0
"""The logarithm of the largest noise floor: 20 times the odds is no pod's bad luck."""
_VISIBLE = 1.2815515655446004
"""A spread counts as seen when chance alone would show it in one case of ten."""


@dataclass(slots=True)
class Spread:
    """Sums of weighted χ² and of weighted degrees of freedom, over intervals and over blocks."""

    tick_chi: float = 0.0
    tick_df: float = 0.0
    block_chi: float = 0.0
    block_df: float = 0.0

    def add_tick(self, cells: Sequence[Counts], usual: Sequence[float] | None = None) -> None:
        """Take in one interval: one cell per stable pod, and each pod's usual rate relative to the others'."""
        chi, df = pearson(cells, usual)
        self.tick_chi += chi
        self.tick_df += df

    def add_block(self, cells: Sequence[Counts], usual: Sequence[float] | None = None) -> None:
        """Take in one block: the sums of its intervals, one cell per stable pod."""
        chi, df = pearson(cells, usual)
        self.block_chi += chi
        self.block_df += df

    def visible(self) -> bool:
        """Whether intervals alone show more than chance would in one case of a hundred."""
        return self.tick_df > 0 and self.tick_chi > self.tick_df * _quantile(_Z01, self.tick_df)

    def phi(self) -> float:
        """The larger of the 90 % upper bounds, at least 1."""
        start = (self.tick_chi + PRIOR) / (self.tick_df + PRIOR)
        tick = upper(self.tick_chi + PRIOR, self.tick_df + PRIOR)
        if not self.block_df:
            return max(1.0, tick)
        block = upper(self.block_chi + PRIOR * max(1.0, start), self.block_df + PRIOR)
        return max(1.0, tick, block)


class Unlikeness(NamedTuple):
    """How much the stable pods differ for good: 0 where nothing beyond chance is seen, and each pod's usual rate.

    σ is that of the logarithm of the odds, the usual rates are relative to the rate of all pods.
    """

    sigma: float
    usual: Sequence[float] | None


ALIKE = Unlikeness(0.0, None)


def unlikeness(pods: Sequence[Counts], phi: float) -> Unlikeness:
    """The upper bound of the spread of the pods' odds, from all that each has counted."""
    n = sum(pod.n for pod in pods)
    k = sum(pod.k for pod in pods)
    df = len(pods) - 1
    if df < 1 or k <= 0 or k >= n:
        return ALIKE
    share = k / n
    expected = [pod.n * share for pod in pods]
    if min(expected) <= 0:
        return ALIKE
    off = [pod.k / e - 1.0 for pod, e in zip(pods, expected, strict=True)]
    noise = [phi * (1.0 - share) / e for e in expected]
    chi = sum(d * d / v for d, v in zip(off, noise, strict=True))
    if chi <= df * _quantile(_VISIBLE, df):
        return ALIKE
    mean_noise = sum(noise) / len(noise)
    seen = sum(d * d for d in off)
    own = max(0.0, seen / (df * _quantile(_Z10 if len(pods) >= ENOUGH_PODS else _Z07, df)) - mean_noise)
    usual_sum = SPREAD_PRIOR * (USUAL_SPREAD * (1.0 - share)) ** 2
    bound = min(own, upper(usual_sum + seen, SPREAD_PRIOR + df))
    plain = max(0.0, seen / df - mean_noise)
    usual = [1.0 + d * plain / (plain + v) for d, v in zip(off, noise, strict=True)]
    # d ln(odds) = d share / (share·(1 − share))
    return Unlikeness(math.sqrt(bound) / (1.0 - share), usual)


def noise_floor(sigma: float, canary_pods: int, stable_pods: int) -> float:
    """The factor by which a good canary of so many pods may have worse odds through unlike pods alone."""
    if sigma <= 0:
        return 1.0
    return math.exp(min(_MOST, _Z01 * sigma * math.sqrt(1 / max(1, canary_pods) + 1 / max(1, stable_pods))))


def widened(margin: HasMargin, floor: float, share: float) -> Margin:
    """The margin for a canary whose odds may be `floor` times what the margin allows, through its pods alone.

    A factor F on the odds makes g(p) = F·p/(1 + (F−1)·p) of a share p. g is concave, so its tangent at any point lies
    above it: a canary within the null p_canary ≤ g(ratio·p_stable) + absolute is within the margin returned too,
    whatever stable's share is. The tangent at `share` loses least where that is stable's. It must not come
    from the interval that is judged.
    """
    allowed = margin.ratio * share
    base = 1.0 + (floor - 1.0) * allowed
    slope, rest = floor / base**2, floor * (floor - 1.0) * (allowed / base) ** 2
    return Margin(margin.ratio * slope, rest + margin.absolute)


def pearson(cells: Sequence[Counts], usual: Sequence[float] | None = None) -> tuple[float, float]:
    """Pearson's χ² and its degrees of freedom, both weighted by (K−1)/K.

    Expected is the same share in all cells, or one in proportion to the cells' usual rates.
    """
    if usual is None:
        weights = [cell.n for cell in cells]
    else:
        weights = [cell.n * max(0.05, rate) for cell, rate in zip(cells, usual, strict=True)]
    n, k, whole = sum(cell.n for cell in cells), sum(cell.k for cell in cells), sum(weights)
    rarer = min(k, n - k)
    used = sum(1 for cell in cells if cell.n > 0)
    if used <= 1 or rarer <= 1 or whole <= 0:
        return 0.0, 0.0
    good = 1.0 - k / n
    chi = 0.0
    for cell, weight in zip(cells, weights, strict=True):
        if weight > 0:
            expected = k * weight / whole
            chi += (cell.k - expected) ** 2 / (expected * good)
    factor = (rarer - 1) / rarer
    return factor * chi, factor * (used - 1)


def upper(chi: float, df: float) -> float:
    """The 90 % upper bound of φ when chi/φ is χ² with `df` degrees of freedom (Wilson–Hilferty)."""
    return chi / (df * _quantile(_Z10, df))


def _quantile(z: float, df: float) -> float:
    """A quantile of χ² over its degrees of freedom (Wilson–Hilferty); small df: never below what is exact for one."""
    part = 2 / (9 * df)
    return max(0.0158, (1 - part + z * math.sqrt(part)) ** 3)
