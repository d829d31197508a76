"""How much more than independent requests the bad ones clump: the dispersion φ.

Requests of one connection, of one client or of one slow moment are bad together, and a test that takes them for
independent fires far too often. φ is estimated from how the bad requests of one interval fall on the stable pods
(Pearson's χ² over its degrees of freedom): for single intervals; for longer blocks, since a connection outlives an
interval; and for all intervals together, since a pod that is slower than its sisters stays so. For the last the
bound grows with the time as the evidence does, so pods that differ for good seldom add up to one. Given
the totals none of this says how stable and canary compare, so looking at it costs no validity.

What a short rollout can tell is little: three stable pods give two degrees of freedom an interval and hardly ten
over all blocks, and without bad requests none. So three choices were made:

- An interval with K bad requests (or K good ones, if fewer) counts with weight (K−1)/K. One bad request always gives
  χ² = df, whatever the truth; only pairs show clumping.
- Each upper bound starts as if PRIOR degrees of freedom had been seen: at φ = 1 for single intervals, at the shorter
  spans' own estimate for the longer ones. Without data the bound is then 2.1, which costs a clear regression a few
  more errors and does not forbid a verdict; real data soon outweigh it.
- A lone stable pod shows nothing of how requests fall on pods: before the rollout it had them all. Then all
  requests of a connection are taken to be bad together, and φ is at least their mean number (`engine.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fairlead.analysis.evidence import Counts

PRIOR = 10.0
_Z10 = -1.2815515655446004
"""The normal distribution's 10 % quantile."""


@dataclass(slots=True)
class Spread:
    """Sums of weighted χ² and of weighted degrees of freedom, over intervals and over blocks."""

    tick_chi: float = 0.0
    tick_df: float = 0.0
    block_chi: float = 0.0
    block_df: float = 0.0

    def add_tick(self, cells: Iterable[Counts]) -> None:
        """Take in one interval: one cell per stable pod."""
        chi, df = pearson([cell for cell in cells if cell.n > 0])
        self.tick_chi += chi
        self.tick_df += df

    def add_block(self, cells: Iterable[Counts]) -> None:
        """Take in one block: the sums of its intervals, one cell per stable pod."""
        chi, df = pearson([cell for cell in cells if cell.n > 0])
        self.block_chi += chi
        self.block_df += df

    def phi(self, whole: Iterable[Counts] = ()) -> float:
        """The largest of the 90 % upper bounds, at least 1. `whole`: each stable pod's sums over all intervals."""
        bounds, start = [1.0], 1.0
        for chi, df in (
            (self.tick_chi, self.tick_df),
            (self.block_chi, self.block_df),
            pearson([cell for cell in whole if cell.n > 0]),
        ):
            bounds.append(_upper(chi + PRIOR * start, df + PRIOR))
            start = max(start, (chi + PRIOR * start) / (df + PRIOR))
        return max(bounds)


def pearson(cells: Sequence[Counts]) -> tuple[float, float]:
    """Pearson's χ² for equal shares in all cells and its degrees of freedom, both weighted by (K−1)/K."""
    n, k = sum(cell.n for cell in cells), sum(cell.k for cell in cells)
    rarer = min(k, n - k)
    if len(cells) <= 1 or rarer <= 1:
        return 0.0, 0.0
    share = k / n
    chi = sum((cell.k - cell.n * share) ** 2 / (cell.n * share * (1 - share)) for cell in cells)
    weight = (rarer - 1) / rarer
    return weight * chi, weight * (len(cells) - 1)


def _upper(chi: float, df: float) -> float:
    """The 90 % upper bound of φ when chi/φ is χ² with `df` degrees of freedom (Wilson–Hilferty)."""
    part = 2 / (9 * df)
    return chi / (df * (1 - part + _Z10 * math.sqrt(part)) ** 3)
